# SPDX-License-Identifier: Apache-2.0
"""A plan for people, in the kernel's names, and as JSON, with the numbers that the kernel gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyrun.plan import (
    devices,
    memory_policy,
    mount_options,
    mounts,
    namespaces,
    personality,
    process,
    resctrl,
    scheduling,
)
from pyrun.plan.operations import INIT, OPERATIONS, OUTER, START, Plan

LONGEST_VALUE = 100


def as_text(plan: Plan) -> str:
    """Return the plan as lines: a heading a stage, an operation a line, with the JSON pointer it came from."""
    lines: list[str] = []
    stage = ""
    for (name, pointer, arguments), at in zip(plan.operations, _stages(plan), strict=True):
        if at != stage:
            stage = at
            lines.append(stage)
        words = [
            f"{label}={_shorten(text)}"
            for label, value in zip(OPERATIONS[name][2], arguments, strict=True)
            if (text := _in_words(name, label, value))
        ]
        place = [f"<- {pointer}"] if pointer else []
        lines.append(f"  {name:<22} {'  '.join([' '.join(words)] * bool(words) + place)}".rstrip())
    return "\n".join(lines)


def as_json(plan: Plan) -> str:
    """Return the plan as a JSON array of operations; byte strings are in hexadecimal."""
    return json.dumps(
        [
            {
                "stage": stage,
                "operation": name,
                "pointer": pointer,
                "arguments": {
                    label: value.hex() if isinstance(value, bytes) else value
                    for label, value in zip(OPERATIONS[name][2], arguments, strict=True)
                },
            }
            for (name, pointer, arguments), stage in zip(plan.operations, _stages(plan), strict=True)
        ],
        indent=2,
    )


def _stages(plan: Plan) -> list[str]:
    """Return who carries out each operation; the table says it of those that are not for several."""
    stages: list[str] = []
    cloned = passed = False
    for name, _, _ in plan.operations:
        stage = OPERATIONS[name][0]
        stages.append(START if passed else INIT if cloned and stage == OUTER else stage)
        cloned = cloned or name in ("clone_init", "clone_entrant")
        passed = passed or name == "wait_at_gate"
    return stages


def _in_words(operation: str, label: str, value: Any) -> str:
    """Return the argument for people, or "" when it says nothing."""
    words = WORDS.get((operation, label)) or WORDS.get(label)
    if words:
        return words(value)
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    return "" if value in ("", []) else json.dumps(value, ensure_ascii=False)


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _octal(value: int) -> str:
    return f"0{value:o}"


def _yes(value: int) -> str:
    return "yes" if value else ""


def _names(table: dict[str, int]) -> Callable[[int], str]:
    """Return a function that names the bits of a number; one bit stands for one name."""

    def words(value: int) -> str:
        return "|".join(name for name, bit in table.items() if value & bit)

    return words


def _mount_attributes(value: int) -> str:
    names = {**mount_options.SETTING, **mount_options.ACCESS_TIMES}
    times = mount_options.ATIME
    return "|".join(name for name, bits in names.items() if bits and value & (times if bits & times else bits) == bits)


def _cleared_attributes(value: int) -> str:
    return _names({**mount_options.SETTING, "atime": mount_options.ATIME})(value)


def _propagation(value: int) -> str:
    return next((name for name, flags in mount_options.PROPAGATION.items() if flags == value), str(value))


def _propagations(values: list[int]) -> str:
    return ",".join(
        _propagation(
            value & ~mount_options.RECURSIVE | (mount_options.MS_REC if value & mount_options.RECURSIVE else 0)
        )
        for value in values
    )


def _resource(value: int) -> str:
    return next(name for name, number in process.RESOURCES.items() if number == value)


def _capabilities(value: int) -> str:
    return "none" if value == 0 else _names(process.BITS)(value)


def _name(table: dict[str, int]) -> Callable[[int], str]:
    """Return a function that names a number."""
    return lambda value: next(name for name, number in table.items() if number == value)


def _memory_policy(value: int) -> str:
    flags = sum(memory_policy.FLAGS.values())
    return "|".join([_name(memory_policy.MODES)(value & ~flags), *filter(None, [_names(memory_policy.FLAGS)(value)])])


def _signed(value: int) -> str:
    """Return a 32-bit number that stands in the plan without its sign; 0 says nothing."""
    return str(value - (value >> 31 << 32) or "")


def _mapping(value: int) -> str:
    if value == mount_options.NO_SLOT:
        return ""
    return f"{value & ~mount_options.RECURSIVE}{'+below' if value & mount_options.RECURSIVE else ''}"


MOUNT_FLAGS = {
    "inside-procfs": mounts.INSIDE_PROCFS,
    "no-symlinks": mounts.NO_SYMLINKS,
    "remembered": mounts.REMEMBERED,
    "copy-up": mount_options.COPY_UP,
    "silent": mount_options.SILENT,
    "iversion": mount_options.IVERSION,
    "noiversion": mount_options.NOIVERSION,
}
_namespaces = _names(namespaces.CLONE_FLAGS)

# By the argument's name, or, where that name means different things, by operation and name.
WORDS: dict[str | tuple[str, str], Callable[[Any], str]] = {
    ("clone_init", "flags"): _namespaces,
    ("unshare_namespaces", "flags"): _namespaces,
    ("open_namespace", "type"): _namespaces,
    ("join_namespaces", "types"): _namespaces,
    ("refuse_own_namespace", "type"): _namespaces,
    ("make_resctrl_group", "flags"): _names({"may-make": resctrl.MAY_MAKE, "must-agree": resctrl.MUST_AGREE}),
    ("propagate_root", "flags"): _propagation,
    ("mount_filesystem", "flags"): _names(MOUNT_FLAGS),
    ("bind_mount", "flags"): _names(MOUNT_FLAGS),
    ("remount", "flags"): _names(MOUNT_FLAGS),
    ("make_symlink", "flags"): _names({"replace": devices.REPLACE, "if-target-exists": devices.IF_TARGET_EXISTS}),
    ("make_device", "type"): lambda value: next(name for name, bits in devices.TYPES.items() if bits == value),
    ("set_scheduler", "policy"): _name(scheduling.POLICIES),
    ("set_scheduler", "flags"): _names(scheduling.FLAGS),
    ("set_io_priority", "class"): _name(scheduling.IO_CLASSES),
    ("set_memory_policy", "mode"): _memory_policy,
    ("set_personality", "persona"): _name(personality.DOMAINS),
    "nice": _signed,
    "attributes": _mount_attributes,
    "set": _mount_attributes,
    "clear": _cleared_attributes,
    "propagation": _propagations,
    "recursive": _yes,
    "home": _yes,
    "timeout": lambda value: f"{value}s" if value else "",
    "recursive_set": _mount_attributes,
    "recursive_clear": _cleared_attributes,
    "mapping": _mapping,
    "slot": lambda value: "" if value == mount_options.NO_SLOT else str(value),
    "listen_descriptors": lambda value: str(value or ""),
    "resource": _resource,
    "mode": _octal,
    "umask": _octal,
    "kept": _capabilities,
    "effective": _capabilities,
    "permitted": _capabilities,
    "inheritable": _capabilities,
    "ambient": _capabilities,
}
