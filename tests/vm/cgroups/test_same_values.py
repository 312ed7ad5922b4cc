# SPDX-License-Identifier: Apache-2.0
"""The same values in the same files: every property, by each manager, compared with what runc makes of it.

All files of a container's cgroup that can be set are compared. Where the two differ on purpose, the case says why.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from support.managed import MEBIBYTE, Managed, Resources, limited
from support.runtime import MakeBundle
from vm.cgroups.conftest import runtime_of
from vm.conftest import CONTROLLERS, Disk

UNLIMITED = 2**64 - 4096

# Files that are not settings, but can be written: members, triggers of events, and a mark that is reset.
NO_SETTINGS = ("cgroup.procs", "cgroup.threads", ".pressure", ".peak")

RESERVED = "runc 1.1.5 limits only what is used, later ones (1.2) what is reserved too"
SHARES = "runc 1.1.5 draws a straight line between shares and weight, later ones (1.3.2) the curve"
OLDER = "runc 1.1.5 is older than this property"
LOW = "runc protects all of the memory from being reclaimed where a soft limit is lifted"
TOLD = "systemd is told the weight, which it then writes to both files"


@dataclass(frozen=True)
class Case:
    """What one container is given, what stands in files then, and in which runc differs, with the reason.

    `under_systemd` are more of those differences.
    """

    resources: Resources
    files: dict[str, str]
    otherwise: dict[str, str] = field(default_factory=dict)
    under_systemd: dict[str, str] = field(default_factory=dict)


def every_property(disk: Disk, rdma_device: str) -> Case:
    """Every property that runc 1.1.5 has too; those without a file in cgroup v2 among them."""
    numbers = {"major": disk.major, "minor": disk.minor}
    return Case(
        {
            "memory": {
                "limit": 64 * MEBIBYTE,
                "swap": 96 * MEBIBYTE,
                "reservation": 32 * MEBIBYTE,
                "kernel": 16 * MEBIBYTE,
                "kernelTCP": 16 * MEBIBYTE,
                "swappiness": 10,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
                "disableOOMKiller": False,
            },
            "cpu": {"quota": 50000, "period": 200000, "cpus": "0", "mems": "0", "realtimePeriod": 1000000},
            "pids": {"limit": 100},
            "blockIO": {
                "weight": 500,
                "throttleReadBpsDevice": [{**numbers, "rate": MEBIBYTE}],
                "throttleWriteBpsDevice": [{**numbers, "rate": 2 * MEBIBYTE}],
                "throttleReadIOPSDevice": [{**numbers, "rate": 300}],
                "throttleWriteIOPSDevice": [{**numbers, "rate": 400}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}, {"pageSize": "1GB", "limit": 0}],
            "rdma": {rdma_device: {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"memory.high": str(48 * MEBIBYTE), "cpu.weight": "50", "cgroup.max.depth": "2"},
        },
        {
            "memory.max": str(64 * MEBIBYTE),
            "memory.swap.max": str(32 * MEBIBYTE),
            "memory.low": str(32 * MEBIBYTE),
            "memory.high": str(48 * MEBIBYTE),
            "cpu.max": "50000 200000",
            "cpu.weight": "50",
            "cpuset.cpus": "0",
            "cpuset.mems": "0",
            "pids.max": "100",
            "io.bfq.weight": "default 500",
            "io.max": f"{disk.numbers} rbps={MEBIBYTE} wbps={2 * MEBIBYTE} riops=300 wiops=400",
            "hugetlb.2MB.max": str(4 * MEBIBYTE),
            "hugetlb.2MB.rsvd.max": str(4 * MEBIBYTE),
            "hugetlb.1GB.max": "0",
            "hugetlb.1GB.rsvd.max": "0",
            "rdma.max": f"{rdma_device} hca_handle=3 hca_object=10000",
            "cgroup.max.depth": "2",
        },
        {"hugetlb.2MB.rsvd.max": RESERVED, "hugetlb.1GB.rsvd.max": RESERVED},
        {"io.weight": TOLD},
    )


CASES = {
    "unset": Case(
        {
            "memory": {"limit": 0, "swap": 0, "reservation": 0},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
            "blockIO": {"weight": 0, "throttleReadBpsDevice": []},
            "hugepageLimits": [],
            "rdma": {},
            "unified": {},
        },
        {"memory.max": "max", "memory.swap.max": "max", "cpu.max": "max 100000", "cpu.weight": "100"},
    ),
    "unlimited": Case(
        {
            "memory": {"limit": 64 * MEBIBYTE, "swap": -1, "reservation": -1},
            "cpu": {"quota": -1, "shares": 262144},
            "pids": {"limit": -1},
            "hugepageLimits": [{"pageSize": "2MB", "limit": UNLIMITED}],
        },
        {
            "memory.swap.max": "max",
            "memory.low": "0",
            "cpu.max": "max 100000",
            "cpu.weight": "10000",
            "pids.max": "max",
            "hugetlb.2MB.max": "max",
        },
        {"memory.low": LOW},
    ),
    "without swap": Case(
        {
            "memory": {"limit": 64 * MEBIBYTE, "swap": 64 * MEBIBYTE},
            "cpu": {"quota": 30000, "burst": 20000, "shares": 1024},
        },
        {"memory.swap.max": "0", "cpu.max": "30000 100000", "cpu.max.burst": "20000", "cpu.weight": "100"},
        {"cpu.max.burst": OLDER, "cpu.weight": SHARES, "cpu.weight.nice": SHARES},
    ),
    "unified last": Case(
        {
            "memory": {"limit": 64 * MEBIBYTE},
            "cpu": {"period": 200000, "idle": 1},
            "unified": {"memory.max": str(32 * MEBIBYTE)},
        },
        {"memory.max": str(32 * MEBIBYTE), "memory.swap.max": "max", "cpu.max": "max 200000", "cpu.idle": "1"},
        dict.fromkeys(("cpu.idle", "cpu.weight", "cpu.weight.nice"), OLDER),
    ),
}


def is_setting(cgroup: str, name: str) -> bool:
    """Tells files that say what is set, by their mode, from those that count, and those that do something."""
    mode = os.stat(f"{cgroup}/{name}").st_mode
    return mode & 0o600 == 0o600 and not name.endswith(NO_SETTINGS)


def settings(container: Managed) -> dict[str, str]:
    names = [name for name in os.listdir(container.cgroup) if is_setting(container.cgroup, name)]
    return {name: container.value(name) for name in (*names, "cgroup.controllers")}


Compare = Callable[[Case], None]


@pytest.fixture
def compare(case: str, manager: str, make_bundle: MakeBundle) -> Compare:
    """A function that makes a container with each runtime and compares their cgroups."""

    def settings_by(name: str, resources: Resources) -> dict[str, str]:
        runtime = runtime_of(name, case, manager)
        container = runtime.container("limited", make_bundle(limited(resources))).created()
        try:
            return settings(container)
        finally:
            container.delete("--force").succeeded()

    def compare_case(wanted: Case) -> None:
        ours, control = settings_by("pyrun", wanted.resources), settings_by("runc", wanted.resources)
        assert {name: ours.get(name) for name in wanted.files} == wanted.files
        differing = {name: (ours.get(name), control.get(name)) for name in ours.keys() | control.keys()}
        differing = {name: values for name, values in differing.items() if values[0] != values[1]}
        reasons = {**wanted.otherwise, **(wanted.under_systemd if manager == "systemd" else {})}
        assert differing.keys() == reasons.keys(), differing
        assert set(ours["cgroup.controllers"].split()) >= CONTROLLERS

    return compare_case


def test_every_property(compare: Compare, disk: Disk, rdma_device: str) -> None:
    compare(every_property(disk, rdma_device))


@pytest.mark.parametrize("name", CASES)
def test_values(compare: Compare, name: str) -> None:
    compare(CASES[name])
