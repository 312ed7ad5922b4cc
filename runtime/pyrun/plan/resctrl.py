# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt: the resctrl groups of a container (runtime-spec, config-linux.md, "IntelRdt").

A class of service is a directory of the resctrl file system, or its root; a monitoring group lies below one.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

MOUNT = "/sys/fs/resctrl"
DEFAULT_CLASS = "/"
MAY_MAKE, MUST_AGREE, MUST_MAKE = 1, 2, 4
# Of mountinfo (proc(5)).
ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def find_mount() -> str | None:
    """Return where resctrl is mounted: where the kernel means it to be, else anywhere; or None.

    Raises:
        OSError: procfs is not mounted.
    """
    if os.path.exists(f"{MOUNT}/schemata"):
        return MOUNT
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return mount_in(table)


def mount_in(table: Iterable[str]) -> str | None:
    """Return where the first resctrl file system in lines of mountinfo (proc(5)) is mounted, or None."""
    for line in table:
        if " - resctrl " in line:
            path = line.split(" ")[4]
            for escape, character in ESCAPES:
                path = path.replace(escape, character)
            return path
    return None


def place(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    """Add the making and the entering of the groups."""
    settings, mount = config["linux"]["intelRdt"], _mount(request)
    if mount is None:
        words = "no resctrl file system is mounted: mount -t resctrl resctrl /sys/fs/resctrl, or remove intelRdt"
        problems.add("/linux/intelRdt", words)
        return
    agreed = [f"{settings[name]}\n" for name in ("l3CacheSchema", "memBwSchema") if settings.get(name)]
    further = ["".join(f"{line}\n" for line in settings.get("schemata") or ())]
    plan.add(
        "make_resctrl_group",
        "/linux/intelRdt",
        mount,
        _name(settings, request),
        _flags(settings),
        agreed,
        [text for text in further if text],
        request.container_id if settings.get("enableMonitoring") else "",
    )
    join(plan, config, request)


def join(plan: Plan, config: Config, request: Request) -> None:
    """Add the entering of the groups, as a further process does it."""
    directories = [group for group in _directories(config, request) if group]
    plan.add("join_resctrl_groups", "/linux/intelRdt", directories)


def to_remove(config: Config, request: Request) -> dict[str, list[str]]:
    """Return the directories that a container which is yet to be made will make, to be removed in this order.

    Returns:
        "made": what goes when the container is deleted, which is nothing of a class that the config names;
        "undone": what goes as well, unless others use it by then, when the container is not created after all.
    """
    group, monitor = _directories(config, request)
    own = not config["linux"]["intelRdt"].get("closID")
    missing = {path for path in (group, monitor) if path and not os.path.lexists(path)}
    made = [path for path in (monitor, group if own else "") if path in missing]
    return {"made": made, "undone": [] if own else sorted(missing - {monitor})}


def _directories(config: Config, request: Request) -> tuple[str, str]:
    """Return the paths of the class of service and of the monitoring group, "" where there is none."""
    settings, mount = config["linux"]["intelRdt"], _mount(request)
    if mount is None:
        return "", ""
    group = f"{mount}/{_name(settings, request)}".rstrip("/")
    return group, f"{group}/mon_groups/{request.container_id}" if settings.get("enableMonitoring") else ""


def _mount(request: Request) -> str | None:
    return request.resctrl_mount or find_mount()


def _name(settings: dict[str, Any], request: Request) -> str:
    name: str = settings.get("closID") or request.container_id
    return "" if name == DEFAULT_CLASS else name


def _flags(settings: dict[str, Any]) -> int:
    if not settings.get("closID"):
        return MAY_MAKE | MUST_MAKE
    configured = any(settings.get(name) for name in ("l3CacheSchema", "memBwSchema", "schemata"))
    return MAY_MAKE | MUST_AGREE if configured else 0
