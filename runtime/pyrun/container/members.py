# SPDX-License-Identifier: Apache-2.0
"""All processes of a container, not just its init: who they are, and a signal for each.

They are those in the container's cgroup and below it. A container without a cgroup, as users other than root may
have, is known by its init alone: by the init's PID namespace if it is the first process there, else by descent.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from pyrun.container.kill import SIGKILL, is_first_of_its_namespace, send
from pyrun.errors import PyrunError
from pyrun.state import StateDirectory, stat_fields
from pyrun_cgroups import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrun.state import Process

_ROUNDS = 50


def pids_of(state: StateDirectory) -> list[int]:
    """Return the pids of a container's processes, sorted; those that outlived its init belong to it too.

    Raises:
        PyrunError, pyrun_cgroups.control.CgroupError: its state or its cgroup can't be read.
    """
    cgroup = own_cgroup(state)
    if cgroup is not None:
        return control.processes(cgroup)
    process = state.read_process()
    return sorted(_family(process)) if process is not None and process.is_alive() else []


def signal_all(state: StateDirectory, signal: int) -> bool:
    """Send a signal to every process of a container, and return whether it can have any.

    Raises:
        PyrunError, pyrun_cgroups.control.CgroupError: as for :func:`pids_of`; or the kernel refuses.
    """
    cgroup = own_cgroup(state)
    if cgroup is not None:
        if signal == SIGKILL:
            control.kill_all(cgroup)
        else:
            control.signal_all(cgroup, signal)
        return True
    process = state.read_process()
    if process is None or not process.is_alive():
        return False
    signal_family(process, signal)
    return True


def kill_survivors(state: StateDirectory) -> bool:
    """Kill what has outlived a container's init, and return whether there was anything in its cgroup.

    Of a container without a cgroup those are killed that this process, a subreaper, has adopted.

    Raises:
        PyrunError, pyrun_cgroups.control.CgroupError: as for :func:`signal_all`.
    """
    cgroup = own_cgroup(state)
    if cgroup is None:
        _signal_each(_adopted, SIGKILL)
        return False
    if not control.is_populated(cgroup):
        return False
    control.kill_all(cgroup)
    return True


def own_cgroup(state: StateDirectory) -> str | None:
    """Return the path of a container's cgroup; None if it has none, or lost it since its init died.

    Raises:
        PyrunError: the state was written by a pyrun of another, newer kind.
    """
    cgroup: str | None = state.read_what_is_known().get("cgroup")
    if cgroup is None or not os.path.isdir(cgroup):
        return None
    process = state.read_process()
    if process is None or (not process.is_alive() and is_used_by_another(state, cgroup)):
        return None
    return cgroup


def is_used_by_another(state: StateDirectory, cgroup: str) -> bool:
    """Return whether a container that was created later, with the same cgroupsPath, lives in the cgroup by now."""
    if state.read_what_is_known().get("systemdUnit"):
        from pyrun.container.scope import is_anothers

        return is_anothers(state, cgroup)
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
            if other.read_what_is_known().get("cgroup") == cgroup and process is not None and process.is_alive():
                return True
        finally:
            other.close()
    return False


def signal_family(process: Process, signal: int) -> None:
    """Send a signal to the init and to all that are known by it.

    Raises:
        PyrunError: they fork faster than they can be killed.
    """
    _signal_each(lambda: _family(process), signal)


def _signal_each(find: Callable[[], set[int]], signal: int) -> None:
    """Send a signal to all processes that ``find`` finds."""
    pidfds: dict[int, int] = {}
    try:
        if signal == SIGKILL:
            # One that is stopped makes no more children, which would be out of sight once their parent is dead.
            _stop_all(find, pidfds)
        else:
            _open_new(find, pidfds)
        for pidfd in pidfds.values():
            send(pidfd, signal)
    finally:
        for pidfd in pidfds.values():
            os.close(pidfd)


def _stop_all(find: Callable[[], set[int]], pidfds: dict[int, int]) -> None:
    for _ in range(_ROUNDS):
        new = _open_new(find, pidfds)
        if not new:
            return
        for pid in new:
            send(pidfds[pid], _signal.SIGSTOP)
    raise PyrunError("the container's processes fork faster than they can be killed; kill again")


def _open_new(find: Callable[[], set[int]], pidfds: dict[int, int]) -> set[int]:
    """Open the processes that ``pidfds`` does not have, and return their pids."""
    opened: dict[int, int] = {}
    for pid in find() - pidfds.keys():
        try:
            opened[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
    # Whoever is found now is who was opened: a pid is given to another process only after its end.
    for pid in opened.keys() - (find() if opened else set()):
        os.close(opened.pop(pid))
    pidfds.update(opened)
    return set(opened)


def _family(process: Process) -> set[int]:
    """The init if it lives, who is in a PID namespace that it made, and all their descendants."""
    children = _children()
    roots = [process.pid] if process.is_alive() else []
    if roots and is_first_of_its_namespace(process.pid):
        namespace = _namespace(process.pid, "pid")
        roots += [pid for pid in _pids() if namespace and _namespace(pid, "pid") == namespace]
    return _with_descendants(roots, children)


def _adopted() -> set[int]:
    """The children of this process that live in a container, and their descendants."""
    children = _children()
    here = (_namespace(os.getpid(), "mnt"), None)
    roots = [pid for pid in children.get(os.getpid(), []) if _namespace(pid, "mnt") not in here]
    return _with_descendants(roots, children)


def _with_descendants(roots: list[int], children: dict[int, list[int]]) -> set[int]:
    found: set[int] = set()
    unvisited = roots
    while unvisited:
        pid = unvisited.pop()
        if pid not in found:
            found.add(pid)
            unvisited += children.get(pid, [])
    return found


def _children() -> dict[int, list[int]]:
    """The children of each process that has some."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        children.setdefault(_parent(pid), []).append(pid)
    return children


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> int:
    """The parent of a process; 0 when there is none, or when it is another user's and can't be seen."""
    try:
        fields = stat_fields(pid)
    except PermissionError:
        return 0
    return int(fields[1]) if fields else 0


def _namespace(pid: int, kind: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None  # it has ended, or is another user's
