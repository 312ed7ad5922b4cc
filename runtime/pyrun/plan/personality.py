# SPDX-License-Identifier: Apache-2.0
"""linux.personality: the execution domain of the container's processes (personality(2))."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Problems
    from pyrun.plan.operations import Plan

DOMAINS = {"LINUX": 0, "LINUX32": 8}  # linux/personality.h


def set_persona(plan: Plan, personality: dict[str, Any], problems: Problems) -> None:
    """Add the domain, without any flag: those of the caller end here, and the specification defines none."""
    if personality.get("flags"):
        problems.add("/linux/personality/flags", "the specification defines no flags of a personality; remove them")
    plan.add("set_personality", "/linux/personality/domain", DOMAINS[personality["domain"]])
