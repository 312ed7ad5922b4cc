# SPDX-License-Identifier: Apache-2.0
"""linux.resources: what stands in the cgroup's files, for every property, and what the kernel makes of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.waiting import wait_until
from support.world import CGROUPS
from vm.conftest import CONTROLLERS, Disk

MEBIBYTE = 1 << 20
LAST_CPU = str((os.cpu_count() or 1) - 1)
OLD = "runc 1.1.5 is older than this property, or treats it otherwise"


def limited(resources: dict[str, Any], *args: str) -> Config:
    config = configs.default(*args or ("/bin/sleep", "1000"))
    config["linux"]["cgroupsPath"] = "/limited"
    config["linux"]["resources"] = resources
    return config


def value(name: str) -> str:
    with open(f"{CGROUPS}/limited/{name}", encoding="ascii") as file:
        return file.read().strip()


def count(name: str, key: str) -> int:
    """Returns the number behind a key in a file of lines."""
    lines = dict(line.split() for line in value(name).splitlines())
    return int(lines[key])


# What one container is given, and what stands in files then.
SAME_AS_RUNC: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "limits": (
        {
            "memory": {
                "limit": 64 * MEBIBYTE,
                "swap": 96 * MEBIBYTE,
                "reservation": 32 * MEBIBYTE,
                "kernel": 16 * MEBIBYTE,
                "kernelTCP": 16 * MEBIBYTE,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
                "disableOOMKiller": False,
            },
            "cpu": {"quota": 50000, "period": 200000, "cpus": LAST_CPU, "mems": "0", "realtimePeriod": 1000000},
            "pids": {"limit": 100},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}, {"pageSize": "1GB", "limit": 0}],
            "unified": {"memory.high": "33554432", "cpu.weight": "50", "cgroup.max.depth": "2"},
        },
        {
            "memory.max": str(64 * MEBIBYTE),
            "memory.swap.max": str(32 * MEBIBYTE),
            "memory.low": str(32 * MEBIBYTE),
            "memory.high": str(32 * MEBIBYTE),
            "cpu.max": "50000 200000",
            "cpu.weight": "50",
            "cpuset.cpus": LAST_CPU,
            "cpuset.cpus.effective": LAST_CPU,
            "cpuset.mems": "0",
            "pids.max": "100",
            "hugetlb.2MB.max": str(4 * MEBIBYTE),
            "hugetlb.1GB.max": "0",
            "cgroup.max.depth": "2",
        },
    ),
    "without swap": (
        {"memory": {"limit": 64 * MEBIBYTE, "swap": 64 * MEBIBYTE}, "cpu": {"quota": 30000}},
        {"memory.swap.max": "0", "cpu.max": "30000 100000"},
    ),
    "unlimited": (
        {"memory": {"limit": 64 * MEBIBYTE, "swap": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}},
        {"memory.swap.max": "max", "cpu.max": "max 100000", "pids.max": "max"},
    ),
    "alone": (
        {"memory": {"limit": 64 * MEBIBYTE}, "cpu": {"period": 200000}, "unified": {"memory.max": "32M"}},
        {"memory.max": str(32 * MEBIBYTE), "memory.swap.max": "max", "cpu.max": "max 200000"},
    ),
}
OTHERWISE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "shares, burst, reservations": (
        {
            "cpu": {"shares": 1024, "quota": 50000, "burst": 20000},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}],
            "memory": {"limit": -1, "swap": 32 * MEBIBYTE, "reservation": -1, "swappiness": 10},
            "pids": {"limit": 0},
        },
        {
            "cpu.weight": "100",
            "cpu.max": "50000 100000",
            "cpu.max.burst": "20000",
            "hugetlb.2MB.max": str(4 * MEBIBYTE),
            "hugetlb.2MB.rsvd.max": str(4 * MEBIBYTE),
            "memory.max": "max",
            "memory.swap.max": str(32 * MEBIBYTE),
            "memory.low": "0",
            "pids.max": "1",
        },
    ),
    "idle": ({"cpu": {"idle": 1, "shares": 1024}}, {"cpu.idle": "1"}),
    "most shares": ({"cpu": {"idle": 0, "shares": 262144}}, {"cpu.idle": "0", "cpu.weight": "10000"}),
}


@pytest.mark.parametrize(
    ("resources", "files"),
    [
        *(pytest.param(*case, id=name) for name, case in SAME_AS_RUNC.items()),
        *(pytest.param(*case, id=name, marks=pytest.mark.pyrun_only(OLD)) for name, case in OTHERWISE.items()),
    ],
)
def test_files(make_container: MakeContainer, resources: dict[str, Any], files: dict[str, str]) -> None:
    make_container(limited(resources)).created()
    assert {name: value(name) for name in files} == files


def test_controllers_without_a_limit(make_container: MakeContainer) -> None:
    """Statistics need them, and limits that come later."""
    make_container(limited({})).created()
    assert set(value("cgroup.controllers").split()) >= CONTROLLERS
    assert int(value("memory.current")) > 0


@pytest.mark.parametrize("engine", ["docker", "ctr"])
def test_configuration_of_an_engine(make_bundle: MakeBundle, runtime: Runtime, engine: str) -> None:
    bundle = make_bundle()
    bundle.config = configs.captured(engine, bundle.path, "limited")
    bundle.config["linux"]["cgroupsPath"] = "/limited"
    if engine == "ctr":
        bundle.config["linux"]["resources"]["cpu"] = {"shares": 1024}
    runtime.container("limited", bundle).created()
    # runc 1.1.5 draws a straight line between shares and weight.
    assert value("cpu.weight") == "100" if engine == "docker" or runtime.name == "pyrun" else "39"
    assert value("memory.max") == "max"


def test_memory_limit_kills(make_container: MakeContainer) -> None:
    resources = {"memory": {"limit": 32 * MEBIBYTE, "swap": 32 * MEBIBYTE}}
    container = make_container(limited(resources, "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"))
    container.started().wait_for_end()
    assert count("memory.events", "oom_kill") == 1
    assert "records out" not in container.errors


@pytest.mark.pyrun_only("runc 1.1.5 needs more itself")
def test_little_memory_is_enough_for_the_runtime(make_container: MakeContainer) -> None:
    container = make_container(limited({"memory": {"limit": MEBIBYTE, "swap": MEBIBYTE}}, "/bin/echo", "ready"))
    container.started().wait_for_end()
    assert container.output == "ready\n"


def test_cpu_quota_throttles(make_container: MakeContainer) -> None:
    make_container(limited({"cpu": {"quota": 5000, "period": 50000}}, "/bin/sh", "-c", "while :; do :; done")).started()
    wait_until(lambda: count("cpu.stat", "nr_throttled") >= 3, "the container is throttled")


@pytest.mark.pyrun_only("runc 1.1.5 keeps the caller's affinity")
@pytest.mark.parametrize("cpus", sorted({"0", LAST_CPU}))
def test_cpuset_is_the_affinity(make_container: MakeContainer, cpus: str) -> None:
    words = ("/bin/sh", "-c", "grep allowed_list /proc/self/status; exec sleep 1000")
    container = make_container(limited({"cpu": {"cpus": cpus, "mems": "0"}}, *words)).started()
    container.wait_for_output("Mems_allowed_list:\t0\n")
    assert f"Cpus_allowed_list:\t{cpus}\n" in container.output
    entered = container.exec("grep", "Cpus_allowed_list", "/proc/self/status").succeeded()
    assert entered.output == f"Cpus_allowed_list:\t{cpus}\n"


def test_pids_limit_refuses_forks(make_container: MakeContainer) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1000 & done; echo all"
    container = make_container(limited({"pids": {"limit": 16}}, "/bin/sh", "-c", script)).started()
    container.wait_for_end()
    assert "can't fork" in container.errors
    assert "all" not in container.output
    assert count("pids.events", "max") >= 1
    assert int(value("pids.peak")) == 16


@pytest.mark.pyrun_only("runc 1.1.5 takes 0 for unlimited")
def test_pids_limit_of_zero_is_one_process(make_container: MakeContainer) -> None:
    script = "echo one; sleep 1000 & echo two"
    container = make_container(limited({"pids": {"limit": 0}}, "/bin/sh", "-c", script)).started()
    container.wait_for_end()
    assert container.output == "one\n"
    assert "can't fork" in container.errors


@pytest.fixture
def _four_huge_pages(_virtual_machine: None) -> Iterator[None]:
    """Four huge pages of 2 MiB."""
    path = "/proc/sys/vm/nr_hugepages"
    with open(path, "w", encoding="ascii") as file:
        file.write("4")
    yield
    with open(path, "w", encoding="ascii") as file:
        file.write("0")


@pytest.mark.usefixtures("_four_huge_pages")
def test_huge_pages_beyond_the_limit_are_refused(make_container: MakeContainer) -> None:
    script = "fallocate -l 4M /tmp/two && echo two; fallocate -l 2M /tmp/third && echo three"
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}]}
    config = limited(resources, "/bin/sh", "-c", script)
    config["mounts"].append({"destination": "/tmp", "type": "hugetlbfs", "source": "huge", "options": ["pagesize=2M"]})
    container = make_container(config).started()
    container.wait_for_end()
    assert container.output == "two\n"
    assert "/tmp/third" in container.errors or "fallocate" in container.errors


READ, WRITE = "if=/dev/disk of=/dev/null iflag=direct", "if=/dev/zero of=/dev/disk oflag=direct"
# Property of blockIO, its key in io.max, what two seconds are the ration for, and as much without a limit.
THROTTLES = [
    ("throttleReadBpsDevice", "rbps", MEBIBYTE, f"{READ} bs=256k count=8", f"{WRITE} bs=256k count=8"),
    ("throttleWriteBpsDevice", "wbps", MEBIBYTE, f"{WRITE} bs=256k count=8", f"{READ} bs=256k count=8"),
    ("throttleReadIOPSDevice", "riops", 4, f"{READ} bs=4k count=8", f"{WRITE} bs=4k count=8"),
    ("throttleWriteIOPSDevice", "wiops", 4, f"{WRITE} bs=4k count=8", f"{READ} bs=4k count=8"),
]
SECONDS_OF_THROTTLED_USE = 1.2


def using(disk: Disk, config: Config) -> Config:
    """Gives the container the disk at /dev/disk."""
    numbers = {"type": "b", "major": disk.major, "minor": disk.minor}
    config["linux"]["devices"] = [{"path": "/dev/disk", **numbers}]
    config["linux"]["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "access": "rw", **numbers},
    ]
    return config


@pytest.mark.parametrize(("name", "key", "rate", "throttled", "free"), THROTTLES, ids=[each[1] for each in THROTTLES])
def test_throttled_disk(
    make_container: MakeContainer, disk: Disk, name: str, key: str, rate: int, throttled: str, free: str
) -> None:
    script = f"now() {{ cut -d' ' -f1 /proc/uptime; }}; now; dd {free}; now; dd {throttled}; now"
    throttle = {"major": disk.major, "minor": disk.minor, "rate": rate}
    container = make_container(using(disk, limited({"blockIO": {name: [throttle]}}, "/bin/sh", "-c", script)))
    container.started().wait_for_end()
    assert f" {key}={rate}" in value("io.max")
    begin, between, end = map(float, container.output.split())
    assert between - begin < SECONDS_OF_THROTTLED_USE <= end - between


def test_all_throttles_of_a_disk(make_container: MakeContainer, disk: Disk) -> None:
    device = {"major": disk.major, "minor": disk.minor}
    block_io = {name: [{**device, "rate": rate}] for name, _, rate, *_ in THROTTLES}
    make_container(limited({"blockIO": block_io})).created()
    assert value("io.max") == f"{disk.numbers} rbps={MEBIBYTE} wbps={MEBIBYTE} riops=4 wiops=4"


@pytest.mark.pyrun_only("runc 1.1.5 writes all lines at once")
def test_unified_line_by_line(make_container: MakeContainer, disk: Disk) -> None:
    lines = f"{disk.numbers} rbps=1048576\n{disk.numbers} wiops=100\n"
    make_container(limited({"unified": {"io.max": lines}})).created()
    assert value("io.max") == f"{disk.numbers} rbps=1048576 wbps=max riops=max wiops=100"


def test_weight(make_container: MakeContainer) -> None:
    """Of BFQ, which is loaded."""
    make_container(limited({"blockIO": {"weight": 500}})).created()
    assert value("io.bfq.weight") == "default 500"
    assert value("io.weight") == "default 100"


@pytest.mark.pyrun_only("runc 1.1.5 does not know weights of devices in cgroup v2")
def test_weight_of_a_device(make_container: MakeContainer, disk: Disk) -> None:
    disk.schedule("bfq")
    device = {"major": disk.major, "minor": disk.minor, "weight": 300}
    make_container(limited({"blockIO": {"weight": 500, "weightDevice": [device]}})).created()
    assert value("io.bfq.weight").splitlines() == ["default 500", f"{disk.numbers} 300"]


def set_cost_model(disk: Disk, enable: int) -> None:
    """Lets the cost model weigh a disk, or not: a file of the machine's own root cgroup."""
    line = f"{disk.numbers} enable={enable} ctrl=auto"
    script = f'echo "{line}" >/sys/fs/cgroup/io.cost.qos'
    subprocess.run(["nsenter", "--target", "1", "--cgroup", "--mount", "sh", "-c", script], check=True)


