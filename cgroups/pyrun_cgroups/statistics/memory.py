# SPDX-License-Identifier: Apache-2.0
"""What memory and swap are used, and how often a limit was in the way.

Files: Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.statistics.files import CgroupFiles


class MemoryEvents:
    """How often something happened since the cgroup was made (``memory.events``); None for what the kernel lacks.

    Attributes:
        low: memory was reclaimed although no more than ``memory.low`` was used.
        high: processes were held back because more than ``memory.high`` was used.
        max: ``memory.max`` was about to be exceeded.
        oom: nothing could be reclaimed, so that an allocation was about to fail.
        oom_kill: processes that the OOM killer has killed, whichever limit called for it.
        oom_group_kill: how often it has killed the whole cgroup (``memory.oom.group``).
        socket_throttled: sockets were held back for want of memory (``sock_throttled``).
    """

    __slots__ = ("high", "low", "max", "oom", "oom_group_kill", "oom_kill", "socket_throttled")

    def __init__(self, counters: dict[str, int]) -> None:
        self.low = counters.get("low")
        self.high = counters.get("high")
        self.max = counters.get("max")
        self.oom = counters.get("oom")
        self.oom_kill = counters.get("oom_kill")
        self.oom_group_kill = counters.get("oom_group_kill")
        self.socket_throttled = counters.get("sock_throttled")


class SwapStatistics:
    """The use of swap; None for what the kernel lacks. Limits are `UNLIMITED` where there is none.

    Attributes:
        current_bytes: swap in use (``memory.swap.current``).
        peak_bytes: the most that was (``memory.swap.peak``, Linux 6.5).
        high_bytes: limit above which programs are held back (``memory.swap.high``).
        max_bytes: limit of use (``memory.swap.max``).
        high: how often ``high_bytes`` was exceeded (``memory.swap.events``, as those below).
        max: how often ``max_bytes`` was about to be exceeded.
        fail: how often nothing could be swapped out, for lack of swap or because of the limit.
    """

    __slots__ = ("current_bytes", "fail", "high", "high_bytes", "max", "max_bytes", "peak_bytes")

    def __init__(self, files: CgroupFiles, current: int) -> None:
        self.current_bytes = current
        self.peak_bytes = files.number("memory.swap.peak")
        self.high_bytes = files.number("memory.swap.high")
        self.max_bytes = files.number("memory.swap.max")
        events = files.counters("memory.swap.events") or {}
        self.high = events.get("high")
        self.max = events.get("max")
        self.fail = events.get("fail")


class MemoryStatistics:
    """The use of memory; None for what the kernel lacks. Limits are `UNLIMITED` where there is none.

    Attributes:
        current_bytes: memory in use, the page cache included (``memory.current``).
        peak_bytes: the most that was (``memory.peak``, Linux 5.19).
        min_bytes: what is never reclaimed (``memory.min``).
        low_bytes: what is reclaimed last (``memory.low``).
        high_bytes: limit above which programs are held back (``memory.high``).
        max_bytes: limit of use (``memory.max``).
        events: of this cgroup and those below (``memory.events``).
        own_events: of this cgroup alone (``memory.events.local``).
        swap: None where the kernel does not account for swap.
        zswap_bytes: memory that holds compressed swap (``memory.zswap.current``, Linux 5.19).
        zswap_max_bytes: its limit (``memory.zswap.max``).
        stat: ``memory.stat``, by the kernel's names. Names that begin with pg, thp, workingset or zswpin, zswpout,
            zswpwb, swpin, swpout and numa count events or pages; all others are bytes.
        numa: bytes of each node, "N0" and so on, of each part of the memory (``memory.numa_stat``).
    """

    __slots__ = (
        "current_bytes",
        "events",
        "high_bytes",
        "low_bytes",
        "max_bytes",
        "min_bytes",
        "numa",
        "own_events",
        "peak_bytes",
        "stat",
        "swap",
        "zswap_bytes",
        "zswap_max_bytes",
    )

    def __init__(self, files: CgroupFiles, current: int) -> None:
        self.current_bytes = current
        self.peak_bytes = files.number("memory.peak")
        self.min_bytes = files.number("memory.min")
        self.low_bytes = files.number("memory.low")
        self.high_bytes = files.number("memory.high")
        self.max_bytes = files.number("memory.max")
        self.events = MemoryEvents(files.counters("memory.events") or {})
        self.own_events = MemoryEvents(files.counters("memory.events.local") or {})
        swap = files.number("memory.swap.current")
        self.swap = None if swap is None else SwapStatistics(files, swap)
        self.zswap_bytes = files.number("memory.zswap.current")
        self.zswap_max_bytes = files.number("memory.zswap.max")
        self.stat = files.counters("memory.stat") or {}
        self.numa = files.numeric_tables("memory.numa_stat")


def read(files: CgroupFiles) -> MemoryStatistics | None:
    """Return the use of memory, or None without the controller and for the root cgroup.

    Raises:
        CgroupError: it can't be read.
    """
    current = files.number("memory.current")
    return None if current is None else MemoryStatistics(files, current)
