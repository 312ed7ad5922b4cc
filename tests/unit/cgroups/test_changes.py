# SPDX-License-Identifier: Apache-2.0
"""Limits for a cgroup in use: what is not asked for is taken from what is known, or from the cgroup's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyrun_cgroups.changes import merged, writes_for
from pyrun_cgroups.writes import Write

MEBIBYTE = 1 << 20
Resources = dict[str, Any]
Expected = list[tuple[str, str, str]]

# What is asked for, what was known, what is in files, and what is written: pointer, file, value.
TABLE: list[tuple[Resources, Resources, dict[str, str], Expected]] = [
    ({}, {"memory": {"limit": 5}}, {}, []),
    ({"memory": {"limit": 100}}, {}, {}, [("/memory/limit", "memory.max", "100")]),
    (
        {"memory": {"limit": 100}},
        {"memory": {"limit": 50, "swap": 150}},
        {},
        [("/memory/limit", "memory.swap.max", "50"), ("/memory/limit", "memory.max", "100")],
    ),
    ({"memory": {"limit": 100}}, {"memory": {"swap": -1}}, {}, [("/memory/limit", "memory.max", "100")]),
    ({"memory": {"limit": 100, "swap": 0}}, {"memory": {"swap": 50}}, {}, [("/memory/limit", "memory.max", "100")]),
    ({"memory": {"swap": 150}}, {"memory": {"limit": 100}}, {}, [("/memory/swap", "memory.swap.max", "50")]),
    ({"memory": {"swap": 150}}, {}, {"memory.max": "140"}, [("/memory/swap", "memory.swap.max", "10")]),
    (
        {"memory": {"swap": 150}},
        {"memory": {"limit": 100}},
        {"memory.max": "140"},
        [("/memory/swap", "memory.swap.max", "50")],
    ),
    ({"memory": {"swap": -1}}, {"memory": {"limit": 100}}, {}, [("/memory/swap", "memory.swap.max", "max")]),
    ({"memory": {"reservation": 7}}, {"memory": {"limit": 100}}, {}, [("/memory/reservation", "memory.low", "7")]),
    ({"cpu": {"quota": 5000}}, {"cpu": {"period": 20000}}, {}, [("/cpu/quota", "cpu.max", "5000 20000")]),
    ({"cpu": {"quota": 5000}}, {}, {"cpu.max": "max 30000"}, [("/cpu/quota", "cpu.max", "5000 30000")]),
    ({"cpu": {"quota": 5000}}, {}, {}, [("/cpu/quota", "cpu.max", "5000 100000")]),
    ({"cpu": {"quota": -1}}, {"cpu": {"period": 20000}}, {}, [("/cpu/quota", "cpu.max", "max 20000")]),
    ({"cpu": {"quota": 0}}, {"cpu": {"quota": 5, "period": 20000}}, {}, []),
    ({"cpu": {"quota": 0, "period": 0}}, {"cpu": {"quota": 5, "period": 20000}}, {"cpu.max": "5 20000"}, []),
    ({"cpu": {"quota": 0, "period": 50000}}, {"cpu": {"quota": 9000}}, {}, [("/cpu/period", "cpu.max", "9000 50000")]),
    ({"cpu": {"quota": 0}}, {}, {"cpu.max": "5000 30000"}, []),
    ({"cpu": {"period": 50000}}, {"cpu": {"quota": 9000}}, {}, [("/cpu/period", "cpu.max", "9000 50000")]),
    ({"cpu": {"period": 50000}}, {}, {"cpu.max": "8000 30000"}, [("/cpu/period", "cpu.max", "8000 50000")]),
    ({"cpu": {"period": 50000}}, {}, {"cpu.max": "max 30000"}, [("/cpu/period", "cpu.max", "max 50000")]),
    ({"cpu": {"idle": 0, "burst": 0}}, {}, {}, [("/cpu/idle", "cpu.idle", "0"), ("/cpu/burst", "cpu.max.burst", "0")]),
    ({"cpu": {"shares": 1024}}, {}, {"cpu.idle": "1"}, []),
    ({"cpu": {"shares": 1024}}, {}, {"cpu.idle": "0"}, [("/cpu/shares", "cpu.weight", "100")]),
    (
        {"cpu": {"idle": 0}},
        {"cpu": {"idle": 1, "shares": 2}},
        {"cpu.idle": "1"},
        [("/cpu/idle", "cpu.idle", "0"), ("/cpu/idle", "cpu.weight", "1")],
    ),
    ({"cpu": {"idle": 0}}, {"cpu": {"shares": 2}}, {"cpu.idle": "0"}, [("/cpu/idle", "cpu.idle", "0")]),
    ({"cpu": {"cpus": "0"}}, {"cpu": {"mems": "0", "quota": 5}}, {}, [("/cpu/cpus", "cpuset.cpus", "0")]),
    ({"unified": {"misc.max": "a 1"}}, {"unified": {"x.y": "1"}}, {}, [("/unified/misc.max", "misc.max", "a 1")]),
]


def cgroup(directory: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (directory / name).write_text(f"{text}\n")
    return str(directory)


@pytest.mark.parametrize(("asked", "known", "files", "expected"), TABLE, ids=str)
def test_writes(tmp_path: Path, asked: Resources, known: Resources, files: dict[str, str], expected: Expected) -> None:
    writes, errors = writes_for(asked, known, cgroup(tmp_path, files))
    assert [(each.pointer, each.file, each.value) for each in writes] == expected
    assert errors == []


@pytest.mark.parametrize(
    ("asked", "known", "pointer", "words"),
    [
        ({"memory": {"swap": 150}}, {}, "/memory/swap", "add memory.limit"),
        ({"memory": {"limit": 200}}, {"memory": {"swap": 150}}, "/memory/swap", "at least the limit, 200"),
        ({"memory": {"swap": 50}}, {"memory": {"limit": 100}}, "/memory/swap", "at least the limit, 100"),
        ({"cpu": {"idle": 2}}, {}, "/cpu/idle", "neither 0"),
    ],
    ids=str,
)
def test_errors(tmp_path: Path, asked: Resources, known: Resources, pointer: str, words: str) -> None:
    _, errors = writes_for(asked, known, str(tmp_path))
    assert [each.pointer for each in errors] == [pointer]
    assert words in errors[0].message


@pytest.mark.parametrize(
    ("asked", "known", "pointers"),
    [
        ({"limit": 1000, "checkBeforeUpdate": True}, {}, ["/memory/limit"]),
        ({"limit": 1001, "checkBeforeUpdate": True}, {}, []),
        ({"limit": 1000}, {"checkBeforeUpdate": True}, ["/memory/limit"]),
        ({"limit": 1000, "checkBeforeUpdate": False}, {"checkBeforeUpdate": True}, []),
        ({"limit": 1000}, {}, []),
        ({"limit": 500, "swap": 1000, "checkBeforeUpdate": True}, {}, ["/memory/swap", "/memory/limit"]),
        ({"limit": -1, "checkBeforeUpdate": True}, {}, []),
        ({"reservation": 1, "checkBeforeUpdate": True}, {}, []),
    ],
    ids=str,
)
def test_limit_below_use(tmp_path: Path, asked: Resources, known: Resources, pointers: list[str]) -> None:
    path = cgroup(tmp_path, {"memory.current": "1000"})
    _, errors = writes_for({"memory": asked}, {"memory": known}, path)
    assert [each.pointer for each in errors] == pointers
    assert all("in use, 1000 bytes" in each.message for each in errors)


def test_merged_by_property_and_by_key() -> None:
    known = {
        "memory": {"limit": 1, "swap": 2},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 2}],
        "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]},
        "rdma": {"a": {"hcaHandles": 1}},
        "devices": [{"allow": False, "access": "rwm"}],
        "unified": {"memory.max": "1", "pids.max": "5", "cpu.weight": "7"},
        "org.example": 1,
    }
    asked = {
        "memory": {"limit": 5},
        "hugepageLimits": [{"pageSize": "1GB", "limit": 7}, {"pageSize": "64KB", "limit": 8}],
        "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 9}]},
        "rdma": {"a": {"hcaObjects": 2}, "b": {"hcaHandles": 3}},
        "devices": [],
        "unified": {"cpu.weight": "9"},
        "pids": {"limit": 3},
    }
    writes = [Write("/memory/limit", "memory.max", "5"), Write("/unified/cpu.weight", "cpu.weight", "9")]
    before = repr(known)
    assert merged(known, asked, writes) == {
        "memory": {"limit": 5, "swap": 2},
        "hugepageLimits": [
            {"pageSize": "2MB", "limit": 1},
            {"pageSize": "1GB", "limit": 7},
            {"pageSize": "64KB", "limit": 8},
        ],
        "blockIO": {
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 16, "rate": 9}]
        },
        "rdma": {"a": {"hcaHandles": 1, "hcaObjects": 2}, "b": {"hcaHandles": 3}},
        "devices": [{"allow": False, "access": "rwm"}],
        "unified": {"pids.max": "5", "cpu.weight": "9"},
        "org.example": 1,
        "pids": {"limit": 3},
    }
    assert repr(known) == before


@pytest.mark.parametrize("asked", [{"limit": -1}, {"limit": -1, "swap": 0}, {"swap": -1}], ids=str)
def test_swap_limit_that_is_lifted_does_not_come_back(tmp_path: Path, asked: Resources) -> None:
    known = {"memory": {"limit": 100, "swap": 150}}
    writes, _ = writes_for({"memory": asked}, known, str(tmp_path))
    after = merged(known, {"memory": asked}, writes)
    writes, _ = writes_for({"memory": {"limit": 120}}, after, str(tmp_path))
    assert [(each.file, each.value) for each in writes] == [("memory.max", "120")]


def test_device_rules_are_replaced() -> None:
    rules = [{"allow": True, "access": "r"}]
    assert merged({"devices": [{"allow": False, "access": "rwm"}]}, {"devices": rules}, []) == {"devices": rules}
