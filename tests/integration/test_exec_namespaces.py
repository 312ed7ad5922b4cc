# SPDX-License-Identifier: Apache-2.0
"""exec: its program is in the container's namespaces, whether those are new, joined or the host's, and in its root."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from integration.test_namespaces import KINDS, process_in_new_namespaces
from integration.test_user_namespace import ROOT, owned, owner_of_namespaces
from support import configs, process
from support.configs import Config
from support.execs import cgroup_of, members, the_other, wait_until_alone
from support.runtime import Container, MakeContainer
from support.waiting import wait_for_exit

__all__ = ["owner_of_namespaces"]  # a fixture

ALL = process.NAMESPACE_FILES.keys()
TIME_IS_KNOWN = pytest.mark.pyrun_only("runc 1.1 has no time namespaces")


def sleeping() -> Config:
    return configs.default("/bin/sleep", "1000")


@contextlib.contextmanager
def entered(container: Container, *options: str) -> Iterator[int]:
    """Yields the pid of a program that an exec has started; it and the exec have ended afterwards."""
    call = container.start_exec("sh", "-c", "echo ready; exec sleep 1000", options=options)
    call.wait_for_output("ready")
    pid = the_other(container)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        call.wait()


def assert_same(pid: int, container: Container) -> None:
    """Asserts that a process is in all namespaces of a container's first process, and has its root directory."""
    for kind in ALL:
        assert process.namespace(pid, kind) == process.namespace(container.pid, kind), kind
    own, other = os.stat(f"/proc/{pid}/root"), os.stat(f"/proc/{container.pid}/root")
    assert (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino)
    assert process.mountinfo(pid) == process.mountinfo(container.pid)


@pytest.mark.parametrize("created", [False, True], ids=["running", "created"])
def test_new(make_container: MakeContainer, created: bool) -> None:
    container = make_container(sleeping()).created()
    if not created:
        container.start().succeeded()
    with entered(container) as pid:
        assert_same(pid, container)


def test_root_without_a_pivot(make_container: MakeContainer) -> None:
    container = make_container(sleeping())
    container.bundle.write("etc/mine", "mine\n")
    container.started("--no-pivot")
    assert container.exec("cat", "/etc/mine").succeeded().output == "mine\n"
    with entered(container) as pid:
        assert_same(pid, container)


@TIME_IS_KNOWN
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_all_eight_new(make_container: MakeContainer, user_namespace: bool) -> None:
    config = configs.with_namespace(sleeping(), "time")
    if user_namespace:
        configs.with_user_namespace(config)
    container = owned(make_container(config)) if user_namespace else make_container(config)
    container.started()
    with entered(container) as pid:
        assert_same(pid, container)
        for kind in ALL - {"user"}:
            assert process.namespace(pid, kind) != process.namespace("thread-self", kind), kind


@pytest.mark.parametrize("kind", ["cgroup", "ipc", "network", "pid", "uts"])
def test_of_the_host(make_container: MakeContainer, kind: str) -> None:
    config = configs.without_namespace(sleeping(), kind)
    if kind == "uts":
        del config["hostname"]
    container = make_container(config).started()
    with entered(container) as pid:
        assert_same(pid, container)
        assert process.namespace(pid, kind) == process.namespace("thread-self", kind)


@pytest.mark.pyrun_only("runc 1.1.5 needs a mount namespace")
def test_mount_namespace_of_the_host(make_container: MakeContainer) -> None:
    """The root is the container's all the same."""
    config = configs.without_namespace(sleeping(), "mount")
    config["mounts"] = []
    config["linux"]["maskedPaths"] = config["linux"]["readonlyPaths"] = []
    config["root"]["readonly"] = False
    container = make_container(config)
    container.bundle.write("etc/mine", "mine\n")
    container.bundle.may_change.add("rootfs/dev")
    container.started()
    assert container.exec("cat", "/etc/mine").succeeded().output == "mine\n"
    with entered(container) as pid:
        assert_same(pid, container)


@pytest.mark.parametrize("kind", KINDS)
def test_joined(make_container: MakeContainer, kind: str) -> None:
    option = {"network": "net"}.get(kind, kind)
    with process_in_new_namespaces(f"--{option}", "--fork", "--kill-child") as holder:
        path = f"/proc/{holder}/ns/{process.NAMESPACE_FILES[kind]}"
        container = make_container(configs.with_namespace(sleeping(), kind, path)).started()
        with entered(container) as pid:
            assert_same(pid, container)
            assert process.namespace(pid, kind) == process.namespace(holder, kind)
        container.delete("--force").succeeded()


def test_joined_from_another_container(make_container: MakeContainer) -> None:
    """As engines share namespaces within a pod."""
    sandbox = make_container(sleeping()).started()
    config = sleeping()
    for kind in ("pid", "network", "ipc", "uts"):
        configs.with_namespace(config, kind, f"/proc/{sandbox.pid}/ns/{process.NAMESPACE_FILES[kind]}")
    container = make_container(config).started()
    with entered(container) as pid:
        assert_same(pid, container)
        assert members(sandbox) == {sandbox.pid}
    init = container.pid
    container.delete("--force").succeeded()
    wait_for_exit(init)  # and reap it, as the first process of its PID namespace can't end before


