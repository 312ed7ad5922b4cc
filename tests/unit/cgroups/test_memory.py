# SPDX-License-Identifier: Apache-2.0
"""linux.resources.memory in the files of the memory controller."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun_cgroups.memory import writes
from pyrun_cgroups.writes import LimitError

MAX, LOW, SWAP = "memory.max", "memory.low", "memory.swap.max"

# Group, and of each write: property, file, value, whether it may be missing.
TABLE: list[tuple[dict[str, Any], list[tuple[str, str, str, bool]]]] = [
    ({"limit": 4096}, [("limit", MAX, "4096", False)]),
    ({"limit": 0}, []),
    ({"limit": None}, []),
    ({"limit": -1}, [("limit", SWAP, "max", True), ("limit", MAX, "max", True)]),
    ({"limit": 2**63 - 1}, [("limit", SWAP, "max", True), ("limit", MAX, "max", True)]),
    ({"limit": 2**63 - 4096}, [("limit", SWAP, "max", True), ("limit", MAX, "max", True)]),
    ({"limit": 2**63 - 4097}, [("limit", MAX, str(2**63 - 4097), False)]),
    ({"limit": 100, "swap": 150}, [("swap", SWAP, "50", False), ("limit", MAX, "100", False)]),
    ({"limit": 100, "swap": 100}, [("swap", SWAP, "0", True), ("limit", MAX, "100", False)]),
    ({"limit": 100, "swap": -1}, [("swap", SWAP, "max", True), ("limit", MAX, "100", False)]),
    ({"limit": 100, "swap": 0}, [("limit", MAX, "100", False)]),
    ({"limit": -1, "swap": 100}, [("swap", SWAP, "100", False), ("limit", MAX, "max", True)]),
    ({"limit": -1, "swap": -1}, [("swap", SWAP, "max", True), ("limit", MAX, "max", True)]),
    ({"swap": -1}, [("swap", SWAP, "max", True)]),
    ({"swap": 0}, []),
    ({"reservation": 1}, [("reservation", LOW, "1", False)]),
    ({"reservation": -1}, [("reservation", LOW, "0", True)]),
    ({"reservation": 0}, []),
    ({"kernel": 4096, "kernelTCP": 4096, "swappiness": 60, "useHierarchy": True}, []),
    ({"kernel": -1, "kernelTCP": -1, "swappiness": 0, "useHierarchy": False}, []),
    ({"disableOOMKiller": False, "checkBeforeUpdate": True}, []),
]

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"limit": -2}, "limit", "-1 for no limit"),
    ({"limit": 4096, "swap": -2}, "swap", "-1 for no limit"),
    ({"reservation": -(2**63)}, "reservation", "-1 for no limit"),
    ({"swap": 4096}, "swap", "add memory.limit"),
    ({"limit": 0, "swap": 4096}, "swap", "add memory.limit"),
    ({"limit": 100, "swap": 99}, "swap", "at least the limit, 100"),
    ({"disableOOMKiller": True}, "disableOOMKiller", "oomScoreAdj"),
]


@pytest.mark.parametrize(("memory", "expected"), TABLE, ids=str)
def test_writes(memory: dict[str, Any], expected: list[tuple[str, str, str, bool]]) -> None:
    found = writes(memory)
    assert [(each.pointer.removeprefix("/memory/"), each.file, each.value, each.optional) for each in found] == expected
    assert {each.controller for each in found} <= {"memory"}


@pytest.mark.parametrize(("memory", "name", "words"), WRONG, ids=str)
def test_errors(memory: dict[str, Any], name: str, words: str) -> None:
    with pytest.raises(LimitError, match=words) as caught:
        writes(memory)
    assert caught.value.pointer == f"/memory/{name}"
