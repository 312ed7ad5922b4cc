# SPDX-License-Identifier: Apache-2.0
"""Whatever resources the schema takes become writes and errors: nothing else is ever raised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun_cgroups.changes import merged, writes_for
from pyrun_cgroups.devices import DeviceRuleError, device_filter
from pyrun_cgroups.limits import writes_of
from pyrun_spec.check import resources as is_valid

Strategy = st.SearchStrategy[Any]


def integers(bits: int, *, signed: bool = False) -> Strategy:
    """Numbers of a size, rather the peculiar ones."""
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.sampled_from([0, 1, 10, 1000, 4096, most, max(least, -1), least]) | st.integers(least, most)


def some(**members: Strategy) -> Strategy:
    """Objects with some of the members."""
    return st.fixed_dictionaries({}, optional=members)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
INT64, UINT64 = integers(64, signed=True), integers(64)
NUMBERS = {"major": integers(64, signed=True), "minor": integers(64, signed=True)}
THROTTLES = st.lists(st.fixed_dictionaries({**NUMBERS, "rate": UINT64}), max_size=3)
RULE = st.fixed_dictionaries(
    {"allow": st.booleans()},
    optional={"type": st.sampled_from("abc"), "access": st.sampled_from(["r", "w", "m", "rwm"]), **NUMBERS},
)
RESOURCES = some(
    devices=st.lists(RULE, max_size=4),
    memory=some(
        **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP"), INT64),
        swappiness=UINT64,
        disableOOMKiller=st.booleans(),
        useHierarchy=st.booleans(),
        checkBeforeUpdate=st.booleans(),
    ),
    cpu=some(
        **dict.fromkeys(("shares", "period", "realtimePeriod", "burst"), UINT64),
        **dict.fromkeys(("quota", "realtimeRuntime", "idle"), INT64),
        cpus=TEXT,
        mems=TEXT,
    ),
    pids=st.fixed_dictionaries({"limit": INT64}),
    blockIO=some(
        weight=integers(16),
        leafWeight=integers(16),
        weightDevice=st.lists(
            st.fixed_dictionaries(NUMBERS, optional={"weight": integers(16), "leafWeight": integers(16)}), max_size=2
        ),
        throttleReadBpsDevice=THROTTLES,
        throttleWriteIOPSDevice=THROTTLES,
    ),
    hugepageLimits=st.lists(
        st.fixed_dictionaries({"pageSize": st.sampled_from(["2MB", "1GB", "64KB", "3MB"]), "limit": UINT64}), max_size=3
    ),
    network=some(
        classID=integers(32),
        priorities=st.lists(st.fixed_dictionaries({"name": TEXT, "priority": integers(32)}), max_size=2),
    ),
    rdma=st.dictionaries(TEXT, some(hcaHandles=integers(32), hcaObjects=integers(32)), max_size=2),
    unified=st.dictionaries(st.sampled_from(["memory.high", "misc.max", "a.b", "cgroup.max.depth"]), TEXT, max_size=3),
)


def check_writes(resources: dict[str, Any], *, known: dict[str, Any] | None = None) -> None:
    """Makes writes of resources, and looks whether each can be one."""
    writes, errors = writes_of(resources) if known is None else writes_for(resources, known, "/nowhere")
    for write in writes:
        assert write.pointer.startswith("/") and write.value
        for name in (write.file, *(write.instead or ())[:1]):
            assert "/" not in name and "\0" not in name and "." in name[1:-1]
    for error in errors:
        assert error.pointer.startswith("/") and "\n" not in error.message


@given(RESOURCES)
def test_resources(resources: dict[str, Any]) -> None:
    if is_valid(resources):
        check_writes(resources)


@given(RESOURCES, RESOURCES)
def test_changes(asked: dict[str, Any], known: dict[str, Any]) -> None:
    if is_valid(asked) and is_valid(known):
        check_writes(asked, known=known)
        assert is_valid(merged(known, asked, []))
        assert merged(known, {}, []) == known


@given(st.lists(RULE, max_size=6))
def test_device_rules(rules: list[dict[str, Any]]) -> None:
    try:
        program = device_filter(rules)
    except DeviceRuleError as error:
        assert error.pointer.startswith("/")
    else:
        assert program and len(program) % 8 == 0


@pytest.mark.parametrize(
    "size", ["2MB/../x", "../2MB", "2MB\n", "", "MB", "02MB", "2mb", "2 MB", "2M", "\u0662MB", "-2MB", "2MB.max"]
)
def test_page_size_is_no_path(size: str) -> None:
    writes, errors = writes_of({"hugepageLimits": [{"pageSize": size, "limit": 1}]})
    assert writes == []
    assert [each.pointer for each in errors] == ["/hugepageLimits/0/pageSize"]
