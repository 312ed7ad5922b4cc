# SPDX-License-Identifier: Apache-2.0
"""pause and resume: all processes of a container stand still, and go on, by the freezer of its cgroup."""

from __future__ import annotations

from pyrun.errors import PyrunError
from pyrun.state import CREATED, PAUSED, RUNNING, StateDirectory
from pyrun_cgroups import control


def pause(root: str, container_id: str) -> None:
    """Freeze a created or running container, and return when all of its processes stand still.

    Raises:
        PyrunError: there is no such container, it is in another state, or has no cgroup of its own.
        pyrun_cgroups.control.CgroupError: the kernel refuses, or a process does not stop; then all go on.
    """
    state = StateDirectory.open_as_owner(root, container_id)
    try:
        known = state.read_state() or {}
        cgroup = known.get("cgroup")
        # Whoever is paused already counts as not running: these are runc's words, which engines know.
        if state.status(state.read_process(), cgroup) not in (CREATED, RUNNING):
            raise PyrunError("container not running")
        if cgroup is None:
            raise PyrunError(
                "cannot pause a container without a cgroup of its own; create it by a pyrun in a cgroup that is "
                "delegated to you (systemd-run --user --scope -p Delegate=yes)"
            )
        control.freeze(cgroup)
    finally:
        state.close()


def resume(root: str, container_id: str) -> None:
    """Thaw a paused container, and return when its processes may run.

    Raises:
        PyrunError: there is no such container, it is not paused, or a cgroup above its own is frozen too.
        pyrun_cgroups.control.CgroupError: the kernel refuses.
    """
    state = StateDirectory.open_as_owner(root, container_id)
    try:
        known = state.read_state() or {}
        cgroup = known.get("cgroup")
        if cgroup is None or state.status(state.read_process(), cgroup) != PAUSED:
            raise PyrunError("container not paused")
        above = _frozen_above(cgroup)
        if above:
            raise PyrunError(f"cgroup {above}, above the container's, is frozen; thaw that first (cgroup.freeze)")
        control.thaw(cgroup)
    finally:
        state.close()


def _frozen_above(cgroup: str) -> str | None:
    """Return the path of a cgroup above that freezes this one too."""
    while cgroup := cgroup.rpartition("/")[0]:
        try:
            with open(f"{cgroup}/cgroup.freeze", "rb") as file:
                if file.read() == b"1\n":
                    return cgroup
        except OSError:
            return None  # the root of the hierarchy, or of the mount, has no such file
    return None
