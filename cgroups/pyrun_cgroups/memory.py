# SPDX-License-Identifier: Apache-2.0
"""The memory controller: ``linux.resources.memory``.

Files: Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files". Version 2 has none for ``kernel`` and
``kernelTCP`` (both count as memory), ``swappiness``, and ``useHierarchy`` (it always is one): as with runc and crun
they have no effect.
"""

from __future__ import annotations

from pyrun_cgroups.writes import UNLIMITED_BYTES, LimitError, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNSET, _UNLIMITED = 0, -1


def writes(memory: dict[str, Any]) -> list[Write]:
    """Return what ``memory`` asks for (runtime-spec config-linux.md, "Memory").

    ``limit``, ``reservation`` and ``swap`` are in bytes; 0 is unset and -1 unlimited. ``swap`` counts memory and swap
    together, where ``memory.swap.max`` has the swap alone: the limit is subtracted. A limit of -1 lifts that of the
    swap too. ``checkBeforeUpdate`` is for limits of a cgroup in use.

    Raises:
        LimitError: a size below -1, a swap limit below the memory limit or without one, or ``disableOOMKiller``.
    """
    if memory.get("disableOOMKiller"):
        raise LimitError(
            "/memory/disableOOMKiller",
            "cgroup v2 can't switch the OOM killer off; remove it, or spare the process with process.oomScoreAdj -1000",
        )
    limit = _size(memory, "limit")
    found = _swap(limit, _size(memory, "swap"))
    if limit == _UNLIMITED:
        found.append(Write("/memory/limit", "memory.max", "max", optional=True))
    elif limit:
        found.append(Write("/memory/limit", "memory.max", str(limit)))
    reservation = _size(memory, "reservation")
    if reservation == _UNLIMITED:
        # "max" would protect all of the memory from being reclaimed; a soft limit that is lifted protects nothing.
        found.append(Write("/memory/reservation", "memory.low", "0", optional=True))
    elif reservation:
        found.append(Write("/memory/reservation", "memory.low", str(reservation)))
    return found


def _size(memory: dict[str, Any], name: str) -> int:
    value: int = memory.get(name) or _UNSET
    if value < _UNLIMITED:
        raise LimitError(f"/memory/{name}", f"{value} is not a size: write bytes, or -1 for no limit")
    return _UNLIMITED if value >= UNLIMITED_BYTES else value


def _swap(limit: int, swap: int) -> list[Write]:
    if swap == _UNSET:
        return [Write("/memory/limit", "memory.swap.max", "max", optional=True)] if limit == _UNLIMITED else []
    if swap == _UNLIMITED:
        return [Write("/memory/swap", "memory.swap.max", "max", optional=True)]
    if limit == _UNLIMITED:
        return [Write("/memory/swap", "memory.swap.max", str(swap))]
    if limit == _UNSET:
        raise LimitError("/memory/swap", "it counts memory and swap together: add memory.limit")
    if swap < limit:
        raise LimitError("/memory/swap", f"it counts memory and swap together: make it at least the limit, {limit}")
    # A kernel without swap accounting has no file, and no swap that would have to be forbidden.
    return [Write("/memory/swap", "memory.swap.max", str(swap - limit), optional=swap == limit)]