def test_processes_of_the_container_are_seen(make_container: MakeContainer) -> None:
    container = make_container(sleeping()).started()
    output = container.exec("sh", "-c", "echo $$; echo $PPID; echo /proc/[0-9]*").succeeded().output.split()
    own, parent = output[:2]
    assert parent == "0"
    assert {"/proc/1", f"/proc/{own}"} == set(output[2:])
    assert "runc" not in container.exec("ps").succeeded().output


@pytest.mark.parametrize("created", [False, True], ids=["running", "created"])
def test_user_namespace(make_container: MakeContainer, created: bool) -> None:
    config = configs.with_user_namespace(sleeping(), ROOT)
    config["root"]["readonly"] = False
    container = owned(make_container(config)).created()
    container.bundle.may_change.add("rootfs/made")
    if not created:
        container.start().succeeded()
    output = container.exec("sh", "-c", "id -u; id -g; id -G; cat /proc/self/uid_map; touch /made").succeeded().output
    assert output.split() == ["0", "0", "0", "0", str(ROOT), "65536"]
    made = os.stat(os.path.join(container.bundle.rootfs, "made"))
    assert (made.st_uid, made.st_gid) == (ROOT, ROOT)
    with entered(container) as pid:
        assert_same(pid, container)
        assert process.status(pid)["Uid"].split() == [str(ROOT)] * 4
        assert process.status(pid)["Groups"].split() == []
    with entered(container, "--user", "5:6", "--additional-gids", "7") as pid:
        assert process.status(pid)["Uid"].split() == [str(ROOT + 5)] * 4
        assert process.status(pid)["Gid"].split() == [str(ROOT + 6)] * 4
        assert process.status(pid)["Groups"].split() == [str(ROOT + 7)]


def test_capabilities_in_a_user_namespace(make_container: MakeContainer) -> None:
    """They are the namespace's own: its root may set the hostname of its namespace."""
    container = owned(make_container(configs.with_user_namespace(sleeping(), ROOT))).started()
    assert container.exec("hostname", "changed").status == 1
    container.exec("hostname", "changed", options=["--cap", "CAP_SYS_ADMIN"]).succeeded()
    assert container.exec("hostname").succeeded().output == "changed\n"


@pytest.mark.parametrize("options", [["-u", "65536"], ["-u", "0:65536"], ["-u", "4000000"], ["-g", "65536"]])
def test_ids_that_are_not_mapped(make_container: MakeContainer, options: list[str]) -> None:
    container = owned(make_container(configs.with_user_namespace(sleeping(), ROOT))).started()
    container.exec("true", options=options).failed(status=255)
    wait_until_alone(container)


def test_joined_user_namespace(make_container: MakeContainer, owner_of_namespaces: int) -> None:
    """With namespaces that it owns."""
    config = configs.with_user_namespace(sleeping(), ROOT)
    for kind in ("user", "network", "uts", "ipc"):
        path = f"/proc/{owner_of_namespaces}/ns/{process.NAMESPACE_FILES[kind]}"
        configs.with_namespace(config, kind, path)
    container = owned(make_container(config)).started()
    with entered(container, "--user", "5") as pid:
        assert_same(pid, container)
        assert process.namespace(pid, "user") == process.namespace(owner_of_namespaces, "user")
        assert process.status(pid)["Uid"].split() == [str(ROOT + 5)] * 4
        assert pid in members(container)
    container.delete("--force").succeeded()


def test_namespaces_that_the_program_has_made_are_not_entered(make_container: MakeContainer) -> None:
    """Only the first process's count, not those of another one."""
    config = configs.shell("unshare -u sh -c 'hostname other; exec sleep 1000' & echo ready; exec sleep 1000")
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = ["CAP_SYS_ADMIN"]
    container = make_container(config).started()
    container.wait_for_output("ready")
    assert container.exec("hostname").succeeded().output == "container\n"


def test_user_namespace_of_a_user_who_is_not_its_root(make_container: MakeContainer) -> None:
    config = configs.with_user_namespace(sleeping(), ROOT)
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    container = owned(make_container(config)).started()
    assert container.exec("id", "-u").succeeded().output == "1000\n"
    assert container.exec("id", "-u", options=["--user", "0"]).succeeded().output == "0\n"


def test_root_without_dac_override_in_a_private_image(make_container: MakeContainer) -> None:
    """The container's root owns nothing above its root directory, and needs nothing there."""
    container = owned(make_container(configs.with_user_namespace(sleeping(), ROOT)))
    container.started()
    assert os.path.isdir(cgroup_of(container))
    os.chmod(container.bundle.path, 0o700)
    try:
        assert container.exec("pwd").succeeded().output == "/\n"
    finally:
        os.chmod(container.bundle.path, 0o755)
