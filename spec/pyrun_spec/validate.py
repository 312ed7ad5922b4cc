# SPDX-License-Identifier: Apache-2.0
"""Everything that is wrong with a configuration at once: the verb `validate`."""

from __future__ import annotations

from typing import Any

from pyrun_spec.advice import advice
from pyrun_spec.errors import SpecError
from pyrun_spec.explain import Finding, explain_config
from pyrun_spec.load import CONFIG, parse_json, read_config
from pyrun_spec.rare_rules import RARE_RULES
from pyrun_spec.rules import RULES


def validate_config(source: str | bytes) -> list[Finding]:
    """Returns the errors of a configuration in the order of the file, then warnings if there are none.

    Args:
        source: a bundle directory, or the text of a config.json.
    """
    try:
        text = source if isinstance(source, bytes) else read_config(source)
        config = parse_json(text, CONFIG, drop_null=True)
    except SpecError as error:
        return [Finding(error.pointer or "", error.message)]
    return errors_of(config) or advice(config)


def errors_of(config: Any) -> list[Finding]:
    """Returns what is wrong with a parsed configuration without null members, in the order of the file.

    A rule is asked only if what it reads has the right shape, lest it mistakes one error for another.
    """
    findings = explain_config(config)
    misshapen = [found.pointer for found in findings]

    def report(pointer: str, message: str) -> None:
        findings.append(Finding(pointer, message))

    for rule, properties in RULES + RARE_RULES:
        if not any(_overlap(pointer, place) for pointer in misshapen for place in properties):
            rule(config, report)
    return sorted(dict.fromkeys(findings), key=lambda found: _position(config, found.pointer))


def _overlap(pointer: str, other: str) -> bool:
    """Whether one of two places is, or is inside, the other."""
    return f"{pointer}/".startswith(f"{other}/") or f"{other}/".startswith(f"{pointer}/")


def _position(config: Any, pointer: str) -> list[int]:
    """Returns a sort key: the index of each step to a place among its siblings; missing members come last."""
    position = []
    value = config
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            names = list(value)
            position.append(names.index(name) if name in value else len(names))
            value = value.get(name)
        elif isinstance(value, list):
            position.append(int(name))
            value = value[int(name)]
    return position
