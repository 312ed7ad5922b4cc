# SPDX-License-Identifier: Apache-2.0
"""Seccomp profiles for the tests of the compiler and of its cache."""

from __future__ import annotations

import json
import os
from typing import Any

Profile = dict[str, Any]


def profile_of(*rules: Profile, **members: Any) -> Profile:
    """A profile with rules, which fails all else with EPERM."""
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **members}


def rule(*names: str, action: str = "SCMP_ACT_ALLOW", **members: Any) -> Profile:
    """A rule, which allows unless it says otherwise."""
    return {"names": list(names), "action": action, **members}


def condition(index: int, operator: str, value: int, value_two: int = 0) -> Profile:
    """A condition on an argument."""
    return {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": value_two}


LATEST = rule("fchmodat2")
"""Makes no call that the tests use newer than the profile."""


def docker_profile() -> Profile:
    """What Docker writes into config.json."""
    path = os.path.join(os.path.dirname(__file__), "..", "..", "data", "docker.json")
    with open(path, encoding="utf-8") as file:
        profile: Profile = json.load(file)["linux"]["seccomp"]
    return profile
