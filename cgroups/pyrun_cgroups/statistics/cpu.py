# SPDX-License-Identifier: Apache-2.0
"""What processors were used: ``cpu.stat`` and ``cpu.stat.local``.

Files: Documentation/admin-guide/cgroup-v2.rst, "CPU Interface Files". The use is counted also without the controller.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.statistics.files import CgroupFiles

_KNOWN = frozenset(
    (
        "burst_usec",
        "core_sched.force_idle_usec",
        "nice_usec",
        "nr_bursts",
        "nr_periods",
        "nr_throttled",
        "system_usec",
        "throttled_usec",
        "usage_usec",
        "user_usec",
    )
)


class CpuStatistics:
    """Time on processors, since the cgroup was made; of all processors together.

    Attributes:
        usage_microseconds: used altogether.
        user_microseconds: used by programs.
        system_microseconds: used by the kernel for them.
        nice_microseconds: the part of user time with a positive nice value (Linux 6.13).
        forced_idle_microseconds: siblings of a core had to idle because of core scheduling.
        periods: of the quota, in which there was something to run; None without the controller, as all below.
        throttled_periods: those in which the quota ran out.
        throttled_microseconds: processes that could have run were held back by the quota.
        bursts: periods in which more than the quota was used.
        burst_microseconds: used above the quota in them.
        own_throttled_microseconds: held back by this cgroup's quota or one above it, without cgroups below
            (``cpu.stat.local``).
        others: counters of ``cpu.stat`` that have no attribute here, by the kernel's names.
    """

    __slots__ = (
        "burst_microseconds",
        "bursts",
        "forced_idle_microseconds",
        "nice_microseconds",
        "others",
        "own_throttled_microseconds",
        "periods",
        "system_microseconds",
        "throttled_microseconds",
        "throttled_periods",
        "usage_microseconds",
        "user_microseconds",
    )

    def __init__(self, files: CgroupFiles) -> None:
        """Read them.

        Raises:
            CgroupError: they can't be read.
        """
        counters = files.counters("cpu.stat") or {}
        self.usage_microseconds = counters.get("usage_usec")
        self.user_microseconds = counters.get("user_usec")
        self.system_microseconds = counters.get("system_usec")
        self.nice_microseconds = counters.get("nice_usec")
        self.forced_idle_microseconds = counters.get("core_sched.force_idle_usec")
        self.periods = counters.get("nr_periods")
        self.throttled_periods = counters.get("nr_throttled")
        self.throttled_microseconds = counters.get("throttled_usec")
        self.bursts = counters.get("nr_bursts")
        self.burst_microseconds = counters.get("burst_usec")
        self.own_throttled_microseconds = (files.counters("cpu.stat.local") or {}).get("throttled_usec")
        self.others = {name: value for name, value in counters.items() if name not in _KNOWN}
