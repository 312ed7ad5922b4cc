# SPDX-License-Identifier: Apache-2.0
"""The cpuset controller: the CPUs and memory nodes of ``linux.resources.cpu``.

Files: Documentation/admin-guide/cgroup-v2.rst, "Cpuset Interface Files". They are to be written before the first
process is there, which then never runs or allocates anywhere else.
"""

from __future__ import annotations

from pyrun_cgroups.writes import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def writes(cpu: dict[str, Any]) -> list[Write]:
    """Return what ``cpus`` and ``mems`` ask for: lists like ``0-3,7`` (cpuset(7), "List format"); empty is unset."""
    return [Write(f"/cpu/{name}", f"cpuset.{name}", cpu[name]) for name in ("cpus", "mems") if cpu.get(name)]
