# SPDX-License-Identifier: Apache-2.0
"""The hugetlb controller: ``linux.resources.hugepageLimits``.

Files: Documentation/admin-guide/cgroup-v2.rst, "HugeTLB Interface Files".
"""

from __future__ import annotations

from pyrun_cgroups.writes import UNLIMITED_BYTES, LimitError, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def writes(limits: list[dict[str, Any]]) -> list[Write]:
    """Return what ``hugepageLimits`` asks for (runtime-spec config-linux.md, "Huge page limits").

    Limits are in bytes. Both what is used and what is reserved is limited: a reservation that is refused is an error
    of mmap(2), a page that is refused later a SIGBUS. Kernels before 5.7 don't count reservations.

    Raises:
        LimitError: a page size that is not written like ``2MB``: it becomes part of a file's name.
    """
    found = []
    for index, each in enumerate(limits):
        size, limit = each["pageSize"], each["limit"]
        pointer = f"/hugepageLimits/{index}"
        if not _is_page_size(size):
            raise LimitError(f"{pointer}/pageSize", f'"{size}" is not a size of huge pages, as 64KB, 2MB or 1GB are')
        unlimited = limit >= UNLIMITED_BYTES
        value = "max" if unlimited else str(limit)
        found.append(Write(f"{pointer}/limit", f"hugetlb.{size}.max", value, optional=unlimited))
        found.append(Write(f"{pointer}/limit", f"hugetlb.{size}.rsvd.max", value, optional=True))
    return found


def _is_page_size(size: str) -> bool:
    digits, unit = size[:-2], size[-2:]
    return unit in ("KB", "MB", "GB") and digits.isascii() and digits.isdigit() and not digits.startswith("0")
