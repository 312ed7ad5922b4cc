# SPDX-License-Identifier: Apache-2.0
"""A container's init is known by its pid and start time; who else has the pid is not it."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest

from pyrun.state import Process, StateDirectory

from .children import after

CREATED = "1700000000.000000000"


def start_time(pid: int) -> int:
    """Returns field 22 of /proc/PID/stat (proc(5)); only the second, in parentheses, can have others in it."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        text = file.read()
    return int(text[text.rindex(")") + 2 :].split()[22 - 3])


def process(pid: int, *, later: int = 0) -> Process:
    """Returns the process `pid`, or one that would have started `later` clock ticks after it."""
    return Process(pid, start_time(pid) + later, CREATED)


def is_known_by_pidfd(known: Process) -> bool:
    """Tells whether there is a pidfd of the process, which is closed again."""
    pidfd = known.open()
    if pidfd is None:
        return False
    os.close(pidfd)
    return True


def descriptors() -> set[str]:
    """Returns the open descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "name",
    ["plain", "two words", ")", "(", ") Z 1 1 1", "a) R 1 (b", "))((", "9) S 0 0 0 0", "caf\u00e9", "new\nline", "\t"],
)
def test_name_of_a_living_process_does_not_matter(name: str) -> None:
    def take_name() -> None:
        with open("/proc/self/comm", "w", encoding="utf-8") as file:
            file.write(name)

    with after(take_name) as pid:
        assert process(pid).is_alive()
        assert is_known_by_pidfd(process(pid))
        assert not process(pid, later=100).is_alive()


def test_zombie_is_not_alive() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    known = process(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert start_time(pid) == known.start_time
        assert not known.is_alive()
        assert not is_known_by_pidfd(known)
    finally:
        os.waitpid(pid, 0)


def test_stopped_process_is_alive() -> None:
    with after(lambda: None) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        assert process(pid).is_alive()


def test_process_that_is_gone() -> None:
    with after(lambda: None) as pid:
        known = process(pid)
    assert not known.is_alive()
    assert not is_known_by_pidfd(known)


@pytest.mark.parametrize("later", [-1, 0, 1])
def test_start_time_may_be_rounded(later: int) -> None:
    """As it is by a time namespace, in which the kernel counts from another moment."""
    assert process(os.getpid(), later=later).is_alive()


@pytest.mark.parametrize("later", [-2, 2, 100, -(10**6)])
def test_pid_of_another_process(later: int) -> None:
    """After a reboot, or when pids have come round."""
    own = process(os.getpid(), later=later)
    before = descriptors()
    assert not own.is_alive()
    assert own.open() is None
    assert descriptors() == before


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**31 - 1])
def test_number_that_is_no_pid(pid: int) -> None:
    assert not Process(pid, 1, CREATED).is_alive()
    assert Process(pid, 1, CREATED).open() is None


def test_pidfd_is_of_the_process() -> None:
    with after(lambda: None) as pid:
        pidfd = process(pid).open()
        assert pidfd is not None
        try:
            assert not os.get_inheritable(pidfd)
            assert not select.select([pidfd], [], [], 0)[0]
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            assert select.select([pidfd], [], [], 10)[0]
        finally:
            os.close(pidfd)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"42 4711 1700000000.123456789\n", (42, 4711, "1700000000.123456789")),
        (b"42 4711 1700000000.123456789", (42, 4711, "1700000000.123456789")),
        (None, None),
        (b"", None),
        (b"42", None),
        (b"42 4711", None),
    ],
)
def test_record(tmp_path: Path, record: bytes | None, expected: tuple[int, int, str] | None) -> None:
    """One that is missing or cut off is of an init that was never made."""
    state = StateDirectory.make(str(tmp_path), "box")
    if record is not None:
        state.write("process", record)
    read = state.read_process()
    state.close()
    assert (None if read is None else (read.pid, read.start_time, read.created)) == expected
