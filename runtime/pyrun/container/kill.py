# SPDX-License-Identifier: Apache-2.0
"""kill: a signal for the container's init, or for all of its processes."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from pyrun.errors import PyrunError
from pyrun.state import StateDirectory

SIGKILL = 9


def kill(root: str, container_id: str, signal: int, *, all_processes: bool = False) -> None:
    """Send ``signal`` to the container's init, or to all of its processes, with those that have outlived the init.

    SIGKILL ends all of them in any case. Where the init is the first of its PID namespace the kernel sees to that:
    nobody there outlives it (pid_namespaces(7)).

    Raises:
        PyrunError: there is no such container, or it is not running.
        pyrun_cgroups.control.CgroupError: the kernel refuses.
    """
    state = StateDirectory.open_as_owner(root, container_id)
    try:
        if not (_signal_all if all_processes else _signal_init)(state, signal):
            raise PyrunError("container not running")
    finally:
        state.close()


def send(pidfd: int, signal: int) -> None:
    """Send a signal to the process of a pidfd, if it still lives."""
    try:
        _signal.pidfd_send_signal(pidfd, signal)
    except ProcessLookupError:
        pass


def is_first_of_its_namespace(pid: int) -> bool:
    """Return whether a process is the first one of a PID namespace, which dies with it; not so if it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            _, _, pids = status.read().partition(b"\nNSpid:")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return pids.partition(b"\n")[0].split()[-1:] == [b"1"]


def _signal_init(state: StateDirectory, signal: int) -> bool:
    """Send a signal to the init, and SIGKILL to all; return whether anybody was there."""
    process = state.read_process()
    pidfd = process.open() if process else None
    if process is None or pidfd is None:
        return signal == SIGKILL and _kill_survivors(state)
    try:
        if signal == SIGKILL and not is_first_of_its_namespace(process.pid):
            _signal_all(state, signal)
        send(pidfd, signal)
    finally:
        os.close(pidfd)
    return True


def _signal_all(state: StateDirectory, signal: int) -> bool:
    from pyrun.container.members import signal_all

    return signal_all(state, signal)


def _kill_survivors(state: StateDirectory) -> bool:
    from pyrun.container.members import kill_survivors

    return kill_survivors(state)
