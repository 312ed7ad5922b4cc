# SPDX-License-Identifier: Apache-2.0
"""Limits as properties of a unit."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun_cgroups.limits import writes_of
from pyrun_cgroups.systemd.properties import INFINITY, properties_of
from pyrun_cgroups.writes import Write


def of(resources: dict[str, Any]) -> dict[str, Any]:
    writes, errors = writes_of(resources)
    assert not errors
    return dict(properties_of(writes))


def of_unified(file: str, value: str) -> dict[str, Any]:
    return of({"unified": {file: value}})


def test_memory_and_pids() -> None:
    resources = {"memory": {"limit": 1 << 26, "swap": 3 << 25, "reservation": 1 << 25}, "pids": {"limit": 7}}
    assert of(resources) == {
        "MemoryMax": ("t", 1 << 26),
        "MemorySwapMax": ("t", 1 << 25),
        "MemoryLow": ("t", 1 << 25),
        "TasksMax": ("t", 7),
    }


def test_unlimited() -> None:
    resources = {"memory": {"limit": -1, "reservation": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}}
    assert of(resources) == {
        "MemoryMax": ("t", INFINITY),
        "MemorySwapMax": ("t", INFINITY),
        "MemoryLow": ("t", 0),
        "TasksMax": ("t", INFINITY),
        "CPUQuotaPeriodUSec": ("t", 100000),
        "CPUQuotaPerSecUSec": ("t", INFINITY),
    }


@pytest.mark.parametrize(
    ("quota", "period", "share"), [(50000, 100000, 500000), (1, 1000000, 10000), (3333, 100000, 40000)]
)
def test_quota_is_rounded_up_to_percents(quota: int, period: int, share: int) -> None:
    properties = of({"cpu": {"quota": quota, "period": period}})
    assert properties == {"CPUQuotaPeriodUSec": ("t", period), "CPUQuotaPerSecUSec": ("t", share)}


def test_cpus() -> None:
    properties = of({"cpu": {"cpus": "0-2,9", "mems": "0", "shares": 1024}})
    assert properties == {
        "AllowedCPUs": ("ay", b"\x07\x02"),
        "AllowedMemoryNodes": ("ay", b"\x01"),
        "CPUWeight": ("t", 100),
    }


def test_idle() -> None:
    assert of({"cpu": {"idle": 1}}) == {"CPUWeight": ("t", 0)}
    assert of({"cpu": {"idle": 0}}) == {}


def test_block_io() -> None:
    device = {"major": 8, "minor": 16}
    resources = {
        "blockIO": {
            "weight": 100,
            "throttleReadBpsDevice": [{**device, "rate": 1000}, {"major": 8, "minor": 0, "rate": 5}],
            "throttleWriteIOPSDevice": [{**device, "rate": 0}],
        }
    }
    assert of(resources) == {
        "IOWeight": ("t", 910),
        "IOReadBandwidthMax": ("a(st)", [("/dev/block/8:16", 1000), ("/dev/block/8:0", 5)]),
        "IOWriteIOPSMax": ("a(st)", [("/dev/block/8:16", INFINITY)]),
    }


@pytest.mark.parametrize(
    ("file", "value", "properties"),
    [
        ("memory.high", " 4M ", {"MemoryHigh": ("t", 4 << 20)}),
        ("memory.min", "max", {"MemoryMin": ("t", INFINITY)}),
        ("cpu.max", "max", {"CPUQuotaPeriodUSec": ("t", 100000), "CPUQuotaPerSecUSec": ("t", INFINITY)}),
        ("io.weight", "default 7", {"IOWeight": ("t", 7)}),
        ("io.weight", "8:0 7", {"IODeviceWeight": ("a(st)", [("/dev/block/8:0", 7)])}),
        ("io.max", "8:0 rbps=7 wiops=max", None),
        ("cpu.weight.nice", "1", {}),
        ("cpuset.mems", "", {"AllowedMemoryNodes": ("ay", b"")}),
        ("misc.max", "x 1", {}),
    ],
)
def test_unified(file: str, value: str, properties: dict[str, Any] | None) -> None:
    if properties is None:
        properties = {
            "IOReadBandwidthMax": ("a(st)", [("/dev/block/8:0", 7)]),
            "IOWriteIOPSMax": ("a(st)", [("/dev/block/8:0", INFINITY)]),
        }
    assert of_unified(file, value) == properties


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("memory.max", "much"),
        ("memory.max", "0"),
        ("memory.max", "-1"),
        ("pids.max", "0"),
        ("cpu.weight", "10001"),
        ("cpu.weight", "max"),
        ("cpu.max", "1 0"),
        ("cpu.max", "1 2 3"),
        ("cpu.max", ""),
        ("cpuset.cpus", "3-1"),
        ("cpuset.cpus", "0-4294967295"),
        ("io.max", "sda rbps=1"),
        ("io.weight", ""),
    ],
)
def test_what_the_kernel_is_to_refuse_is_left_out(file: str, value: str) -> None:
    assert of_unified(file, value) == {}


def test_the_last_of_several_counts() -> None:
    writes = [Write("/memory/limit", "memory.max", "5000"), Write("/unified/memory.max", "memory.max", "7000")]
    assert properties_of(writes) == [("MemoryMax", ("t", 7000))]
