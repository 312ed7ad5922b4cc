# SPDX-License-Identifier: Apache-2.0
"""linux.sysctl: kernel parameters of the container's namespaces, new or joined, and none of the host's."""

from __future__ import annotations

import os
from typing import Any

import pytest

from integration.test_namespaces import process_in_new_namespaces
from support import configs, process
from support.configs import Config
from support.runtime import MakeContainer, Run

OF_PYRUN = pytest.mark.pyrun_only("runc 1.1.5 does not know or allow this")
IPC = {
    "kernel.msgmax": "5000",
    "kernel.msgmnb": "20000",
    "kernel.msgmni": "111",
    "kernel.sem": "100 32000 32 100",
    "kernel.shmall": "1000000",
    "kernel.shmmax": "99999",
    "kernel.shmmni": "222",
    "kernel.shm_rmid_forced": "1",
    "fs.mqueue.msg_max": "20",
    "fs.mqueue.msgsize_default": "4096",
}
NETWORK = {
    "net.core.somaxconn": "77",
    "net.ipv4.ip_forward": "1",
    "net.ipv4.ip_unprivileged_port_start": "80",
    "net.ipv4.ip_local_port_range": "20000 30000",
    "net.ipv4.ping_group_range": "0 1000",
    "net.ipv6.conf.all.forwarding": "1",
    "net.unix.max_dgram_qlen": "99",
}

# Which kernels before 6.x do not show to user namespaces.
HIDDEN = {"net.core.somaxconn", "net.unix.max_dgram_qlen"}


def file_of(name: str) -> str:
    return "/proc/sys/" + (name if "/" in name.partition(".")[0] else name.replace(".", "/"))


def with_parameters(parameters: dict[str, Any], *, shown: str | None = None) -> Config:
    """Returns a configuration with these parameters whose program shows them, or the file `shown`."""
    files = [shown] if shown else [file_of(name) for name in parameters]
    config = configs.shell(f"for file in {' '.join(files)}; do cat $file; done")
    config["linux"]["sysctl"] = parameters
    return config


def values(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "user namespace"])
@pytest.mark.parametrize("parameters", [IPC, NETWORK], ids=["ipc", "network"])
def test_of_a_new_namespace(run: Run, parameters: dict[str, str], user_namespace: bool) -> None:
    if user_namespace:
        parameters = {name: value for name, value in parameters.items() if name not in HIDDEN}
    config = with_parameters(parameters)
    if user_namespace:
        configs.with_user_namespace(config)
    assert values(run(config)) == [value.split() for value in parameters.values()]


@pytest.mark.parametrize("user_namespace", [False, pytest.param(True, marks=OF_PYRUN)], ids=["root", "user namespace"])
def test_domain_name(run: Run, user_namespace: bool) -> None:
    config = with_parameters({"kernel.domainname": "inner.example"})
    if user_namespace:
        configs.with_user_namespace(config)
    assert run(config) == "inner.example\n"


@OF_PYRUN
def test_of_the_user_namespace(run: Run) -> None:
    config = configs.with_user_namespace(
        with_parameters({"user.max_net_namespaces": "3", "user/max_inotify_watches": "9"})
    )
    assert run(config).split() == ["3", "9"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("net.ipv4.conf.lo.log_martians", "/proc/sys/net/ipv4/conf/lo/log_martians"),
        ("net/ipv4/conf/lo/log_martians", "/proc/sys/net/ipv4/conf/lo/log_martians"),
        pytest.param(
            "net/ipv4/conf/lo.log_martians", "", marks=pytest.mark.pyrun_only("runc 1.1.5 looks for lo/log_martians")
        ),
    ],
)
def test_separators(make_container: MakeContainer, name: str, file: str) -> None:
    config = with_parameters({name: "1"}, shown=file or "/dev/null")
    container = make_container(config)
    if not file:
        container.create().failed("/proc/sys/net/ipv4/conf/lo.log_martians", "no such file or directory")
        return
    container.started().wait_for_output("1\n")


