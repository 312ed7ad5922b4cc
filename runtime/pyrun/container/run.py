# SPDX-License-Identifier: Apache-2.0
"""run: create and start; in the foreground also forward signals, wait and delete."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from pyrun.container.create import Creation

# They are about pyrun itself; all others are meant for the container.
NOT_FORWARDED = frozenset((_signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG))


def run(
    root: str,
    container_id: str,
    bundle: str,
    *,
    detach: bool = False,
    keep: bool = False,
    pid_file: str | None = None,
    no_pivot: bool = False,
    new_keyring: bool = True,
) -> int:
    """Create and start a container.

    Args:
        detach: return when the container has started, and leave it running.
        keep: in the foreground, leave the stopped container to be looked at and deleted later.
        root, container_id, bundle, pid_file, no_pivot, new_keyring: as for create.

    Returns:
        The exit status of the container's program, 128 + N if signal N ended it; 0 if detached.

    Raises:
        PyrunError, pyrun_spec.errors.SpecError, OSError: nothing of the container is left then.
    """
    if not detach:
        # From now on a signal waits for forward_signals, so none is lost between create and start.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    creation = Creation(root, container_id, bundle, no_pivot=no_pivot, new_keyring=new_keyring)
    # Here, because pyrun-init works meanwhile.
    from pyrun.container.delete import delete_opened
    from pyrun.container.start import start

    pid = creation.finish(pid_file)
    try:
        start(root, container_id)
    except BaseException:
        delete_opened(creation.state)
        raise
    if detach:
        return 0
    status = _forward_signals_until_exit(pid)
    if not keep:
        # By its directory: another container may have its id by now.
        delete_opened(creation.state)
    return status


def _forward_signals_until_exit(pid: int) -> int:
    from pyrun.container.kill import send

    pidfd = os.pidfd_open(pid)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            os.close(pidfd)
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code
        signal = _signal.sigwait(_signal.valid_signals())
        if signal not in NOT_FORWARDED:
            send(pidfd, signal)
