# SPDX-License-Identifier: Apache-2.0
"""update changes every value, or none; with both managers, and beside runc: the same values in the same files."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from support.managed import MEBIBYTE, MakeManaged, Managed, Resources, limited
from support.runtime import Result
from vm.conftest import Disk

BEGINNING: Resources = {
    "memory": {"limit": 32 * MEBIBYTE, "reservation": 24 * MEBIBYTE},
    "cpu": {"quota": 500000, "period": 1000000},
    "pids": {"limit": 20},
}

# Options, and what stands in files then; one after the other, on one container.
OPTIONS: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("--memory", "67108864"), {"memory.max": str(64 * MEBIBYTE), "memory.low": str(24 * MEBIBYTE), "pids.max": "20"}),
    (("--memory", "50M"), {"memory.max": str(50 * MEBIBYTE)}),
    (("--memory-reservation", "33554432"), {"memory.low": str(32 * MEBIBYTE), "memory.max": str(50 * MEBIBYTE)}),
    (("--memory-swap", "-1"), {"memory.swap.max": "max", "memory.max": str(50 * MEBIBYTE)}),
    (("--memory", "50m", "--memory-swap", "50m"), {"memory.swap.max": "0", "memory.max": str(50 * MEBIBYTE)}),
    (("--memory", "-1"), {"memory.swap.max": "max", "memory.max": "max", "memory.low": str(32 * MEBIBYTE)}),
    (("--pids-limit", "10"), {"pids.max": "10", "cpu.max": "500000 1000000"}),
    (("--pids-limit", "-1"), {"pids.max": "max"}),
    (("--cpu-quota", "600000", "--cpu-period", "900000"), {"cpu.max": "600000 900000"}),
    (("--cpu-quota", "20000", "--cpu-period", "100000"), {"cpu.max": "20000 100000"}),
    (("--cpuset-cpus", "0", "--cpuset-mems", "0"), {"cpuset.cpus": "0", "cpuset.mems": "0"}),
    (("--blkio-weight", "500"), {"io.bfq.weight": "default 500"}),
    (("--kernel-memory", "5m", "--cpu-rt-period", "1000000"), {"cpu.max": "20000 100000"}),
]
# The same for files of linux.resources.
FILES: list[tuple[Resources, dict[str, str]]] = [
    (
        {"memory": {"limit": 40 * MEBIBYTE, "swap": 60 * MEBIBYTE}, "pids": {"limit": 12}},
        {"memory.max": str(40 * MEBIBYTE), "memory.swap.max": str(20 * MEBIBYTE), "pids.max": "12"},
    ),
    (
        {"unified": {"cpu.max": "max 100000", "cpu.weight": "16", "pids.max": "10"}},
        {"cpu.max": "max 100000", "cpu.weight": "16", "pids.max": "10"},
    ),
    ({"cpu": {"quota": 30000, "period": 200000}, "pids": {"limit": 7}}, {"cpu.max": "30000 200000", "pids.max": "7"}),
]
# What runc 1.1.5 does not update, or converts otherwise.
OTHERS: list[tuple[Resources, dict[str, str]]] = [
    (
        {"memory": {"swap": 90 * MEBIBYTE}},
        {"memory.swap.max": str(58 * MEBIBYTE), "memory.max": str(32 * MEBIBYTE), "memory.low": str(24 * MEBIBYTE)},
    ),
    (
        {"memory": {"limit": 60 * MEBIBYTE}},
        {"memory.swap.max": str(30 * MEBIBYTE), "memory.max": str(60 * MEBIBYTE)},
    ),
    ({"cpu": {"shares": 1024}}, {"cpu.weight": "100", "cpu.max": "500000 1000000"}),
    ({"cpu": {"period": 900000}}, {"cpu.max": "500000 900000"}),
    ({"cpu": {"quota": 600000}}, {"cpu.max": "600000 900000"}),
    ({"cpu": {"quota": -1}}, {"cpu.max": "max 900000"}),
    ({"cpu": {"period": 1000000}}, {"cpu.max": "max 1000000"}),
    ({"cpu": {"quota": 50000, "burst": 40000}}, {"cpu.max": "50000 1000000", "cpu.max.burst": "40000"}),
    ({"cpu": {"quota": 30000, "burst": 20000}}, {"cpu.max": "30000 1000000", "cpu.max.burst": "20000"}),
    ({"cpu": {"burst": 0}}, {"cpu.max": "30000 1000000", "cpu.max.burst": "0"}),
    ({"cpu": {"idle": 1}}, {"cpu.idle": "1"}),
    ({"cpu": {"shares": 262144}}, {"cpu.idle": "1"}),
    ({"cpu": {"idle": 0}}, {"cpu.idle": "0", "cpu.weight": "10000"}),
    (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}]},
        {"hugetlb.2MB.max": str(4 * MEBIBYTE), "hugetlb.2MB.rsvd.max": str(4 * MEBIBYTE)},
    ),
    ({"unified": {"memory.high": "20M", "memory.oom.group": "1"}}, {"memory.high": str(20 * MEBIBYTE)}),
    ({"memory": {"reservation": -1}}, {"memory.low": "0", "memory.high": str(20 * MEBIBYTE)}),
]

# Each is refused for its last part, after the first would have been changed.
REFUSED: list[tuple[Resources, tuple[str, ...]]] = [
    ({"pids": {"limit": 5}, "cpu": {"quota": 50000, "period": 5}}, ("/cpu/quota", "cpu.max", "invalid argument")),
    ({"memory": {"limit": 64 * MEBIBYTE}, "cpu": {"cpus": "99"}}, ("/cpu/cpus", "cpuset.cpus")),
    ({"memory": {"limit": 64 * MEBIBYTE, "swap": MEBIBYTE}}, ("/memory/swap", "at least the limit")),
    ({"pids": {"limit": 5}, "memory": {"limit": 4096, "checkBeforeUpdate": True}}, ("/memory/limit", "in use")),
    ({"cpu": {"burst": 10**7}, "pids": {"limit": 5}}, ("/cpu/burst", "cpu.max.burst", "invalid argument")),
    ({"cpu": {"idle": 1}, "unified": {"cpu.weight": "5"}}, ("/unified/cpu.weight", "invalid argument")),
    ({"pids": {"limit": 5}, "unified": {"misc.max": "nothing 1"}}, ("/unified/misc.max", "invalid argument")),
    ({"pids": {"limit": 5}, "unified": {"memory.missing": "1"}}, ("/unified/memory.missing", "no such file")),
    (
        {"pids": {"limit": 5}, "blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 250, "rate": 5}]}},
        ("/blockIO/throttleReadBpsDevice/0/rate", "io.max", "no such device"),
    ),
]
WATCHED = (
    "cpu.max",
    "cpu.max.burst",
    "cpu.weight",
    "cpu.idle",
    "cpuset.cpus",
    "hugetlb.2MB.max",
    "io.max",
    "io.bfq.weight",
    "memory.low",
    "memory.max",
    "memory.swap.max",
    "pids.max",
)
PROPERTIES = ("CPUQuotaPerSecUSec", "CPUWeight", "MemoryLow", "MemoryMax", "TasksMax", "AllowedCPUs")


def update(container: Managed, resources: Resources) -> Result:
    path = os.path.join(os.path.dirname(container.bundle.path), "resources.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(resources, file)
    return container.runtime.call("update", "--resources", path, container.id)


def everything(container: Managed) -> dict[str, Any]:
    """What the files say, and systemd."""
    found: dict[str, Any] = {name: container.value(name) for name in WATCHED}
    if container.runtime.manager == "systemd":
        found["systemd"] = properties(container)
    return found


def properties(container: Managed) -> dict[str, str]:
    """What systemd knows of the container's scope."""
    words = ["systemctl", "show", os.path.basename(container.cgroup), f"--property={','.join(PROPERTIES)}"]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in shown.splitlines())


