# SPDX-License-Identifier: Apache-2.0
"""The order in which limits of a cgroup in use change, so that none is refused, or does harm, for a moment's sake."""

from __future__ import annotations

from pyrun_cgroups.records import WHAT_HOLDS, number_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.writes import Write

_FIRST, _BETWEEN, _LAST = range(3)


def in_order(writes: list[Write], before: dict[str, str]) -> list[Write]:
    """Return writes in the order of their making; what nothing is known about stays in the order given.

    - Room for swap is made before the memory shrinks that may go there, and taken away after it.
    - The burst is at most the quota at any time: it shrinks before it and grows after it.
    - What can't be put back comes last: what can't be read, and CPUs or memory nodes where none were chosen before.

    Args:
        writes: those to be made.
        before: what files hold now; those that can't be read are not in it.
    """
    return sorted(writes, key=lambda write: _rank(write, before))


def _rank(write: Write, before: dict[str, str]) -> int:
    if write.file not in before and not write.instead:
        return _LAST
    if write.file in WHAT_HOLDS and not before[write.file].strip():
        return _LAST
    if write.file in ("memory.swap.max", "cpu.max.burst"):
        try:
            grows = number_in(write.value) > number_in(before[write.file])
        except ValueError:
            return _BETWEEN
        return _FIRST if grows == (write.file == "memory.swap.max") else _LAST
    return _BETWEEN
