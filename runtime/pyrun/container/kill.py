# SPDX-License-Identifier: Apache-2.0
"""kill: a signal for the container's init, or for all of its processes."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from pyrun.errors import PyrunError
from pyrun.state import StateDirectory

SIGKILL = 9


def kill(root: str, container_id: str, signal: int, *, all_processes: bool = False) -> None:
    """Send ``signal`` to the container's init, or to all processes in its cgroup.

    Raises:
        PyrunError: there is no such container, or it is not running.
    """
    state = StateDirectory(root, container_id)
    try:
        process = state.read_process()
        pidfd = process.open() if process else None
        if pidfd is None and not all_processes:
            raise PyrunError("container not running")
        if all_processes:
            _signal_all((state.read_state() or {}).get("cgroup"), signal)
        elif pidfd is not None:
            send(pidfd, signal)
        if pidfd is not None:
            os.close(pidfd)
    finally:
        state.close()


def send(pidfd: int, signal: int) -> None:
    """Send a signal to the process of a pidfd, if it still lives."""
    try:
        _signal.pidfd_send_signal(pidfd, signal)
    except ProcessLookupError:
        pass


def _signal_all(cgroup: str | None, signal: int) -> None:
    from pyrun_cgroups import control

    if cgroup is None or not os.path.isdir(cgroup):
        raise PyrunError("container not running")
    if signal == SIGKILL:
        control.kill_all(cgroup)
    else:
        control.signal_all(cgroup, signal)
