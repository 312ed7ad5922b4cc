# SPDX-License-Identifier: Apache-2.0
"""The systemd manager of cgroups: the scope, its limits in systemd and in the kernel, its end; beside runc."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import configs
from support.managed import MEBIBYTE, PREFIX, Managed, ManagedRuntime, Resources, limited, lives
from support.runtime import MakeBundle
from support.waiting import wait_until
from support.world import CGROUPS, SHOWS_SYSTEMD
from vm.cgroups.conftest import runtime_of

pytestmark = [
    pytest.mark.machine("systemd"),
    pytest.mark.skipif(not SHOWS_SYSTEMD, reason="runs in the virtual machine that systemd boots"),
]

MakeScope = Callable[..., Managed]
DENIED = {"type": "c", "major": 10, "minor": 237}  # of loop devices: in no list of what is allowed


def unit_of(container: Managed) -> str:
    return f"{PREFIX}-{container.id}.scope"


def shown(unit: str, *names: str) -> dict[str, str]:
    """Returns properties of a unit."""
    words = ["systemctl", "show", unit, f"--property={','.join(names)}"]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return dict(line.partition("=")[::2] for line in output.splitlines())


def is_loaded(unit: str) -> bool:
    """Tells whether systemd knows a unit, which may have failed."""
    return shown(unit, "LoadState")["LoadState"] == "loaded"


def wait_for_the_end(container: Managed) -> None:
    """Waits until systemd has let the scope go."""
    wait_until(lambda: not is_loaded(unit_of(container)), "the scope is gone")


@pytest.fixture
def runtime(case: str) -> Iterator[ManagedRuntime]:
    """pyrun with the systemd manager, and with a state root of its own."""
    under_test = runtime_of("pyrun", case, "systemd")
    yield under_test
    for container in under_test.containers:
        if container.exists():
            container.delete("--force").succeeded()


@pytest.fixture
def make_scope(runtime: ManagedRuntime, make_bundle: MakeBundle) -> MakeScope:
    """A function that returns a container with resources and a script, not yet created."""

    def make(resources: Resources | None = None, script: str = "", name: str = "one", **more: Any) -> Managed:
        return runtime.container(name, make_bundle({**limited(resources or {}, script), **more}))

    return make


RESOURCES: Resources = {
    "memory": {"limit": 64 * MEBIBYTE, "swap": 96 * MEBIBYTE, "reservation": 16 * MEBIBYTE},
    "cpu": {"quota": 50000, "period": 200000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 20},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}],
    "unified": {"memory.high": str(48 * MEBIBYTE), "cpu.weight": "50"},
}
FILES = {
    "memory.max": str(64 * MEBIBYTE),
    "memory.swap.max": str(32 * MEBIBYTE),
    "memory.low": str(16 * MEBIBYTE),
    "memory.high": str(48 * MEBIBYTE),
    "cpu.max": "50000 200000",
    "cpu.weight": "50",
    "cpuset.cpus": "0",
    "cpuset.mems": "0",
    "pids.max": "20",
    "hugetlb.2MB.max": str(4 * MEBIBYTE),
}
SHARED = """Slice Delegate DefaultDependencies MemoryAccounting CPUAccounting IOAccounting TasksAccounting MemoryMax
    MemorySwapMax MemoryLow MemoryHigh CPUWeight CPUQuotaPerSecUSec CPUQuotaPeriodUSec AllowedCPUs AllowedMemoryNodes
    TasksMax TimeoutStopUSec KillSignal ControlGroup ActiveState Transient""".split()
ANNOTATIONS = {"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.KillSignal": "37"}


def test_scope_has_what_runc_gives_it(make_scope: MakeScope, make_bundle: MakeBundle, case: str) -> None:
    own = make_scope(RESOURCES, annotations=ANNOTATIONS).created()
    assert {name: own.value(name) for name in FILES} == FILES
    properties = shown(unit_of(own), *SHARED)
    assert properties["MemoryMax"] == FILES["memory.max"]
    assert properties["TimeoutStopUSec"] == "7s"
    own.deleted()
    runc = runtime_of("runc", case, "systemd")
    other = runc.container("one", make_bundle({**limited(RESOURCES), "annotations": ANNOTATIONS})).created()
    try:
        assert shown(unit_of(other), *SHARED) == properties
        assert {name: other.value(name) for name in FILES} == FILES
    finally:
        other.delete("--force").succeeded()


def test_slices_in_slices(make_scope: MakeScope) -> None:
    container = make_scope(RESOURCES)
    container.bundle.config["linux"]["cgroupsPath"] = "pod-a.slice:test:one"
    container.created()
    try:
        with open(f"/proc/{container.pid}/cgroup", encoding="ascii") as file:
            assert "0::/pod.slice/pod-a.slice/test-one.scope\n" in file.read()
        with open(f"{CGROUPS}/pod.slice/pod-a.slice/test-one.scope/hugetlb.2MB.max", encoding="ascii") as limit:
            assert limit.read().strip() == FILES["hugetlb.2MB.max"]
        container.delete("--force").succeeded()
    finally:
        subprocess.run(["systemctl", "stop", "pod-a.slice", "pod.slice"], check=True)


def test_systemd_keeps_limits_and_device_filter(make_scope: MakeScope) -> None:
    """What it writes when it reads its configuration anew, or changes a property, is what stands there already."""
    container = make_scope(RESOURCES)
    container.bundle.config["linux"]["devices"] = [{"path": "/dev/denied", "fileMode": 0o666, **DENIED}]
    container.started()
    expected = dict(FILES)
    for words in ([], ["daemon-reload"], ["set-property", "--runtime", unit_of(container), "CPUWeight=51"]):
        if words:
            subprocess.run(["systemctl", *words], check=True)
        if "CPUWeight=51" in words:
            expected["cpu.weight"] = "51"
        assert {name: container.value(name) for name in FILES} == expected
        assert "not permitted" in container.exec("dd", "if=/dev/denied", "count=0").errors


def test_life(make_scope: MakeScope) -> None:
    container = make_scope({}, "echo ready").created()
    assert container.members() == [container.pid]
    container.start().succeeded()
    container.wait_for_words("ready")
    call = container.start_exec("sh", "-c", "echo inside; exec sleep 1000")
    call.wait_for_output("inside")
    assert len(container.members()) == 2
    assert container.pid in container.members()
    listed = container.runtime.call("ps", "--format", "json", container.id).succeeded().output
    assert sorted(map(int, listed.strip().strip("[]").split(","))) == container.members()
    container.runtime.call("pause", container.id).succeeded()
    assert (container.status, container.value("cgroup.freeze")) == ("paused", "1")
    container.runtime.call("resume", container.id).succeeded()
    container.stop()
    call.wait()
    wait_for_the_end(container)
    assert container.status == "stopped"
    assert not os.path.lexists(container.cgroup)
    container.delete().succeeded()


def test_run(make_scope: MakeScope, runtime: ManagedRuntime) -> None:
    """Without a cgroupsPath."""
    container = make_scope()
    del container.bundle.config["linux"]["cgroupsPath"]
    container.bundle.config["process"]["args"] = ["/bin/sh", "-c", "cat /proc/self/cgroup; sleep 1000"]
    configs.without_namespace(container.bundle.config, "cgroup")
    container.bundle.seal()
    call = runtime.start("run", "--bundle", container.bundle.path, container.id)
    call.wait_for_output("0::/system.slice/pyrun-one.scope\n")
    container.kill("KILL").succeeded()
    assert call.wait().status == 137
    assert not is_loaded("pyrun-one.scope")


def test_limits_leave_the_outer_stage_alone(make_scope: MakeScope) -> None:
    """It is in the scope with the container's first process for a moment."""
    little = {"memory": {"limit": MEBIBYTE, "swap": MEBIBYTE}, "pids": {"limit": 5}, "unified": {"pids.max": "1"}}
    container = make_scope(little)
    container.bundle.config["process"]["args"] = ["/bin/echo", "ready"]
    container.created()
    assert container.value("pids.max") == "1"
    container.start().succeeded()
    container.wait_for_words("ready")


