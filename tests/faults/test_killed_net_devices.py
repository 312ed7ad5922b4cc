# SPDX-License-Identifier: Apache-2.0
"""pyrun killed while it moves network devices.

In a namespace that is joined they live on, and `delete --force` puts them back, as the container was not created. A
virtual device in the container's own namespace ends with that, as the kernel has it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from integration.test_namespaces import process_in_new_namespaces
from integration.test_net_devices import with_devices
from support import configs, strace
from support.links import MakeDevice, addresses, devices, devices_for_a_while, ip, is_up
from support.remains import Remains
from support.runtime import MakeBundle, Runtime

pytestmark = pytest.mark.pyrun_only("runc has netDevices since 1.4")

NOTED = r'rename(at|at2)?\(.*"netdevices"'
ADDRESSES = ("192.0.2.7/24", "2001:db8::7/64")
CREATED = r'rename(at|at2)?\(.*"gate"'


@pytest.fixture
def make_device() -> Iterator[MakeDevice]:
    """A function that makes network devices of the private host."""
    with devices_for_a_while() as make:
        yield make


def create_words(bundle_path: str) -> list[str]:
    return ["create", "--bundle", bundle_path, "test"]


def calls_of_move(runtime: Runtime, case: str, words: list[str]) -> list[strace.SystemCall]:
    """Returns the calls of a create that succeeds, from the first note in the state on, that act on devices."""
    strace.traced(runtime, case).call(*words).succeeded()
    runtime.call("delete", "--force", "test").succeeded()
    calls = strace.read_trace(case)[0]
    begin, end = strace.first(calls, NOTED), strace.first(calls, CREATED)
    return [call for call in calls[begin : end + 1] if call.name == "sendto" or call is calls[end]]


def kill_before(runtime: Runtime, case: str, call: strace.SystemCall, words: list[str]) -> None:
    killed = strace.traced(runtime, case, f"{call.name}:signal=SIGKILL:when={call.occurrence}").start(*words)
    killed.wait()
    assert killed.process.returncode == -signal.SIGKILL


def test_devices_come_back_from_a_joined_namespace(
    runtime: Runtime,
    case: str,
    make_bundle: MakeBundle,
    make_device: MakeDevice,
    remains: Remains,
) -> None:
    with process_in_new_namespaces("--net") as holder:
        moved = {"net-a": {"name": "eth%d"}}
        bundle = make_bundle(configs.with_namespace(with_devices(moved), "network", f"/proc/{holder}/ns/net"))
        bundle.seal()
        make_device("net-a", *ADDRESSES)
        calls = calls_of_move(runtime, case, create_words(bundle.path))
        assert len(calls) > 5
        ip("link", "delete", "eth0", namespace=holder)
        make_device("net-a", *ADDRESSES)
        for call in calls:
            kill_before(runtime, case, call, create_words(bundle.path))
            runtime.call("delete", "--force", "test").succeeded()
            found = devices().get("net-a")
            if found is None or addresses(found) != list(ADDRESSES) or not is_up(found):
                remains.note(call, f"the device is not as it was: {found}")
                break
            if devices(holder).keys() != {"lo"}:
                remains.note(call, f"left in the namespace: {devices(holder).keys()}")
        assert not remains.failures, "\n".join(remains.failures)


def test_nothing_is_left_with_a_new_namespace(
    runtime: Runtime,
    case: str,
    make_bundle: MakeBundle,
    make_device: MakeDevice,
    remains: Remains,
) -> None:
    bundle = make_bundle(with_devices({"net-a": {"name": "eth%d"}}))
    bundle.seal()
    make_device("net-a", *ADDRESSES)
    calls = calls_of_move(runtime, case, create_words(bundle.path))
    for call in calls[1::3]:
        make_device("net-a", *ADDRESSES)
        kill_before(runtime, case, call, create_words(bundle.path))
        runtime.call("delete", "--force", "test").succeeded()
        assert not runtime.call("list", "--quiet").succeeded().output
        if "net-a" in devices():
            ip("link", "delete", "net-a")
