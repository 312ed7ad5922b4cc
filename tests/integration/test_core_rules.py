# SPDX-License-Identifier: Apache-2.0
"""The rules of runtime.md that are easily missed: what is ignored, what has no effect, what must not stay or go."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.waiting import wait_for_exit

CGROUPS = "/sys/fs/cgroup"

# Unknown properties are ignored (config.md, "Extensibility").


def extended(value: Any) -> Any:
    """Returns a document with an unknown property in every object that has known ones only."""
    if isinstance(value, list):
        return [extended(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {"org.example.unknown": {"x": [1, None]}, **{name: extended(member) for name, member in value.items()}}


def test_unknown_properties_everywhere(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.shell("echo ran; hostname")
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
    config["hooks"] = {"prestart": [{"path": "/bin/true"}]}
    config = extended(config)
    assert runtime.run("test", make_bundle(config)).succeeded().output == "ran\ncontainer\n"


def test_sections_of_other_platforms(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.shell("echo ran")
    config["vm"] = {
        "hypervisor": {"path": "/missing/vmm", "parameters": ["opts1=foo"]},
        "kernel": {"path": "/missing/vmlinuz", "parameters": ["foo=bar"], "initrd": "/missing/initrd.img"},
        "image": {"path": "/missing/raw.img", "format": "raw"},
        "hwConfig": {"deviceTree": "/missing/x.dtb", "vcpus": 2, "memory": 1048576, "irqs": [11]},
    }
    config["windows"] = {"layerFolders": ["C:\\layers\\1"], "network": {"allowUnqualifiedDNSQuery": True}}
    config["solaris"] = {"milestone": "svc:/milestone/container:default", "maxShmMemory": "512m"}
    config["zos"] = {"namespaces": [{"type": "pid"}]}
    config["freebsd"] = {"devices": [{"path": "/dev/pf", "mode": 448}]}
    config["process"]["commandLine"] = "cmd.exe /c dir"
    config["process"]["user"]["username"] = "ContainerUser"
    assert runtime.run("test", make_bundle(config)).succeeded().output == "ran\n"


# What is written to config.json after create has no effect.


def rewrite(container: Container, change: Callable[[Config], object]) -> None:
    path = os.path.join(container.bundle.path, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    change(config)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def another(config: Config) -> None:
    config["process"].update({"args": ["/bin/echo", "later"], "env": ["PATH=/bin", "WHEN=later"], "cwd": "/tmp"})
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config.update({"hostname": "later", "annotations": {"when": "later"}, "root": {"path": "missing"}})
    config["hooks"] = {
        kind: [{"path": "/bin/false"}] for kind in ("startContainer", "poststart", "poststop", "createContainer")
    }
    config["linux"]["namespaces"] = []


@pytest.fixture
def rewritten(make_container: MakeContainer) -> Container:
    """A created container whose config.json says something else by now."""
    config = configs.shell('echo "$WHEN $(pwd) $(id -u) $(hostname)"; exec sleep 1000')
    config["process"]["env"].append("WHEN=before")
    config["annotations"] = {"when": "before"}
    container = make_container(config)
    container.bundle.may_change.add("config.json")
    container.created()
    rewrite(container, another)
    return container


def test_start_after_config_was_edited(rewritten: Container) -> None:
    rewritten.start().succeeded()
    rewritten.wait_for_output("before / 0 container\n")
    assert rewritten.state()["annotations"] == {"when": "before"}
    rewritten.stop()
    rewritten.delete().succeeded()


@pytest.mark.pyrun_only("runc reads config.json again")
def test_exec_after_config_was_edited(rewritten: Container) -> None:
    rewritten.start().succeeded()
    script = 'echo "$WHEN $(pwd) $(id -u) $(hostname)"'
    assert rewritten.exec("/bin/sh", "-c", script).succeeded().output == "before / 0 container\n"


def test_delete_after_config_became_nonsense(rewritten: Container) -> None:
    with open(os.path.join(rewritten.bundle.path, "config.json"), "w", encoding="ascii") as file:
        file.write("{")
    assert rewritten.status == "created"
    rewritten.delete("--force").succeeded()
    assert not rewritten.exists()


# A create that fails leaves nothing, and the id free.


def with_mount(**mount: object) -> Callable[[Config], object]:
    return lambda config: config["mounts"].append(mount)


def with_hook(kind: str) -> Callable[[Config], object]:
    return lambda config: config.update(hooks={kind: [{"path": "/bin/false"}]})


def in_linux(**members: object) -> Callable[[Config], object]:
    return lambda config: config["linux"].update(members)


def joining(kind: str, path: str) -> Callable[[Config], object]:
    return lambda config: configs.with_namespace(config, kind, path)


FAILURES: dict[str, Callable[[Config], object]] = {
    "schema": lambda config: config["process"].update(cwd=5),
    "rule": lambda config: configs.without_namespace(config, "uts"),
    "root": lambda config: config["root"].update(path="missing"),
    "program": lambda config: config["process"].update(args=["/bin/missing"]),
    "bind source": with_mount(destination="/tmp", type="bind", source="/missing", options=["bind"]),
    "type of filesystem": with_mount(destination="/tmp", type="frobnicate", source="x"),
    "parameter of filesystem": with_mount(destination="/tmp", type="tmpfs", source="x", options=["frob=1"]),
    "mount point": with_mount(destination="/etc/passwd/x", type="tmpfs", source="x"),
    "kernel parameter": in_linux(sysctl={"net.ipv4.frobnicate": "1"}),
    "value of kernel parameter": in_linux(sysctl={"net.ipv4.ip_forward": "frobnicate"}),
    "namespace": joining("network", "/missing"),
    "type of namespace": joining("network", "/proc/self/ns/uts"),
    "no namespace": joining("network", "/dev/null"),
    "prestart hook": with_hook("prestart"),
    "createRuntime hook": with_hook("createRuntime"),
    "createContainer hook": with_hook("createContainer"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_create(runtime: Runtime, make_bundle: MakeBundle, failure: str) -> None:
    config = configs.default("/bin/true")
    config["linux"]["cgroupsPath"] = "/outer/inner/test"
    FAILURES[failure](config)
    broken = make_bundle(config)
    container = runtime.container("test", broken)
    container.create().failed()
    assert not container.exists()
    if runtime.name == "runc":
        remove_cgroups("outer/inner", "outer")
    assert not os.path.exists(f"{CGROUPS}/outer")
    runtime.run("test", make_bundle(configs.shell("echo ran"))).succeeded()


@pytest.mark.pyrun_only("runc does not look for this before it makes the container")
@pytest.mark.parametrize("option", ["--console-socket", "--pid-file"])
def test_failed_create_for_its_caller(make_container: MakeContainer, option: str) -> None:
    container = make_container()
    container.create(option, "/missing/directory/file").failed()
    assert not container.exists()


def remove_cgroups(*names: str) -> None:
    """Removes what runc leaves of a path of cgroups."""
    for name in names:
        if os.path.exists(f"{CGROUPS}/{name}"):
            os.rmdir(f"{CGROUPS}/{name}")


# Delete removes what create made, and nothing else.


def test_delete_keeps_what_was_there_before(make_container: MakeContainer, scratch: str) -> None:
    source = os.path.join(scratch, "source")
    os.mkdir(source)
    with open(os.path.join(source, "file"), "w", encoding="ascii") as file:
        file.write("kept")
    os.mkdir(f"{CGROUPS}/kept")
    try:
        config = configs.shell("echo inside >/tmp/new")
        config["linux"]["cgroupsPath"] = "/kept/test"
        config["mounts"].append(configs.bind(source, "/tmp"))
        container = make_container(config).started()
        container.wait_for_end()
        container.delete().succeeded()
        assert os.path.isdir(f"{CGROUPS}/kept") and not os.path.exists(f"{CGROUPS}/kept/test")
        assert sorted(os.listdir(source)) == ["file", "new"]
        assert os.path.isdir(container.bundle.rootfs)
    finally:
        os.rmdir(f"{CGROUPS}/kept")


@pytest.mark.pyrun_only("runc removes the cgroup whoever made it")
@pytest.mark.parametrize("forced", [False, True])
def test_delete_keeps_a_cgroup_that_was_there_before(make_container: MakeContainer, forced: bool) -> None:
    os.mkdir(f"{CGROUPS}/kept")
    try:
        config = configs.default("/bin/sleep", "1000")
        config["linux"]["cgroupsPath"] = "/kept"
        container = make_container(config).started()
        if not forced:
            container.stop()
        container.delete(*["--force"] * forced).succeeded()
        assert os.path.isdir(f"{CGROUPS}/kept")
        assert os.listdir(str(container.runtime.root)) == []
    finally:
        os.rmdir(f"{CGROUPS}/kept")


def test_delete_keeps_namespaces_that_were_joined(make_container: MakeContainer) -> None:
    owner = make_container(configs.default("/bin/sleep", "1000")).started()
    config = configs.without_namespace(configs.shell("ip link set lo mtu 1234"), "network")
    config["process"]["capabilities"]["bounding"].append("CAP_NET_ADMIN")
    config["process"]["capabilities"]["effective"].append("CAP_NET_ADMIN")
    config["process"]["capabilities"]["permitted"].append("CAP_NET_ADMIN")
    guest = make_container(configs.with_namespace(config, "network", f"/proc/{owner.pid}/ns/net")).started()
    guest.wait_for_end()
    guest.delete().succeeded()
    assert owner.status == "running"
    assert "mtu 1234" in owner.exec("/bin/ip", "link", "show", "lo").succeeded().output


# What is refused has no effect.


def test_refused_operations_change_nothing(make_container: MakeContainer, make_bundle: MakeBundle) -> None:
    container = make_container(configs.shell("echo ran; exec sleep 1000")).created()
    other = container.runtime.container(container.id, make_bundle())
    container.runtime.containers.remove(other)

    def unchanged(*refused: Callable[[], Any]) -> None:
        before = container.state()
        for operation in refused:
            operation().failed()
            assert container.state() == before

    def signal_without_a_number() -> Any:
        return container.kill("FROBNICATE")

    unchanged(other.create, signal_without_a_number)
    container.start().succeeded()
    container.wait_for_output("ran\n")
    unchanged(other.create, container.start, container.delete, signal_without_a_number)
    container.stop()
    unchanged(other.create, container.start, container.kill)
    container.delete().succeeded()
    for operation in (container.start, container.kill, container.delete):
        operation().failed("container does not exist")
    assert container.output == "ran\n"


def test_no_verb_does_without_an_id(runtime: Runtime) -> None:
    for verb in ("state", "create", "start", "kill", "delete"):
        assert runtime.call(verb).status != 0


# Only start needs a process.

WITHOUT_PROCESS = pytest.mark.pyrun_only("runc and crun refuse to create such a container")


@pytest.fixture
def idle(make_container: MakeContainer) -> Container:
    """A created container without a process."""
    config = configs.default()
    del config["process"]
    return make_container(config).created()


@WITHOUT_PROCESS
def test_container_without_a_process_is_created_but_not_started(idle: Container) -> None:
    assert idle.status == "created"
    before = idle.state()
    idle.start().failed("without a process")
    assert idle.state() == before
    pid = idle.pid
    idle.kill("KILL").succeeded()
    wait_for_exit(pid)
    assert idle.status == "stopped"
    idle.delete().succeeded()


@WITHOUT_PROCESS
def test_exec_in_a_container_without_a_process(idle: Container) -> None:
    script = 'hostname; pwd; id -u; grep CapEff /proc/self/status | tr "\\t" " "'
    output = idle.exec("/bin/sh", "-c", script).succeeded().output
    assert output.split("\n")[:-1] == ["container", "/", "0", "CapEff: 0000000000000000"]


@WITHOUT_PROCESS
def test_run_without_a_process(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.default()
    del config["process"]
    runtime.run("test", make_bundle(config)).failed("without a process")
