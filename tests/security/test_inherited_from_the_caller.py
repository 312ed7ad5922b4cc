# SPDX-License-Identifier: Apache-2.0
"""What a caller hands down without knowing of it: its cgroup's past, and ignored signals."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support import configs
from support.runtime import MakeBundle, Runtime, runtime_under_test
from support.waiting import wait_for_exit
from support.world import CGROUPS

KILLED = os.path.join(CGROUPS, "killed-before")
FROM_KILLED = ("sh", "-c", f'echo $$ >{KILLED}/cgroup.procs && exec "$@"', "sh")
IGNORING_CHILDREN = ("env", "--ignore-signal=CHLD")


@pytest.fixture
def killed_cgroup() -> Iterator[None]:
    """A cgroup whose cgroup.kill has been written once.

    Linux 6.14 to 6.18 kill a process that is cloned into another cgroup at its birth when the file was written another
    number of times there than in the cgroup of the caller.
    """
    os.mkdir(KILLED)
    with open(os.path.join(KILLED, "cgroup.kill"), "w", encoding="ascii") as file:
        file.write("1")
    yield
    os.rmdir(KILLED)


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_caller_in_a_cgroup_that_was_killed(
    case: str, make_bundle: MakeBundle, killed_cgroup: None, user_namespace: bool
) -> None:
    """The container is in its own cgroup all the same, alone, and sees that cgroup as the root."""
    config = configs.shell("cat /proc/self/cgroup; echo ready; exec sleep 1000")
    if user_namespace:
        configs.with_user_namespace(config)
    runtime = Runtime(runtime_under_test(), case, wrapper=FROM_KILLED)
    container = runtime.container("test", make_bundle(config)).started()
    container.wait_for_output("ready")
    assert "0::/\n" in container.output
    with open(os.path.join(CGROUPS, "test", "cgroup.procs"), encoding="ascii") as file:
        assert file.read().split() == [str(container.pid)]
    with open(os.path.join(KILLED, "cgroup.procs"), encoding="ascii") as file:
        assert file.read() == ""
    container.stop()
    container.delete().succeeded()


def test_cgroup_of_others_used_again_and_again(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Each delete writes cgroup.kill in a cgroup that is there before and after."""
    path = os.path.join(CGROUPS, "of-others")
    os.mkdir(path)
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = "/of-others"
    container = runtime.container("test", make_bundle(config))
    try:
        for _ in range(3):
            container.created()
            with open(os.path.join(path, "cgroup.procs"), encoding="ascii") as file:
                assert file.read().split() == [str(container.pid)]
            container.delete("--force").succeeded()
    finally:
        if os.path.isdir(path):
            os.rmdir(path)


@pytest.fixture
def careless(case: str) -> Runtime:
    """The runtime below a caller that ignores SIGCHLD, so that the kernel reaps in its stead."""
    return Runtime(runtime_under_test(), case, wrapper=IGNORING_CHILDREN)


def test_run_below_a_caller_that_ignores_its_children(careless: Runtime, make_bundle: MakeBundle) -> None:
    assert careless.run("test", make_bundle(configs.shell("exit 42"))).status == 42


def test_life_below_a_caller_that_ignores_its_children(careless: Runtime, make_bundle: MakeBundle) -> None:
    container = careless.container("test", make_bundle(configs.default("/bin/sleep", "1000"))).started()
    assert container.status == "running"
    pid = container.pid
    container.kill("KILL").succeeded()
    wait_for_exit(pid)
    assert container.status == "stopped"
    container.delete().succeeded()


@pytest.mark.parametrize("source", ["/missing", None], ids=["by the init", "by the outer stage"])
def test_failure_below_a_caller_that_ignores_its_children(
    careless: Runtime, make_bundle: MakeBundle, source: str | None
) -> None:
    """The error is the one that happened, and nothing is left."""
    config = configs.default()
    if source:
        config["mounts"].append(configs.bind(source, "/tmp"))
    else:
        configs.with_namespace(config, "network", "/missing")
    container = careless.container("test", make_bundle(config))
    container.create().failed("/missing", "no such file or directory")
    assert not container.exists()
