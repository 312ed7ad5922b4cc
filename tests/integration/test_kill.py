# SPDX-License-Identifier: Apache-2.0
"""The verb `kill`: how signals are named, whom they reach."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support import configs
from support.process import status
from support.runtime import Container, MakeContainer, Result
from support.waiting import wait_for_exit, wait_until


def members(container: Container) -> list[int]:
    with open(f"/sys/fs/cgroup/{container.id}/cgroup.procs", encoding="ascii") as file:
        return sorted(int(line) for line in file)


def the_three_shells(container: Container) -> list[int]:
    """Returns the pids of those that are not sleep; none if there are others than three."""
    pids = []
    for pid in members(container):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                pids += [] if file.read().startswith("sleep") else [pid]
        except FileNotFoundError:
            continue
    return pids if len(pids) == 3 else []


def move(pid: int, cgroup: str) -> None:
    with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(pid))


def freeze(container: Container, value: str) -> None:
    with open(f"/sys/fs/cgroup/{container.id}/cgroup.freeze", "w", encoding="ascii") as file:
        file.write(value)


def kill_all(container: Container, signal: str) -> Result:
    return container.runtime.call("kill", "--all", container.id, signal)


def end_all(container: Container) -> None:
    """Kills the processes of a container, which runc leaves behind when it is deleted."""
    killed = members(container)
    kill_all(container, "KILL").succeeded()
    for pid in killed:
        wait_for_exit(pid)


TRAP = "trap 'echo caught; exit 0' {name}; echo ready; while :; do sleep 0.01; done"


@pytest.mark.parametrize("signal", ["TERM", "SIGTERM", "term", "sigterm", "15", ""])
def test_ways_to_name_a_signal(make_container: MakeContainer, signal: str) -> None:
    container = make_container(configs.shell(TRAP.format(name="TERM"))).started()
    container.wait_for_output("ready")
    pid = container.pid
    container.kill(*([signal] if signal else [])).succeeded()
    wait_for_exit(pid)
    assert container.output == "ready\ncaught\n"


@pytest.mark.parametrize("signal", ["USR1", "10", "SIGWINCH", "HUP"])
def test_signal_is_the_named_one(make_container: MakeContainer, signal: str) -> None:
    name = {"10": "USR1", "SIGWINCH": "WINCH"}.get(signal, signal)
    container = make_container(configs.shell(TRAP.format(name=name))).started()
    container.wait_for_output("ready")
    container.kill(signal).succeeded()
    container.wait_for_output("caught")


@pytest.mark.parametrize("signal", ["RTMIN", "SIGRTMAX", "RTMIN+3"])
@pytest.mark.pyrun_only("runc 1.1 does not know the names of real-time signals that crun and kill(1) take")
def test_real_time_signals(make_container: MakeContainer, signal: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    container.kill(signal).succeeded()


@pytest.mark.parametrize("signal", ["FROB", "SIG", "-1", "65", "9x", "99999999999999999999"])
def test_unknown_signal(make_container: MakeContainer, signal: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    container.kill(signal).failed()
    assert container.status == "running"


def test_stopped_container(make_container: MakeContainer) -> None:
    container = make_container().started()
    container.wait_for_end()
    container.kill("TERM").failed("container not running")


def test_created_container_is_killed(make_container: MakeContainer) -> None:
    container = make_container().created()
    pid = container.pid
    container.kill("KILL").succeeded()
    wait_for_exit(pid)
    assert container.status == "stopped"


def test_all_reaches_every_process(make_container: MakeContainer) -> None:
    config = configs.without_namespace(configs.shell("sleep 1000 & sleep 1000 & echo ready; wait"), "pid")
    container = make_container(config).started()
    container.wait_for_output("ready")
    pids = members(container)
    assert len(pids) == 3
    kill_all(container, "KILL").succeeded()
    for pid in pids:
        wait_for_exit(pid)
    assert container.status == "stopped"


def test_all_with_a_signal_that_can_be_caught(make_container: MakeContainer) -> None:
    """Every process gets it, also in a cgroup below the container's."""
    script = "trap 'echo caught >&2; exit 0' USR1; echo ready; while :; do sleep 0.01; done"
    config = configs.shell(f"({script}) & ({script}) & {script}")
    container = make_container(configs.without_namespace(config, "pid")).started()
    container.wait_for_output("ready\n" * 3)
    pids = wait_until(lambda: the_three_shells(container), "no shell is about to execute sleep")
    inner = f"/sys/fs/cgroup/{container.id}/inner"
    os.mkdir(inner)
    move(pids[-1], inner)
    kill_all(container, "USR1").succeeded()
    for pid in pids:
        wait_for_exit(pid)
    assert container.errors.count("caught") == 3
    os.rmdir(inner)


def test_signal_that_can_be_caught_is_for_the_init_alone(make_container: MakeContainer) -> None:
    config = configs.shell("trap '' TERM; sleep 1000 & trap 'echo caught; wait' TERM; echo ready; wait")
    container = make_container(configs.without_namespace(config, "pid")).started()
    container.wait_for_output("ready")
    everyone = members(container)
    container.kill("TERM").succeeded()
    container.wait_for_output("caught")
    assert members(container) == everyone
    end_all(container)


