# SPDX-License-Identifier: Apache-2.0
"""linux.resources.cpu in the files of the cpu and cpuset controllers."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun_cgroups import cpu, cpuset
from pyrun_cgroups.writes import LimitError, Write

# Group, and of each write: property, file, value, whether it may be missing.
TABLE: list[tuple[dict[str, Any], list[tuple[str, str, str, bool]]]] = [
    ({"shares": 1024}, [("shares", "cpu.weight", "100", False)]),
    ({"shares": 0}, []),
    ({"quota": 50000, "period": 200000}, [("quota", "cpu.max", "50000 200000", False)]),
    ({"quota": 50000}, [("quota", "cpu.max", "50000 100000", False)]),
    ({"quota": 50000, "period": 0}, [("quota", "cpu.max", "50000 100000", False)]),
    ({"quota": -1, "period": 200000}, [("quota", "cpu.max", "max 200000", True)]),
    ({"quota": -1}, [("quota", "cpu.max", "max 100000", True)]),
    ({"quota": 0, "period": 200000}, [("period", "cpu.max", "max 200000", True)]),
    ({"quota": 0, "period": 0}, []),
    (
        {"burst": 1000, "quota": 50000},
        [("quota", "cpu.max", "50000 100000", False), ("burst", "cpu.max.burst", "1000", False)],
    ),
    ({"burst": 0}, [("burst", "cpu.max.burst", "0", True)]),
    ({"idle": 1}, [("idle", "cpu.idle", "1", False)]),
    ({"idle": 1, "shares": 512}, [("idle", "cpu.idle", "1", False)]),
    ({"idle": 0, "shares": 512}, [("idle", "cpu.idle", "0", True), ("shares", "cpu.weight", "59", False)]),
    ({"realtimeRuntime": 0, "realtimePeriod": 1000000}, []),
    ({"realtimeRuntime": -1}, []),
    ({"shares": None, "quota": None, "period": None, "burst": None, "idle": None, "realtimeRuntime": None}, []),
    ({"cpus": "0-1", "mems": "0"}, []),
]

WEIGHTS = [
    (1, 1),
    (2, 1),
    (3, 2),
    (10, 4),
    (102, 17),
    (1024, 100),
    (2048, 174),
    (100000, 4340),
    (262143, 10000),
    (262144, 10000),
    (2**64 - 1, 10000),
]


@pytest.mark.parametrize(("group", "expected"), TABLE, ids=str)
def test_writes(group: dict[str, Any], expected: list[tuple[str, str, str, bool]]) -> None:
    found = cpu.writes(group)
    assert [(each.pointer.removeprefix("/cpu/"), each.file, each.value, each.optional) for each in found] == expected
    assert {each.controller for each in found} <= {"cpu"}


@pytest.mark.parametrize(("shares", "weight"), WEIGHTS)
def test_weights(shares: int, weight: int) -> None:
    """First, last and default of one scale are those of the other; 102 shares stand for a tenth of a CPU."""
    assert cpu.weight_of(shares) == weight


def test_more_shares_are_never_less_weight() -> None:
    weights = [cpu.weight_of(shares) for shares in range(1, 262145, 7)]
    assert weights == sorted(weights)
    assert (weights[0], weights[-1]) == (1, 10000)


@pytest.mark.parametrize(
    ("group", "name", "words"),
    [
        ({"idle": 2}, "idle", "neither 0"),
        ({"idle": -1}, "idle", "neither 0"),
        ({"realtimeRuntime": 950000}, "realtimeRuntime", "remove it"),
    ],
    ids=str,
)
def test_errors(group: dict[str, Any], name: str, words: str) -> None:
    with pytest.raises(LimitError, match=words) as caught:
        cpu.writes(group)
    assert caught.value.pointer == f"/cpu/{name}"


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ({"cpus": "0-1"}, [Write("/cpu/cpus", "cpuset.cpus", "0-1")]),
        ({"mems": "0"}, [Write("/cpu/mems", "cpuset.mems", "0")]),
        (
            {"mems": "0", "cpus": "1", "shares": 5},
            [Write("/cpu/cpus", "cpuset.cpus", "1"), Write("/cpu/mems", "cpuset.mems", "0")],
        ),
        ({"cpus": "", "mems": None}, []),
    ],
    ids=str,
)
def test_cpuset(group: dict[str, Any], expected: list[Write]) -> None:
    assert cpuset.writes(group) == expected
