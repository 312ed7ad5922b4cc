# SPDX-License-Identifier: Apache-2.0
"""What puts a cgroup's file back, and in which order files are written."""

from __future__ import annotations

import pytest

from pyrun_cgroups.order import in_order
from pyrun_cgroups.records import differences, is_setting
from pyrun_cgroups.writes import Write

FREE = "rbps=max wbps=max riops=max wiops=max"


@pytest.mark.parametrize(
    ("name", "before", "now", "expected"),
    [
        ("memory.max", "max\n", "max\n", []),
        ("memory.max", "max\n", "4096\n", ["max"]),
        ("cpu.max", "max 100000\n", "5000 10000\n", ["max 100000"]),
        ("cpuset.cpus", "\n", "0-1\n", ["\n"]),
        ("cpuset.cpus.partition", "root invalid (Parent is not a partition root)\n", "member\n", ["root"]),
        ("cpu.weight", "0\n", "100\n", []),
        ("cpu.weight", "50\n", "100\n", ["50"]),
        ("io.max", "", f"8:0 {FREE.replace('rbps=max', 'rbps=5')}\n", [f"8:0 {FREE}"]),
        ("io.max", "8:0 rbps=1 wbps=2 riops=3 wiops=4\n", "", ["8:0 rbps=1 wbps=2 riops=3 wiops=4"]),
        ("io.bfq.weight", "default 100\n", "default 200\n8:0 300\n", ["8:0 default", "default 100"]),
        (
            "rdma.max",
            "a hca_handle=3 hca_object=max\n",
            "a hca_handle=1 hca_object=2\n",
            ["a hca_handle=3 hca_object=max"],
        ),
        ("misc.max", "sev max\nsev_es 5\n", "sev 3\nsev_es 5\n", ["sev max"]),
    ],
)
def test_differences(name: str, before: str, now: str, expected: list[str]) -> None:
    assert differences(name, before, now) == expected


def test_actions_are_no_settings() -> None:
    assert is_setting("memory.max")
    assert not any(map(is_setting, ("memory.reclaim", "memory.peak", "cpu.pressure")))


@pytest.mark.parametrize(
    ("values", "before", "expected"),
    [
        (("5", "1"), ("1", "1"), "swap memory other"),
        (("1", "1"), ("5", "1"), "memory other swap"),
        (("max", "1"), ("5", "1"), "swap memory other"),
        (("0", "1"), ("max", "1"), "memory other swap"),
        (("some", "1"), ("5", "1"), "memory swap other"),
    ],
)
def test_swap_is_given_before_memory_is_taken(values: tuple[str, str], before: tuple[str, str], expected: str) -> None:
    files = {"memory": "memory.max", "swap": "memory.swap.max", "other": "pids.max"}
    writes = [Write("", files["memory"], "1"), Write("", files["swap"], values[0]), Write("", files["other"], "1")]
    known = {files["memory"]: "9", files["swap"]: before[0], files["other"]: before[1]}
    assert [each.file for each in in_order(writes, known)] == [files[name] for name in expected.split()]


@pytest.mark.parametrize(("value", "first"), [("5", "cpu.max.burst"), ("500", "cpu.max")])
def test_burst_stays_below_the_quota(value: str, first: str) -> None:
    writes = [Write("", "cpu.max", "100 1000"), Write("", "cpu.max.burst", value)]
    assert in_order(writes, {"cpu.max": "50 1000", "cpu.max.burst": "50"})[0].file == first


def test_what_cannot_be_put_back_comes_last() -> None:
    writes = [Write("", "memory.reclaim", "1"), Write("", "memory.max", "1")]
    assert [each.file for each in in_order(writes, {"memory.max": "max"})] == ["memory.max", "memory.reclaim"]
