# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: devices of the runtime's network namespace move into the container's.

The devices are made in the private host of the tests: ifb, ends of veth pairs, and macvlan on one of these.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pyroute2
import pytest

from integration.test_namespaces import process_in_new_namespaces
from support import configs
from support.configs import Config
from support.links import MakeDevice, addresses, devices, devices_for_a_while, ip, is_up
from support.runtime import Container, MakeContainer, Runtime
from support.users import MakeUsersContainer
from support.waiting import wait_until

pytestmark = pytest.mark.pyrun_only("runc has netDevices since 1.4")

POINTER = "/linux/netDevices"
ADDRESSES = ("192.0.2.7/24", "198.51.100.1/32", "2001:db8::7/64")


@pytest.fixture
def make_device() -> Iterator[MakeDevice]:
    """A function that makes network devices of the private host."""
    with devices_for_a_while() as make:
        yield make


def with_devices(moved: dict[str, Any], config: Config | None = None) -> Config:
    """Returns a configuration, by default of a program that waits, with these netDevices."""
    config = config or configs.default("/bin/sleep", "1000")
    config["linux"]["netDevices"] = moved
    return config


@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "user namespace"])
def test_moved_with_its_addresses_and_switched_on(
    make_container: MakeContainer, make_device: MakeDevice, user_namespace: bool
) -> None:
    make_device("net-a", *ADDRESSES)
    before = devices()["net-a"]
    config = with_devices({"net-a": {}})
    container = make_container(configs.with_user_namespace(config) if user_namespace else config).created()
    assert "net-a" not in devices()
    moved = devices(container.pid)["net-a"]
    assert addresses(moved) == list(ADDRESSES)
    assert is_up(moved)
    assert {name: moved[name] for name in ("address", "mtu", "txqlen")} == {
        name: before[name] for name in ("address", "mtu", "txqlen")
    }


def test_kinds_of_addresses(make_container: MakeContainer, make_device: MakeDevice) -> None:
    """Peers, broadcast addresses and metrics stay; what ends some day, and what is for the link alone, does not."""
    make_device("net-a", "192.0.2.1/24")
    ip("address", "add", "198.51.100.1", "peer", "198.51.100.2", "dev", "net-a")
    ip("address", "add", "203.0.113.9/24", "broadcast", "203.0.113.255", "metric", "77", "dev", "net-a")
    ip("address", "add", "192.0.2.99/24", "dev", "net-a", "valid_lft", "1000", "preferred_lft", "1000")
    ip("address", "add", "169.254.3.3/16", "scope", "link", "dev", "net-a")
    ip("address", "add", "2001:db8::1/64", "dev", "net-a", "nodad", "noprefixroute")
    container = make_container(with_devices({"net-a": {}})).created()
    moved = [each for each in devices(container.pid)["net-a"]["addr_info"] if not each["local"].startswith("fe80:")]
    assert [each["local"] for each in moved] == ["192.0.2.1", "203.0.113.9", "198.51.100.1", "2001:db8::1"] or [
        each["local"] for each in moved
    ] == ["192.0.2.1", "198.51.100.1", "203.0.113.9", "2001:db8::1"]
    by_address = {each["local"]: each for each in moved}
    assert by_address["198.51.100.1"]["address"] == "198.51.100.2"
    assert (by_address["203.0.113.9"]["broadcast"], by_address["203.0.113.9"]["metric"]) == ("203.0.113.255", 77)
    assert by_address["2001:db8::1"]["noprefixroute"] and by_address["2001:db8::1"]["nodad"]


