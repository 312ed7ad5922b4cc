# SPDX-License-Identifier: Apache-2.0
"""Listing, freezing, killing and removing real cgroups."""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest

from integration.cgroups.conftest import Act, Member
from pyrun_cgroups import control, placement
from pyrun_cgroups.control import CgroupError
from support import kernel
from support.waiting import wait_until


def sleep() -> None:
    """Does nothing for long."""
    time.sleep(1000)


def compute() -> None:
    """Keeps a CPU busy."""
    while True:
        pass


def fork_on_and_on() -> None:
    """Has up to 200 processes, each of which makes way for a new one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    alive = []
    while True:
        pid = os.fork()
        if pid == 0:
            sleep()
        alive.append(pid)
        if len(alive) > 200:
            os.kill(alive.pop(0), signal.SIGKILL)


def cpu_ticks(pid: int) -> int:
    """Returns the user time that a process has spent so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[11])


def runs(pid: int) -> bool:
    """Returns whether a process gets on within a tenth of a second."""
    before = cpu_ticks(pid)
    time.sleep(0.1)
    return cpu_ticks(pid) > before


def write(cgroup: str, name: str, value: str) -> None:
    """Writes a file of a cgroup."""
    with open(os.path.join(cgroup, name), "w", encoding="ascii") as file:
        file.write(value)


def without_cgroup_kill() -> None:
    """Makes the kernel look older than 5.14 to this process."""
    original = control._write

    def write_on_old_kernel(path: str, name: str, value: bytes, words: str) -> None:
        if name == "cgroup.kill":
            raise CgroupError(errno.ENOENT, words, path)
        original(path, name, value, words)

    control._write = write_on_old_kernel


def test_cgroup2_is_found(act: Act) -> None:
    def body(cgroup: str) -> None:
        assert placement.find_cgroup2() == os.path.dirname(cgroup)

    act(body)


def test_processes_are_listed(act: Act) -> None:
    def body(cgroup: str) -> None:
        below = os.path.join(cgroup, "a", "b")
        os.makedirs(below)
        os.mkdir(os.path.join(cgroup, "c"))
        with Member(cgroup, sleep) as upper, Member(below, sleep) as lower:
            assert control.processes(cgroup) == sorted([upper.pid, lower.pid])
            assert control.processes(cgroup, recursive=False) == [upper.pid]
            assert control.processes(below) == [lower.pid]
        control.remove(cgroup)
        assert control.processes(cgroup) == []

    act(body)


def test_processes_of_threaded_cgroups_are_listed_once(act: Act) -> None:
    def body(cgroup: str) -> None:
        threaded = os.path.join(cgroup, "threaded")
        os.makedirs(threaded)
        write(threaded, "cgroup.type", "threaded")
        with Member(threaded, sleep) as member:
            assert control.processes(cgroup) == [member.pid]
            with pytest.raises(CgroupError) as caught:
                control.processes(threaded)
            assert caught.value.errno == errno.EOPNOTSUPP
        control.remove(cgroup)

    act(body)


def test_populated(act: Act) -> None:
    def body(cgroup: str) -> None:
        below = os.path.join(cgroup, "below")
        os.makedirs(below)
        assert not control.is_populated(cgroup)
        with Member(below, sleep):
            assert control.is_populated(cgroup)
        wait_until(lambda: not control.is_populated(cgroup), "the cgroup is empty")
        control.remove(cgroup)
        assert not control.is_populated(cgroup)

    act(body)


def test_freeze_stops_and_thaw_continues(act: Act) -> None:
    def body(cgroup: str) -> None:
        below = os.path.join(cgroup, "below")
        os.makedirs(below)
        with Member(below, compute) as member:
            assert not control.is_frozen(cgroup)
            control.freeze(cgroup)
            assert control.is_frozen(cgroup)
            assert not runs(member.pid)
            with pytest.raises(CgroupError) as caught:
                control.thaw(below, timeout_seconds=0.1)
            assert caught.value.errno == errno.ETIMEDOUT
            control.thaw(cgroup)
            assert not control.is_frozen(cgroup)
            assert runs(member.pid)
        control.remove(cgroup)
        assert not control.is_frozen(cgroup)

    act(body)


def test_freeze_is_undone_when_time_runs_out(act: Act) -> None:
    def body(cgroup: str) -> None:
        os.mkdir(cgroup)
        control._reaches = lambda *_: False
        with Member(cgroup, compute) as member:
            with pytest.raises(CgroupError, match="not frozen after 0.1 s") as caught:
                control.freeze(cgroup, timeout_seconds=0.1)
            assert caught.value.errno == errno.ETIMEDOUT
            wait_until(lambda: runs(member.pid), "the process runs again")
        wait_until(lambda: control._is_removed(cgroup), "the cgroup is removed")

    act(body)


def test_freeze_is_undone_when_it_is_interrupted(act: Act) -> None:
    """As by Ctrl-C, while one of the processes can't be stopped."""

    def interrupted(path: str, state: bytes, wanted: bool, timeout_seconds: float) -> bool:
        raise KeyboardInterrupt

    def body(cgroup: str) -> None:
        os.mkdir(cgroup)
        control._reaches, reaches = interrupted, control._reaches
        with Member(cgroup, compute) as member:
            with pytest.raises(KeyboardInterrupt):
                control.freeze(cgroup)
            wait_until(lambda: runs(member.pid), "the process runs again")
        control._reaches = reaches
        control.remove(cgroup)

    act(body)


