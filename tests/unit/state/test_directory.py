# SPDX-License-Identifier: Apache-2.0
"""State directories: made for one container each, locked while they are changed, removed wholly."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrun.errors import PyrunError
from pyrun.state import ContainerMissing, StateDirectory
from support.waiting import wait_until

from .children import child


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A state root that is not there yet."""
    return str(tmp_path / "run" / "pyrun")


@pytest.fixture
def made(root: str) -> Iterator[StateDirectory]:
    """The state directory of the container `box`, which is locked."""
    state = StateDirectory.make(root, "box")
    yield state
    state.close()


def lock(root: str) -> None:
    """Locks the container `box`, until this process ends."""
    StateDirectory(root, "box").lock()


def test_only_the_owner_may_look(made: StateDirectory, root: str) -> None:
    for path in (root, made.path):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert not os.get_inheritable(made.descriptor)


def test_id_that_is_taken(made: StateDirectory, root: str) -> None:
    with pytest.raises(PyrunError, match='container with given ID already exists: "box"'):
        StateDirectory.make(root, "box")
    assert made.exists()


def test_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PyrunError, match=f"{tmp_path}/file: not a directory; name another with --root"):
        StateDirectory.make(f"{tmp_path}/file", "box")


def test_container_that_does_not_exist(root: str) -> None:
    with pytest.raises(ContainerMissing, match='container does not exist: "box"'):
        StateDirectory(root, "box")
    assert not os.path.exists(root)


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("/etc")])
def test_what_is_no_directory_is_no_container(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "box")
    with pytest.raises(ContainerMissing):
        StateDirectory(str(tmp_path), "box")


def test_new_directory_is_locked_for_others(made: StateDirectory, root: str) -> None:
    other = StateDirectory(root, "box")
    assert other.is_locked()
    made.close()
    assert not other.is_locked()
    made.descriptor = other.descriptor


def test_asking_takes_no_lock(made: StateDirectory, root: str) -> None:
    made.close()
    with child(lambda: lock(root)):
        asking = StateDirectory(root, "box")
        assert asking.is_locked()
    assert not asking.is_locked()
    with child(lambda: lock(root)):  # which would wait for a lock that was left
        assert asking.is_locked()
    made.descriptor = asking.descriptor


def test_killed_holder_lets_go(made: StateDirectory, root: str) -> None:
    made.close()
    with child(lambda: lock(root)) as holder:
        other = StateDirectory(root, "box")
        os.kill(holder, signal.SIGKILL)
        other.lock()
    assert other.exists()
    made.descriptor = other.descriptor


def waiting_for_lock(root: str) -> tuple[int, int]:
    """Starts a process that takes the lock; it ends with 0 when it has it, with 3 when the container is gone.

    Returns its pid and a pidfd.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            StateDirectory(root, "box").lock()
            status = 0
        except ContainerMissing:
            status = 3
        finally:
            os._exit(status)
    # A process waits for a lock of flock(2) in the system call of this number.
    number = {"x86_64": "73", "aarch64": "32"}[os.uname().machine]
    wait_until(lambda: Path(f"/proc/{pid}/syscall").read_text().split()[0] == number, "it waits for the lock")
    return pid, os.pidfd_open(pid)


def exit_status(pid: int, pidfd: int) -> int:
    """Returns how a process ends, which must be soon."""
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_second_waits_for_the_first(made: StateDirectory, root: str) -> None:
    pid, pidfd = waiting_for_lock(root)
    fcntl_state = StateDirectory(root, "box")
    assert fcntl_state.is_locked()
    made.close()
    assert exit_status(pid, pidfd) == 0
    made.descriptor = fcntl_state.descriptor


def test_container_is_deleted_while_another_waits(made: StateDirectory, root: str) -> None:
    pid, pidfd = waiting_for_lock(root)
    made.remove()
    descriptor = os.dup(made.descriptor)
    made.close()
    os.close(descriptor)
    made.descriptor = os.open("/", os.O_RDONLY)
    assert exit_status(pid, pidfd) == 3


def test_new_container_of_the_same_id_is_another(made: StateDirectory, root: str) -> None:
    old = StateDirectory(root, "box")
    made.remove()
    again = StateDirectory.make(root, "box")
    assert not old.exists() and again.exists()
    again.close()
    old.close()


def test_remove_takes_everything(made: StateDirectory) -> None:
    for name in ("state.json", "plan.new", "process", ".hidden"):
        made.write(name, b"content")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gate:
        gate.bind(f"/proc/self/fd/{made.descriptor}/gate")
        os.symlink("/etc/passwd", "link", dir_fd=made.descriptor)
        made.remove()
    assert not os.path.lexists(made.path)
    assert not made.exists()
    assert os.path.exists("/etc/passwd")