def test_device_that_was_off_is_switched_on(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a")
    container = make_container(with_devices({"net-a": {}})).created()
    assert is_up(devices(container.pid)["net-a"])


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({"net-a": {"name": "inner"}}, {"inner"}),
        ({"net-a": {"name": ""}}, {"net-a"}),
        ({"net-a": {"name": "eth%d"}}, {"eth0"}),
        ({"net-a": {"name": "eth%d"}, "net-b": {"name": "eth%d"}}, {"eth0", "eth1"}),
        ({"net-a": {"name": "eth0"}, "net-b": {"name": "eth%d"}}, {"eth0", "eth1"}),
        ({"net-a": {"name": "net-b"}, "net-b": {"name": "net-a"}}, {"net-a", "net-b"}),
        ({"net-a": {"name": "a" * 15}}, {"a" * 15}),
        ({"net-a": {"name": "lo%d"}}, {"lo0"}),
    ],
)
def test_renamed(
    make_container: MakeContainer, make_device: MakeDevice, moved: dict[str, Any], expected: set[str]
) -> None:
    for number, name in enumerate(moved):
        make_device(name, f"192.0.2.{number}/24")
    container = make_container(with_devices(moved)).created()
    found = devices(container.pid)
    assert found.keys() - {"lo"} == expected
    assert all(is_up(found[name]) and addresses(found[name]) for name in expected)


