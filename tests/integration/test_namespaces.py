# SPDX-License-Identifier: Apache-2.0
"""The eight kinds of namespaces: new, of the host, and joined by path."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest

from support import configs, kernel, process
from support.configs import Config
from support.runtime import MakeContainer
from support.waiting import wait_until

TIME = pytest.param("time", marks=pytest.mark.pyrun_only("runc 1.1 has no time namespaces"))
KINDS = ["cgroup", "ipc", "mount", "network", "pid", "uts", TIME]


@contextlib.contextmanager
def process_in_new_namespaces(*options: str) -> Iterator[int]:
    """Yields the pid of a process that `unshare` put into new namespaces."""
    command = ["unshare", *options, "sleep", "1000"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as holder:
        try:

            def sleeper() -> int | None:
                for pid in [holder.pid, *children(holder.pid)]:
                    with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                        if name.read() == "sleep\n":
                            return pid
                return None

            yield wait_until(sleeper, "unshare has executed its program") or 0
        finally:
            for pid in [*children(holder.pid), holder.pid]:
                os.kill(pid, 9)


def children(parent: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry))
    return found


def sleeper(**_: object) -> Config:
    return configs.default("/bin/sleep", "1000")


@pytest.mark.parametrize("kind", KINDS)
def test_new(make_container: MakeContainer, kind: str) -> None:
    container = make_container(configs.with_namespace(sleeper(), kind)).created()
    assert process.namespace(container.pid, kind) != process.namespace("thread-self", kind)


@pytest.mark.parametrize("kind", ["cgroup", "ipc", "network", "pid", "uts", "time"])
def test_of_the_host(make_container: MakeContainer, kind: str) -> None:
    config = configs.without_namespace(sleeper(), kind)
    if kind == "uts":
        del config["hostname"]
    container = make_container(config).started()
    assert process.namespace(container.pid, kind) == process.namespace("thread-self", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_joined_by_path(make_container: MakeContainer, kind: str) -> None:
    option = {"network": "net"}.get(kind, kind)
    with process_in_new_namespaces(f"--{option}", "--fork", "--kill-child") as holder:
        path = f"/proc/{holder}/ns/{process.NAMESPACE_FILES[kind]}"
        container = make_container(configs.with_namespace(sleeper(), kind, path)).started()
        assert process.namespace(container.pid, kind) == os.readlink(path)
        for other in process.NAMESPACE_FILES.keys() - {kind, "user", "time"}:
            assert process.namespace(container.pid, other) != process.namespace("thread-self", other)
        container.delete("--force").succeeded()


def test_all_joined_at_once(make_container: MakeContainer) -> None:
    options = ["--cgroup", "--ipc", "--net", "--pid", "--uts", "--fork", "--kill-child"]
    kinds = ["cgroup", "ipc", "network", "pid", "uts"]
    with process_in_new_namespaces(*options) as holder:
        config = sleeper()
        for kind in kinds:
            configs.with_namespace(config, kind, f"/proc/{holder}/ns/{process.NAMESPACE_FILES[kind]}")
        container = make_container(config).started()
        for kind in kinds:
            assert process.namespace(container.pid, kind) == process.namespace(holder, kind)
        container.delete("--force").succeeded()


def test_joined_by_a_bound_file(make_container: MakeContainer, scratch: str) -> None:
    path = os.path.join(scratch, "namespace")
    open(path, "w", encoding="ascii").close()
    with process_in_new_namespaces("--net") as holder:
        kernel.mount(f"/proc/{holder}/ns/net", path, flags=kernel.MS_BIND)
        expected = process.namespace(holder, "network")
    try:
        container = make_container(configs.with_namespace(sleeper(), "network", path)).started()
        assert process.namespace(container.pid, "network") == expected
        container.delete("--force").succeeded()
    finally:
        kernel.unmount(path)


def test_joined_pid_namespace_sees_its_processes(make_container: MakeContainer) -> None:
    with process_in_new_namespaces("--pid", "--fork", "--kill-child") as holder:
        config = configs.with_namespace(configs.shell("cat /proc/1/comm"), "pid", f"/proc/{holder}/ns/pid")
        container = make_container(config).started()
        container.wait_for_output("sleep\n")
        container.wait_for_end()
        container.delete().succeeded()


def test_hostname_of_a_joined_namespace_is_set(make_container: MakeContainer) -> None:
    with process_in_new_namespaces("--uts") as holder:
        container = make_container(
            configs.with_namespace(configs.shell("hostname"), "uts", f"/proc/{holder}/ns/uts")
        ).started()
        container.wait_for_output("container\n")
        container.wait_for_end()
        container.delete().succeeded()


@pytest.mark.parametrize(
    ("kind", "file"), [("network", "uts"), ("pid", "net"), ("mount", "ipc"), ("user", "net"), ("uts", "cgroup")]
)
def test_path_of_another_kind(make_container: MakeContainer, kind: str, file: str) -> None:
    config = configs.with_namespace(sleeper(), kind, f"/proc/{os.getpid()}/ns/{file}")
    if kind == "user":
        configs.with_user_namespace(config)
        configs.with_namespace(config, "user", f"/proc/{os.getpid()}/ns/{file}")
    make_container(config).create().failed()


def test_path_of_a_file_that_is_no_namespace(make_container: MakeContainer, scratch: str) -> None:
    path = os.path.join(scratch, "file")
    open(path, "w", encoding="ascii").close()
    make_container(configs.with_namespace(sleeper(), "network", path)).create().failed()


def test_missing_path(make_container: MakeContainer) -> None:
    container = make_container(configs.with_namespace(sleeper(), "network", "/run/missing"))
    container.create().failed("/run/missing", "no such file or directory")


@pytest.mark.pyrun_only("runc 1.1 opens whatever stands there, and hangs")
def test_path_of_a_fifo(make_container: MakeContainer, scratch: str) -> None:
    path = os.path.join(scratch, "fifo")
    os.mkfifo(path)
    make_container(configs.with_namespace(sleeper(), "network", path)).create().failed()


IS_NO_NAMESPACE = "is not a namespace"


@pytest.mark.pyrun_only("runc says it in other words, or accepts it")
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"type": "network", "path": "/proc/self/ns/uts"}, ("is a uts namespace, not a network namespace",)),
        ({"type": "pid", "path": "/proc/self/ns/user"}, ("is a user namespace, not a pid namespace",)),
        ({"type": "time", "path": "/proc/self/ns/cgroup"}, ("is a cgroup namespace, not a time namespace",)),
        ({"type": "mount", "path": "/proc/self/ns/net"}, ("is a network namespace, not a mount namespace",)),
        ({"type": "network", "path": "/etc/passwd"}, ("/etc/passwd", IS_NO_NAMESPACE)),
        ({"type": "network", "path": "/etc"}, ("/etc", IS_NO_NAMESPACE)),
        ({"type": "network", "path": "/dev/null"}, ("/dev/null", IS_NO_NAMESPACE)),
        ({"type": "network", "path": "/proc/self/ns/missing"}, ("no such file or directory", "is gone")),
        ({"type": "network", "path": "proc/self/ns/net"}, ("{pointer}/path", "absolute")),
        ({"type": "network", "path": "../ns/net"}, ("{pointer}/path", "absolute")),
        ({"type": "network", "path": ""}, ("{pointer}/path", "absolute")),
        ({"type": "net"}, ("{pointer}/type",)),
        ({"type": 5}, ("{pointer}/type",)),
        ({"path": "/proc/self/ns/net"}, ("{pointer}/type",)),
        ({"type": "network", "path": 5}, ("{pointer}/path",)),
        ("network", ("{pointer}",)),
    ],
)
def test_wrong_values(make_container: MakeContainer, entry: object, words: tuple[str, ...]) -> None:
    config = sleeper()
    kind = entry.get("type") if isinstance(entry, dict) else None
    configs.without_namespace(config, str(kind))["linux"]["namespaces"].append(entry)
    pointer = f"/linux/namespaces/{len(config['linux']['namespaces']) - 1}"
    container = make_container(config)
    container.create().failed(pointer, *[word.format(pointer=pointer) for word in words])
    assert not container.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_type_twice(make_container: MakeContainer, kind: str) -> None:
    config = configs.with_namespace(sleeper(), kind)
    config["linux"]["namespaces"].append({"type": kind, "path": f"/proc/self/ns/{process.NAMESPACE_FILES[kind]}"})
    make_container(config).create().failed(kind)


@pytest.mark.parametrize("name", ["hostname", pytest.param("domainname", marks=pytest.mark.pyrun_only("not in 1.1.5"))])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 65, id="too long"),
        pytest.param(5, id="number"),
        pytest.param("a\0b", id="nul", marks=pytest.mark.pyrun_only("runc cuts it off there")),
        pytest.param(None, id="no uts namespace"),
    ],
)
def test_wrong_names(make_container: MakeContainer, name: str, value: object) -> None:
    config = configs.without_namespace(sleeper(), *(("uts",) if value is None else ()))
    del config["hostname"]
    config[name] = value or "name"
    line = make_container(config).create().failed()
    if "pyrun" in line:
        assert f"/{name}" in line


@pytest.mark.parametrize("name", ["hostname", pytest.param("domainname", marks=pytest.mark.pyrun_only("not in 1.1.5"))])
@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "user namespace"])
@pytest.mark.parametrize("value", ["x" * 64, "with.dots-and-9"])
def test_names(make_container: MakeContainer, name: str, value: str, user_namespace: bool) -> None:
    config = configs.shell(f"cat /proc/sys/kernel/{name}")
    config[name] = value
    container = make_container(configs.with_user_namespace(config) if user_namespace else config).started()
    container.wait_for_output(f"{value}\n")


def test_new_network_namespace_has_only_loopback_and_that_up(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("ls /sys/class/net; ip addr show lo")).started()
    container.wait_for_end()
    assert container.output.splitlines()[0] == "lo"
    assert "UP" in container.output and "inet 127.0.0.1/8" in container.output


def test_cgroup_namespace_begins_at_the_containers_cgroup(make_container: MakeContainer) -> None:
    for kinds, expected in ((("cgroup",), "0::/\n"), ((), "0::/{id}\n")):
        config = configs.without_namespace(configs.shell("grep ^0: /proc/self/cgroup"), "cgroup")
        for kind in kinds:
            configs.with_namespace(config, kind)
        container = make_container(config).started()
        container.wait_for_end()
        assert container.output == expected.format(id=container.id)
