# SPDX-License-Identifier: Apache-2.0
"""The controllers that count: tasks, huge pages, RDMA objects and miscellaneous scalars.

Files: Documentation/admin-guide/cgroup-v2.rst, "PID", "HugeTLB", "RDMA" and "Misc". Limits are `UNLIMITED` where
there is none.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.statistics.files import CgroupFiles


class PidsStatistics:
    """Tasks, which are processes and threads; None for what the kernel lacks.

    Attributes:
        current: tasks that there are (``pids.current``).
        peak: the most that there were (``pids.peak``, Linux 6.1).
        max: limit (``pids.max``).
        max_events: how often a fork failed because of the limit (``pids.events``).
        own_max_events: the same without cgroups below (``pids.events.local``, Linux 6.10).
    """

    __slots__ = ("current", "max", "max_events", "own_max_events", "peak")

    def __init__(self, files: CgroupFiles, current: int) -> None:
        self.current = current
        self.peak = files.number("pids.peak")
        self.max = files.number("pids.max")
        self.max_events = (files.counters("pids.events") or {}).get("max")
        self.own_max_events = (files.counters("pids.events.local") or {}).get("max")


class HugetlbStatistics:
    """Huge pages of one size; None for what the kernel lacks.

    Attributes:
        current_bytes: pages in use (``hugetlb.SIZE.current``).
        max_bytes: limit (``hugetlb.SIZE.max``).
        reserved_bytes: pages reserved by mmap(2), in use or not (``hugetlb.SIZE.rsvd.current``).
        reserved_max_bytes: limit of reservations (``hugetlb.SIZE.rsvd.max``).
        max_events: how often an allocation failed because of the limit (``hugetlb.SIZE.events``).
        own_max_events: the same without cgroups below (``hugetlb.SIZE.events.local``).
        numa: bytes of each node, "N0" and so on, and "total" (``hugetlb.SIZE.numa_stat``, Linux 5.17).
    """

    __slots__ = (
        "current_bytes",
        "max_bytes",
        "max_events",
        "numa",
        "own_max_events",
        "reserved_bytes",
        "reserved_max_bytes",
    )

    def __init__(self, files: CgroupFiles, size: str) -> None:
        self.current_bytes = files.number(f"hugetlb.{size}.current")
        self.max_bytes = files.number(f"hugetlb.{size}.max")
        self.reserved_bytes = files.number(f"hugetlb.{size}.rsvd.current")
        self.reserved_max_bytes = files.number(f"hugetlb.{size}.rsvd.max")
        self.max_events = (files.counters(f"hugetlb.{size}.events") or {}).get("max")
        self.own_max_events = (files.counters(f"hugetlb.{size}.events.local") or {}).get("max")
        self.numa = _numa(files.text(f"hugetlb.{size}.numa_stat"))


class RdmaStatistics:
    """Handles and objects of RDMA devices, as ``hca_handle`` and ``hca_object``.

    Attributes:
        current: those of each device that are in use (``rdma.current``).
        max: limits of each device (``rdma.max``).
    """

    __slots__ = ("current", "max")

    def __init__(self, files: CgroupFiles, current: dict[str, dict[str, int]]) -> None:
        self.current = current
        self.max = files.numeric_tables("rdma.max") or {}


class MiscStatistics:
    """Scalars that a host has few of, such as the address space ids of encrypted virtual machines.

    Attributes:
        current: those in use, by name (``misc.current``).
        peak: the most that were (``misc.peak``, Linux 6.12).
        max: limits, by name (``misc.max``).
        max_events: how often a limit was about to be exceeded, by name (``misc.events``).
    """

    __slots__ = ("current", "max", "max_events", "peak")

    def __init__(self, files: CgroupFiles, current: dict[str, int]) -> None:
        self.current = current
        self.peak = files.counters("misc.peak")
        self.max = files.counters("misc.max") or {}
        events = files.counters("misc.events") or {}
        self.max_events = {name.removesuffix(".max"): count for name, count in events.items() if name.endswith(".max")}


def read_pids(files: CgroupFiles) -> PidsStatistics | None:
    """Return the number of tasks, or None without the controller.

    Raises:
        CgroupError: it can't be read.
    """
    current = files.number("pids.current")
    return None if current is None else PidsStatistics(files, current)


def read_hugetlb(files: CgroupFiles) -> dict[str, HugetlbStatistics] | None:
    """Return the use of huge pages by their sizes, such as "2MB"; None without the controller.

    Raises:
        CgroupError: it can't be read.
    """
    names = [name.split(".") for name in files.names() if name.startswith("hugetlb.")]
    sizes = [words[1] for words in names if len(words) == 3 and words[2] == "current"]
    read = {size: HugetlbStatistics(files, size) for size in sizes}
    return {size: pages for size, pages in read.items() if pages.current_bytes is not None} or None


def read_rdma(files: CgroupFiles) -> RdmaStatistics | None:
    """Return the use of RDMA devices, or None without the controller.

    Raises:
        CgroupError: it can't be read.
    """
    current = files.numeric_tables("rdma.current")
    return None if current is None else RdmaStatistics(files, current)


def read_misc(files: CgroupFiles) -> MiscStatistics | None:
    """Return the use of scalars, or None without the controller.

    Raises:
        CgroupError: it can't be read.
    """
    current = files.counters("misc.current")
    return None if current is None else MiscStatistics(files, current)


def _numa(text: str | None) -> dict[str, int] | None:
    """The values of ``hugetlb.SIZE.numa_stat``, the one file of its format."""
    if text is None:
        return None
    pairs = [word.partition("=") for word in text.split()]
    return {name: int(value) for name, _, value in pairs if value.isdigit()}
