# SPDX-License-Identifier: Apache-2.0
"""linux.memoryPolicy: the NUMA nodes that memory of the container's processes comes from (set_mempolicy(2))."""

from __future__ import annotations

from pyrun.plan.number_lists import mask_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan.operations import Plan

# linux/mempolicy.h
MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,  # since Linux 5.15
    "MPOL_WEIGHTED_INTERLEAVE": 6,  # since Linux 6.9
}
FLAGS = {"MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15}


def set_policy(plan: Plan, policy: dict[str, Any]) -> None:
    """Add the policy; it is inherited, and what the cgroup's cpuset does not allow is taken off by the kernel."""
    flags = sum(FLAGS[flag] for flag in set(policy.get("flags") or ()))
    mode = MODES[policy["mode"]] | flags
    plan.add("set_memory_policy", "/linux/memoryPolicy", mode, mask_of(policy.get("nodes") or ""))
