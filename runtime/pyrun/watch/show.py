# SPDX-License-Identifier: Apache-2.0
"""The verb: look at containers, show what they use, and end when the container or the user does."""

from __future__ import annotations

import os
import select
import signal
import time

from pyrun.container.events import Observed
from pyrun.watch.table import table
from pyrun.watch.usage import Observer, running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrun.watch.screen import Screen
    from pyrun.watch.usage import Usage

_QUIT = ("q", "Q")
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.02, 86400.0


def watch(root: str, container_id: str | None, interval_seconds: float, write: Callable[[str], None]) -> int:
    """Show what a container uses until it has ended, or what all use until the user has seen enough.

    Args:
        root: directory of the state directories.
        container_id: the container; None for all that run, and those that will.
        interval_seconds: the time between two looks.
        write: takes a line, where there is no terminal to draw on, and at the end.

    Returns:
        The exit status: 0, or 128 and the number of the signal that ended it.

    Raises:
        PyrunError: there is no such container, it is not running, or it has no cgroup.
        pyrun_cgroups.control.CgroupError: a cgroup can't be read.
        OSError: the terminal is gone.
    """
    interval_seconds = min(max(interval_seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)
    show = _draw if os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb" else _list
    if container_id is None:
        return show(Observer(lambda: running(root)), None, interval_seconds, write)
    container = Observed(root, container_id)
    try:
        observer = Observer(lambda: {container.container_id: container.cgroup})
        return show(observer, container.pidfd, interval_seconds, write)
    finally:
        container.close()


def _draw(observer: Observer, pidfd: int | None, interval_seconds: float, write: Callable[[str], None]) -> int:
    """Draw on the terminal, until a key, a signal or the end of the container."""
    from pyrun.watch.screen import Screen

    usages = observer.look()
    with Screen() as screen:
        while not _has_ended(pidfd):
            said = _show(screen, usages, time.monotonic() + interval_seconds, pidfd)
            if said in _QUIT:
                return 0
            if isinstance(said, int):
                return 128 + said
            usages = _look(observer, usages, pidfd)
    # The last of it stays on the user's screen.
    for line in table(usages):
        write(line)
    return 0


def _show(screen: Screen, usages: list[Usage], due: float, pidfd: int | None) -> str | int | None:
    """Draw the table, anew whenever the window changes, and return what ends that: see :meth:`Screen.wait`."""
    while True:
        screen.draw(table(usages, screen.columns()))
        said = screen.wait(due - time.monotonic(), pidfd)
        if said in _QUIT or isinstance(said, int) or time.monotonic() >= due or _has_ended(pidfd):
            return said


def _list(observer: Observer, pidfd: int | None, interval_seconds: float, write: Callable[[str], None]) -> int:
    """Write lines, until a signal or the end of the container."""
    title, *_ = table(observer.look())
    write(title)
    try:
        while not _has_ended(pidfd, interval_seconds):
            for line in table(observer.look())[1:]:
                write(line)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _look(observer: Observer, last: list[Usage], pidfd: int | None) -> list[Usage]:
    """Look again; when the one container has ended and its cgroup is gone, what was seen last is all there is."""
    return observer.look() or ([] if pidfd is None else last)


def _has_ended(pidfd: int | None, seconds: float = 0.0) -> bool:
    """Wait, and return whether the container ends meanwhile."""
    poll = select.poll()
    if pidfd is not None:
        poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