@pytest.mark.pyrun_only("runc 1.1.5 kills the init alone, and leaves the others; later versions kill all")
@pytest.mark.parametrize("words", [["KILL"], ["9"], ["--all", "KILL"]])
def test_sigkill_ends_all_of_a_container_without_a_pid_namespace(
    make_container: MakeContainer, words: list[str]
) -> None:
    config = configs.shell("sleep 1000 & sleep 1000 & echo ready; wait")
    container = make_container(configs.without_namespace(config, "pid")).started()
    container.wait_for_output("ready")
    everyone = members(container)
    assert len(everyone) == 3
    container.kill(*words).succeeded()
    for pid in everyone:
        wait_for_exit(pid)
    assert container.status == "stopped"


@pytest.mark.pyrun_only("runc 1.1.5 kills the init alone, and leaves the others; later versions kill all")
def test_sigkill_in_a_joined_pid_namespace(make_container: MakeContainer) -> None:
    """All of the container end, and none of the one whose namespace it is."""
    owner = make_container(configs.shell("sleep 1000 & echo ready; wait")).started()
    owner.wait_for_output("ready")
    others = members(owner)
    config = configs.shell("sleep 1000 & echo ready; wait")
    guest = make_container(configs.with_namespace(config, "pid", f"/proc/{owner.pid}/ns/pid")).started()
    guest.wait_for_output("ready")
    guests = members(guest)
    guest.kill("KILL").succeeded()
    for pid in guests:
        wait_for_exit(pid)
    assert members(owner) == others
    assert (guest.status, owner.status) == ("stopped", "running")


@pytest.fixture
def outlived(make_container: MakeContainer) -> Iterator[Container]:
    """A container whose init has ended by itself while two other processes live on; they are gone after the test."""
    config = configs.shell("sleep 1000 & sleep 1000 & echo ready")
    container = make_container(configs.without_namespace(config, "pid")).started()
    wait_until(lambda: container.status == "stopped", "the init has ended")
    survivors = members(container)
    assert len(survivors) == 2
    yield container
    for pid in survivors:
        wait_for_exit(pid)


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_all_reaches_those_that_outlived_the_init(outlived: Container, signal: str) -> None:
    kill_all(outlived, signal).succeeded()
    wait_until(lambda: not members(outlived), "all have ended")


@pytest.mark.pyrun_only("runc 1.1.5 kills nobody when the init has ended; later versions do")
def test_sigkill_reaches_those_that_outlived_the_init(outlived: Container) -> None:
    outlived.kill("TERM").failed("container not running")
    outlived.kill("KILL").succeeded()
    wait_until(lambda: not members(outlived), "all have ended")
    outlived.kill("KILL").failed("container not running")


@pytest.mark.pyrun_only("runc 1.1.5 leaves them and the cgroup behind")
def test_delete_ends_those_that_outlived_the_init(outlived: Container) -> None:
    outlived.delete().succeeded()
    assert not os.path.exists(f"/sys/fs/cgroup/{outlived.id}")


@pytest.mark.pyrun_only("runc 1.1.5 signals whoever is in the cgroup")
@pytest.mark.parametrize("words", [["--all", "KILL"], ["--all", "TERM"], ["KILL"]])
def test_container_that_has_the_cgroup_of_a_stopped_one(make_container: MakeContainer, words: list[str]) -> None:
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = "/shared"
    first = make_container(config).started()
    first.stop()
    second = make_container(config).started()
    first.kill(*words).failed("container not running")
    assert second.status == "running"
    second.stop()


def test_zombie_counts_as_stopped(make_container: MakeContainer) -> None:
    """This test is the parent of the init by now, and does not take its exit status."""
    container = make_container(configs.shell("exit 3")).created()
    pid = container.pid
    container.start().succeeded()
    wait_until(lambda: status(pid)["State"].startswith("Z"), "the init is a zombie")
    assert (container.status, container.pid) == ("stopped", 0)
    container.kill("KILL").failed("container not running")
    container.kill("TERM").failed("container not running")
    container.delete().succeeded()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_frozen_processes_are_killed(make_container: MakeContainer, options: list[str]) -> None:
    config = configs.shell("sleep 1000 & echo ready; wait")
    container = make_container(config).started()
    container.wait_for_output("ready")
    everyone = members(container)
    freeze(container, "1")
    container.runtime.call("kill", *options, container.id, "KILL").succeeded()
    for pid in everyone:
        wait_for_exit(pid)


def test_signal_for_a_frozen_container_waits(make_container: MakeContainer) -> None:
    container = make_container(configs.shell(TRAP.format(name="TERM"))).started()
    container.wait_for_output("ready")
    freeze(container, "1")
    container.kill("TERM").succeeded()
    assert container.status == "paused"
    assert "caught" not in container.output
    freeze(container, "0")
    container.wait_for_output("caught")


def test_frozen_container_is_killed(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    pid = container.pid
    with open(f"/sys/fs/cgroup/{container.id}/cgroup.freeze", "w", encoding="ascii") as file:
        file.write("1")
    container.kill("KILL").succeeded()
    wait_for_exit(pid)
    wait_until(lambda: container.status == "stopped", "the container has stopped")


def test_pid_is_not_trusted_alone(make_container: MakeContainer) -> None:
    """A process that got the pid of a dead container's init later must not be signalled."""
    container = make_container().created()
    pid = container.pid
    container.kill("KILL").succeeded()
    wait_for_exit(pid)
    with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
        file.write(str(pid - 1))
    other = os.spawnvp(os.P_NOWAIT, "sleep", ["sleep", "1000"])
    try:
        if other != pid:
            pytest.skip(f"another process took pid {pid} first")
        assert container.status == "stopped"
        container.kill("KILL").failed("container not running")
        container.delete("--force").succeeded()
        assert os.waitpid(other, os.WNOHANG) == (0, 0)
    finally:
        os.kill(other, 9)
        os.waitpid(other, 0)
