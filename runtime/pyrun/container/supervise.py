# SPDX-License-Identifier: Apache-2.0
"""The foreground: a process that pyrun waits for, with its signals, its orphans and its terminal."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from pyrun.container.kill import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrun.container.terminal import Terminal

# They are about pyrun itself; all others are meant for the container.
NOT_FORWARDED = frozenset((_signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG))
# The import of prctl takes a tenth of the time of a short run: it comes when there is nothing else to do.
SECONDS_UNTIL_QUIET = 1.0


class Supervisor:
    """A pyrun that stays until the process that it waits for has ended; to be made before that process is.

    From then on every signal waits for :meth:`wait`, so that none is lost while the container is being made.
    """

    def __init__(self) -> None:
        """Hold back all signals."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())

    def adopt_orphans(self) -> None:
        """Become the parent of what the container's processes leave behind, to reap it.

        Only needed where the container has no new PID namespace, whose init adopts its orphans.
        """
        import prctl

        prctl.set_child_subreaper(1)

    def wait(self, pid: int, terminal: Terminal | None = None) -> int:
        """Pass signals on to the child ``pid``, relay its terminal, and reap whatever ends, until it does.

        Returns:
            Its exit status, or 128 + N if signal N ended it.
        """
        pidfd = os.pidfd_open(pid)
        try:
            if terminal is None:
                return _supervise(pid, pidfd, _signals())
            try:
                terminal.attach()
                status = _supervise(pid, pidfd, terminal.signals())
                terminal.drain()
                return status
            finally:
                terminal.close()
        finally:
            os.close(pidfd)


def _supervise(pid: int, pidfd: int, signals: Iterator[int]) -> int:
    """Forward ``signals`` until the child ends."""
    while (status := _reap(pid)) is None:
        for signal in signals:
            if signal not in NOT_FORWARDED:
                send(pidfd, signal)
            elif signal == _signal.SIGCHLD:
                break
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _reap(pid: int) -> int | None:
    """Reap all children that have ended; return the wait status of ``pid`` if it is among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if found is None:
                raise
            return found
        if not ended:
            return found
        if ended == pid:
            found = status


def _signals() -> Iterator[int]:
    """Take one signal after the other from those that are held back."""
    every = _signal.valid_signals()
    while (early := _signal.sigtimedwait(every, SECONDS_UNTIL_QUIET)) is not None:
        yield early.si_signo
    name_process()
    while True:
        yield _signal.sigwait(every)


def name_process() -> None:
    """Call this process pyrun, for ps and top, which know it by its interpreter."""
    try:
        import prctl
    except ImportError:
        return  # removed, or being upgraded, since this process began: not worth a container's life
    prctl.set_name("pyrun")