@pytest.fixture
def weighed_disk(disk: Disk) -> Iterator[Disk]:
    """A disk that the cost model weighs."""
    set_cost_model(disk, 1)
    yield disk
    set_cost_model(disk, 0)


@pytest.mark.pyrun_only("runc 1.1.5 does not know weights of devices in cgroup v2")
def test_weight_of_a_device_with_the_cost_model(make_container: MakeContainer, weighed_disk: Disk) -> None:
    """The kernel has BFQ, which does not schedule this device: the other file is written."""
    disk = weighed_disk
    device = {"major": disk.major, "minor": disk.minor, "weight": 300}
    make_container(limited({"blockIO": {"weightDevice": [device]}})).created()
    assert value("io.weight").splitlines() == ["default 100", f"{disk.numbers} 2930"]


@pytest.fixture
def _without_bfq(_virtual_machine: None) -> Iterator[None]:
    """Unloads the scheduler."""
    subprocess.run(["modprobe", "--remove", "bfq"], check=True)
    yield
    subprocess.run(["modprobe", "bfq"], check=True)


@pytest.mark.usefixtures("_without_bfq")
@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (500, 4950), (1000, 10000)])
def test_weight_without_bfq(make_container: MakeContainer, weight: int, expected: int) -> None:
    make_container(limited({"blockIO": {"weight": weight}})).created()
    assert value("io.weight") == f"default {expected}"
    assert not os.path.exists(f"{CGROUPS}/limited/io.bfq.weight")


