# SPDX-License-Identifier: Apache-2.0
"""delete: leave nothing of a container, however far its creation came."""

from __future__ import annotations

import os
import select

from pyrun.container.kill import SIGKILL, send
from pyrun.errors import PyrunError
from pyrun.state import CREATED, STOPPED, ContainerMissing, Process, StateDamaged, StateDirectory
from pyrun_cgroups import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS_TO_DIE = 10.0
SECONDS_TO_NOTICE = 2.0


def delete(root: str, container_id: str, *, force: bool = False) -> None:
    """Delete a stopped or created container; with ``force`` one in any state, or none.

    Raises:
        PyrunError: there is no such container, or it is in another state.
    """
    try:
        state = StateDirectory(root, container_id)
    except ContainerMissing:
        if force:
            return
        raise
    try:
        if not force:
            _check_deletable(state)  # before the lock, which whoever changes the container may hold for long
        elif state.is_locked():
            _kill(state, _known(state).get("cgroup"))  # its creator sees the init die, and lets go of the lock
    except BaseException:
        state.close()
        raise
    delete_opened(state, force=force)


def delete_opened(state: StateDirectory, *, force: bool = True) -> None:
    """Delete the container of an open state directory, and close it; one that is gone by now is left alone.

    Raises:
        PyrunError: it is neither stopped nor created, without ``force``; or as for :func:`destroy`.
    """
    try:
        state.lock()
        if not force:
            _check_deletable(state)
        destroy(state)
    except ContainerMissing:
        pass
    finally:
        state.close()


def destroy(state: StateDirectory) -> None:
    """End all processes of the container and remove its cgroups and its state directory, which is locked.

    Raises:
        PyrunError: a process can't be killed, or its cgroup can't be removed.
    """
    known = _known(state)
    cgroup = known.get("cgroup")
    had_processes = _kill(state, cgroup)
    if cgroup and not _belongs_to_another(state, cgroup):
        _remove_cgroups(cgroup, known.get("cgroupsMade", 0), had_processes=had_processes)
    state.remove()


def _check_deletable(state: StateDirectory) -> None:
    known = state.read_state() or {}
    status = state.status(state.read_process(), known.get("cgroup"))
    if status not in (STOPPED, CREATED):
        raise PyrunError(
            f"cannot delete container {state.container_id} that is not stopped: {status}; kill it first, or use --force"
        )


def _known(state: StateDirectory) -> dict[str, Any]:
    try:
        return state.read_state() or {}
    except StateDamaged:
        return {}  # what can still be removed is removed


def _kill(state: StateDirectory, cgroup: str | None) -> bool:
    """Kill the init and all that share its cgroup; return whether there ever was an init."""
    process = state.read_process()
    if process is None:
        return False
    pidfd = process.open()
    # The init was born in the cgroup only after it was found empty or made, so all in there is the container's.
    if cgroup and os.path.isdir(cgroup) and (pidfd is not None or not _belongs_to_another(state, cgroup)):
        control.kill_all(cgroup)
    if pidfd is not None:
        send(pidfd, SIGKILL)
        _wait_for_end(pidfd, process)
        os.close(pidfd)
    return True


def _belongs_to_another(state: StateDirectory, cgroup: str) -> bool:
    """Whether a container that was created later, with the same cgroupsPath, lives in the cgroup by now."""
    if not os.path.isdir(cgroup) or not control.is_populated(cgroup):
        return False
    root = os.path.dirname(state.path)
    for name in os.listdir(root):
        if name == state.container_id:
            continue
        try:
            other = StateDirectory(root, name)
        except PyrunError:
            continue
        try:
            process = other.read_process()
            if _known(other).get("cgroup") == cgroup and process is not None and process.is_alive():
                return True
        finally:
            other.close()
    return False


def _wait_for_end(pidfd: int, process: Process) -> None:
    waiter = select.poll()
    waiter.register(pidfd, select.POLLIN)
    if not waiter.poll(SECONDS_TO_DIE * 1000):
        raise PyrunError(
            f"process {process.pid} does not die of SIGKILL; look at /proc/{process.pid}/stack, then delete again"
        )


def _remove_cgroups(cgroup: str, made: int, *, had_processes: bool) -> None:
    """Remove the container's cgroup if create made it, and of the cgroups above it those that it made too."""
    if not made:
        return
    try:
        # Without a recorded init one may still be ending: it notices that its creator is gone.
        control.remove(cgroup, SECONDS_TO_DIE if had_processes else SECONDS_TO_NOTICE)
    except control.CgroupError:
        if had_processes:
            raise
        return  # others use it by now
    for _ in range(made - 1):
        cgroup = cgroup.rpartition("/")[0]
        try:
            os.rmdir(cgroup)
        except FileNotFoundError:
            continue
        except OSError:
            return
