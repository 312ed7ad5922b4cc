# SPDX-License-Identifier: Apache-2.0
"""A program whose first thread has ended looks like a zombie, and the kernel spares it in cgroup.kill: it is found."""

from __future__ import annotations

import os
import signal

import pytest

from security.attackers import compile_attacker
from support import configs, process
from support.configs import Config
from support.execs import members
from support.runtime import Container, MakeContainer
from support.users import MakeUsersContainer
from support.waiting import wait_for_exit, wait_until
from support.world import World

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 takes it for a stopped container, and leaves it running")


@pytest.fixture(scope="session")
def leaderless(world: World) -> str:
    """A program that ends its first thread: see leaderless.c."""
    with world.entered():
        return compile_attacker("leaderless", world.directory)


def leaderless_config(program: str) -> Config:
    config = configs.default("/leaderless")
    config["mounts"].append(configs.bind(program, "/leaderless"))
    return config


def started_without_leader(container: Container) -> int:
    """Starts the container; returns its pid when its first thread has ended."""
    container.started().wait_for_output("going on")
    with open(os.path.join(str(container.runtime.root), container.id, "process"), encoding="ascii") as record:
        pid = int(record.read().split()[0])
    wait_until(lambda: process.status(pid)["State"].startswith("Z"), "the first thread has ended")
    return pid


@pytest.mark.parametrize("options", [[], ["--all"]], ids=["one", "all"])
def test_kill(make_container: MakeContainer, leaderless: str, options: list[str]) -> None:
    container = make_container(leaderless_config(leaderless))
    container.bundle.write("leaderless")
    pid = started_without_leader(container)
    assert container.status == "running"
    container.kill("KILL", *options).succeeded()
    wait_for_exit(pid)
    assert container.status == "stopped"
    container.delete().succeeded()


def test_delete(make_container: MakeContainer, leaderless: str) -> None:
    container = make_container(leaderless_config(leaderless))
    container.bundle.write("leaderless")
    pid = started_without_leader(container)
    container.delete().failed("running")
    container.delete("--force").succeeded()
    wait_for_exit(pid)


def test_beside_the_init(make_container: MakeContainer, leaderless: str) -> None:
    """Without a PID namespace of its own a container has processes that do not end with its init."""
    config = configs.without_namespace(configs.default("/bin/sleep", "1000"), "pid")
    config["mounts"].append(configs.bind(leaderless, "/leaderless"))
    container = make_container(config)
    container.bundle.write("leaderless")
    container.started()
    call = container.start_exec("/leaderless")
    call.wait_for_output("going on")
    (other,) = members(container) - {container.pid}
    wait_until(lambda: process.status(other)["State"].startswith("Z"), "the first thread has ended")
    container.delete("--force").succeeded()
    assert call.wait().status == 128 + signal.SIGKILL


def test_without_a_cgroup(make_users_container: MakeUsersContainer, leaderless: str) -> None:
    container = make_users_container("/leaderless")
    container.bundle.config["mounts"].append(configs.bind(leaderless, "/leaderless"))
    container.bundle.write("leaderless")
    pid = started_without_leader(container)
    container.delete().failed("running")
    container.delete("--force").succeeded()
    wait_for_exit(pid)
