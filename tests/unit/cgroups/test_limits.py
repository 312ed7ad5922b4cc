# SPDX-License-Identifier: Apache-2.0
"""Each property of linux.resources that limits something is found; values that ask for nothing are not."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from pyrun_cgroups.limits import unsupported_limits

DATA = os.path.join(os.path.dirname(__file__), "..", "..", "data")

LIMITS: list[tuple[dict[str, Any], str]] = [
    ({"memory": {"limit": 4096}}, "/memory/limit"),
    ({"memory": {"limit": -2}}, "/memory/limit"),
    ({"memory": {"reservation": 1}}, "/memory/reservation"),
    ({"memory": {"swap": 1 << 30}}, "/memory/swap"),
    ({"memory": {"disableOOMKiller": True}}, "/memory/disableOOMKiller"),
    ({"cpu": {"shares": 1024}}, "/cpu/shares"),
    ({"cpu": {"quota": 50000, "period": 100000}}, "/cpu/quota"),
    ({"cpu": {"burst": 1}}, "/cpu/burst"),
    ({"cpu": {"idle": 1}}, "/cpu/idle"),
    ({"cpu": {"realtimeRuntime": 950000}}, "/cpu/realtimeRuntime"),
    ({"cpu": {"cpus": "0-1"}}, "/cpu/cpus"),
    ({"cpu": {"mems": "0"}}, "/cpu/mems"),
    ({"pids": {"limit": 1}}, "/pids/limit"),
    ({"blockIO": {"weight": 10}}, "/blockIO/weight"),
    ({"blockIO": {"leafWeight": 10}}, "/blockIO/leafWeight"),
    (
        {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 500}]}},
        "/blockIO/weightDevice/0/weight",
    ),
    (
        {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 500}]}},
        "/blockIO/weightDevice/0/leafWeight",
    ),
    *(
        ({"blockIO": {name: [{"major": 8, "minor": 0, "rate": 1}]}}, f"/blockIO/{name}/0/rate")
        for name in (
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        )
    ),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, "/hugepageLimits/0/limit"),
    ({"network": {"classID": 1}}, "/network/classID"),
    ({"network": {"priorities": [{"name": "eth0", "priority": 5}]}}, "/network/priorities/0/priority"),
    ({"rdma": {"mlx5_0": {"hcaHandles": 3}}}, "/rdma/mlx5_0/hcaHandles"),
    ({"rdma": {"mlx5_0": {"hcaObjects": 0}}}, "/rdma/mlx5_0/hcaObjects"),
    ({"unified": {"memory.high": "1G"}}, "/unified/memory.high"),
    ({"unified": {"memory.low": "max"}}, "/unified/memory.low"),
    ({"unified": {"io.max": "8:0 rbps=1"}}, "/unified/io.max"),
    ({"unified": {"a/b~c": "1"}}, "/unified/a~1b~0c"),
]

NOTHING: list[dict[str, Any]] = [
    {},
    {"memory": {}, "cpu": {}, "blockIO": {}, "network": {}, "rdma": {}, "unified": {}},
    {"memory": None, "cpu": None, "pids": None, "hugepageLimits": None, "rdma": None, "unified": None},
    {"memory": {"limit": 0, "reservation": 0, "swap": 0}},
    {"memory": {"limit": -1, "reservation": -1, "swap": -1}},
    {"memory": {"limit": 2**63 - 1}},
    {"memory": {"limit": 9223372036854771712}},
    {"memory": {"limit": None, "disableOOMKiller": False, "checkBeforeUpdate": True}},
    {"memory": {"kernel": 4096, "kernelTCP": 4096, "swappiness": 60, "useHierarchy": True}},
    {"cpu": {"shares": 0, "quota": 0, "period": 0, "burst": 0, "idle": 0, "cpus": "", "mems": ""}},
    {"cpu": {"quota": -1, "period": 100000}},
    {"cpu": {"realtimeRuntime": 0, "realtimePeriod": 1000000}},
    {"cpu": {"realtimeRuntime": -1}},
    {"pids": {"limit": 0}},
    {"pids": {"limit": -1}},
    {"blockIO": {"weight": 0, "leafWeight": 0, "weightDevice": [], "throttleReadBpsDevice": None}},
    {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 0}]}},
    {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}},
    {"hugepageLimits": []},
    {"hugepageLimits": [{"pageSize": "2MB", "limit": 2**64 - 1}]},
    {"network": {"classID": 0, "priorities": []}},
    {"rdma": {"mlx5_0": {}}},
    {"unified": {"memory.max": "max", "cpu.max": "max 100000", "memory.high": "max\n", "pids.max": "max"}},
    {"devices": [{"allow": False, "access": "rwm"}]},
    {"org.example.unknown": {"limit": 1}},
]


@pytest.mark.parametrize(("resources", "pointer"), LIMITS, ids=[pointer for _, pointer in LIMITS])
def test_limit_is_found(resources: dict[str, Any], pointer: str) -> None:
    ((found, message),) = unsupported_limits(resources)
    assert found == pointer
    assert message.endswith("is not supported yet: remove it")


@pytest.mark.parametrize("resources", NOTHING, ids=json.dumps)
def test_what_asks_for_nothing_is_no_limit(resources: dict[str, Any]) -> None:
    assert unsupported_limits(resources) == []


def test_every_limit_is_found() -> None:
    both = {"memory": {"limit": 1, "swap": 2}, "pids": {"limit": 3}, "unified": {"cpu.weight": "7"}}
    assert [pointer for pointer, _ in unsupported_limits(both)] == [
        "/memory/limit",
        "/memory/swap",
        "/pids/limit",
        "/unified/cpu.weight",
    ]


@pytest.mark.parametrize(("engine", "expected"), [("docker", []), ("ctr", ["/cpu/shares"])])
def test_defaults_of_engines(engine: str, expected: list[str]) -> None:
    """Docker's default asks for nothing; ctr always gives a container 1024 CPU shares."""
    with open(os.path.join(DATA, f"{engine}.json"), encoding="utf-8") as file:
        resources = json.load(file)["linux"]["resources"]
    assert [pointer for pointer, _ in unsupported_limits(resources)] == expected
