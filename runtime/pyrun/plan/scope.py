# SPDX-License-Identifier: Apache-2.0
"""The cgroup of a container under systemd: that of a scope, which pyrun asks for while the outer stage waits."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Request
    from pyrun.plan.operations import Plan


def enter(plan: Plan, request: Request) -> None:
    """Add the entering of the scope, whose cgroup is the container's."""
    path = request.scope or ""
    plan.add("await_scope", "/linux/cgroupsPath")
    plan.add("use_own_cgroup", "/linux/cgroupsPath", request.cgroup_mount or "", path, request.cgroup_controllers)
