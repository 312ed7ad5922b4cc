# SPDX-License-Identifier: Apache-2.0
"""Which open descriptors of its caller pyrun hands to the container: none but those that were asked for.

First those of socket activation (sd_listen_fds(3)): LISTEN_FDS says how many there are, from 3 on, and LISTEN_PID which
process they are meant for. Behind them come as many as --preserve-fds says.
"""

from __future__ import annotations

import os

from pyrun.container.launch import FIRST_KEPT
from pyrun.errors import PyrunError

LONGEST_COUNT = 9  # digits: more than any process can have open


class Kept:
    """The descriptors that the container keeps; they are numbered from 3 on, without a gap.

    Attributes:
        count: how many there are.
        listen: how many of them, the first ones, are of socket activation.
        names: the names of those as LISTEN_FDNAMES has them, or "".
    """

    __slots__ = ("count", "listen", "names")

    def __init__(self, count: int = 0, listen: int = 0, names: str = "") -> None:
        self.count = count
        self.listen = listen
        self.names = names


def keep(preserve: int, *, activation: bool = True) -> Kept:
    """Find the descriptors that the container keeps, and close all others above standard error on execution.

    Comes before pyrun opens what it gives to others: from here on no process that pyrun starts gets a descriptor of
    the caller that it is not given by its number.

    Args:
        preserve: the number that --preserve-fds names.
        activation: whether descriptors of socket activation are taken over.

    Raises:
        PyrunError: a descriptor that the container should keep is not open, or LISTEN_FDS is no number.
    """
    listen = _activated() if activation else 0
    inherited = {
        number for number in map(int, os.listdir("/proc/self/fd")) if number >= FIRST_KEPT and _is_inherited(number)
    }
    _check(range(FIRST_KEPT, FIRST_KEPT + listen), inherited, f"LISTEN_FDS={listen}")
    _check(range(FIRST_KEPT + listen, FIRST_KEPT + listen + preserve), inherited, f"--preserve-fds {preserve}")
    for number in inherited:
        os.set_inheritable(number, False)
    return Kept(listen + preserve, listen, _names(listen))


def _is_inherited(number: int) -> bool:
    """Whether the caller has left the descriptor open for others: what pyrun itself opens is closed on execution."""
    try:
        return os.get_inheritable(number)
    except OSError:
        return False  # the one that listed the others


def _check(wanted: range, inherited: set[int], asked: str) -> None:
    for number in wanted:
        if number not in inherited:
            raise PyrunError(f"descriptor {number} is not open, but {asked} asks for {_span(wanted)}; ask for fewer")


def _span(wanted: range) -> str:
    return f"{wanted[0]}" if len(wanted) == 1 else f"{wanted[0]} to {wanted[-1]}"


def _activated() -> int:
    """Return how many descriptors of socket activation are meant for this process."""
    text = os.environ.get("LISTEN_FDS", "")
    if not text or os.environ.get("LISTEN_PID", "") != str(os.getpid()):
        return 0
    if not _is_count(text):
        raise PyrunError(f'LISTEN_FDS="{text}" in the environment is not a number of descriptors; correct or unset it')
    return int(text)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_COUNT


def _names(listen: int) -> str:
    """Return LISTEN_FDNAMES if it has a name for each descriptor; sd_listen_fds_with_names(3) refuses other lists."""
    names = os.environ.get("LISTEN_FDNAMES", "")
    return names if listen and names.count(":") + 1 == listen else ""
