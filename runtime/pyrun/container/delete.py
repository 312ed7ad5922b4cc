# SPDX-License-Identifier: Apache-2.0
"""delete: leave nothing of a container, however far its creation came."""

from __future__ import annotations

import os
import select

from pyrun.container.kill import SIGKILL, is_first_of_its_namespace, send
from pyrun.errors import PyrunError
from pyrun.state import CREATED, STOPPED, ContainerMissing, Process, StateDirectory, hook_state
from pyrun_cgroups import control

SECONDS_TO_DIE = 10.0
SECONDS_TO_NOTICE = 2.0
MARK = "user.pyrun.made"


def delete(root: str, container_id: str, *, force: bool = False) -> None:
    """Delete a stopped or created container; with ``force`` one in any state, or none.

    Raises:
        PyrunError: there is no such container, or it is in another state.
    """
    try:
        state = StateDirectory.open_as_owner(root, container_id)
    except ContainerMissing:
        if force:
            return
        raise
    try:
        if not force:
            _check_deletable(state)  # before the lock, which whoever changes the container may hold for long
        elif state.is_locked():
            # Its creator sees the init die, and lets go of the lock.
            _kill(state, state.read_what_is_known().get("cgroup"))
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
    """End all processes of the container, remove its cgroups and its state directory, which is locked; run poststop.

    Raises:
        PyrunError: a process can't be killed, or its cgroup can't be removed.
    """
    known = state.read_what_is_known()
    cgroup = known.get("cgroup")
    had_processes = _kill(state, cgroup)
    if known.get("systemdUnit"):
        from pyrun.container import scope

        scope.end(state, known)
    elif cgroup and not _belongs_to_another(state, cgroup):
        _remove_cgroups(cgroup, known.get("cgroupsMade", 0), had_processes=had_processes)
    groups = known.get("resctrl")
    if groups:
        from pyrun.container import resctrl

        resctrl.remove(groups, created=not state.has_unfinished_gate())
    namespace = known.get("networkNamespace")
    if namespace and state.has_unfinished_gate():
        from pyrun.network.devices import put_back_noted

        put_back_noted(state, namespace)
    state.remove()
    poststop = known.get("hooks", {}).get("poststop")
    if poststop:
        from pyrun.container.hooks import run_hooks_and_warn

        run_hooks_and_warn(poststop, "poststop", hook_state(known, STOPPED))


def _check_deletable(state: StateDirectory) -> None:
    known = state.read_state() or {}
    status = state.status(state.read_process(), known.get("cgroup"))
    if status not in (STOPPED, CREATED):
        raise PyrunError(
            f"cannot delete container {state.container_id} that is not stopped: {status}; kill it first, or use --force"
        )


def _kill(state: StateDirectory, cgroup: str | None) -> bool:
    """Kill the init and the other processes of the container; return whether there ever was an init."""
    _kill_hook(state)
    process = state.read_process()
    if process is None:
        return False
    pidfd = process.open()
    # The init was born in the cgroup only after it was found empty or made, so all in there is the container's.
    if cgroup and os.path.isdir(cgroup) and (pidfd is not None or not _belongs_to_another(state, cgroup)):
        control.kill_all(cgroup)
    elif cgroup is None and pidfd is not None and not is_first_of_its_namespace(process.pid):
        from pyrun.container.members import signal_family

        signal_family(process, SIGKILL)
    if pidfd is not None:
        send(pidfd, SIGKILL)
        _wait_for_end(pidfd, process)
        os.close(pidfd)
    return True


def _kill_hook(state: StateDirectory) -> None:
    """Kill a hook that pyrun runs at the moment, or that has outlived its pyrun, with its children."""
    hook = state.read_process("hook")
    try:
        if hook is not None and hook.is_alive():
            os.killpg(hook.pid, SIGKILL)
    except ProcessLookupError:
        pass  # it has ended


def _belongs_to_another(state: StateDirectory, cgroup: str) -> bool:
    if not os.path.isdir(cgroup) or not control.is_populated(cgroup):
        return False
    from pyrun.container.members import is_used_by_another

    return is_used_by_another(state, cgroup)


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
    while cgroup := cgroup.rpartition("/")[0]:
        made -= 1
        if not _remove_unused(cgroup, made > 0):
            return


def _remove_unused(cgroup: str, made: bool) -> bool:
    """Remove a cgroup above the container's if pyrun made it and nobody uses it; return whether it is gone.

    Args:
        cgroup: its path.
        made: whether it was not there yet when the container was created. If it is in use now it is marked, as
            pyrun-init marks those that it makes one by one, so that the last of its users removes it.
    """
    if not made and not _is_marked(cgroup):
        return False
    for _ in range(2):
        try:
            os.rmdir(cgroup)
        except FileNotFoundError:
            pass
        except OSError:
            # Before the second attempt: from then on whoever leaves it sees the mark.
            _mark(cgroup)
            continue
        return True
    return False


def _is_marked(cgroup: str) -> bool:
    try:
        return bool(os.getxattr(cgroup, MARK))
    except OSError:
        return False


def _mark(cgroup: str) -> None:
    try:
        os.setxattr(cgroup, MARK, b"1")
    except OSError:
        pass  # another user's, or gone by now
