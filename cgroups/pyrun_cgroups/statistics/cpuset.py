# SPDX-License-Identifier: Apache-2.0
"""Which CPUs and memory nodes a cgroup has.

Files: Documentation/admin-guide/cgroup-v2.rst, "Cpuset Interface Files".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.statistics.files import CgroupFiles


class CpusetStatistics:
    """CPUs and memory nodes, by their numbers.

    Attributes:
        cpus: CPUs that were asked for; none that those of the cgroup above are taken (``cpuset.cpus``).
        effective_cpus: those that processes may run on (``cpuset.cpus.effective``).
        mems: memory nodes that were asked for (``cpuset.mems``).
        effective_mems: those that memory may come from (``cpuset.mems.effective``).
        partition: member, root or isolated, perhaps with the reason why that is invalid (``cpuset.cpus.partition``).
    """

    __slots__ = ("cpus", "effective_cpus", "effective_mems", "mems", "partition")

    def __init__(self, files: CgroupFiles, effective_cpus: str) -> None:
        self.cpus = numbers_in(files.text("cpuset.cpus") or "")
        self.effective_cpus = numbers_in(effective_cpus)
        self.mems = numbers_in(files.text("cpuset.mems") or "")
        self.effective_mems = numbers_in(files.text("cpuset.mems.effective") or "")
        self.partition = files.text("cpuset.cpus.partition")


def read(files: CgroupFiles) -> CpusetStatistics | None:
    """Return the CPUs and memory nodes, or None without the controller.

    Raises:
        CgroupError: they can't be read.
    """
    effective = files.text("cpuset.cpus.effective")
    return None if effective is None else CpusetStatistics(files, effective)


def numbers_in(text: str) -> tuple[int, ...]:
    """Return the numbers in a list such as ``0-3,7`` (cpuset(7), "List format"); what is no number is left out."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if first.isdigit() and (last.isdigit() or not dash):
            numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)
