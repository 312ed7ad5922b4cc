# SPDX-License-Identifier: Apache-2.0
"""An ordinary user's containers, from `spec --rootless` to `delete`, and who else may touch them."""

from __future__ import annotations

import json
import os
import stat

import pytest

from support import configs, process
from support.runtime import Runtime, runtime_under_test
from support.terminal import Session
from support.users import OTHER, USER, MakeUsersContainer, UsersRuntime, map_range, missing_mapper
from support.waiting import wait_for_exit, wait_until


def test_spec_runs_as_it_is(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    bundle = make_users_container().bundle
    users_runtime.call("spec", "--rootless", "--bundle", bundle.path).succeeded()
    bundle.seal()
    command = users_runtime.command("run", "--bundle", bundle.path, "as-it-is")
    with Session(command, users_runtime.environment) as session:
        session.write("id -u; hostname; exit 5\n")
        session.expect(f"0\r\n{users_runtime.name}\r\n")
        assert session.wait() == 5


def test_root_inside_is_the_user_outside(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "id -u; id -g; echo ready; exec sleep 1000").started()
    container.wait_for_output("ready")
    assert container.output == "0\n0\nready\n"
    status = process.status(container.pid)
    assert status["Uid"].split() == status["Gid"].split() == [str(USER.number)] * 4
    assert status["Groups"] == ""
    assert status["NoNewPrivs"] == "1"
    container.stop()


def test_created_container_is_the_users_already(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").created()
    assert process.status(container.pid)["Uid"].split() == [str(USER.number)] * 4


def test_create_start_kill_delete(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/sleep", "1000").created()
    assert container.status == "created"
    container.start().succeeded()
    assert container.status == "running"
    (listed,) = json.loads(users_runtime.call("list", "--format", "json").succeeded().output)
    assert (listed["id"], listed["status"], listed["owner"]) == (container.id, "running", USER.name)
    pid = container.pid
    container.kill("KILL").succeeded()
    wait_for_exit(pid)
    assert container.status == "stopped"
    container.delete().succeeded()
    assert users_runtime.remains() == []


def test_run_returns_the_status_and_leaves_nothing(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/sh", "-c", "exit 7")
    assert users_runtime.run(container.id, container.bundle).status == 7
    assert users_runtime.remains() == []


def test_delete_of_a_running_one_takes_all_its_processes(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "sleep 1000 & setsid sleep 1000 & echo ready; wait").started()
    container.wait_for_output("ready")
    container.delete("--force").succeeded()
    assert not container.exists()


@pytest.mark.pyrun_only("without a cgroup runc finds no process but the init")
def test_delete_without_a_pid_namespace_takes_all_its_processes(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "sleep 1000 & setsid sleep 1000 & echo ready; wait")
    namespaces = container.bundle.config["linux"]["namespaces"]
    container.bundle.config["linux"]["namespaces"] = [each for each in namespaces if each["type"] != "pid"]
    container.bundle.config["mounts"] = [m for m in container.bundle.config["mounts"] if m["destination"] != "/proc"]
    container.started().wait_for_output("ready")
    container.delete("--force").succeeded()
    assert not container.exists()


def test_state_is_for_the_user_alone(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    """The root is sticky, so that nothing in there is cleaned away (XDG Base Directory Specification)."""
    container = make_users_container("/bin/sleep", "1000").created()
    root = os.stat(str(users_runtime.root))
    own = os.stat(os.path.join(str(users_runtime.root), container.id))
    assert stat.S_IMODE(root.st_mode) == 0o1700
    assert stat.S_IMODE(own.st_mode) & 0o077 == 0 or users_runtime.name == "runc"
    assert {root.st_uid, own.st_uid} == {USER.number}


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete", "exec"])
def test_other_users_are_refused(make_users_container: MakeUsersContainer, case: str, verb: str) -> None:
    container = make_users_container("/bin/sleep", "1000").created()
    others = UsersRuntime(runtime_under_test(), case, OTHER)
    words = [verb, container.id, "true"] if verb == "exec" else [verb, container.id]
    result = others.call(*words, options=["--root", str(container.runtime.root)])
    assert result.status != 0
    assert "permission denied" in result.error_line
    assert container.status == "created"


def test_root_may_list_kill_and_delete(make_users_container: MakeUsersContainer, case: str) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    roots = Runtime(runtime_under_test(), case)
    roots.root = container.runtime.root
    (listed,) = json.loads(roots.call("list", "--format", "json").succeeded().output)
    assert (listed["id"], listed["status"], listed["owner"]) == (container.id, "running", USER.name)
    pid = container.pid
    roots.call("kill", container.id, "KILL").succeeded()
    wait_for_exit(pid)
    roots.call("delete", container.id).succeeded()
    assert not container.exists()


@pytest.mark.pyrun_only("runc leaves its stages behind")
def test_what_a_killed_create_leaves_is_deleted(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/sleep", "1000")
    container.bundle.seal()
    call = users_runtime.start("create", "--bundle", container.bundle.path, container.id)
    wait_until(container.exists, "create has begun")
    call.process.kill()
    call.process.wait()
    container.delete("--force").succeeded()
    assert users_runtime.remains() == []


def test_user_namespace_is_demanded(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/true")
    namespaces = container.bundle.config["linux"]["namespaces"]
    container.bundle.config["linux"]["namespaces"] = [each for each in namespaces if each["type"] != "user"]
    del container.bundle.config["linux"]["uidMappings"], container.bundle.config["linux"]["gidMappings"]
    container.create().failed("rootless container requires user namespaces")
    assert users_runtime.remains() == []


@pytest.mark.pyrun_only("runc sets the limits where root may not raise them")
def test_root_may_start_and_exec(make_users_container: MakeUsersContainer, case: str) -> None:
    container = make_users_container("/bin/sleep", "1000").created()
    roots = Runtime(runtime_under_test(), case)
    roots.root = container.runtime.root
    roots.call("start", container.id).succeeded()
    assert roots.call("exec", container.id, "/bin/id", "-u").succeeded().output == "0\n"
    container.stop()


def test_hooks_are_the_users(make_users_container: MakeUsersContainer, scratch: str) -> None:
    """They find the container's network where it can be wired; in the container they run as its root."""
    notes = os.path.join(scratch, "notes")
    os.mkdir(notes)
    os.chmod(notes, 0o777)
    container = make_users_container("/bin/sleep", "1000")
    configs.with_namespace(container.bundle.config, "network")
    script = """sed 's/.*"pid": *\\([0-9]*\\).*/\\1/' >pid; id -u >user; readlink /proc/$(cat pid)/ns/net >net"""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cd {notes} && {script}"]}
    container.bundle.config["hooks"] = {"createRuntime": [hook]}
    container.created()
    found = {}
    for name in ("pid", "user", "net"):
        with open(os.path.join(notes, name), encoding="ascii") as file:
            found[name] = file.read().strip()
    assert found == {
        "pid": str(container.pid),
        "user": str(USER.number),
        "net": process.namespace(container.pid, "network"),
    }


@pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))
@pytest.mark.parametrize(
    "sample",
    [
        "default",
        pytest.param("docker", marks=pytest.mark.pyrun_only("runc sets no additional groups for users but root")),
        "sysctl",
        "no-pivot",
        "shared",
    ],
)
def test_configs_made_for_root(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, sample: str
) -> None:
    """With a range of ids, and without limits, an ordinary user runs what root runs."""
    container = make_users_container()
    bundle = container.bundle
    config = configs.default()
    if sample == "docker":
        config = configs.captured("docker", bundle.path, "test")
        # Docker leaves these out when its daemon is not root's.
        config["linux"]["sysctl"].pop("net.ipv4.ping_group_range")
        for key in ("cgroupsPath", "resources"):
            config["linux"].pop(key)
        config["process"].pop("oomScoreAdj", None)
        config["process"].pop("apparmorProfile", None)
        bundle.may_change.add("rootfs")
    elif sample == "sysctl":
        config["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80"}
    elif sample == "shared":
        config["linux"]["rootfsPropagation"] = "shared"
    config["process"]["args"] = ["/bin/sh", "-c", "id -u; ls /sys/class/net"]
    configs.with_user_namespace(config)
    bundle.config = map_range(config, USER)
    for directory, _, _ in os.walk(bundle.rootfs):
        USER.owns(directory)
    options = ["--no-pivot"] if sample == "no-pivot" else []
    assert users_runtime.run(container.id, bundle, *options).succeeded().output == "0\nlo\n"
