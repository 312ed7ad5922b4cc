# SPDX-License-Identifier: Apache-2.0
"""The cpu controller: ``linux.resources.cpu`` but for the choice of CPUs, which is `cpuset`'s.

Files: Documentation/admin-guide/cgroup-v2.rst, "CPU Interface Files".
"""

from __future__ import annotations

from math import ceil, log2

from pyrun_cgroups.writes import LimitError, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PERIOD_MICROSECONDS = 100000
"""Of ``cpu.max`` in a new cgroup."""

_FEWEST_SHARES, _MOST_SHARES = 2, 262144
_LARGEST_WEIGHT = 10000


def writes(cpu: dict[str, Any]) -> list[Write]:
    """Return what ``cpu`` asks for (runtime-spec config-linux.md, "CPU").

    ``quota``, ``period`` and ``burst`` are in microseconds. A quota that is not positive is unlimited. 0 shares and
    a period of 0 are unset. With ``idle`` 1 the group has the lowest weight there is, so ``shares`` say nothing and
    the kernel would refuse to set them.

    Raises:
        LimitError: ``idle`` is neither 0 nor 1, or ``realtimeRuntime`` asks for a budget, which version 1 alone has.
    """
    if cpu.get("realtimeRuntime") not in (None, 0, -1):
        raise LimitError(
            "/cpu/realtimeRuntime",
            "cgroup v2 has no budget for realtime processes: remove it (process.scheduler sets a realtime policy)",
        )
    return [*_weight(cpu), *_bandwidth(cpu)]


def weight_of(shares: int) -> int:
    """Return the ``cpu.weight``, 1 to 10000, that stands for a number of cgroup v1's ``cpu.shares``, 2 to 262144.

    A parabola between the logarithms of both, through the two lowest, the two default (1024 and 100) and the two
    highest values. It has been what runc (1.3.2), crun (1.23) and youki (0.5.7) do since 2025; older versions drew a
    straight line, on which the default shares had weight 39.
    """
    if shares <= _FEWEST_SHARES:
        return 1
    if shares >= _MOST_SHARES:
        return _LARGEST_WEIGHT
    logarithm = log2(shares)
    return ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612 - 7 / 34))


def _weight(cpu: dict[str, Any]) -> list[Write]:
    idle = cpu.get("idle")
    if idle not in (None, 0, 1):
        raise LimitError("/cpu/idle", f"{idle} is neither 0 (by weight) nor 1 (only when nothing else runs)")
    if idle:
        return [Write("/cpu/idle", "cpu.idle", "1")]
    found = [] if idle is None else [Write("/cpu/idle", "cpu.idle", "0", optional=True)]
    if cpu.get("shares"):
        found.append(Write("/cpu/shares", "cpu.weight", str(weight_of(cpu["shares"]))))
    return found


def _bandwidth(cpu: dict[str, Any]) -> list[Write]:
    """The burst comes last: the kernel allows none above the quota."""
    quota, period, burst = cpu.get("quota") or 0, cpu.get("period") or 0, cpu.get("burst")
    found = []
    if quota > 0:
        found.append(Write("/cpu/quota", "cpu.max", f"{quota} {period or DEFAULT_PERIOD_MICROSECONDS}"))
    elif quota or period:
        pointer = "/cpu/quota" if quota else "/cpu/period"
        found.append(Write(pointer, "cpu.max", f"max {period or DEFAULT_PERIOD_MICROSECONDS}", optional=True))
    if burst is not None:
        found.append(Write("/cpu/burst", "cpu.max.burst", str(burst), optional=burst == 0))
    return found
