# SPDX-License-Identifier: Apache-2.0
"""The statistics of a container: what to read, and the JSON that runc makes of it.

Names, nesting and order are those of runc's types/events.go, of which some stand for version 1 and say nothing: 0
where runc always prints them, left out where it leaves out what is 0. One key is our own, and comes last:
``cgroup2`` has everything, as :func:`pyrun_cgroups.statistics.plain` names it.
"""

from __future__ import annotations

from pyrun_cgroups import statistics
from pyrun_cgroups.statistics import UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun_cgroups.statistics import Statistics
    from pyrun_cgroups.statistics.counted import HugetlbStatistics
    from pyrun_cgroups.statistics.cpu import CpuStatistics
    from pyrun_cgroups.statistics.io import DeviceStatistics
    from pyrun_cgroups.statistics.memory import MemoryStatistics
    from pyrun_cgroups.statistics.pressure import Pressure, Stalls

_NOTHING = {"limit": 0, "failcnt": 0}
_CPUSET = {
    "cpu_exclusive": 0,
    "mem_hardwall": 0,
    "mem_exclusive": 0,
    "memory_migrate": 0,
    "memory_spread_page": 0,
    "memory_spread_slab": 0,
    "memory_pressure": 0,
    "sched_load_balance": 0,
    "sched_relax_domain_level": 0,
}


def data_of(cgroup: str, intel_rdt: dict[str, Any]) -> dict[str, Any]:
    """Read the statistics of a container's cgroup and return them as runc's events of the type "stats" have them.

    Args:
        cgroup: the cgroup.
        intel_rdt: what :mod:`pyrun.container.resctrl_statistics` has found.

    Raises:
        pyrun_cgroups.control.CgroupError: it is gone, or can't be read.
    """
    found = statistics.read(cgroup)
    return {
        "cpu": _cpu(found),
        "cpuset": _CPUSET,
        "memory": _memory(found),
        "pids": _pids(found, cgroup),
        "blkio": _blkio(found),
        "hugetlb": {size: _hugetlb(pages) for size, pages in sorted((found.hugetlb or {}).items())},
        "intel_rdt": intel_rdt,
        "network_interfaces": None,
        "cgroup2": statistics.plain(found),
    }


def _cpu(found: Statistics) -> dict[str, Any]:
    cpu = found.cpu
    usage = {
        **_known(total=_nanoseconds(cpu.usage_microseconds)),
        "kernel": _nanoseconds(cpu.system_microseconds),
        "user": _nanoseconds(cpu.user_microseconds),
    }
    return {"usage": usage, "throttling": _throttling(cpu), **_psi(found.pressure.cpu)}


def _throttling(cpu: CpuStatistics) -> dict[str, Any]:
    return _known(
        periods=cpu.periods,
        throttledPeriods=cpu.throttled_periods,
        throttledTime=_nanoseconds(cpu.throttled_microseconds),
    )


def _memory(found: Statistics) -> dict[str, Any]:
    memory = found.memory
    return {
        **_known(cache=memory.stat.get("file") if memory else None),
        "usage": _entry(memory.max_bytes, memory.current_bytes, memory.peak_bytes) if memory else _NOTHING,
        "swap": _memory_and_swap(memory) if memory else _NOTHING,
        "kernel": _NOTHING,
        "kernelTCP": _NOTHING,
        **_known(raw=dict(sorted(memory.stat.items())) if memory else None),
        **_psi(found.pressure.memory),
    }


def _memory_and_swap(memory: MemoryStatistics) -> dict[str, Any]:
    """Both together, as version 1 counts them; there is no peak of both."""
    swap = memory.swap
    limits = [memory.max_bytes or 0, (swap.max_bytes or 0) if swap else 0]
    limit = UNLIMITED if UNLIMITED in limits else sum(limits)
    return _entry(limit, memory.current_bytes + (swap.current_bytes if swap else 0), None)


def _entry(limit: int | None, usage: int, most: int | None) -> dict[str, Any]:
    return {"limit": limit or 0, **_known(usage=usage, max=most), "failcnt": 0}


def _pids(found: Statistics, cgroup: str) -> dict[str, Any]:
    pids = found.pids
    if pids is None:
        return _known(current=_count_processes(cgroup))
    return _known(current=pids.current, limit=None if pids.max == UNLIMITED else pids.max)


def _count_processes(cgroup: str) -> int:
    """How many processes there are, where the controller does not count tasks."""
    from pyrun_cgroups.control import CgroupError, processes

    try:
        return len(processes(cgroup))
    except CgroupError:  # it is threaded
        return 0


def _blkio(found: Statistics) -> dict[str, Any]:
    devices = list(found.io.devices.values()) if found.io else []
    transferred = [entry for each in devices for entry in _entries(each, each.read_bytes, each.written_bytes)]
    operations = [entry for each in devices for entry in _entries(each, each.reads, each.writes)]
    listed = _known(ioServiceBytesRecursive=transferred, ioServicedRecursive=operations)
    return {**listed, **_psi(found.pressure.io)}


def _entries(device: DeviceStatistics, read: int | None, written: int | None) -> list[dict[str, Any]]:
    numbers = _known(major=device.major, minor=device.minor)
    values = (("Read", read), ("Write", written))
    return [{**numbers, "op": name, **_known(value=value)} for name, value in values if value is not None]


def _hugetlb(pages: HugetlbStatistics) -> dict[str, Any]:
    return {**_known(usage=pages.current_bytes), "failcnt": pages.max_events or 0}


def _psi(pressure: Pressure | None) -> dict[str, Any]:
    if pressure is None:
        return {}
    return {"psi": {"some": _stalls(pressure.some), "full": _stalls(pressure.full)}}


def _stalls(stalls: Stalls | None) -> dict[str, Any]:
    if stalls is None:
        return {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0}
    return {
        "avg10": _number(stalls.average10_percent),
        "avg60": _number(stalls.average60_percent),
        "avg300": _number(stalls.average300_percent),
        "total": stalls.total_microseconds,
    }


def _number(value: float) -> float:
    """A number that JSON shows without a fraction where it has none, as Go writes it."""
    return int(value) if value.is_integer() else value


def _nanoseconds(microseconds: int | None) -> int:
    return 1000 * (microseconds or 0)


def _known(**values: Any) -> dict[str, Any]:
    """Without what is unknown, 0 or empty."""
    return {name: value for name, value in values.items() if value}
