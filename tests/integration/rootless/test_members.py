# SPDX-License-Identifier: Apache-2.0
"""All processes of a container that has no cgroup: `ps` lists them, `kill` and `run` end them."""

from __future__ import annotations

import json

import pytest

from support.configs import without_mounts, without_namespace
from support.process import status
from support.runtime import Container
from support.users import MakeUsersContainer
from support.waiting import wait_for_exit, wait_until

pytestmark = pytest.mark.pyrun_only("without a cgroup runc finds no process but the init")

# One of each: a child, a grandchild, one in a session of its own.
SCRIPT = "sleep 1001 & sh -c 'sleep 1002 & wait' & setsid sleep 1003 & echo ready; wait"


@pytest.fixture(params=["own", "host"])
def container(request: pytest.FixtureRequest, make_users_container: MakeUsersContainer) -> Container:
    """A running container with a PID namespace of its own, or the host's."""
    made = make_users_container("/bin/sh", "-c", SCRIPT)
    if request.param == "host":
        on_the_host(made)
    made.started().wait_for_output("ready")
    wait_until(lambda: len(descendants(made.pid)) == 5, "all five processes are there")
    return made


def on_the_host(container: Container) -> Container:
    """Lets a container have the host's PID namespace, which a user may not mount procfs for; returns it."""
    without_mounts(without_namespace(container.bundle.config, "pid"), "/proc")
    return container


def descendants(pid: int) -> list[int]:
    """Returns a process and its descendants, sorted."""
    found = [pid]
    for each in found:
        with open(f"/proc/{each}/task/{each}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return sorted(found)


def test_ps(container: Container) -> None:
    everyone = descendants(container.pid)
    assert json.loads(container.runtime.call("ps", "-f", "json", container.id).succeeded().output) == everyone
    lines = container.runtime.call("ps", container.id, "-eo", "pid,args").succeeded().output.splitlines()
    assert sorted(int(line.split()[0]) for line in lines[1:]) == everyone
    assert ["sleep", "1003"] in [line.split()[1:] for line in lines]


def test_ps_after_the_end(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/true").started()
    container.wait_for_end()
    assert container.runtime.call("ps", "-f", "json", container.id).succeeded().output == "null\n"


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_sigkill_ends_all(container: Container, options: list[str]) -> None:
    everyone = descendants(container.pid)
    container.runtime.call("kill", *options, container.id, "KILL").succeeded()
    for pid in everyone:
        wait_for_exit(pid)
    assert container.status == "stopped"
    container.runtime.call("kill", *options, container.id, "KILL").failed("container not running")


def test_signal_for_all(container: Container) -> None:
    everyone = descendants(container.pid)
    container.runtime.call("kill", "--all", container.id, "STOP").succeeded()
    for pid in everyone:
        wait_until(lambda pid=pid: status(pid)["State"].startswith("T"), f"process {pid} is stopped")  # type: ignore[misc]
    container.runtime.call("kill", "--all", container.id, "KILL").succeeded()
    for pid in everyone:
        wait_for_exit(pid)


def test_those_that_outlive_the_program_end_with_run(make_users_container: MakeUsersContainer) -> None:
    """They are children of `run` by then, known by their mount namespace; what is left fails every test here."""
    container = on_the_host(make_users_container("/bin/sh", "-c", "sleep 1000 & (sh -c 'sleep 1000 & wait' &); exit 3"))
    assert container.runtime.run(container.id, container.bundle).status == 3
