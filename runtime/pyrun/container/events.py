# SPDX-License-Identifier: Apache-2.0
"""events: the statistics of a container from time to time, and what the OOM killer does to it, line by line."""

from __future__ import annotations

import errno
import json
import math
import os
import select
import time

from pyrun.container import resctrl_statistics, statistics
from pyrun.errors import PyrunError
from pyrun.state import STOPPED, StateDirectory
from pyrun_cgroups.control import CgroupError
from pyrun_cgroups.events import OOM, Watch
from pyrun_spec.load import parse_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_GONE = (errno.ENOENT, errno.ENODEV)
_LONGEST_WAIT_MILLISECONDS = 2**31 - 1


class Observed:
    """A container that is not stopped, with a cgroup of its own.

    Attributes:
        container_id: its id.
        cgroup: the cgroup's path.
        config: its config.json.
        pidfd: its init, which can be waited for.
    """

    def __init__(self, root: str, container_id: str) -> None:
        """Open it.

        Raises:
            PyrunError: there is no such container, it is stopped, or it has no cgroup of its own.
        """
        state = StateDirectory(root, container_id)
        try:
            known = state.read_state() or {}
            process = state.read_process()
            running = process if state.status(process, known.get("cgroup")) != STOPPED else None
            self.config = _config(state)
        finally:
            state.close()
        self.container_id = container_id
        self.cgroup: str = known.get("cgroup") or ""
        pidfd = running.open() if running is not None else None
        if pidfd is None:
            raise PyrunError(f"container with id {container_id} is not running")
        self.pidfd = pidfd
        if not self.cgroup:
            self.close()
            raise PyrunError(
                f'container "{container_id}" has no cgroup of its own, which statistics are of; an ordinary user'
                " can make one in: systemd-run --user --scope -p Delegate=yes"
            )

    def close(self) -> None:
        """Let go of its init."""
        os.close(self.pidfd)


def print_statistics(root: str, container_id: str, write: Callable[[str], None]) -> None:
    """Write the statistics of a container once.

    Args:
        root: directory of the state directories.
        container_id: the container's id.
        write: takes a line.

    Raises:
        PyrunError: as for :class:`Observed`.
        pyrun_cgroups.control.CgroupError: the cgroup can't be read.
    """
    container = Observed(root, container_id)
    try:
        write(_statistics(container))
    finally:
        container.close()


def print_events(root: str, container_id: str, interval_seconds: float, write: Callable[[str], None]) -> None:
    """Write the statistics of a container after each interval, and a line for OOM kills, until its init has ended.

    Args:
        root: directory of the state directories.
        container_id: the container's id.
        interval_seconds: the time between statistics.
        write: takes a line.

    Raises:
        PyrunError: as for :class:`Observed`.
        pyrun_cgroups.control.CgroupError: the cgroup can't be read.
        OSError: the kernel lets this user watch no more files.
    """
    container = Observed(root, container_id)
    try:
        with Watch() as watch:
            watch.add(container.cgroup)
            _follow(container, watch, interval_seconds, write)
    finally:
        container.close()


def _follow(container: Observed, watch: Watch, interval_seconds: float, write: Callable[[str], None]) -> None:
    poll = select.poll()
    poll.register(watch.fileno(), select.POLLIN)
    poll.register(container.pidfd, select.POLLIN)
    due = time.monotonic() + interval_seconds
    while True:
        milliseconds = math.ceil(1000 * max(0.0, due - time.monotonic()))
        ready = {descriptor for descriptor, _ in poll.poll(min(milliseconds, _LONGEST_WAIT_MILLISECONDS))}
        # The kernel counts a kill before it kills, so the last look, after the end, misses none.
        for event in watch.read():
            if event.kind == OOM:
                write(_encoded({"type": "oom", "id": container.container_id}))
        if container.pidfd in ready:
            return
        if time.monotonic() >= due:
            _write_if_there(container, write)
            due = max(due + interval_seconds, time.monotonic())


def _write_if_there(container: Observed, write: Callable[[str], None]) -> None:
    """Write the statistics, unless the cgroup has just been removed: then the init has ended, too."""
    try:
        line = _statistics(container)
    except CgroupError as error:
        if error.errno not in _GONE:
            raise
    else:
        write(line)


def _statistics(container: Observed) -> str:
    intel_rdt = resctrl_statistics.read(container.config, container.container_id)
    data = statistics.data_of(container.cgroup, intel_rdt)
    return _encoded({"type": "stats", "id": container.container_id, "data": data})


def _encoded(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"))


def _config(state: StateDirectory) -> dict[str, Any]:
    """Return config.json, which its owner may have written anew: linux is an object, or not there."""
    config: Any = parse_json(state.read("config.json") or b"{}", f"{state.path}/config.json")
    return config if isinstance(config, dict) and isinstance(config.get("linux"), dict) else {}