def test_name_that_is_taken(make_scope: MakeScope) -> None:
    first, second = make_scope().started(), make_scope(name="two")
    second.bundle.config["linux"]["cgroupsPath"] = first.bundle.config["linux"]["cgroupsPath"]
    line = second.create().failed("/linux/cgroupsPath", unit_of(first), "choose another name")
    assert "\n" not in line
    assert not second.exists()
    assert first.members() == [first.pid]
    assert first.status == "running"


def test_delete_spares_who_has_the_name_now(make_scope: MakeScope) -> None:
    first, second = make_scope(script="exit 0").started(), make_scope(name="two")
    second.bundle.config["linux"]["cgroupsPath"] = first.bundle.config["linux"]["cgroupsPath"]
    wait_for_the_end(first)
    second.started()
    assert first.status == "stopped"
    assert first.runtime.call("ps", "--format", "json", first.id).output == "null\n"
    first.delete().succeeded()
    assert second.status == "running"
    assert is_loaded(unit_of(first))


def test_scope_that_failed(make_scope: MakeScope) -> None:
    """systemd kills it in the end, and it stays as failed when the annotation says so: delete forgets it."""
    annotations = {"org.systemd.property.RuntimeMaxSec": "12", "org.systemd.property.CollectMode": "'inactive'"}
    container = make_scope(annotations=annotations).started()
    pid = container.pid
    wait_until(lambda: shown(unit_of(container), "ActiveState")["ActiveState"] == "failed", "the scope has failed", 60)
    wait_until(lambda: not lives(pid), "the program is killed")
    container.delete().succeeded()
    assert not is_loaded(unit_of(container))


