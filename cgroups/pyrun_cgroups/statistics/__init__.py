# SPDX-License-Identifier: Apache-2.0
"""What a cgroup uses: all statistics of cgroup v2 as typed values.

The units are in the names: ``_bytes``, ``_microseconds``, ``_percent``; what has none is a count. What the kernel
or a missing controller does not have is None, and a limit that is not set is `UNLIMITED`. Counters begin when the
cgroup is made, and include the cgroups below it, unless their name begins with ``own_``.
"""

from __future__ import annotations

from pyrun_cgroups.statistics import counted, cpuset, io, memory
from pyrun_cgroups.statistics.core import CoreStatistics
from pyrun_cgroups.statistics.cpu import CpuStatistics
from pyrun_cgroups.statistics.files import UNLIMITED, CgroupFiles
from pyrun_cgroups.statistics.pressure import PressureStatistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["UNLIMITED", "Statistics", "plain", "read"]


class Statistics:
    """Everything that a cgroup's files say; None for a controller that the cgroup does not have.

    Attributes:
        core: processes, freezing, cgroups below.
        cpu: time on processors, which is counted also without the controller.
        pressure: waiting for processors, memory, input and output, which needs no controller either.
        cpuset: CPUs and memory nodes.
        memory: memory and swap.
        io: block devices.
        pids: tasks.
        hugetlb: huge pages, by their size such as "2MB".
        rdma: handles and objects of RDMA devices.
        misc: scalars that a host has few of.
    """

    __slots__ = ("core", "cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "pressure", "rdma")

    def __init__(self, files: CgroupFiles) -> None:
        self.core = CoreStatistics(files)
        self.cpu = CpuStatistics(files)
        self.pressure = PressureStatistics(files)
        self.cpuset = cpuset.read(files)
        self.memory = memory.read(files)
        self.io = io.read(files)
        self.pids = counted.read_pids(files)
        self.hugetlb = counted.read_hugetlb(files)
        self.rdma = counted.read_rdma(files)
        self.misc = counted.read_misc(files)


def read(path: str) -> Statistics:
    """Read all statistics of a cgroup.

    Args:
        path: directory of the cgroup.

    Raises:
        CgroupError: ENOENT when there is no such cgroup, ENODEV when it was removed meanwhile, or what the kernel
            said.
    """
    files = CgroupFiles(path)
    try:
        found = Statistics(files)
        files.check()
        return found
    finally:
        files.close()


def plain(value: Any) -> Any:
    """Return statistics, or a part of them, as dictionaries and numbers, without what is None: for JSON, say."""
    if hasattr(value, "__slots__"):
        value = {name: getattr(value, name) for name in value.__slots__}
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if each is not None}
    return value
