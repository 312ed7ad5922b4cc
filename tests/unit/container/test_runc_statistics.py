# SPDX-License-Identifier: Apache-2.0
"""The JSON of events beside what runc 1.1.5 printed for the same container (tests/data/cgroups)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyrun.container.statistics import data_of
from support.shapes import NEWER_STATISTICS, places

CAPTURED = Path(__file__).parents[2] / "data" / "cgroups"
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return data_of(str(CAPTURED / "linux-6.1"), {})


@pytest.fixture(scope="module")
def runc() -> dict[str, Any]:
    document = json.loads((CAPTURED / "runc-1.1.5.json").read_text())
    assert (document["type"], document["id"]) == ("stats", "cap")
    found: dict[str, Any] = document["data"]
    return found


def test_has_what_runc_has_in_its_order(data: dict[str, Any], runc: dict[str, Any]) -> None:
    own = places(data, NEWER_STATISTICS)
    assert set(own) - set(places(runc)) == NEWER_STATISTICS
    assert [place for place in own if place not in NEWER_STATISTICS] == places(runc)


def test_values_that_stay(data: dict[str, Any], runc: dict[str, Any]) -> None:
    """The files were captured a moment after runc had read them."""
    for name in ("cpuset", "hugetlb", "intel_rdt", "network_interfaces"):
        assert data[name] == runc[name]
    for name in ("kernel", "kernelTCP"):
        assert data["memory"][name] == runc["memory"][name]
    for name in ("usage", "swap"):
        assert data["memory"][name]["limit"] == runc["memory"][name]["limit"]
    assert data["pids"] == runc["pids"]


def test_values_that_grow(data: dict[str, Any], runc: dict[str, Any]) -> None:
    for part, keys in (("usage", ("total", "kernel", "user")), ("throttling", runc["cpu"]["throttling"])):
        for key in keys:
            assert runc["cpu"][part][key] < data["cpu"][part][key] < 2 * runc["cpu"][part][key]
    (read, _), (earlier, _) = (each["blkio"]["ioServiceBytesRecursive"] for each in (data, runc))
    assert (read["value"], earlier["value"]) == (2883584, 1572864)


def test_newer_keys(data: dict[str, Any]) -> None:
    assert data["memory"]["usage"]["max"] == 3342336
    some = {"avg10": 35.06, "avg60": 7.94, "avg300": 1.72, "total": 5428799}
    assert data["cpu"]["psi"]["some"] == some
    assert data["memory"]["psi"].keys() == data["blkio"]["psi"].keys() == {"some", "full"}
    assert data["cgroup2"]["memory"]["events"]["oom_kill"] == 0


def test_host_without_controllers() -> None:
    """As runc 1.1.5 prints it there, but for PSI and the number of processes, which that takes from cgroup.procs."""
    found = data_of(str(CAPTURED / "linux-6.18"), {})
    nothing = {"limit": 0, "failcnt": 0}
    del found["memory"]["psi"]
    assert found["memory"] == dict.fromkeys(("usage", "swap", "kernel", "kernelTCP"), nothing)
    assert found["pids"] == {}
    assert found["blkio"].keys() == {"psi"}
    assert found["cpu"]["throttling"] == {}
    assert found["hugetlb"] == {"1GB": {"failcnt": 0}, "2MB": {"failcnt": 0}}


@pytest.mark.parametrize(
    ("files", "limit", "usage"),
    [
        ({"memory.max": "max", "memory.swap.max": "max", "memory.swap.current": "5"}, 2**64 - 1, 105),
        ({"memory.max": "1000", "memory.swap.max": "max", "memory.swap.current": "5"}, 2**64 - 1, 105),
        ({"memory.max": "max", "memory.swap.max": "10", "memory.swap.current": "5"}, 2**64 - 1, 105),
        ({"memory.max": "1000", "memory.swap.max": "10", "memory.swap.current": "5"}, 1010, 105),
        ({"memory.max": "1000"}, 1000, 100),
    ],
)
def test_memory_and_swap_together(tmp_path: Path, files: dict[str, str], limit: int, usage: int) -> None:
    for name, content in {**files, "cgroup.stat": "", "memory.current": "100"}.items():
        (tmp_path / name).write_text(content)
    assert data_of(str(tmp_path), {})["memory"]["swap"] == {"limit": limit, "usage": usage, "failcnt": 0}


def test_devices_in_order(tmp_path: Path) -> None:
    lines = "259:0 rbytes=1 wbytes=0 rios=1 wios=0\n8:1 rbytes=7 wbytes=9 rios=2 wios=3\n0:40 rbytes=0\n"
    for name, content in {"cgroup.stat": "", "io.stat": lines}.items():
        (tmp_path / name).write_text(content)
    assert data_of(str(tmp_path), {})["blkio"] == {
        "ioServiceBytesRecursive": [
            {"minor": 40, "op": "Read"},
            {"major": 8, "minor": 1, "op": "Read", "value": 7},
            {"major": 8, "minor": 1, "op": "Write", "value": 9},
            {"major": 259, "op": "Read", "value": 1},
            {"major": 259, "op": "Write"},
        ],
        "ioServicedRecursive": [
            {"major": 8, "minor": 1, "op": "Read", "value": 2},
            {"major": 8, "minor": 1, "op": "Write", "value": 3},
            {"major": 259, "op": "Read", "value": 1},
            {"major": 259, "op": "Write"},
        ],
    }