def check(container: Managed, files: dict[str, str], what: object) -> None:
    assert {name: container.value(name) for name in files} == files, what


def test_every_value_changes(make_managed: MakeManaged) -> None:
    container: Managed = make_managed(limited(BEGINNING)).started()
    for options, files in OPTIONS:
        container.runtime.call("update", *options, container.id).succeeded()
        check(container, files, options)
    for resources, files in FILES:
        update(container, resources).succeeded()
        check(container, files, resources)
    container.deleted()


@pytest.mark.pyrun_only("runc 1.1.5 does not update these, or converts them otherwise")
def test_other_values_change(make_managed: MakeManaged) -> None:
    container: Managed = make_managed(limited(BEGINNING)).created()
    for resources, files in OTHERS:
        update(container, resources).succeeded()
        check(container, files, resources)
    if container.runtime.manager == "systemd":
        update(container, {"memory": {"limit": 48 * MEBIBYTE}, "pids": {"limit": 9}}).succeeded()
        known = properties(container)
        assert (known["MemoryMax"], known["TasksMax"]) == (str(48 * MEBIBYTE), "9")
    container.deleted()


@pytest.mark.pyrun_only("runc 1.1.5 updates no throttles, and leaves half of what it could not do")
def test_disk(make_managed: MakeManaged, disk: Disk) -> None:
    device = {"major": disk.major, "minor": disk.minor}
    container: Managed = make_managed(limited({})).created()
    cpus = container.value("cpuset.cpus.effective")
    throttle = {"throttleReadBpsDevice": [{**device, "rate": MEBIBYTE}]}
    update(container, {"blockIO": throttle}).succeeded()
    line = f"{disk.numbers} rbps={MEBIBYTE} wbps=max riops=max wiops="
    assert container.value("io.max") == f"{line}max"
    update(container, {"blockIO": {"throttleWriteIOPSDevice": [{**device, "rate": 5}]}}).succeeded()
    assert container.value("io.max") == f"{line}5"
    refused = {"blockIO": {"throttleReadBpsDevice": [{**device, "rate": 7}]}, "unified": {"pids.max": "x"}}
    update(container, refused).failed("/unified/pids.max")
    assert container.value("io.max") == f"{line}5"
    lifted = {"throttleReadBpsDevice": [{**device, "rate": 0}], "throttleWriteIOPSDevice": [{**device, "rate": 0}]}
    update(container, {"blockIO": lifted}).succeeded()
    assert container.value("io.max") == ""
    update(container, {**refused, "cpu": {"cpus": "0", "mems": "9"}}).failed("resources.json: ")
    # Linux 6.1 lets nobody empty cpuset.cpus of a cgroup with processes again, which systemd may have filled.
    assert container.value("io.max") == ""
    assert container.value("cpuset.cpus") in ("", cpus)
    assert container.value("cpuset.cpus.effective") == cpus
    container.deleted()


@pytest.mark.pyrun_only("runc 1.1.5 leaves half of what it could not do")
def test_failing_one_changes_none(make_managed: MakeManaged) -> None:
    container: Managed = make_managed(limited({**BEGINNING, "blockIO": {"weight": 300}})).started()
    before = everything(container)
    for resources, words in REFUSED:
        line = update(container, resources).failed("resources.json: ", *words)
        assert everything(container) == before, line
    options = ("--pids-limit", "5", "--cpu-quota", "500")
    container.runtime.call("update", *options, container.id).failed("--cpu-quota: ", "cpu.max", "invalid argument")
    assert everything(container) == before
    container.deleted()


def test_paused_container(make_managed: MakeManaged) -> None:
    container: Managed = make_managed(limited(BEGINNING)).started()
    container.runtime.call("pause", container.id).succeeded()
    container.runtime.call("update", "--pids-limit", "33", container.id).succeeded()
    assert (container.status, container.value("pids.max")) == ("paused", "33")
    container.runtime.call("resume", container.id).succeeded()
    container.deleted()
