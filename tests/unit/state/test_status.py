# SPDX-License-Identifier: Apache-2.0
"""The status is computed from what is there: the record of the init, the init, the gate, the cgroup."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pyrun.state import CREATED, CREATING, PAUSED, RUNNING, STOPPED, Process, StateDirectory
from support.waiting import wait_until

from .children import after, running
from .test_process import CREATED as CREATION_TIME
from .test_process import process


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    """The state directory of the container `box`, with a state, that nobody has locked."""
    with closing(StateDirectory.make(str(tmp_path), "box")) as made:
        made.write_state({})
    with closing(StateDirectory(str(tmp_path), "box")) as opened:
        yield opened


@contextmanager
def gate(state: StateDirectory, kind: int = socket.SOCK_SEQPACKET) -> Iterator[socket.socket]:
    """Listens at the gate, which stays behind closed as a socket that nobody listens at."""
    with socket.socket(socket.AF_UNIX, kind) as listening:
        listening.bind(f"/proc/self/fd/{state.descriptor}/gate")
        listening.listen(8)
        yield listening


@pytest.fixture
def init() -> Iterator[Process]:
    """A living process."""
    with after(lambda: None) as pid:
        yield process(pid)


def test_creating_while_the_creator_holds_the_lock(state: StateDirectory) -> None:
    with after(lambda: StateDirectory(os.path.dirname(state.path), "box").lock()):
        assert state.status(None, None) == CREATING
    assert state.status(None, None) == STOPPED


def test_creating_before_the_state_is_written(tmp_path: Path) -> None:
    with closing(StateDirectory.make(str(tmp_path), "box")) as made:
        assert made.status(None, None) == CREATING


def test_creator_was_killed_before_it_made_an_init(state: StateDirectory) -> None:
    assert state.read_process() is None
    assert state.status(None, None) == STOPPED


def test_created_while_the_init_waits_at_the_gate(state: StateDirectory, init: Process) -> None:
    with gate(state) as listening:
        assert state.status(init, None) == CREATED
        # What asks hangs up at once and has said nothing.
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(100) == b""
    assert state.status(init, None) == RUNNING


def test_running_without_a_gate(state: StateDirectory, init: Process) -> None:
    assert state.status(init, None) == RUNNING


def test_file_in_the_place_of_the_gate(state: StateDirectory, init: Process) -> None:
    state.write("gate", b"")
    assert state.status(init, None) == RUNNING


def test_link_in_the_place_of_the_gate(state: StateDirectory, init: Process, tmp_path: Path) -> None:
    with closing(StateDirectory.make(str(tmp_path), "other")) as other, gate(other):
        os.symlink(f"{other.path}/gate", "gate", dir_fd=state.descriptor)
        assert state.status(init, None) == RUNNING


def test_connection_is_the_callers(state: StateDirectory) -> None:
    assert state.connect() is None
    with gate(state) as listening:
        connection = state.connect()
        assert connection is not None
        assert not os.get_inheritable(connection)
        os.write(connection, b"start")
        os.close(connection)
        assert listening.accept()[0].recv(100) == b"start"
    before = os.listdir("/proc/self/fd")
    assert state.connect() is None
    assert os.listdir("/proc/self/fd") == before


def test_path_longer_than_the_address_of_a_socket(tmp_path: Path, init: Process) -> None:
    with closing(StateDirectory.make(str(tmp_path / ("d" * 200)), "i" * 200)) as state, gate(state):
        assert state.status(init, None) == CREATED


@pytest.mark.parametrize("later", [-100, 100])
def test_stopped_when_the_pid_is_anothers(state: StateDirectory, init: Process, later: int) -> None:
    other = Process(init.pid, init.start_time + later, CREATION_TIME)
    with gate(state):
        assert state.status(other, None) == STOPPED


def test_stopped_when_the_init_is_a_zombie(state: StateDirectory) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        with gate(state):
            assert state.status(process(pid), None) == STOPPED
    finally:
        os.waitpid(pid, 0)


def test_gate_that_comes_and_goes(state: StateDirectory, init: Process, tmp_path: Path) -> None:
    """start unlinks the gate while others may ask for the state: they find it open or gone."""

    def open_and_close() -> None:
        mine = StateDirectory(str(tmp_path), "box")
        while True:
            with gate(mine):
                time.sleep(0.0001)
                os.unlink("gate", dir_fd=mine.descriptor)

    with running(open_and_close):
        wait_until(lambda: state.status(init, None) == CREATED, "the gate is open")
        assert {state.status(init, None) for _ in range(3000)} <= {CREATED, RUNNING}


@pytest.fixture
def cgroup(case: str) -> Iterator[str]:
    """An empty cgroup in the private copy of the host."""
    path = "/sys/fs/cgroup/status"
    os.mkdir(path)
    yield path
    wait_until(lambda: not Path(path, "cgroup.procs").read_text(), "the cgroup is empty")
    os.rmdir(path)


def test_paused_while_the_cgroup_is_frozen(scratch: str, cgroup: str) -> None:
    with closing(StateDirectory.make(scratch, "box")) as state, after(lambda: None) as pid:
        Path(cgroup, "cgroup.procs").write_text(str(pid))
        assert state.status(process(pid), cgroup) == RUNNING
        Path(cgroup, "cgroup.freeze").write_text("1")
        wait_until(lambda: "frozen 1" in Path(cgroup, "cgroup.events").read_text(), "the cgroup is frozen")
        assert state.status(process(pid), cgroup) == PAUSED
        assert state.status(process(pid), None) == RUNNING
        Path(cgroup, "cgroup.freeze").write_text("0")
        wait_until(lambda: "frozen 0" in Path(cgroup, "cgroup.events").read_text(), "the cgroup is thawed")
        assert state.status(process(pid), cgroup) == RUNNING
        assert state.status(process(pid), f"{cgroup}/missing") == RUNNING
