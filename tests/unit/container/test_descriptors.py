# SPDX-License-Identifier: Apache-2.0
"""Which descriptors of the caller are kept: what the environment and the option ask for, and what is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pyrun.container import descriptors
from pyrun.errors import PyrunError

# Opens the files whose numbers come first, and tells what is kept, and who of all would outlive an execve.
PROGRAM = """
import fcntl, os, sys
sys.path[:0] = sys.argv[4].split(":")
from pyrun.container.descriptors import keep
from pyrun.errors import PyrunError
os.closerange(3, 100)
null = fcntl.fcntl(os.open("/dev/null", os.O_RDWR), fcntl.F_DUPFD_CLOEXEC, 99)
os.close(3)
for number in eval(sys.argv[1]):
    os.dup2(null, number, inheritable=number != 50)
os.environ["LISTEN_PID"] = str(os.getpid())
try:
    kept = keep(int(sys.argv[2]), activation=sys.argv[3] == "True")
except PyrunError as error:
    print(error)
else:
    print(kept.count, kept.listen, kept.names)
    print([number for number in eval(sys.argv[1]) if os.get_inheritable(number)])
"""


def kept(opened: list[int], preserve: int = 0, *, activation: bool = True, **variables: str) -> list[str]:
    """Returns the lines that the program prints, with these descriptors open."""
    words = [sys.executable, "-c", PROGRAM, str(opened), str(preserve), str(activation), ":".join(sys.path)]
    environment = {**os.environ, **variables}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def test_nothing_is_asked_for() -> None:
    """Whatever is started from here on inherits nothing."""
    assert kept([3, 4, 7, 60]) == ["0 0 ", "[]"]


def test_activated_come_before_preserved() -> None:
    assert kept([3, 4, 5, 6], 1, LISTEN_FDS="2", LISTEN_FDNAMES="a:b") == ["3 2 a:b", "[]"]


def test_activation_that_is_not_wanted() -> None:
    lines = kept([3, 4], 1, activation=False, LISTEN_FDS="2", LISTEN_FDNAMES="a:b")
    assert lines == ["1 0 ", "[]"]


@pytest.mark.parametrize("names", ["", "a", "a:b:c", ":::"])
def test_names_that_do_not_match(names: str) -> None:
    assert kept([3, 4], LISTEN_FDS="2", LISTEN_FDNAMES=names)[0] == "2 2 "


@pytest.mark.parametrize(
    ("opened", "preserve", "listen", "words"),
    [
        ([3, 5], 3, "", "descriptor 4 is not open, but --preserve-fds 3 asks for 3 to 5"),
        ([], 1, "", "descriptor 3 is not open, but --preserve-fds 1 asks for 3"),
        ([3], 1, "1", "descriptor 4 is not open, but --preserve-fds 1 asks for 4"),
        ([4], 1, "1", "descriptor 3 is not open, but LISTEN_FDS=1 asks for 3"),
        ([3, 4], 10**8, "", "descriptor 5 is not open, but --preserve-fds 100000000 asks for 3 to 100000002"),
        ([*range(3, 51)], 48, "", "descriptor 50 is not open, but --preserve-fds 48 asks for 3 to 50"),
    ],
)
def test_descriptor_that_is_not_the_callers(opened: list[int], preserve: int, listen: str, words: str) -> None:
    """Number 50 stands for one of pyrun's own, which is closed on execution."""
    assert kept(opened, preserve, LISTEN_FDS=listen) == [f"{words}; ask for fewer"]


@pytest.mark.parametrize("count", ["x", "-1", " 1", "1 ", "+1", "1.0", "٣", "0x1", "1234567890"])
def test_number_of_activated_descriptors_that_is_none(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    with pytest.raises(PyrunError, match="LISTEN_FDS=.* is not a number of descriptors"):
        descriptors.keep(0)


@pytest.mark.parametrize("process", ["", "x", "0", "1", "0{own}", "{own}0"])
def test_activation_of_another_process(monkeypatch: pytest.MonkeyPatch, process: str) -> None:
    monkeypatch.setenv("LISTEN_PID", process.format(own=os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "x")
    assert descriptors.keep(0).count == 0
