# SPDX-License-Identifier: Apache-2.0
"""State directories: made for one container each, locked while they are changed, removed wholly."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pyrun.errors import PyrunError
from pyrun.state import ContainerMissing, StateDirectory
from support.waiting import wait_until

from .children import Call, after


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A state root that is not there yet."""
    return str(tmp_path / "run" / "pyrun")


def make(root: str) -> StateDirectory:
    """Makes the state directory of the container `box`, which is locked until it is closed."""
    return StateDirectory.make(root, "box")


def lock(root: str) -> None:
    """Locks the container `box` until this process ends."""
    StateDirectory(root, "box").lock()


def test_only_the_owner_may_look(root: str) -> None:
    with closing(make(root)) as state:
        for path in (root, state.path):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
        assert not os.get_inheritable(state.descriptor)


def test_id_that_is_taken(root: str) -> None:
    with closing(make(root)) as state:
        with pytest.raises(PyrunError, match='container with given ID already exists: "box"'):
            make(root)
        assert state.exists()


def test_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PyrunError, match=f"{tmp_path}/file: not a directory; name another with --root"):
        make(f"{tmp_path}/file")


def test_container_that_does_not_exist(root: str) -> None:
    with pytest.raises(ContainerMissing, match='container does not exist: "box"'):
        StateDirectory(root, "box")
    assert not os.path.exists(root)


@pytest.mark.parametrize(
    "put", [lambda path: path.touch(), lambda path: path.symlink_to("/etc")], ids=["file", "symlink"]
)
def test_what_is_no_directory_is_no_container(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "box")
    with pytest.raises(ContainerMissing):
        StateDirectory(str(tmp_path), "box")


def test_new_directory_is_locked(root: str) -> None:
    with closing(make(root)):
        with closing(StateDirectory(root, "box")) as other:
            assert other.is_locked()
    with closing(StateDirectory(root, "box")) as other:
        assert not other.is_locked()


def test_lock_of_another_process(root: str) -> None:
    make(root).close()
    with closing(StateDirectory(root, "box")) as asking:
        for _ in ("first", "second, for whom asking has left no lock"):
            with after(lambda: lock(root)):
                assert asking.is_locked()
            assert not asking.is_locked()


def test_killed_process_lets_go(root: str) -> None:
    make(root).close()
    with after(lambda: lock(root)) as holder, closing(StateDirectory(root, "box")) as other:
        os.kill(holder, signal.SIGKILL)
        other.lock()
        assert other.exists()


def waits_for_a_lock(pid: int) -> bool:
    """Tells whether a process stands in the queue for a lock (/proc/locks in proc(5))."""
    return any(" -> FLOCK " in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())


def waiting_for_lock(root: str) -> Call:
    """Returns a call of `lock` that waits for the lock to be released."""
    call = Call(lambda: lock(root))
    wait_until(lambda: waits_for_a_lock(call.pid), "it waits for the lock")
    return call


def test_second_waits_for_the_first(root: str) -> None:
    holder = make(root)
    second = waiting_for_lock(root)
    holder.close()
    second.result()


def test_second_waits_in_vain_for_what_the_first_deletes(root: str) -> None:
    holder = make(root)
    second = waiting_for_lock(root)
    holder.remove()
    holder.close()
    with pytest.raises(ContainerMissing, match='container does not exist: "box"'):
        second.result()


def test_new_container_of_the_same_id_is_another(root: str) -> None:
    with closing(make(root)) as old:
        old.remove()
        with closing(make(root)) as new:
            assert new.exists() and not old.exists()


def test_remove_takes_everything(root: str) -> None:
    with closing(make(root)) as state, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gate:
        for name in ("state.json", "plan.new", "process", ".hidden"):
            state.write(name, b"content")
        os.symlink("/etc/passwd", "link", dir_fd=state.descriptor)
        gate.bind(f"/proc/self/fd/{state.descriptor}/gate")
        state.remove()
        assert not os.path.lexists(state.path)
    assert os.path.exists("/etc/passwd")
