# SPDX-License-Identifier: Apache-2.0
"""What device rules allow, told from the rules alone (runtime-spec config-linux.md, "Allowed Device list")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

Rule = dict[str, Any]

DENY_ALL: Rule = {"allow": False, "access": "rwm"}


def granted(rules: Iterable[Rule], kind: str, major: int, minor: int, access: str) -> bool:
    """Decides a request: for each permission the last rule that speaks of it has the say, and "deny" without one."""
    verdicts = dict.fromkeys(access, False)
    for rule in rules:
        if rule.get("type", "a") not in ("a", kind):
            continue
        if any(rule.get(name, -1) not in (-1, number) for name, number in (("major", major), ("minor", minor))):
            continue
        verdicts.update((letter, rule["allow"]) for letter in access if letter in rule["access"])
    return all(verdicts.values())


def accesses() -> st.SearchStrategy[str]:
    """Strategy for permissions: some of them, in any order."""
    return st.permutations("rwm").flatmap(lambda order: st.integers(1, 3).map(lambda n: "".join(order[:n])))


def rule_lists(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[list[Rule]]:
    """Strategy for lists of rules with wildcards written in each way, and device numbers as given."""
    number = st.one_of(st.just(-1), numbers)
    rule = st.fixed_dictionaries(
        {"allow": st.booleans(), "access": accesses()},
        optional={"type": st.sampled_from("abc"), "major": number, "minor": number},
    )
    return st.lists(rule, max_size=12)