def test_swapped_names_belong_to_the_other_device(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a", "192.0.2.1/24")
    make_device("net-b", "192.0.2.2/24")
    moved = {"net-a": {"name": "net-b"}, "net-b": {"name": "net-a"}}
    found = devices(make_container(with_devices(moved)).created().pid)
    assert (addresses(found["net-a"]), addresses(found["net-b"])) == (["192.0.2.2/24"], ["192.0.2.1/24"])


def test_end_of_a_pair_talks_to_the_other(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a", "192.0.2.1/24", kind=("type", "veth", "peer", "name", "net-b"))
    ip("address", "add", "192.0.2.2/24", "dev", "net-b")
    config = with_devices(
        {"net-b": {"name": "eth0"}}, configs.shell("ping -c 1 -w 5 192.0.2.1 >/dev/null && echo pong")
    )
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = ["CAP_NET_RAW"]
    container = make_container(config).started()
    container.wait_for_end()
    assert container.output == "pong\n", container.errors


def test_macvlan(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a", kind=("type", "veth", "peer", "name", "net-b"))
    make_device("net-c", "192.0.2.3/24", kind=("link", "net-a", "type", "macvlan", "mode", "bridge"))
    container = make_container(with_devices({"net-c": {}})).created()
    assert addresses(devices(container.pid)["net-c"]) == ["192.0.2.3/24"]


def test_program_and_sysctl_see_the_device(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a", "192.0.2.1/24")
    config = with_devices({"net-a": {"name": "eth0"}}, configs.shell("cat /proc/sys/net/ipv4/conf/eth0/log_martians"))
    config["linux"]["sysctl"] = {"net.ipv4.conf.eth0.log_martians": "1"}
    container = make_container(config).started()
    container.wait_for_output("1\n")


def test_hooks_of_the_runtime_come_after_the_move(
    make_container: MakeContainer, make_device: MakeDevice, scratch: str
) -> None:
    make_device("net-a", "192.0.2.1/24")
    config = with_devices({"net-a": {}})
    seen = os.path.join(scratch, "seen")
    script = f"""pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/'); nsenter --net=/proc/$pid/ns/net ip -o link >{seen}"""
    for kind in ("prestart", "createRuntime"):
        hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]}
        config["hooks"] = {kind: [hook]}
        container = make_container(config, kind).created()
        with open(seen, encoding="utf-8") as file:
            assert "net-a" in file.read()
        container.delete("--force").succeeded()
        wait_until(lambda: "net-a" not in devices(), "the device has ended with its namespace")
        ip("link", "add", "net-a", "type", "ifb")


def test_joined_namespace_keeps_the_device(make_container: MakeContainer, make_device: MakeDevice) -> None:
    """The specification: the runtime must not move it out of the namespace before deletion."""
    make_device("net-a", "192.0.2.1/24")
    with process_in_new_namespaces("--net") as holder:
        config = configs.with_namespace(with_devices({"net-a": {"name": "x"}}), "network", f"/proc/{holder}/ns/net")
        container = make_container(config).started()
        container.delete("--force").succeeded()
        assert addresses(devices(holder)["x"]) == ["192.0.2.1/24"]
        assert "net-a" not in devices()


def test_virtual_device_ends_with_the_containers_namespace(
    make_container: MakeContainer, make_device: MakeDevice
) -> None:
    make_device("net-a", "192.0.2.1/24")
    make_container(with_devices({"net-a": {}})).created().delete("--force").succeeded()
    assert "net-a" not in devices()


@contextlib.contextmanager
def unchanged(name: str) -> Iterator[None]:
    """Expects that a device is afterwards as it was, but for its number."""

    def described() -> dict[str, Any]:
        device = devices()[name]
        of_link = {key: device[key] for key in ("address", "mtu", "txqlen")}
        return {**of_link, "addresses": addresses(device), "up": is_up(device)}

    before = described()
    yield
    assert described() == before


def spoil(config: Config, how: str) -> None:
    """Lets creation fail after the devices have been moved."""
    if how == "sysctl":
        config["linux"]["sysctl"] = {"net.ipv4.conf.missing.forwarding": "1"}
    elif how == "program":
        config["process"]["args"] = ["/missing"]
    elif how == "working directory":
        config["process"]["cwd"] = "/etc/passwd"
    else:
        config["hooks"] = {how: [{"path": "/bin/false"}]}


@pytest.mark.parametrize("how", ["prestart", "createContainer", "sysctl", "program", "working directory"])
def test_failed_create_puts_devices_back(make_container: MakeContainer, make_device: MakeDevice, how: str) -> None:
    make_device("net-a", *ADDRESSES)
    make_device("net-b")
    config = with_devices({"net-a": {"name": "eth%d"}, "net-b": {}})
    spoil(config, how)
    container = make_container(config)
    with unchanged("net-a"), unchanged("net-b"):
        container.create().failed()
    assert not container.exists()


def test_failed_create_in_a_user_namespace_puts_devices_back(
    make_container: MakeContainer, make_device: MakeDevice
) -> None:
    make_device("net-a", *ADDRESSES)
    config = configs.with_user_namespace(with_devices({"net-a": {"name": "eth0"}}))
    spoil(config, "program")
    with unchanged("net-a"):
        make_container(config).create().failed()


def test_failed_create_puts_devices_back_from_a_joined_namespace(
    make_container: MakeContainer, make_device: MakeDevice
) -> None:
    make_device("net-a", *ADDRESSES)
    with process_in_new_namespaces("--net") as holder:
        config = configs.with_namespace(with_devices({"net-a": {}}), "network", f"/proc/{holder}/ns/net")
        spoil(config, "createContainer")
        with unchanged("net-a"):
            make_container(config).create().failed()
        assert devices(holder).keys() == {"lo"}


@pytest.mark.parametrize("first", ["good one first", "bad one first"])
def test_name_that_is_taken_in_a_joined_namespace(
    make_container: MakeContainer, make_device: MakeDevice, first: str
) -> None:
    make_device("net-a", *ADDRESSES)
    make_device("net-b", "203.0.113.1/24")
    moved = {"net-a": {}, "net-b": {"name": "eth0"}}
    if first != "good one first":
        moved = dict(reversed(moved.items()))
    with process_in_new_namespaces("--net") as holder:
        ip("link", "add", "eth0", "type", "ifb", namespace=holder)
        config = configs.with_namespace(with_devices(moved), "network", f"/proc/{holder}/ns/net")
        with unchanged("net-a"), unchanged("net-b"):
            make_container(config).create().failed(f"{POINTER}/net-b", '"eth0"', "choose another name")
        assert devices(holder).keys() == {"lo", "eth0"}
        # The kernel finds one that is free.
        config["linux"]["netDevices"]["net-b"] = {"name": "eth%d"}
        make_container(config).created().delete("--force").succeeded()
        assert devices(holder).keys() == {"lo", "eth0", "eth1", "net-a"}


def test_device_that_cannot_be_moved(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a", *ADDRESSES)
    make_device("net-b", "203.0.113.1/24", kind=("type", "bridge"))
    config = with_devices({"net-a": {}, "net-b": {}})
    with unchanged("net-a"), unchanged("net-b"):
        make_container(config).create().failed(f"{POINTER}/net-b", "can't leave its namespace")


def test_network_namespace_of_the_runtime_itself(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a", *ADDRESSES)
    config = configs.with_namespace(with_devices({"net-a": {"name": "x"}}), "network", "/proc/self/ns/net")
    with unchanged("net-a"):
        make_container(config).create().failed(POINTER, "pyrun's own")


def test_ordinary_user(make_users_container: MakeUsersContainer, make_device: MakeDevice) -> None:
    make_device("net-a", *ADDRESSES)
    container = make_users_container("true")
    configs.with_namespace(container.bundle.config, "network")
    container.bundle.config["linux"]["netDevices"] = {"net-a": {}}
    with unchanged("net-a"):
        container.create().failed(POINTER, "only root can move network devices")


def test_without_pyroute2(runtime: Runtime, make_container: MakeContainer, make_device: MakeDevice, case: str) -> None:
    make_device("net-a", *ADDRESSES)
    package = os.path.dirname(pyroute2.__file__)
    hide = ("unshare", "--mount", "sh", "-c", f'mount -n -t tmpfs none {package} && exec "$@"', "sh")
    container = Container(
        Runtime(runtime.path, case, wrapper=hide), "test", make_container(with_devices({"net-a": {}})).bundle
    )
    with unchanged("net-a"):
        container.create().failed(POINTER, "install the Python package pyroute2")


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ({"missing": {}}, (f"{POINTER}/missing", "no such network device")),
        ({"net-a": {}, "missing": {}}, (f"{POINTER}/missing", "no such network device")),
        ({"net-a": {"name": "lo"}}, (f"{POINTER}/net-a/name", "loopback")),
        ({"lo": {"name": "x"}}, (f"{POINTER}/lo",)),
        ({"net-a": {"name": "x"}, "net-b": {"name": "x"}}, (f"{POINTER}/net-b/name", '"x"')),
        ({"net-a": {"name": "a/b"}}, (f"{POINTER}/net-a/name",)),
        ({"net-a": {"name": "a" * 16}}, (f"{POINTER}/net-a/name",)),
        ({"net-a": {"name": "%s"}}, (f"{POINTER}/net-a/name",)),
        ({"net-a": {"name": "%d%d"}}, (f"{POINTER}/net-a/name",)),
        ({"net-a": {"name": 23}}, (f"{POINTER}/net-a/name",)),
        ({"net-a": "x"}, (f"{POINTER}/net-a",)),
        ({"": {}}, (f"{POINTER}/",)),
        (["net-a"], (POINTER,)),
    ],
)
def test_wrong_values(
    make_container: MakeContainer, make_device: MakeDevice, moved: Any, words: tuple[str, ...]
) -> None:
    make_device("net-a", *ADDRESSES)
    make_device("net-b", "203.0.113.1/24")
    container = make_container(with_devices(moved))
    with unchanged("net-a"), unchanged("net-b"):
        container.create().failed(*words)
    assert not container.exists()


def test_without_a_network_namespace(make_container: MakeContainer, make_device: MakeDevice) -> None:
    make_device("net-a", *ADDRESSES)
    config = configs.without_namespace(with_devices({"net-a": {}}), "network")
    with unchanged("net-a"):
        make_container(config).create().failed(POINTER, 'needs a namespace of type "network"')


def test_two_containers_that_want_one_device(
    runtime: Runtime, make_container: MakeContainer, make_device: MakeDevice
) -> None:
    make_device("net-a", *ADDRESSES)
    both = [make_container(with_devices({"net-a": {}})) for _ in range(2)]
    for container in both:
        container.bundle.seal()
    calls = [runtime.start("create", "--bundle", container.bundle.path, container.id) for container in both]
    results = [call.wait() for call in calls]
    assert sorted(result.status for result in results) == [0, 1]
    winner, loser = both if results[0].status == 0 else both[::-1]
    results[both.index(loser)].failed(f"{POINTER}/net-a", "no such")
    assert addresses(devices(winner.pid)["net-a"]) == list(ADDRESSES)