@pytest.fixture
def rdma_device(_virtual_machine: None) -> Iterator[str]:
    """A device made by software, on an interface of the machine's own network namespace."""
    outside = ["nsenter", "--target", "1", "--net"]
    subprocess.run([*outside, "ip", "link", "add", "under", "type", "dummy"], check=True)
    try:
        subprocess.run([*outside, "ip", "link", "set", "under", "up"], check=True)
        words = ["rdma", "link", "add", "soft0", "type", "rxe", "netdev", "under"]
        made = subprocess.run([*outside, *words], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"needs the module rdma_rxe: {made.stderr}")
        yield "soft0"
        subprocess.run([*outside, "rdma", "link", "delete", "soft0"], check=True)
    finally:
        subprocess.run([*outside, "ip", "link", "delete", "under"], check=True)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"hcaHandles": 3, "hcaObjects": 10000}, "hca_handle=3 hca_object=10000"),
        ({"hcaHandles": 5}, "hca_handle=5 hca_object=max"),
        ({"hcaObjects": 0}, "hca_handle=max hca_object=0"),
        pytest.param(
            {"hcaHandles": 1, "hcaObjects": 2**32 - 1},
            "hca_handle=1 hca_object=max",
            marks=pytest.mark.pyrun_only("runc 1.1.5 writes a number that the kernel refuses"),
        ),
    ],
    ids=str,
)
def test_rdma(make_container: MakeContainer, rdma_device: str, limits: dict[str, int], expected: str) -> None:
    make_container(limited({"rdma": {rdma_device: limits}})).created()
    assert value("rdma.max") == f"{rdma_device} {expected}"


