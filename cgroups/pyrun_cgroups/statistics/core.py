# SPDX-License-Identifier: Apache-2.0
"""What every cgroup says of itself: ``cgroup.events``, ``cgroup.stat`` and ``cgroup.stat.local``.

Files: Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.statistics.files import CgroupFiles


class CoreStatistics:
    """The state of a cgroup; None for what the kernel lacks, and the root cgroup.

    Attributes:
        populated: whether there is a live process in it or below.
        frozen: whether all its processes are frozen.
        frozen_microseconds: for how long it was frozen altogether (Linux 6.18).
        descendants: cgroups below it.
        dying_descendants: cgroups below it that have been removed and still hold memory or the like.
    """

    __slots__ = ("descendants", "dying_descendants", "frozen", "frozen_microseconds", "populated")

    def __init__(self, files: CgroupFiles) -> None:
        """Read it.

        Raises:
            CgroupError: it can't be read.
        """
        events = files.counters("cgroup.events") or {}
        self.populated = bool(events["populated"]) if "populated" in events else None
        self.frozen = bool(events["frozen"]) if "frozen" in events else None
        self.frozen_microseconds = (files.counters("cgroup.stat.local") or {}).get("frozen_usec")
        counters = files.counters("cgroup.stat") or {}
        self.descendants = counters.get("nr_descendants")
        self.dying_descendants = counters.get("nr_dying_descendants")
