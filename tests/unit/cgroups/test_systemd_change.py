# SPDX-License-Identifier: Apache-2.0
"""Properties of a unit that are put back as they were."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun_cgroups.systemd import change
from pyrun_cgroups.systemd.change import PropertyChange
from pyrun_cgroups.writes import Write

NOT_SET = 2**64 - 1
BEFORE: dict[str, tuple[str, Any]] = {
    "TasksMax": ("t", 20),
    "CPUWeight": ("t", NOT_SET),
    "AllowedCPUs": ("ay", b""),
    "IOReadBandwidthMax": ("a(st)", [("/dev/block/8:0", 5)]),
    "IOWriteBandwidthMax": ("a(st)", []),
}


class StandIn:
    """Keeps what is set."""

    def __init__(self, calls: list[Any]) -> None:
        self._calls = calls

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def properties_of_scope(self, unit: str, names: list[str]) -> list[tuple[str, tuple[str, Any]]]:
        return [(name, BEFORE[name]) for name in names]

    def set_properties(self, unit: str, properties: list[tuple[str, tuple[str, Any]]]) -> None:
        self._calls.append((unit, properties))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []
    monkeypatch.setattr(change, "Manager", lambda *, user: StandIn(made))
    return made


def test_undo_sets_what_was_before(calls: list[Any]) -> None:
    writes = [
        Write("", "pids.max", "7"),
        Write("", "cpu.weight", "50"),
        Write("", "cpuset.cpus", "0"),
        Write("", "io.max", "8:16 rbps=7"),
        Write("", "io.max", "8:16 wbps=8"),
    ]
    changed = PropertyChange("a.scope", writes)
    changed.make()
    assert dict(calls[0][1])["TasksMax"] == ("t", 7)
    changed.undo()
    changed.undo()
    assert calls[1:] == [
        (
            "a.scope",
            [
                ("TasksMax", ("t", 20)),
                ("CPUWeight", ("t", NOT_SET)),
                ("AllowedCPUs", ("ay", b"")),
                ("IOReadBandwidthMax", ("a(st)", [])),
                ("IOReadBandwidthMax", ("a(st)", [("/dev/block/8:0", 5)])),
                ("IOWriteBandwidthMax", ("a(st)", [])),
            ],
        )
    ]


def test_nothing_is_told_of_what_systemd_does_not_keep(calls: list[Any]) -> None:
    changed = PropertyChange("a.scope", [Write("", "hugetlb.2MB.max", "5")])
    changed.make()
    changed.undo()
    assert calls == []
