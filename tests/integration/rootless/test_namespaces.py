# SPDX-License-Identifier: Apache-2.0
"""Namespaces of an ordinary user's containers: the network above all; joined ones; and pyrun as root inside of one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest

from support import configs, process
from support.runtime import runtime_under_test
from support.users import USER, MakeUsersContainer, UsersRuntime
from support.waiting import wait_until

# Makes its user root of a new user namespace, as `podman unshare` or rootlesskit do.
AS_ROOT_INSIDE = ("unshare", "--user", "--map-root-user", "--mount", "--")


@contextlib.contextmanager
def holder_of_namespaces(user: int, *kinds: str) -> Iterator[int]:
    """Yields the pid of a process of a user, in a new user namespace in which it is root and other new ones."""
    options = [f"--{kind}" for kind in kinds]
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "unshare", *options]
    with subprocess.Popen([*command, "--user", "--map-root-user", "sleep", "1000"]) as holder:
        try:

            def ready() -> bool:
                with open(f"/proc/{holder.pid}/comm", encoding="ascii") as name:
                    return name.read() == "sleep\n"

            wait_until(ready, "unshare has executed its program")
            yield holder.pid
        finally:
            holder.kill()


def test_network_of_its_own(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container(
        "/bin/sh", "-c", "ip addr; ping -c 1 -W 5 127.0.0.1 | grep received; echo ready; exec sleep 1000"
    )
    configs.with_namespace(container.bundle.config, "network")
    for kind in ("bounding", "effective", "permitted", "ambient"):
        container.bundle.config["process"]["capabilities"][kind].append("CAP_NET_RAW")
    container.started().wait_for_output("ready")
    assert process.namespace(container.pid, "network") != process.namespace("thread-self", "network")
    assert "inet 127.0.0.1/8" in container.output
    assert "1 packets received" in container.output
    assert [line for line in container.output.splitlines() if ": <" in line and "lo:" not in line] == []
    container.stop()


def test_network_of_the_host(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    assert process.namespace(container.pid, "network") == process.namespace("thread-self", "network")


def test_network_of_the_host_is_not_the_containers(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "ip link set lo up || echo refused")
    for kind in ("bounding", "effective", "permitted", "ambient"):
        container.bundle.config["process"]["capabilities"][kind].append("CAP_NET_ADMIN")
    container.started().wait_for_end()
    assert container.output == "refused\n"


def test_joined_with_the_user_namespace_that_owns_it(make_users_container: MakeUsersContainer) -> None:
    """As the containers of a pod."""
    with holder_of_namespaces(USER.number, "net", "ipc") as holder:
        container = make_users_container("/bin/sh", "-c", "id -u; echo ready; exec sleep 1000")
        for kind, name in (("user", "user"), ("network", "net"), ("ipc", "ipc")):
            configs.with_namespace(container.bundle.config, kind, f"/proc/{holder}/ns/{name}")
        container.started().wait_for_output("ready")
        assert container.output == "0\nready\n"
        for kind in ("user", "network", "ipc"):
            assert process.namespace(container.pid, kind) == process.namespace(holder, kind)
        for kind in ("mount", "pid", "uts"):
            assert process.namespace(container.pid, kind) != process.namespace("thread-self", kind)
        container.delete("--force").succeeded()


def test_joined_without_the_user_namespace_that_owns_it(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/true")
    with holder_of_namespaces(USER.number, "net") as holder:
        configs.with_namespace(container.bundle.config, "network", f"/proc/{holder}/ns/net")
        result = container.create()
    assert result.status == 1
    if users_runtime.name == "pyrun":
        assert "join the network namespace: operation not permitted" in result.error_line
        assert "joins the user namespace that owns" in result.error_line
    assert users_runtime.remains() == []


@pytest.mark.parametrize("kind", ["user", "network"])
def test_namespaces_of_others(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, kind: str) -> None:
    container = make_users_container("/bin/true")
    configs.with_namespace(container.bundle.config, kind, f"/proc/1/ns/{process.NAMESPACE_FILES[kind]}")
    result = container.create()
    assert result.status == 1
    if users_runtime.name == "pyrun":
        assert f"/proc/1/ns/{process.NAMESPACE_FILES[kind]}: permission denied" in result.error_line
    assert users_runtime.remains() == []


@pytest.fixture
def roots_runtime(users_runtime: UsersRuntime, case: str) -> UsersRuntime:
    """The runtime as its user runs it who is root in a user namespace."""
    inside = UsersRuntime(runtime_under_test(), case, USER)
    inside.wrapper += AS_ROOT_INSIDE
    inside.root = users_runtime.root
    return inside


def test_as_root_of_a_user_namespace(make_users_container: MakeUsersContainer, roots_runtime: UsersRuntime) -> None:
    """No further user namespace is needed; cgroups and device filters are done without."""
    container = make_users_container("/bin/sh", "-c", "id -u; cat /proc/self/uid_map; echo x >/dev/null && hostname")
    config = configs.without_namespace(container.bundle.config, "user", "network", "cgroup")
    configs.without_mounts(config, "/sys/fs/cgroup")
    del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    config["hostname"] = "inside"
    result = roots_runtime.run(container.id, container.bundle)
    assert result.succeeded().output.split() == ["0", "0", str(USER.number), "1", "inside"]
    assert roots_runtime.remains() == []


def test_user_namespace_in_a_user_namespace(
    make_users_container: MakeUsersContainer, roots_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/sh", "-c", "id -u; cat /proc/self/uid_map")
    for key in ("uidMappings", "gidMappings"):
        container.bundle.config["linux"][key] = [{"containerID": 0, "hostID": 0, "size": 1}]
    result = roots_runtime.run(container.id, container.bundle)
    assert result.succeeded().output.split() == ["0", "0", "0", "1"]


def test_ids_that_the_own_user_namespace_does_not_have(
    make_users_container: MakeUsersContainer, roots_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/true")
    for key in ("uidMappings", "gidMappings"):
        container.bundle.config["linux"][key] = [{"containerID": 0, "hostID": 0, "size": 2}]
    result = roots_runtime.run(container.id, container.bundle)
    assert result.status == 1
    if roots_runtime.name == "pyrun":
        assert "/linux/gidMappings: write gid_map: operation not permitted; map ids that" in result.error_line
    assert roots_runtime.remains() == []


def test_state_root_of_root_in_a_user_namespace(
    roots_runtime: UsersRuntime, make_users_container: MakeUsersContainer
) -> None:
    """It is the user's, unless $USER says that this root is a system's own, as runc decides it."""
    container = make_users_container("/bin/sleep", "1000").created()
    assert container.id in roots_runtime.call("list").succeeded().output
    roots_runtime.environment["USER"] = "root"
    assert container.id not in roots_runtime.call("list").output
    assert os.path.isdir(str(roots_runtime.root))


@pytest.mark.pyrun_only("runc 1.1 has no time namespaces")
def test_time_namespace_is_for_root(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/true")
    configs.with_namespace(container.bundle.config, "time")
    container.create().failed("time namespace: operation not permitted; only root")
    assert users_runtime.remains() == []
