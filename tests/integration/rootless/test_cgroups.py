# SPDX-License-Identifier: Apache-2.0
"""Cgroups of an ordinary user's containers: none is demanded, one that was delegated is used."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support import configs
from support.configs import Config
from support.runtime import Container, Runtime, runtime_under_test
from support.users import USER, MakeUsersContainer, UsersRuntime, delegated_cgroup, map_range, missing_mapper
from support.world import CGROUPS

DELEGATED = os.path.join(CGROUPS, "delegated")
LIMIT = {"memory": {"limit": 1 << 30}}


def cgroup_of(pid: int) -> str:
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as memberships:
        (own,) = (line[3:].strip() for line in memberships if line.startswith("0::"))
    return own


@pytest.fixture
def delegated(users_runtime: UsersRuntime, case: str) -> Iterator[UsersRuntime]:
    """The runtime in a cgroup that belongs to the user."""
    before = delegated_cgroup(DELEGATED, USER)
    inside = UsersRuntime(runtime_under_test(), case, USER, before=before)
    yield inside
    for container in inside.containers:
        if container.exists():
            container.delete("--force").succeeded()
    os.rmdir(os.path.join(DELEGATED, "leaf"))
    os.rmdir(DELEGATED)


def moved(container: Container, runtime: UsersRuntime) -> Container:
    """Returns the same container, of another runtime."""
    container.runtime.containers.remove(container)
    return runtime.container(container.id, container.bundle)


def test_none_is_demanded(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    assert cgroup_of(container.pid) == cgroup_of(os.getpid())
    assert container.status == "running"


@pytest.mark.pyrun_only("runc writes what limits nothing too, into a cgroup that is not there")
def test_none_is_demanded_by_what_limits_nothing(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/true")
    resources = {"pids": {"limit": -1}, "memory": {"limit": -1}, "devices": [{"allow": False, "access": "rwm"}]}
    container.bundle.config["linux"]["resources"] = resources
    container.started().wait_for_end()
    assert container.errors == ""


@pytest.mark.pyrun_only("runc has only the words of an engine's developer")
def test_path_that_the_user_may_not_make(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["linux"]["cgroupsPath"] = "/somewhere"
    container.create().failed("/linux/cgroupsPath", "permission denied", "delegated to you")
    assert users_runtime.remains() == []


@pytest.mark.pyrun_only("runc names the limit only where there is no controller for it")
def test_limit_is_not_dropped(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["linux"]["resources"] = LIMIT
    container.create().failed("memory")
    assert users_runtime.remains() == []


def test_demanded_on_the_command_line(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/true")
    container.bundle.seal()
    options = ["--rootless=false"]
    result = users_runtime.call("create", "--bundle", container.bundle.path, container.id, options=options)
    result.failed("permission denied")
    assert users_runtime.remains() == []


def test_delegated_one_is_used(make_users_container: MakeUsersContainer, delegated: UsersRuntime) -> None:
    container = moved(make_users_container("/bin/sh", "-c", "sleep 1000 & echo ready; wait"), delegated).started()
    container.wait_for_output("ready")
    assert cgroup_of(container.pid) == f"/delegated/{container.id}"
    assert os.stat(os.path.join(DELEGATED, container.id)).st_uid == USER.number
    container.stop()
    container.delete().succeeded()
    assert [entry.name for entry in os.scandir(DELEGATED) if entry.is_dir()] == ["leaf"]


def test_delegated_one_by_its_path(make_users_container: MakeUsersContainer, delegated: UsersRuntime) -> None:
    container = moved(make_users_container("/bin/sleep", "1000"), delegated)
    container.bundle.config["linux"]["cgroupsPath"] = "/delegated/parent/own"
    container.started()
    assert cgroup_of(container.pid) == "/delegated/parent/own"
    container.stop()
    container.delete().succeeded()
    # runc leaves parents that it made.
    if delegated.name == "runc":
        os.rmdir(os.path.join(DELEGATED, "parent"))


def test_all_processes_are_killed_by_it(make_users_container: MakeUsersContainer, delegated: UsersRuntime) -> None:
    container = moved(make_users_container("/bin/sh", "-c", "sleep 1000 & echo ready; wait"), delegated).started()
    container.wait_for_output("ready")
    delegated.call("kill", "--all", container.id, "KILL").succeeded()
    container.wait_for_end()
    container.delete().succeeded()


def test_pause_by_the_user_and_by_root(
    make_users_container: MakeUsersContainer, delegated: UsersRuntime, case: str
) -> None:
    container = moved(make_users_container("/bin/sleep", "1000"), delegated).started()
    roots = Runtime(runtime_under_test(), case)
    roots.root = delegated.root
    events = os.path.join(DELEGATED, container.id, "cgroup.events")
    for pausing, resuming in ((delegated, roots), (roots, delegated)):
        pausing.call("pause", container.id).succeeded()
        with open(events, encoding="ascii") as file:
            assert "frozen 1" in file.read()
        assert container.status == "paused"
        resuming.call("resume", container.id).succeeded()
        assert container.status == "running"
    container.stop()
    container.delete().succeeded()


@pytest.mark.pyrun_only("runc freezes the cgroup that it believes to be the container's")
def test_pause_without_one(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    users_runtime.call("pause", container.id).failed("cannot pause", "without a cgroup of its own", "Delegate=yes")
    users_runtime.call("resume", container.id).failed("container not paused")
    assert container.status == "running"


@pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))
def test_delegated_one_with_a_range(make_users_container: MakeUsersContainer, delegated: UsersRuntime) -> None:
    container = moved(make_users_container("/bin/sleep", "1000"), delegated)
    map_range(container.bundle.config, USER)
    container.bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    container.started()
    assert cgroup_of(container.pid) == f"/delegated/{container.id}"
    container.delete("--force").succeeded()


def try_to_write(config: Config, path: str) -> Config:
    config["process"]["args"] = ["/bin/sh", "-c", f"ls {path}/cgroup.procs; echo 0 >{path}/cgroup.procs"]
    return config


def test_namespace_shows_the_own_one_alone(make_users_container: MakeUsersContainer, delegated: UsersRuntime) -> None:
    container = moved(make_users_container(), delegated)
    try_to_write(container.bundle.config, "/sys/fs/cgroup")
    container.started().wait_for_end()
    assert container.output == "/sys/fs/cgroup/cgroup.procs\n"
    assert "Read-only file system" in container.errors


@pytest.mark.parametrize(
    "mounts",
    [
        ["/sys", "/sys/fs/cgroup"],
        pytest.param(["/sys"], marks=pytest.mark.pyrun_only("runc leaves what is mounted below /sys writable")),
    ],
    ids=str,
)
def test_hosts_ones_are_readonly(
    make_users_container: MakeUsersContainer, delegated: UsersRuntime, mounts: list[str]
) -> None:
    """CVE-2023-25809: without a cgroup namespace the user's other cgroups could be changed from inside."""
    container = moved(make_users_container(), delegated)
    config = configs.without_namespace(container.bundle.config, "cgroup")
    config["mounts"] = [
        mount
        for mount in config["mounts"]
        if not mount["destination"].startswith("/sys") or mount["destination"] in mounts
    ]
    try_to_write(config, "/sys/fs/cgroup/delegated/leaf")
    container.started().wait_for_end()
    assert container.output == "/sys/fs/cgroup/delegated/leaf/cgroup.procs\n"
    assert "Read-only file system" in container.errors
