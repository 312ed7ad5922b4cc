# SPDX-License-Identifier: Apache-2.0
"""run: create and start; in the foreground also forward signals, wait and delete."""

from __future__ import annotations

from pyrun.container.create import Creation, CreationOptions
from pyrun.container.supervise import Supervisor
from pyrun.plan.namespaces import is_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.container.terminal import Terminal


def run(
    root: str,
    container_id: str,
    bundle: str,
    options: CreationOptions,
    *,
    detach: bool = False,
    keep: bool = False,
    subreaper: bool = True,
) -> int:
    """Create and start a container.

    Args:
        detach: return when the container has started, and leave it running.
        keep: in the foreground, leave the stopped container to be looked at and deleted later.
        subreaper: in the foreground, adopt the orphans of a container that shares a PID namespace.
        root, container_id, bundle, options: as for create.

    Returns:
        The exit status of the container's program, 128 + N if signal N ended it; 0 if detached.

    Raises:
        PyrunError, pyrun_spec.errors.SpecError, OSError: nothing of the container is left then.
    """
    supervisor = None if detach else Supervisor()
    creation = Creation(root, container_id, bundle, options, detached=detach)
    # Here, because pyrun-init works meanwhile.
    from pyrun.container.delete import delete_opened
    from pyrun.container.start import start_program

    leaves_orphans = not is_new(creation.config, "pid")
    if supervisor is not None and subreaper and leaves_orphans:
        supervisor.adopt_orphans()
    pid = creation.finish()
    try:
        terminal = _terminal(creation)
        listener = start_program(root, container_id)
        if supervisor is None:
            if listener is not None:
                listener.wait()
            return 0
        if listener is not None:
            listener.begin()
        status = supervisor.wait(pid, terminal)
        if listener is not None:
            listener.end()
    except BaseException:
        delete_opened(creation.state)
        raise
    if leaves_orphans:
        from pyrun.container.members import kill_survivors

        kill_survivors(creation.state)
    if not keep:
        # By its directory: another container may have its id by now.
        delete_opened(creation.state)
    return status


def _terminal(creation: Creation) -> Terminal | None:
    if creation.terminal is None:
        return None
    from pyrun.container.terminal import Terminal

    return Terminal(creation.terminal)
