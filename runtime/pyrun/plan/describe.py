# SPDX-License-Identifier: Apache-2.0
"""A plan for people, and as JSON."""

from __future__ import annotations

import json

from pyrun.plan.operations import OPERATIONS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan.operations import Argument

SHORTENED = 100


def as_text(plan: Plan) -> str:
    """Return the plan as lines: a heading a stage, an operation a line, with the JSON pointer it came from."""
    lines: list[str] = []
    stage = ""
    for name, pointer, arguments in plan.operations:
        if OPERATIONS[name][0] != stage:
            stage = OPERATIONS[name][0]
            lines.append(stage)
        words = " ".join(
            f"{label}={_shorten(_printable(value))}"
            for label, value in zip(OPERATIONS[name][2], arguments, strict=True)
        )
        lines.append(f"  {name:<22} {words}{'  ' if words else ''}{f'<- {pointer}' if pointer else ''}".rstrip())
    return "\n".join(lines)


def as_json(plan: Plan) -> str:
    """Return the plan as a JSON array of operations; byte strings are in hexadecimal."""
    return json.dumps(
        [
            {
                "stage": OPERATIONS[name][0],
                "operation": name,
                "pointer": pointer,
                "arguments": {
                    label: value.hex() if isinstance(value, bytes) else value
                    for label, value in zip(OPERATIONS[name][2], arguments, strict=True)
                },
            }
            for name, pointer, arguments in plan.operations
        ],
        indent=2,
    )


def _printable(value: Argument) -> str:
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    return json.dumps(value)


def _shorten(text: str) -> str:
    return text if len(text) <= SHORTENED else f"{text[: SHORTENED - 1]}…"