@pytest.mark.parametrize("old_kernel", [False, True], ids=["cgroup.kill", "pidfd"])
@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_kill_all_leaves_nobody(act: Act, old_kernel: bool, frozen: bool) -> None:
    def body(cgroup: str) -> None:
        below = os.path.join(cgroup, "a", "b")
        os.makedirs(below)
        if old_kernel:
            without_cgroup_kill()
        with Member(cgroup, sleep) as upper, Member(below, fork_on_and_on) as lower:
            wait_until(lambda: len(control.processes(cgroup)) > 100, "there are many processes")
            if frozen:
                control.freeze(cgroup)
            control.kill_all(cgroup)
            for pid in (upper.pid, lower.pid):
                assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
            control.remove(cgroup)
        assert not os.path.exists(cgroup)

    act(body)


def test_old_way_to_kill_refuses_its_own_cgroup(act: Act) -> None:
    def body(cgroup: str) -> None:
        os.mkdir(cgroup)
        without_cgroup_kill()
        with open("/proc/self/cgroup", encoding="ascii") as memberships:
            home = next(line[3:].strip() for line in memberships if line.startswith("0::"))
        write(cgroup, "cgroup.procs", "0")
        try:
            with pytest.raises(CgroupError) as caught:
                control.kill_all(cgroup)
            assert caught.value.errno == errno.EDEADLK
        finally:
            write(os.path.dirname(cgroup) + home, "cgroup.procs", "0")
        control.remove(cgroup)

    act(body)


def test_remove_waits_for_processes(act: Act) -> None:
    def body(cgroup: str) -> None:
        below = os.path.join(cgroup, "below")
        os.makedirs(below)
        with Member(below, lambda: time.sleep(0.5)):
            started, worked = time.monotonic(), time.process_time()
            control.remove(cgroup, timeout_seconds=5)
            assert 0.2 < time.monotonic() - started < 2
            assert time.process_time() - worked < 0.1, "it does not sleep while it waits"
        assert not os.path.exists(cgroup)

    act(body)


def test_remove_gives_up_in_time(act: Act) -> None:
    def body(cgroup: str) -> None:
        os.mkdir(cgroup)
        with Member(cgroup, sleep) as member:
            started = time.monotonic()
            with pytest.raises(CgroupError) as caught:
                control.remove(cgroup, timeout_seconds=0.2)
            assert 0.2 <= time.monotonic() - started < 1
            assert caught.value.errno == errno.EBUSY
            assert str(caught.value) == (
                f"{cgroup}: cannot be removed with processes in it ({member.pid}): Device or resource busy"
            )
            assert os.path.isdir(cgroup)
        control.remove(cgroup)

    act(body)


def test_remove_takes_a_tree_deeper_than_a_path_is_long(act: Act) -> None:
    def body(cgroup: str) -> None:
        os.mkdir(cgroup)
        current = os.open(cgroup, os.O_RDONLY)
        for _ in range(40):
            os.mkdir("x" * 200, dir_fd=current)
            os.mkdir("side", dir_fd=current)
            below = os.open("x" * 200, os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        os.close(current)
        assert control.processes(cgroup) == []
        control.remove(cgroup)
        assert not os.path.exists(cgroup)

    act(body)


def test_remove_does_not_enter_what_is_mounted_over_a_cgroup(act: Act) -> None:
    def body(cgroup: str) -> None:
        covered = os.path.join(cgroup, "covered")
        os.makedirs(covered)
        kernel.mount("tmpfs", covered, "tmpfs")
        os.mkdir(os.path.join(covered, "directory"))
        with pytest.raises(CgroupError) as caught:
            control.remove(cgroup, timeout_seconds=0.1)
        assert caught.value.errno == errno.EBUSY
        assert os.path.isdir(os.path.join(covered, "directory"))
        kernel.unmount(covered)
        control.remove(cgroup)

    act(body)


def test_what_is_no_cgroup_is_left_alone(act: Act, scratch: str) -> None:
    """A mount point looks like the root cgroup: it is busy, has directories below, and no events."""

    def body(cgroup: str) -> None:
        kernel.mount("tmpfs", scratch, "tmpfs")
        os.mkdir(os.path.join(scratch, "directory"))
        for use in (control.remove, control.kill_all, control.freeze, control.thaw, control.is_frozen):
            with pytest.raises(CgroupError) as caught:
                use(scratch)
            assert caught.value.errno in (errno.EINVAL, errno.ENOENT)
            assert os.path.isdir(os.path.join(scratch, "directory"))

    act(body)


def test_what_is_not_there_is_done(act: Act) -> None:
    def body(cgroup: str) -> None:
        control.kill_all(cgroup)
        control.remove(cgroup)
        assert control.processes(cgroup) == []
        assert not control.is_frozen(cgroup)
        for use in (control.freeze, control.thaw):
            with pytest.raises(CgroupError) as caught:
                use(cgroup)
            assert caught.value.errno == errno.ENOENT

    act(body)
