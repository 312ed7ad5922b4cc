# SPDX-License-Identifier: Apache-2.0
"""linux.cgroupsPath and linux.resources: where the container is born, what it gets there, and what it may touch."""

from __future__ import annotations

from pyrun_cgroups.devices import DeviceRuleError, container_rules, device_filter
from pyrun_cgroups.placement import CgroupPathError, cgroup_path, why_missing

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
    resources = resources_of(config)
    limits = _limits(resources, problems)
    try:
        path = path_of(config, request)
        program = device_filter(container_rules(resources.get("devices")))
    except CgroupPathError as error:
        problems.add("/linux/cgroupsPath", str(error))
    except DeviceRuleError as error:
        problems.add(f"/linux/resources/devices{error.pointer}", error.message)
    else:
        if path is not None:
            # All of them, as runc does: statistics need them, and so do limits that come later.
            if request.scope is None:
                arguments = request.cgroup_mount or "", path, request.cgroup_controllers
                plan.add("make_cgroup", "/linux/cgroupsPath", *arguments)
            else:
                from pyrun.plan import scope

                scope.enter(plan, request)
            if limits:
                limits = _held_back(plan, limits, request)
                _set_limits(plan, limits, request, problems)
            # Nobody else may attach one; then a user namespace bars devices.
            if request.caller.is_host_root:
                plan.add("attach_device_filter", "/linux/resources/devices", program)
            return True
        _refuse_limits(limits, problems)
        if not request.cgroup_denied:
            problems.add("/linux/cgroupsPath", "this host has no cgroup2 mount; mount one on /sys/fs/cgroup")
    return False


def resources_of(config: Config) -> dict[str, Any]:
    """Return ``linux.resources`` as the version of the specification that the document names has it.

    Before 1.3 a pids limit of 0 asks for nothing: so runc before 1.4 and crun take it, and Podman before 5.4 writes
    it for ``--pids-limit -1``.
    """
    resources: dict[str, Any] = (config.get("linux") or {}).get("resources") or {}
    pids = resources.get("pids")
    if pids and pids.get("limit") == 0 and tuple(map(int, config["ociVersion"].split(".")[:2])) < (1, 3):
        return {**resources, "pids": {}}
    return resources


def path_of(config: Config, request: Request) -> str | None:
    """Return the path below the cgroup2 mount, or None where the container gets no cgroup of its own."""
    if request.scope is not None and request.cgroup_mount is not None:
        return request.scope
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


def _held_back(plan: Plan, limits: list[Write], request: Request) -> list[Write]:
    """Postpone what would not let the outer stage be in the cgroup, even for a moment, beside the init."""
    if request.scope is None and not any(limit.file == "pids.max" and limit.value == "1" for limit in limits):
        return limits
    from pyrun.plan import birth

    return birth.postpone(plan, limits)


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
                f"{limit.file} needs controller {limit.controller}, which cgroup v2 does not have here, "
                f"{why_missing(limit.controller)}",
            )


def _refuse_limits(limits: list[Write], problems: Problems) -> None:
    for limit in limits:
        if not limit.optional:
            problems.add(
                f"/linux/resources{limit.pointer}",
                f"{limit.file} is a file of a cgroup, and the container gets none of its own: remove the limit, or run "
                "pyrun in a cgroup that is delegated to you (systemd-run --user --scope -p Delegate=yes)",
            )
