# SPDX-License-Identifier: Apache-2.0
"""create: from a bundle to an init that waits at the gate."""

from __future__ import annotations

import os

from pyrun.container.launch import Conversation, launch
from pyrun.errors import PyrunError
from pyrun.plan import Request, compile_config
from pyrun.plan.cgroup import path_of as cgroup_of
from pyrun.plan.root import path_of as root_of
from pyrun.state import OCI_VERSION, StateDirectory, check_id
from pyrun_cgroups import placement
from pyrun_spec.load import load_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config


def create(
    root: str,
    container_id: str,
    bundle: str,
    *,
    pid_file: str | None = None,
    no_pivot: bool = False,
    new_keyring: bool = True,
) -> int:
    """Create the container that ``bundle``/config.json describes; it waits for start.

    Args:
        root: directory of the state directories.
        container_id: the new container's id.
        bundle: absolute path of the bundle.
        pid_file: where to write the init's pid, or None.
        no_pivot: cover the old root instead of pivoting away from it.
        new_keyring: give the container a session keyring of its own.

    Returns:
        The pid of the container's init, a child of this process.

    Raises:
        PyrunError, pyrun_spec.errors.SpecError, OSError: nothing of the container is left then.
    """
    if os.geteuid():
        raise PyrunError("this version of pyrun needs root; run it as root")
    check_id(container_id)
    config = load_config(bundle)
    request = _request(root, container_id, bundle, no_pivot=no_pivot, new_keyring=new_keyring)
    plan = compile_config(config, request)
    state = StateDirectory.make(root, container_id)
    conversation: Conversation | None = None
    try:
        state.write_state(_description(config, request))
        state.write("plan", plan.encode())
        conversation = launch(state)
        pid = conversation.wait_for_init()
        conversation.go()
        conversation.wait_until_created()
        if pid_file is not None:
            write_pid_file(pid_file, pid)
    except BaseException:
        _undo(state, conversation)
        raise
    conversation.close()
    state.close()
    return pid


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid so that whoever waits for the file never sees half of it.

    Raises:
        PyrunError: the file can't be written.
    """
    directory, name = os.path.split(path)
    new = f"{directory}/.{name}"
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            os.write(descriptor, str(pid).encode())
        finally:
            os.close(descriptor)
        os.rename(new, path)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise PyrunError(f"can't write the pid file {path}: {reason}", errno=error.errno) from error


def _request(root: str, container_id: str, bundle: str, *, no_pivot: bool, new_keyring: bool) -> Request:
    mount = placement.find_cgroup2()
    return Request(
        container_id,
        bundle,
        cgroup_mount=mount,
        own_cgroup=placement.own_cgroup() if mount else "/",
        # No id of a container has this character.
        seccomp_cache=f"{root}/@seccomp",
        no_pivot=no_pivot,
        new_keyring=new_keyring,
    )


def _description(config: Config, request: Request) -> dict[str, Any]:
    path = cgroup_of(config, request)
    cgroup = None if path is None else f"{request.cgroup_mount}{path}"
    return {
        "ociVersion": OCI_VERSION,
        "id": request.container_id,
        "bundle": request.bundle,
        "rootfs": root_of(config, request),
        "annotations": config.get("annotations") or {},
        "cgroup": cgroup,
        "cgroupsMade": 0 if cgroup is None else _missing_components(cgroup),
    }


def _missing_components(path: str) -> int:
    """Count the trailing components that do not exist: those that this container makes and delete removes."""
    count = 0
    while path and not os.path.lexists(path):
        path = path.rpartition("/")[0]
        count += 1
    return count


def _undo(state: StateDirectory, conversation: Conversation | None) -> None:
    from pyrun.container.delete import destroy

    if conversation is not None:
        conversation.break_off()
    destroy(state)
    state.close()
    if conversation is not None:
        conversation.reap()
