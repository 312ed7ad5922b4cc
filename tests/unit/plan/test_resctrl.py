# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt: the mount, the order of the operations, and what delete will have to remove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyrun.plan import resctrl

from .configs import arguments_of, compile_for_test, minimal_config, names_of, request_for_test

MOUNT = "/sys/fs/resctrl"


def config_with(settings: dict[str, Any]) -> dict[str, Any]:
    return minimal_config(linux={"namespaces": [{"type": "pid"}, {"type": "mount"}], "intelRdt": settings})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        (["22 1 0:20 / /sys rw,nosuid - sysfs sysfs rw\n"], None),
        (["30 22 0:27 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw,mba_MBps\n"], MOUNT),
        (["30 1 0:27 / /a\\040b\\134c rw - resctrl none rw\n", "31 1 0:27 / /x rw - resctrl none rw\n"], "/a b\\c"),
        (["30 1 0:27 / /resctrl rw - tmpfs resctrl rw\n"], None),
    ],
)
def test_mount_is_found_by_its_type(lines: list[str], expected: str | None) -> None:
    assert resctrl.mount_in(lines) == expected


def test_groups_are_entered_on_the_host_before_the_clone() -> None:
    names = names_of(compile_for_test(config_with({}), resctrl_mount=MOUNT))
    order = ["make_resctrl_group", "join_resctrl_groups", "clone_init"]
    assert [name for name in names if name in order] == order


@pytest.mark.parametrize(
    ("settings", "group", "flags", "entered"),
    [
        ({}, "box", resctrl.MAY_MAKE | resctrl.MUST_MAKE, ["/box"]),
        ({"closID": "a"}, "a", 0, ["/a"]),
        ({"closID": "a", "memBwSchema": "MB:0=1"}, "a", resctrl.MAY_MAKE | resctrl.MUST_AGREE, ["/a"]),
        ({"closID": "a", "enableMonitoring": True}, "a", 0, ["/a", "/a/mon_groups/box"]),
        ({"closID": "/"}, "", 0, [""]),
    ],
)
def test_groups(settings: dict[str, Any], group: str, flags: int, entered: list[str]) -> None:
    plan = compile_for_test(config_with(settings), resctrl_mount=MOUNT)
    (made,), (joined,) = arguments_of(plan, "make_resctrl_group"), arguments_of(plan, "join_resctrl_groups")
    assert (made["mount"], made["group"], made["flags"]) == (MOUNT, group, flags)
    assert made["monitor"] == ("box" if settings.get("enableMonitoring") else "")
    assert joined["directories"] == [MOUNT + path for path in entered]


@pytest.mark.parametrize(
    ("settings", "there", "made", "undone"),
    [
        ({}, (), ["/box"], []),
        ({}, ("box",), [], []),
        ({"closID": "a"}, (), [], ["/a"]),
        ({"closID": "a", "enableMonitoring": True}, ("a/mon_groups",), ["/a/mon_groups/box"], []),
        ({"closID": "a", "enableMonitoring": True}, ("a/mon_groups/box",), [], []),
        ({"enableMonitoring": True}, (), ["/box/mon_groups/box", "/box"], []),
    ],
)
def test_what_delete_removes(
    tmp_path: Path, settings: dict[str, Any], there: tuple[str, ...], made: list[str], undone: list[str]
) -> None:
    for path in there:
        (tmp_path / path).mkdir(parents=True)
    found = resctrl.to_remove(config_with(settings), request_for_test(resctrl_mount=str(tmp_path)))
    assert found == {"made": [f"{tmp_path}{path}" for path in made], "undone": [f"{tmp_path}{path}" for path in undone]}
