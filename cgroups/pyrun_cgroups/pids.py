# SPDX-License-Identifier: Apache-2.0
"""The pids controller: ``linux.resources.pids``.

File: Documentation/admin-guide/cgroup-v2.rst, "PID Interface Files".
"""

from __future__ import annotations

from pyrun_cgroups.writes import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def writes(pids: dict[str, Any]) -> list[Write]:
    """Return what ``pids`` asks for (runtime-spec config-linux.md, "PIDs").

    A negative ``limit`` is unlimited. 0 is a limit since version 1.3 of the specification: it stands for 1, as with
    runc since 1.4, because with 0 not even the container's first process could be born in the cgroup. What 0 means in
    an older document is for the caller to know.
    """
    limit = pids.get("limit")
    if limit is None:
        return []
    if limit < 0:
        return [Write("/pids/limit", "pids.max", "max", optional=True)]
    return [Write("/pids/limit", "pids.max", str(limit or 1))]