@OF_PYRUN
def test_empty_value_empties_a_list(run: Run) -> None:
    with process_in_new_namespaces("--net") as holder:
        path = f"/proc/{holder}/ns/net"
        for value, shown in (("100-200", "100-200\n"), ("", "\n")):
            config = with_parameters({"net.ipv4.ip_local_reserved_ports": value})
            assert run(configs.with_namespace(config, "network", path)) == shown


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("network", "net.core.somaxconn", "78"),
        ("ipc", "kernel.msgmax", "5001"),
        ("uts", "kernel.domainname", "x.example"),
    ],
)
def test_of_a_joined_namespace(run: Run, kind: str, name: str, value: str) -> None:
    option = {"network": "net"}.get(kind, kind)
    with process_in_new_namespaces(f"--{option}") as holder:
        path = f"/proc/{holder}/ns/{process.NAMESPACE_FILES[kind]}"
        assert run(configs.with_namespace(with_parameters({name: value}), kind, path)) == f"{value}\n"
        # It is the other process's namespace, too, in which the parameter is now changed.
        assert run(configs.with_namespace(with_parameters({}, shown=file_of(name)), kind, path)) == f"{value}\n"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("network", "net.core.somaxconn"),
        pytest.param("ipc", "kernel.msgmax", marks=OF_PYRUN),
        pytest.param("ipc", "fs.mqueue.msg_max", marks=OF_PYRUN),
        pytest.param("uts", "kernel.domainname", marks=OF_PYRUN),
    ],
)
def test_of_the_hosts_namespace_by_its_path(make_container: MakeContainer, kind: str, name: str) -> None:
    path = f"/proc/self/ns/{process.NAMESPACE_FILES[kind]}"
    config = configs.with_namespace(with_parameters({name: "79"}), kind, path)
    line = make_container(config).create().failed("namespace")
    if "pyrun" in line:
        assert f"/linux/sysctl/{name}" in line and f"pyrun's own {kind} namespace" in line


def test_later_edits_of_the_config_have_no_effect(make_container: MakeContainer) -> None:
    container = make_container(with_parameters({"net.core.somaxconn": "77"})).created()
    with open(os.path.join(container.bundle.path, "config.json"), "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace('"77"', '"66"'))
    container.bundle.may_change.add("config.json")
    container.start().succeeded()
    container.wait_for_output("77\n")


@pytest.mark.parametrize(
    ("parameters", "missing", "words"),
    [
        ({"net.core.somaxconn": "1"}, ("network",), ("net.core.somaxconn", "network")),
        ({"kernel.msgmax": "1"}, ("ipc",), ("kernel.msgmax", "ipc")),
        ({"fs.mqueue.msg_max": "1"}, ("ipc",), ("fs.mqueue.msg_max", "ipc")),
        ({"kernel.domainname": "x"}, ("uts",), ("kernel.domainname",)),
        ({"user.max_net_namespaces": "1"}, (), ("user.max_net_namespaces",)),
        ({"kernel.hostname": "x"}, (), ("kernel.hostname", "hostname")),
        ({"kernel.panic": "1"}, (), ("kernel.panic", "namespace")),
        ({"vm.swappiness": "1"}, (), ("vm.swappiness", "namespace")),
        ({"kernel.core_pattern": "x"}, (), ("kernel.core_pattern", "namespace")),
        ({"net.core.somaxconn": "many"}, (), ("somaxconn", "invalid argument")),
        ({"net.core.somaxconn": "99999999999"}, (), ("somaxconn", "invalid argument")),
        ({"net.ipv4.missing": "1"}, (), ("net/ipv4/missing", "no such file or directory")),
        pytest.param({"net.core.somaxconn": ""}, (), ("somaxconn", "invalid argument"), marks=OF_PYRUN),
        pytest.param({"net.core.somaxconn": 5}, (), ("/linux/sysctl/net.core.somaxconn",), marks=OF_PYRUN),
        pytest.param({"net./../../kernel/panic": "1"}, (), ("/linux/sysctl",), marks=OF_PYRUN),
        pytest.param({"net/../kernel/panic": "1"}, (), ("/linux/sysctl",), marks=OF_PYRUN),
        pytest.param({"": "1"}, (), ("/linux/sysctl",), marks=OF_PYRUN),
        pytest.param({"net.core": "1"}, (), ("net/core",), marks=OF_PYRUN),
        pytest.param({"kernel.domainname": "x" * 65}, (), ("/linux/sysctl/kernel.domainname",), marks=OF_PYRUN),
        pytest.param(["net.core.somaxconn"], (), ("/linux/sysctl",), marks=OF_PYRUN),
    ],
)
def test_wrong_values(
    make_container: MakeContainer, parameters: Any, missing: tuple[str, ...], words: tuple[str, ...]
) -> None:
    config = configs.without_namespace(configs.default(), *missing)
    config["linux"]["sysctl"] = parameters
    if "uts" in missing:
        del config["hostname"]
    container = make_container(config)
    container.create().failed(*words)
    assert not container.exists()
