# SPDX-License-Identifier: Apache-2.0
"""The verb `kill`: how signals are named, whom they reach."""

from __future__ import annotations

import os

import pytest

from support import configs
from support.runtime import MakeContainer
from support.waiting import wait_for_exit, wait_until

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
    with open(f"/sys/fs/cgroup/{container.id}/cgroup.procs", encoding="ascii") as file:
        pids = [int(line) for line in file]
    assert len(pids) == 3
    container.runtime.call("kill", "--all", container.id, "KILL").succeeded()
    for pid in pids:
        wait_for_exit(pid)
    assert container.status == "stopped"


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
