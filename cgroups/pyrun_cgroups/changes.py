# SPDX-License-Identifier: Apache-2.0
"""``linux.resources`` for a cgroup that has some already: what is not asked for stays.

Some properties share a file or depend on each other: swap is counted with memory, a quota with its period, and shares
say nothing while a group is idle. Of such a pair the half that is not asked for is taken from what was asked for
before, else from the cgroup's files.
"""

from __future__ import annotations

from pyrun_cgroups.limits import writes_of
from pyrun_cgroups.writes import LimitError, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Resources = dict[str, Any]

_DEVICE = ("major", "minor")
_KEYS = {
    "hugepageLimits": ("pageSize",),
    "priorities": ("name",),
    "throttleReadBpsDevice": _DEVICE,
    "throttleReadIOPSDevice": _DEVICE,
    "throttleWriteBpsDevice": _DEVICE,
    "throttleWriteIOPSDevice": _DEVICE,
    "weightDevice": _DEVICE,
}
"""Lists of objects, and the members that say what each object is about. Other lists are replaced as a whole, but an
empty list of device rules asks for nothing."""


def writes_for(asked: Resources, known: Resources, path: str) -> tuple[list[Write], list[LimitError]]:
    """Return what is to be written to a cgroup in use, as `executor.apply` takes it; and what can't be.

    Args:
        asked: the resources that are to change, valid as the schema has it; device rules are no business of this.
        known: those that were asked for before.
        path: the cgroup.
    """
    whole, owners = _completed(asked, known, path)
    writes, errors = writes_of(whole)
    found = []
    for write in writes:
        pointer = owners.get(write.pointer, write.pointer)
        if pointer is not None:
            write.pointer = pointer
            found.append(write)
    errors += _below_use(asked, known, path)
    return found, errors


def merged(known: Resources, asked: Resources, writes: Iterable[Write]) -> Resources:
    """Return the resources that hold after a change: what is asked for replaces what was known of each property.

    Args:
        known: those before.
        asked: those that change.
        writes: what was written for them. A file that ``unified`` named before has another value now, and without a
            memory limit there is none of the swap.
    """
    result = _merged(known, asked)
    if "memory" in result and any((write.file, write.value) == ("memory.swap.max", "max") for write in writes):
        result["memory"] = {**result["memory"], "swap": -1}
    if "unified" in known:
        written = {write.file for write in writes} - (asked.get("unified") or {}).keys()
        result["unified"] = {name: value for name, value in result["unified"].items() if name not in written}
    return result


def _merged(known: Resources, asked: Resources) -> Resources:
    result = dict(known)
    for name, value in asked.items():
        before = result.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            result[name] = _merged(before, value)
        elif isinstance(before, list) and name in _KEYS:
            result[name] = _merged_list(before, value, _KEYS[name])
        elif value or name != "devices":
            result[name] = value
    return result


def _merged_list(before: list[Resources], asked: list[Resources], keys: tuple[str, ...]) -> list[Resources]:
    result = {tuple(each.get(key) for key in keys): each for each in before}
    for each in asked:
        identity = tuple(each.get(key) for key in keys)
        result[identity] = {**result.get(identity, {}), **each}
    return list(result.values())


def _completed(asked: Resources, known: Resources, path: str) -> tuple[Resources, dict[str, str | None]]:
    """Return the resources with what they depend on.

    Also returned is, for the pointer of each property that was added, that of the one that is written by it; or None
    if it was added to reckon with, and is not to be written.
    """
    owners: dict[str, str | None] = {}
    whole = dict(asked)
    if asked.get("memory"):
        whole["memory"] = _with_other_half(asked["memory"], known.get("memory") or {}, path, owners)
    if asked.get("cpu"):
        cpu, before = asked["cpu"], known.get("cpu") or {}
        whole["cpu"] = {**cpu, **_bandwidth(cpu, before, path, owners), **_weight(cpu, before, path, owners)}
    return whole, owners


def _with_other_half(memory: Resources, known: Resources, path: str, owners: dict[str, str | None]) -> Resources:
    swap, limit = memory.get("swap"), memory.get("limit")
    if swap and swap > 0 and not limit:
        owners["/memory/limit"] = None
        return {**memory, "limit": known.get("limit") or _number(path, "memory.max") or 0}
    if limit and limit > 0 and swap is None and (known.get("swap") or 0) > 0:
        owners["/memory/swap"] = "/memory/limit"
        return {**memory, "swap": known["swap"]}
    return memory


def _bandwidth(cpu: Resources, known: Resources, path: str, owners: dict[str, str | None]) -> Resources:
    quota, period = cpu.get("quota"), cpu.get("period")
    if quota and not period:
        owners["/cpu/period"] = "/cpu/quota"
        return {"period": known.get("period") or _numbers(path, "cpu.max")[1]}
    if period and not quota:
        owners["/cpu/quota"] = "/cpu/period"
        return {"quota": known.get("quota") or _numbers(path, "cpu.max")[0]}
    return {}


def _weight(cpu: Resources, known: Resources, path: str, owners: dict[str, str | None]) -> Resources:
    is_idle = _number(path, "cpu.idle") == 1
    if cpu.get("idle") is None and cpu.get("shares") and is_idle:
        owners["/cpu/idle"] = None
        return {"idle": 1}
    # The kernel forgets the weight of a group that becomes idle.
    if cpu.get("idle") == 0 and not cpu.get("shares") and is_idle and known.get("shares"):
        owners["/cpu/shares"] = "/cpu/idle"
        return {"shares": known["shares"]}
    return {}


def _below_use(asked: Resources, known: Resources, path: str) -> list[LimitError]:
    """Look whether memory limits are below what is in use, where ``checkBeforeUpdate`` asks for that."""
    memory = asked.get("memory") or {}
    check = memory.get("checkBeforeUpdate")
    if not ((known.get("memory") or {}).get("checkBeforeUpdate") if check is None else check):
        return []
    used = _number(path, "memory.current")
    return [
        LimitError(f"/memory/{name}", f"{memory[name]} is not above what is in use, {used} bytes: raise it")
        for name in ("swap", "limit")
        if used is not None and 0 < (memory.get(name) or 0) <= used
    ]


def _number(path: str, file: str) -> int | None:
    """Return the number in a file; None if it holds none, or is not there."""
    word = _read(path, file).strip()
    return int(word) if word.isdigit() else None


def _numbers(path: str, file: str) -> tuple[int, int]:
    """Return the two numbers in a file, 0 for each that is not there, and -1 for ``max``."""
    words = [-1 if word == "max" else int(word) for word in _read(path, file).split()]
    return (words[0], words[1]) if len(words) == 2 else (0, 0)


def _read(path: str, file: str) -> str:
    try:
        with open(f"{path}/{file}", encoding="ascii") as opened:
            return opened.read()
    except OSError:
        return ""