REFUSED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"cpu": {"cpus": "99"}}, ("cpu/cpus", "cpuset.cpus", "numerical result out of range")),
    ({"cpu": {"cpus": "zero"}}, ("cpu/cpus", "cpuset.cpus", "invalid argument")),
    ({"cpu": {"mems": "9"}}, ("cpu/mems", "cpuset.mems")),
    ({"cpu": {"quota": 50000, "period": 5}}, ("cpu/quota", "cpu.max", "invalid argument")),
    ({"memory": {"limit": 1 << 20, "swap": 1 << 19}}, ("memory/swap", "at least the limit")),
    (
        {"blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 250, "rate": 5}]}},
        ("blockIO/throttleReadBpsDevice/0/rate", "io.max", "no such device", "whole disk"),
    ),
    ({"rdma": {"missing0": {"hcaHandles": 5}}}, ("rdma/missing0", "rdma.max", "no such device")),
    (
        {"hugepageLimits": [{"pageSize": "64KB", "limit": 0}]},
        ("hugepageLimits/0/limit", "hugetlb.64KB.max", "/sys/kernel/mm/hugepages"),
    ),
    ({"unified": {"net_cls.classid": "1"}}, ("unified/net_cls.classid", "controller net_cls")),
    ({"unified": {"memory.limit_in_bytes": "1"}}, ("unified/memory.limit_in_bytes", "no such file")),
    ({"unified": {"misc.max": "sev 5"}}, ("unified/misc.max", "invalid argument")),
    ({"unified": {"pids.max": "many"}}, ("unified/pids.max", '"many"', "invalid argument")),
]


@pytest.mark.pyrun_only("runc 1.1.5 names neither property nor remedy")
@pytest.mark.parametrize(("resources", "words"), REFUSED, ids=[words[0] for _, words in REFUSED])
def test_refused(make_container: MakeContainer, resources: dict[str, Any], words: tuple[str, ...]) -> None:
    container: Container = make_container(limited(resources))
    container.create().failed("/linux/resources/", *words)
    assert not os.path.exists(f"{CGROUPS}/limited")
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 does not know weights of devices in cgroup v2")
def test_weight_of_a_device_that_nothing_weighs(make_container: MakeContainer, disk: Disk) -> None:
    device = {"major": disk.major, "minor": disk.minor, "weight": 300}
    container = make_container(limited({"blockIO": {"weightDevice": [device]}}))
    container.create().failed("/linux/resources/blockIO/weightDevice/0/weight", "not supported", "choose bfq")
    assert not os.path.exists(f"{CGROUPS}/limited")
