# SPDX-License-Identifier: Apache-2.0
"""linux.resources as a whole: which values limit something, in which order, and with which errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from pyrun_cgroups.limits import writes_of

DATA = os.path.join(os.path.dirname(__file__), "..", "..", "data")

# Each asks for one limit.
LIMITS: list[tuple[dict[str, Any], str, str]] = [
    ({"memory": {"limit": 4096}}, "/memory/limit", "memory.max"),
    ({"memory": {"reservation": 1}}, "/memory/reservation", "memory.low"),
    ({"cpu": {"shares": 1024}}, "/cpu/shares", "cpu.weight"),
    ({"cpu": {"quota": 50000, "period": 100000}}, "/cpu/quota", "cpu.max"),
    ({"cpu": {"burst": 1}}, "/cpu/burst", "cpu.max.burst"),
    ({"cpu": {"idle": 1}}, "/cpu/idle", "cpu.idle"),
    ({"cpu": {"cpus": "0-1"}}, "/cpu/cpus", "cpuset.cpus"),
    ({"cpu": {"mems": "0"}}, "/cpu/mems", "cpuset.mems"),
    ({"pids": {"limit": 0}}, "/pids/limit", "pids.max"),
    ({"blockIO": {"weight": 10}}, "/blockIO/weight", "io.bfq.weight"),
    (
        {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}},
        "/blockIO/throttleReadBpsDevice/0/rate",
        "io.max",
    ),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, "/hugepageLimits/0/limit", "hugetlb.2MB.max"),
    ({"rdma": {"mlx5_0": {"hcaHandles": 3}}}, "/rdma/mlx5_0", "rdma.max"),
    ({"unified": {"memory.max": "max"}}, "/unified/memory.max", "memory.max"),
]

# Nothing of these is lost where a controller is missing.
NOTHING: list[dict[str, Any]] = [
    {},
    {"memory": {}, "cpu": {}, "blockIO": {}, "network": {}, "rdma": {}, "unified": {}, "pids": {}},
    dict.fromkeys(("memory", "cpu", "pids", "hugepageLimits", "rdma", "unified", "blockIO", "network")),
    {"memory": {"limit": 0, "reservation": 0, "swap": 0}},
    {"memory": {"limit": -1, "reservation": -1, "swap": -1}},
    {"memory": {"limit": 9223372036854771712}},
    {"memory": {"limit": None, "disableOOMKiller": False, "checkBeforeUpdate": True}},
    {"memory": {"kernel": 4096, "kernelTCP": 4096, "swappiness": 60, "useHierarchy": True}},
    {"cpu": {"shares": 0, "quota": 0, "period": 0, "burst": 0, "idle": 0, "cpus": "", "mems": ""}},
    {"cpu": {"quota": -1, "period": 100000}},
    {"cpu": {"realtimeRuntime": 0, "realtimePeriod": 1000000}},
    {"pids": {"limit": -1}},
    {"blockIO": {"weight": 0, "leafWeight": 0, "weightDevice": [], "throttleReadBpsDevice": None}},
    {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}},
    {"hugepageLimits": []},
    {"hugepageLimits": [{"pageSize": "2MB", "limit": 2**64 - 1}]},
    {"network": {"classID": 0, "priorities": []}},
    {"rdma": {"mlx5_0": {}}},
    {"devices": [{"allow": False, "access": "rwm"}]},
    {"org.example.unknown": {"limit": 1}},
]


@pytest.mark.parametrize(("resources", "pointer", "file"), LIMITS, ids=[pointer for _, pointer, _ in LIMITS])
def test_limit_is_found(resources: dict[str, Any], pointer: str, file: str) -> None:
    writes, errors = writes_of(resources)
    assert [(each.pointer, each.file) for each in writes if not each.optional] == [(pointer, file)]
    assert errors == []


@pytest.mark.parametrize("resources", NOTHING, ids=json.dumps)
def test_what_asks_for_nothing_is_no_limit(resources: dict[str, Any]) -> None:
    writes, errors = writes_of(resources)
    assert all(each.optional for each in writes)
    assert errors == []


def test_order() -> None:
    """What `unified` says comes last and wins; the CPUs are chosen before any process is there anyway."""
    resources = {
        "unified": {"cpu.weight": "7"},
        "rdma": {"mlx5_0": {"hcaHandles": 3}},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        "cpu": {"cpus": "0", "shares": 1024},
        "blockIO": {"weight": 10},
        "memory": {"limit": 1, "swap": 2},
        "pids": {"limit": 3},
    }
    assert [each.file for each in writes_of(resources)[0]] == [
        "pids.max",
        "memory.swap.max",
        "memory.max",
        "io.bfq.weight",
        "cpu.weight",
        "cpuset.cpus",
        "hugetlb.2MB.max",
        "hugetlb.2MB.rsvd.max",
        "rdma.max",
        "cpu.weight",
    ]


def test_every_error_is_found() -> None:
    resources = {
        "memory": {"swap": 1},
        "cpu": {"realtimeRuntime": 1},
        "blockIO": {"leafWeight": 10},
        "network": {"classID": 1},
        "pids": {"limit": 5},
        "unified": {"x": "1"},
    }
    writes, errors = writes_of(resources)
    assert [each.file for each in writes] == ["pids.max"]
    assert [each.pointer for each in errors] == [
        "/memory/swap",
        "/blockIO/leafWeight",
        "/cpu/realtimeRuntime",
        "/network/classID",
        "/unified/x",
    ]


@pytest.mark.parametrize(("engine", "expected"), [("docker", []), ("ctr", ["/cpu/shares"])])
def test_defaults_of_engines(engine: str, expected: list[str]) -> None:
    """Docker's default asks for nothing; ctr always gives a container 1024 CPU shares."""
    with open(os.path.join(DATA, f"{engine}.json"), encoding="utf-8") as file:
        resources = json.load(file)["linux"]["resources"]
    assert [each.pointer for each in writes_of(resources)[0]] == expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"memory": {}, "cpu": {"shares": 0}, "blockIO": {"weight": 0}, "pids": None}, []),
        ({"memory": {"limit": 5}, "cpu": {"shares": 0}}, ["memory"]),
        ({"cpu": {"cpus": "0", "shares": 0}}, ["cpuset"]),
        ({"cpu": {"quota": 1000}}, ["cpu", "math"]),
    ],
    ids=str,
)
def test_modules_are_loaded_when_they_are_needed(resources: dict[str, Any], expected: list[str]) -> None:
    script = (
        "import sys; from pyrun_cgroups.limits import writes_of; before = set(sys.modules); "
        f"writes_of({resources!r}); print(*(set(sys.modules) - before))"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert sorted(name.removeprefix("pyrun_cgroups.") for name in printed.split()) == expected