def test_failed_unit_is_replaced(make_scope: MakeScope) -> None:
    container = make_scope()
    words = ["systemd-run", "--scope", f"--unit={unit_of(container)}", "-pRuntimeMaxSec=1", "sleep", "100"]
    subprocess.run(words, check=False, capture_output=True)
    wait_until(lambda: shown(unit_of(container), "ActiveState")["ActiveState"] == "failed", "the scope has failed", 60)
    container.created()
    assert container.members() == [container.pid]


REFUSED: list[tuple[Resources, dict[str, str], list[str]]] = [
    ({}, {"org.systemd.property.TasksMax": "'text'"}, ["systemd refuses", "refused0.scope"]),
    ({}, {"org.systemd.property.NoSuchThing": "5"}, ["systemd refuses", "NoSuchThing"]),
    ({"unified": {"memory.max": "much"}}, {}, ["/linux/resources/unified/memory.max"]),
    ({"unified": {"pids.max": "much"}}, {}, ["/linux/resources/unified/pids.max"]),
    ({"cpu": {"cpus": "77"}}, {}, ["/linux/resources/cpu/cpus"]),
]


def test_what_is_refused(make_scope: MakeScope) -> None:
    """One line, and nothing is left."""
    for number, (resources, properties, words) in enumerate(REFUSED):
        container = make_scope(resources, annotations=properties, name=f"refused{number}")
        container.create().failed(*words)
        assert not container.exists()
        wait_for_the_end(container)


def test_without_systemd(make_scope: MakeScope, runtime: ManagedRuntime) -> None:
    runtime.wrapper = (
        "unshare",
        "--mount",
        "sh",
        "-c",
        'busybox mount -t tmpfs none /run/systemd; busybox mount -t tmpfs none /run/dbus; exec "$@"',
        "sh",
    )
    container = make_scope()
    container.create().failed("systemd can't be reached", "--systemd-cgroup")
    assert not container.exists()
    # It has a socket of its own beside the one of the bus.
    runtime.wrapper = ("unshare", "--mount", "sh", "-c", 'busybox mount -t tmpfs none /run/dbus; exec "$@"', "sh")
    container.created().deleted()


def test_joined_user_namespace(make_scope: MakeScope) -> None:
    """There the outer stage may clone into no cgroup but its own."""
    first = make_scope()
    configs.with_user_namespace(first.bundle.config)
    first.started()
    second = make_scope(name="two")
    configs.with_user_namespace(second.bundle.config)
    configs.with_namespace(second.bundle.config, "user", f"/proc/{first.pid}/ns/user")
    second.created()
    assert second.members() == [second.pid]
