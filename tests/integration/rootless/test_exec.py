# SPDX-License-Identifier: Apache-2.0
"""exec and ps by an ordinary user, and what else reaches into the user's containers from the host."""

from __future__ import annotations

import json
import os
import signal

import pytest

from support import configs, kernel, process
from support.users import OTHER, USER, MakeUsersContainer, map_range, missing_mapper
from support.waiting import wait_for_exit

ranges = pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))


def test_exec(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    script = "id -u; hostname; cat /proc/self/uid_map; readlink /proc/self/ns/user; exit 7"
    result = container.exec("/bin/sh", "-c", script)
    assert result.status == 7, result.errors
    user, _, mapping, namespace = result.output.splitlines()
    assert user == "0"
    assert mapping.split() == ["0", str(USER.number), "1"]
    assert namespace == process.namespace(container.pid, "user")


def test_exec_in_a_created_one(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").created()
    assert container.exec("/bin/id", "-u").succeeded().output == "0\n"
    assert container.status == "created"
    container.start().succeeded()


@ranges
@pytest.mark.pyrun_only("runc's ps needs a cgroup")
@pytest.mark.parametrize(("user", "outside"), [("0", USER.number), ("1000:1000", 200999)])
def test_exec_as_another_user(make_users_container: MakeUsersContainer, user: str, outside: int) -> None:
    container = make_users_container("/bin/sleep", "1000")
    map_range(container.bundle.config, USER)
    container.started()
    call = container.start_exec("/bin/sh", "-c", "echo $$ ready; exec sleep 1000", options=["--user", user])
    call.wait_for_output("ready")
    listed = json.loads(container.runtime.call("ps", "--format", "json", container.id).succeeded().output)
    (pid,) = set(listed) - {container.pid}
    assert process.status(pid)["Uid"].split() == [str(outside)] * 4
    container.stop()
    assert call.wait().status == 137


@pytest.mark.pyrun_only("runc says so only when the process starts")
def test_exec_as_a_user_who_is_not_mapped(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    result = container.exec("/bin/true", options=["--user", "1000"])
    assert result.status == 255
    assert "1000" in result.error_line


@ranges
@pytest.mark.pyrun_only("runc can't give its fifo away")
def test_exec_where_the_own_id_is_not_mapped(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000")
    for key in ("uidMappings", "gidMappings"):
        container.bundle.config["linux"][key] = [{"containerID": 0, "hostID": 200000, "size": 10}]
    container.created()
    assert container.exec("/bin/id", "-u").succeeded().output == "0\n"
    container.start().succeeded()
    assert container.exec("/bin/id", "-u").succeeded().output == "0\n"


@pytest.mark.pyrun_only("runc's ps needs a cgroup")
def test_detached_exec(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    container.exec("/bin/sleep", "1000", options=["--detach"]).succeeded()
    listed = json.loads(container.runtime.call("ps", "--format", "json", container.id).succeeded().output)
    (pid,) = set(listed) - {container.pid}
    assert process.namespace(pid, "user") == process.namespace(container.pid, "user")
    # The init would wait for whoever reaps it.
    os.kill(pid, signal.SIGKILL)
    wait_for_exit(pid)


def test_exec_into_a_joined_user_namespace(make_users_container: MakeUsersContainer) -> None:
    """As into the second container of a pod."""
    first = make_users_container("/bin/sleep", "1000").started()
    second = make_users_container("/bin/sleep", "1000")
    for kind in ("user", "ipc", "uts"):
        path = f"/proc/{first.pid}/ns/{process.NAMESPACE_FILES[kind]}"
        configs.with_namespace(second.bundle.config, kind, path)
    del second.bundle.config["hostname"]
    second.started()
    assert second.exec("/bin/id", "-u").succeeded().output == "0\n"
    assert process.namespace(first.pid, "user") == process.namespace(second.pid, "user")


def test_network_can_be_wired_before_the_start(make_users_container: MakeUsersContainer) -> None:
    """As slirp4netns and pasta do it: through the namespaces of a created container's pid."""
    container = make_users_container("/bin/sleep", "1000")
    configs.with_namespace(container.bundle.config, "network")
    container.created()
    inside = ["nsenter", f"--target={container.pid}", "--user", "--net", "--preserve-credentials"]
    made = USER.run(*inside, "ip", "link", "add", "dummy0", "type", "veth")
    assert made.returncode == 0, made.stderr
    container.start().succeeded()
    assert "dummy0" in container.exec("/bin/ip", "link").succeeded().output


def test_others_cannot_trace_it(make_users_container: MakeUsersContainer) -> None:
    for container in (
        make_users_container("/bin/sleep", "1000").created(),
        make_users_container("/bin/sleep", "1000").started(),
    ):
        for name in ("ns/user", "exe", "environ", "mem"):
            looked = OTHER.run("cat", f"/proc/{container.pid}/{name}")
            assert "Permission denied" in looked.stderr


@pytest.mark.parametrize("state", ["created", "running"])
def test_where_processes_of_others_are_hidden(make_users_container: MakeUsersContainer, state: str) -> None:
    """procfs with hidepid shows only what its reader may trace (proc(5))."""
    container = make_users_container("/bin/sleep", "1000")
    kernel.mount("proc", "/proc", "proc", data="hidepid=2")
    try:
        container.created()
        if state == "running":
            container.start().succeeded()
        assert container.status == state
        container.delete("--force").succeeded()
        assert not container.exists()
    finally:
        kernel.unmount("/proc")
