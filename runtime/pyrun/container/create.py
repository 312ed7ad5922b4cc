# SPDX-License-Identifier: Apache-2.0
"""create: from a bundle to an init that waits at the gate."""

from __future__ import annotations

import os

from pyrun.container.launch import Conversation, launch
from pyrun.errors import PyrunError, error_words
from pyrun.plan import compile_config, request_for
from pyrun.plan.cgroup import path_of as cgroup_of
from pyrun.plan.root import path_of as root_of
from pyrun.state import OCI_VERSION, StateDirectory, check_id
from pyrun_spec.load import load_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Request


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
    creation = Creation(root, container_id, bundle, no_pivot=no_pivot, new_keyring=new_keyring)
    pid = creation.finish(pid_file)
    creation.state.close()
    return pid


class Creation:
    """A container that is being created: while pyrun-init works, its maker can do something else."""

    def __init__(self, root: str, container_id: str, bundle: str, *, no_pivot: bool, new_keyring: bool) -> None:
        """Compile the plan, make the state directory and let pyrun-init begin; arguments and errors as of create."""
        if os.geteuid():
            raise PyrunError("this version of pyrun needs root; run it as root")
        check_id(container_id)
        config = load_config(bundle)
        request = request_for(
            container_id,
            bundle,
            seccomp_cache=f"{root}/@seccomp",  # no id of a container has this character
            no_pivot=no_pivot,
            new_keyring=new_keyring,
        )
        plan = compile_config(config, request)
        self.state = StateDirectory.make(root, container_id)
        self.conversation: Conversation | None = None
        try:
            self.state.write_state(_description(config, request))
            self.state.write("plan", plan.encode())
            self.conversation = launch(self.state)
        except BaseException:
            self._undo()
            raise

    def finish(self, pid_file: str | None) -> int:
        """Wait until the container is created; arguments, result and errors as of create."""
        conversation = self.conversation
        assert conversation is not None
        try:
            conversation.wait_for_init()
            conversation.go()
            pid = conversation.wait_until_created()
            if pid_file is not None:
                write_pid_file(pid_file, pid)
            self.state.finish_gate()
            self.state.unlock()
        except BaseException:
            self._undo()
            raise
        conversation.close()
        return pid

    def _undo(self) -> None:
        from pyrun.container.delete import destroy

        if self.conversation is not None:
            self.conversation.break_off()
        destroy(self.state)
        self.state.close()
        if self.conversation is not None:
            self.conversation.reap()


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid so that whoever waits for the file never sees half of it.

    Raises:
        PyrunError: the file can't be written.
    """
    directory, name = os.path.split(path)
    new = os.path.join(directory, f".{name}")
    try:
        _write_new(new, str(pid).encode())
        os.rename(new, path)
    except OSError as error:
        _unlink_if_there(new)
        reason = error_words(error.errno or 0)
        raise PyrunError(f"can't write the pid file {path}: {reason}", errno=error.errno) from error


def _write_new(path: str, data: bytes) -> None:
    _unlink_if_there(path)  # of a pyrun that was killed; somebody may hold it open
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _unlink_if_there(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # what is in the way shows when the path is used


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
