# SPDX-License-Identifier: Apache-2.0
"""Raw mode of the caller's terminal, and a process that takes it back when pyrun is killed."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import select
import termios

from pyrun.container.kill import SIGKILL, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Where termios.tcgetattr has what it returns.
INPUT, OUTPUT, LOCAL, CHARACTERS = 0, 1, 3, 6
STANDARD_INPUT = 0


class RawMode:
    """The mode in which every key is passed on as it comes (cfmakeraw in termios(3)).

    It is taken back only while the terminal has exactly these attributes: with others it is somebody else's by
    now, such as a shell's that has stopped this job.
    """

    def __init__(self, descriptor: int) -> None:
        """Args: descriptor: the terminal's."""
        self._descriptor = descriptor
        self._before: list[Any] | None = None
        self._raw: list[Any] | None = None
        self._guardian: _Guardian | None = None

    def enter(self) -> None:
        """Make the terminal raw; what it was before the first time is what it will be again.

        All signals must be blocked: the guardian inherits that, and the kernel would stop us with SIGTTOU.
        """
        try:
            if self._before is None or self._raw is None:
                self._before = termios.tcgetattr(self._descriptor)
                self._raw = _raw(termios.tcgetattr(self._descriptor))
                self._guardian = _Guardian(self._descriptor, self._before, self._raw)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._raw)
        except termios.error:
            pass  # the terminal has been hung up, which is noticed when it is read

    def leave(self) -> None:
        """Make the terminal what it was before, if this has not been done."""
        if self._before is not None:
            _restore(self._descriptor, self._before, self._raw)
            self._before = None
        if self._guardian is not None:
            self._guardian.dismiss()
            self._guardian = None


def _raw(attributes: list[Any]) -> list[Any]:
    """Return ``attributes`` in raw mode; unlike cfmakeraw leave the line's bits, which a driver may refuse."""
    attributes[INPUT] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    attributes[OUTPUT] &= ~termios.OPOST
    attributes[LOCAL] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    attributes[CHARACTERS][termios.VMIN] = 1
    attributes[CHARACTERS][termios.VTIME] = 0
    return attributes


def _restore(descriptor: int, before: list[Any], raw: list[Any] | None) -> None:
    try:
        if termios.tcgetattr(descriptor) == raw:
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
    except termios.error:
        pass  # the terminal has been hung up


class _Guardian:
    """A process that outlives a killed pyrun just long enough to restore its terminal."""

    def __init__(self, descriptor: int, before: list[Any], raw: list[Any]) -> None:
        pyrun = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            try:
                _keep_only(descriptor)
                _wait_for_end_of(pyrun)
                _restore(STANDARD_INPUT, before, raw)
            finally:
                os._exit(0)
        self._pidfd = os.pidfd_open(self._pid)

    def dismiss(self) -> None:
        """End it, as long as there is a pyrun to do so."""
        send(self._pidfd, SIGKILL)
        waiter = select.poll()
        waiter.register(self._pidfd, select.POLLIN)
        waiter.poll()
        os.close(self._pidfd)
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass  # somebody had killed it, and it was reaped with the others


def _keep_only(descriptor: int) -> None:
    """Let go of everything but the terminal, which becomes standard input."""
    os.setsid()  # out of reach of what is sent to pyrun's job, and of a hang-up
    os.chdir("/")
    os.dup2(descriptor, STANDARD_INPUT)
    os.closerange(STANDARD_INPUT + 1, os.sysconf("SC_OPEN_MAX"))


def _wait_for_end_of(pyrun: int) -> None:
    import prctl

    prctl.set_name("pyrun: terminal")
    prctl.set_pdeathsig(_signal.SIGTERM)
    every = _signal.valid_signals()
    while os.getppid() == pyrun:
        _signal.sigwait(every)
