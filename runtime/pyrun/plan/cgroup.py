# SPDX-License-Identifier: Apache-2.0
"""linux.cgroupsPath and linux.resources: where the container is born, and what it may touch."""

from __future__ import annotations

from pyrun_cgroups.devices import DEFAULT_RULES, DeviceRuleError, device_filter
from pyrun_cgroups.limits import unsupported_limits
from pyrun_cgroups.placement import CgroupPathError, cgroup_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan


def place(plan: Plan, config: Config, request: Request, problems: Problems) -> bool:
    """Add the making of the container's cgroup and of its device filter; report limits that can't be applied.

    Returns whether the container gets a cgroup of its own.
    """
    linux = config.get("linux") or {}
    resources = linux.get("resources") or {}
    for pointer, message in unsupported_limits(resources):
        problems.add(f"/linux/resources{pointer}", message)
    try:
        path = path_of(config, request)
        program = device_filter([*(resources.get("devices") or ()), *DEFAULT_RULES])
    except CgroupPathError as error:
        problems.add("/linux/cgroupsPath", str(error))
    except DeviceRuleError as error:
        problems.add(f"/linux/resources/devices{error.pointer}", error.message)
    else:
        if path is not None:
            plan.add("make_cgroup", "/linux/cgroupsPath", request.cgroup_mount or "", path)
            # Nobody else may attach one; then a user namespace bars devices.
            if request.caller.is_host_root:
                plan.add("attach_device_filter", "/linux/resources/devices", program)
            return True
        if not request.cgroup_denied:
            problems.add("/linux/cgroupsPath", "this host has no cgroup2 mount; mount one on /sys/fs/cgroup")
    return False


def path_of(config: Config, request: Request) -> str | None:
    """Return the path below the cgroup2 mount, or None where the container gets no cgroup of its own."""
    asked = (config.get("linux") or {}).get("cgroupsPath")
    if request.cgroup_mount is None or (request.cgroup_denied and not asked):
        return None
    return cgroup_path(asked, request.container_id, request.own_cgroup)
