# SPDX-License-Identifier: Apache-2.0
"""linux.cgroupsPath and linux.resources: where the container is born, what it gets there, and what it may touch."""

from __future__ import annotations

from pyrun_cgroups.devices import DEFAULT_RULES, DeviceRuleError, device_filter
from pyrun_cgroups.placement import CgroupPathError, cgroup_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan
    from pyrun_cgroups.writes import Write


def place(plan: Plan, config: Config, request: Request, problems: Problems) -> bool:
    """Add the making of the container's cgroup, its limits and its device filter.

    Returns whether the container gets a cgroup of its own.
    """
    linux = config.get("linux") or {}
    resources = linux.get("resources") or {}
    limits = _limits(resources, problems)
    try:
        path = path_of(config, request)
        program = device_filter([*(resources.get("devices") or ()), *DEFAULT_RULES])
    except CgroupPathError as error:
        problems.add("/linux/cgroupsPath", str(error))
    except DeviceRuleError as error:
        problems.add(f"/linux/resources/devices{error.pointer}", error.message)
    else:
        if path is not None:
            # All of them, as runc does: statistics need them, and so do limits that come later.
            plan.add("make_cgroup", "/linux/cgroupsPath", request.cgroup_mount or "", path, request.cgroup_controllers)
            if limits:
                _set_limits(plan, limits, request, problems)
            # Nobody else may attach one; then a user namespace bars devices.
            if request.caller.is_host_root:
                plan.add("attach_device_filter", "/linux/resources/devices", program)
            return True
        _refuse_limits(limits, problems)
        if not request.cgroup_denied:
            problems.add("/linux/cgroupsPath", "this host has no cgroup2 mount; mount one on /sys/fs/cgroup")
    return False


def path_of(config: Config, request: Request) -> str | None:
    """Return the path below the cgroup2 mount, or None where the container gets no cgroup of its own."""
    asked = (config.get("linux") or {}).get("cgroupsPath")
    if request.cgroup_mount is None or (request.cgroup_denied and not asked):
        return None
    return cgroup_path(asked, request.container_id, request.own_cgroup)


def _limits(resources: dict[str, Any], problems: Problems) -> list[Write]:
    if not resources.keys() - {"devices"}:
        return []
    from pyrun_cgroups.limits import writes_of

    limits, errors = writes_of(resources)
    for error in errors:
        problems.add(f"/linux/resources{error.pointer}", error.message)
    return limits


def _set_limits(plan: Plan, limits: list[Write], request: Request, problems: Problems) -> None:
    for limit in limits:
        pointer = f"/linux/resources{limit.pointer}"
        if limit.controller in request.cgroup_controllers or limit.controller == "cgroup":
            choices = [(limit.file, limit.value), *([limit.instead] if limit.instead else [])]
            files, values = [file for file, _ in choices], [value for _, value in choices]
            plan.add("write_cgroup_file", pointer, files, values, int(limit.optional))
        elif not limit.optional:
            problems.add(
                pointer,
                f"{limit.file} needs controller {limit.controller}, which cgroup v2 does not have here: remove the "
                f"limit, or take the controller from cgroup v1 (boot with cgroup_no_v1={limit.controller})",
            )


def _refuse_limits(limits: list[Write], problems: Problems) -> None:
    for limit in limits:
        if not limit.optional:
            problems.add(
                f"/linux/resources{limit.pointer}",
                f"{limit.file} is a file of a cgroup, and the container gets none of its own: remove the limit, or run "
                "pyrun in a cgroup that is delegated to you (systemd-run --user --scope -p Delegate=yes)",
            )
