# SPDX-License-Identifier: Apache-2.0
"""What containers use at the moment: the difference between two looks at their statistics."""

from __future__ import annotations

import os
import time

from pyrun.errors import PyrunError
from pyrun.state import StateDirectory
from pyrun_cgroups import statistics
from pyrun_cgroups.control import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrun_cgroups.statistics import Statistics
    from pyrun_cgroups.statistics.pressure import Pressure


class Usage:
    """What one container uses; None for what its cgroup does not have, and for rates at the first look.

    Attributes:
        container_id: the container.
        cpu_percent: time on processors; 100 is one processor all the time.
        memory_bytes: memory.
        memory_limit_bytes: its limit; `pyrun_cgroups.statistics.UNLIMITED` if there is none.
        tasks: processes and threads.
        task_limit: their limit, likewise.
        read_bytes_per_second: from block devices.
        written_bytes_per_second: to block devices.
        waits_percent: for processors, memory, input and output: share of the last 10 seconds in which a process had
            to wait for it.
        oom_kills: processes that the OOM killer has killed since the container was created.
    """

    __slots__ = (
        "container_id",
        "cpu_percent",
        "memory_bytes",
        "memory_limit_bytes",
        "oom_kills",
        "read_bytes_per_second",
        "task_limit",
        "tasks",
        "waits_percent",
        "written_bytes_per_second",
    )

    def __init__(self, container_id: str, now: Statistics, before: Statistics | None, seconds: float) -> None:
        """Compare two looks.

        Args:
            container_id: the container.
            now: its statistics.
            before: what they were before, if they were.
            seconds: how long ago that was.
        """
        memory, pids, pressure = now.memory, now.pids, now.pressure
        self.container_id = container_id
        microseconds = _rate(now.cpu.usage_microseconds, before.cpu.usage_microseconds if before else None, seconds)
        self.cpu_percent = None if microseconds is None else microseconds / 10_000
        self.memory_bytes = memory.current_bytes if memory else None
        self.memory_limit_bytes = memory.max_bytes if memory else None
        self.tasks = pids.current if pids else None
        self.task_limit = pids.max if pids else None
        read, written = _transferred(now)
        read_before, written_before = _transferred(before) if before else (None, None)
        self.read_bytes_per_second = _rate(read, read_before, seconds)
        self.written_bytes_per_second = _rate(written, written_before, seconds)
        self.waits_percent = [_wait(each) for each in (pressure.cpu, pressure.memory, pressure.io)]
        self.oom_kills = memory.events.oom_kill if memory else None


class Observer:
    """Looks at containers again and again."""

    def __init__(self, find: Callable[[], dict[str, str]]) -> None:
        """Begin.

        Args:
            find: returns the containers to look at, and the cgroup of each.
        """
        self._find = find
        self._last: dict[tuple[str, str], tuple[float, Statistics]] = {}

    def look(self) -> list[Usage]:
        """Return what each container uses, in the order of their ids, without those whose cgroup is gone.

        Raises:
            pyrun_cgroups.control.CgroupError: a cgroup can't be read.
        """
        last, self._last = self._last, {}
        found = []
        for container_id, cgroup in sorted(self._find().items()):
            try:
                now = time.monotonic(), statistics.read(cgroup)
            except CgroupError:
                if os.path.isdir(cgroup):
                    raise
                continue
            self._last[container_id, cgroup] = now
            then, before = last.get((container_id, cgroup), (0.0, None))
            found.append(Usage(container_id, now[1], before, now[0] - then))
        return found


def running(root: str) -> dict[str, str]:
    """Return the running containers that have cgroups, and the cgroup of each; those that can't be read are left out.

    Args:
        root: directory of the state directories.
    """
    found = {}
    for name in os.listdir(root) if os.path.isdir(root) else ():
        try:
            state = StateDirectory(root, name)
        except (PyrunError, OSError):
            continue
        try:
            process = state.read_process()
            cgroup = (state.read_state() or {}).get("cgroup")
        except (PyrunError, OSError):
            continue
        finally:
            state.close()
        if cgroup and process is not None and process.is_alive():
            found[name] = cgroup
    return found


def _rate(now: int | None, before: int | None, seconds: float) -> float | None:
    if now is None or before is None or seconds <= 0:
        return None
    return max(0, now - before) / seconds


def _transferred(found: Statistics) -> tuple[int | None, int | None]:
    """Bytes read and written, of all block devices."""
    if found.io is None:
        return None, None
    devices = found.io.devices.values()
    return sum(each.read_bytes or 0 for each in devices), sum(each.written_bytes or 0 for each in devices)


def _wait(pressure: Pressure | None) -> float | None:
    return pressure.some.average10_percent if pressure and pressure.some else None
