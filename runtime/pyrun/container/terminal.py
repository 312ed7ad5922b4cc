# SPDX-License-Identifier: Apache-2.0
"""A container's terminal in the foreground, relayed to and from the terminal that pyrun was called from."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import fcntl
import os
import termios

from pyrun.container.guardian import OUTPUT, RawMode
from pyrun.container.relay import STANDARD_ERROR, STANDARD_INPUT, STANDARD_OUTPUT, Relay, is_in_background
from pyrun.errors import PyrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# How soon it is noticed that the caller's shell has brought us to the foreground.
SECONDS_UNTIL_LOOK = 0.2


def check_caller() -> None:
    """Make sure, before anything is created, that pyrun was called from a terminal.

    Raises:
        PyrunError: it was not.
    """
    descriptor = _open_caller()
    if descriptor > STANDARD_ERROR:
        os.close(descriptor)


def _open_caller() -> int:
    """Return standard input where that is a terminal, else output, error, or the controlling terminal."""
    for descriptor in (STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR):
        if os.isatty(descriptor):
            return descriptor
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise PyrunError(
            "there is no terminal to show the container's on; call pyrun from one, use --detach with"
            " --console-socket, or do without process.terminal and --tty",
            errno=error.errno,
        ) from error


class Terminal:
    """A container's terminal, shown on the caller's."""

    def __init__(self, master: int) -> None:
        """Prepare the container's terminal before its program starts: window size, line ends.

        Args:
            master: descriptor of the terminal's master, which nobody else has, and which is this object's now.

        Raises:
            PyrunError: pyrun was not called from a terminal.
        """
        self._master = master
        self._caller = _open_caller()
        self._keyboard = RawMode(STANDARD_INPUT) if self._caller == STANDARD_INPUT else None
        self._relay = Relay(master, self._caller)
        self._in_front = False
        self._copy_window_size()
        if self._keyboard is None or not os.isatty(STANDARD_OUTPUT):
            self._leave_line_ends_to_output()

    def attach(self) -> None:
        """Begin to show the container's terminal; all signals must be blocked, and stay so."""
        # First the keyboard, whose guardian is forked, then the relay, which has threads.
        self._in_front = self._look(in_front=False)
        self._relay.start()

    def signals(self) -> Iterator[int]:
        """Relay for as long as the result is iterated over: the signals that arrive meanwhile.

        SIGWINCH is kept: the container's terminal gets the new window size instead.
        """
        relay = self._relay
        while not relay.hung_up:
            for signal in relay.step(reading=self._in_front, seconds=None if self._in_front else SECONDS_UNTIL_LOOK):
                if signal == _signal.SIGWINCH:
                    self._copy_window_size()
                    continue
                if signal == _signal.SIGCONT:
                    self._in_front = False  # while we were stopped another job had the terminal
                yield signal
            self._in_front = self._look(in_front=self._in_front)
        self._release_keyboard()
        while True:
            yield from relay.step(reading=False, seconds=None)

    def drain(self) -> None:
        """Show what the program has written before it ended."""
        self._relay.drain()

    def close(self) -> None:
        """Give the caller's terminal back as it was, and hang up the container's."""
        self._release_keyboard()
        self._relay.hang_up()

    def _look(self, *, in_front: bool) -> bool:
        """Return whether the caller's keys are meant for us, and take them when they become so."""
        if is_in_background(STANDARD_INPUT):
            return False
        if not in_front:
            if self._keyboard is not None:
                self._keyboard.enter()
            self._copy_window_size()
        return True

    def _release_keyboard(self) -> None:
        if self._keyboard is not None:
            self._keyboard.leave()

    def _copy_window_size(self) -> None:
        """Leave the size that the config asks for where the caller's terminal has none, as on a serial line."""
        if self._relay.hung_up:
            return
        try:
            size = fcntl.ioctl(self._caller, termios.TIOCGWINSZ, bytes(8))
            if any(size[:4]):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        except OSError:
            pass  # the caller's terminal has been hung up

    def _leave_line_ends_to_output(self) -> None:
        """Let the container's terminal end lines with a plain newline: a raw screen alone needs the return too."""
        attributes = termios.tcgetattr(self._master)
        attributes[OUTPUT] &= ~termios.ONLCR
        termios.tcsetattr(self._master, termios.TCSANOW, attributes)
