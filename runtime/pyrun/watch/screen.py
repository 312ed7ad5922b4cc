# SPDX-License-Identifier: Apache-2.0
"""A terminal that is drawn on for a while, and afterwards is as it was before.

Control sequences: ECMA-48 and, for the alternate screen, XTerm Control Sequences; every terminal emulator and tmux
know them.
"""

from __future__ import annotations

import os
import select
import signal
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# The alternate screen instead of the one with the user's lines; no cursor; long lines are cut off.
_BEGIN = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_END = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_BOLD, _PLAIN = "\x1b[1m", "\x1b[m"

_NOTICED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGWINCH)
_LOCAL_FLAGS = 3  # index in what tcgetattr returns


class Screen:
    """Standard output, a terminal, with the user's keys from standard input if that is one, too.

    Signals that end, stop or resize arrive by :meth:`wait`, so that none finds the terminal half drawn.
    """

    def __init__(self) -> None:
        """Notice signals and take the terminal.

        Raises:
            OSError: it can't be written to.
        """
        self._settings: list[Any] | None = None
        self._has_keys = os.isatty(0)
        self._signals, self._wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._old_wakeup = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _notice) for number in _NOTICED}
        try:
            self._enter()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back, and let signals do what they did."""
        self._leave()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._signals)
        os.close(self._wakeup)

    def columns(self) -> int:
        """Return how wide the terminal is now.

        Raises:
            OSError: it is gone.
        """
        return os.get_terminal_size(1).columns

    def draw(self, lines: Sequence[str]) -> None:
        """Show lines instead of what was there; the first is the title. What does not fit is left out.

        Raises:
            OSError: the terminal is gone.
        """
        columns, rows = os.get_terminal_size(1)
        shown = [line[:columns] for line in lines[:rows]]
        shown[0] = f"{_BOLD}{shown[0]}{_PLAIN}"
        # The rest of a line goes first: behind a line that is full, the cursor is on its last character.
        below = f"\r\n{_REST_OF_SCREEN}" if len(shown) < rows else ""
        _write(_HOME + "\r\n".join([_REST_OF_LINE + line for line in shown]) + below)

    def wait(self, seconds: float, descriptor: int | None = None) -> str | int | None:
        """Wait for the user or a signal.

        Args:
            seconds: for how long.
            descriptor: another descriptor whose being readable ends the waiting.

        Returns:
            A key; the number of a signal that is to end the program; None when it is time to draw again.
        """
        poll = select.poll()
        for each in (self._signals, 0 if self._has_keys else None, descriptor):
            if each is not None:
                poll.register(each, select.POLLIN)
        ready = {each for each, _ in poll.poll(max(0.0, 1000 * seconds))}
        if self._signals in ready:
            return self._signal()
        if 0 in ready and descriptor != 0:
            return self._key()
        return None

    def _key(self) -> str | None:
        try:
            text = os.read(0, 1).decode("latin-1")
        except OSError:
            text = ""
        self._has_keys = text != ""
        return text or None

    def _signal(self) -> int | None:
        """Take one signal from the queue; stop if it says so."""
        number = os.read(self._signals, 1)[0]
        if number == signal.SIGTSTP:
            self._stop()
        return None if number in (signal.SIGTSTP, signal.SIGWINCH) else number

    def _stop(self) -> None:
        """Stop as the user's shell expects it, and take the terminal again when the shell gives it back."""
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _notice)
        self._enter()

    def _enter(self) -> None:
        if self._has_keys:
            self._settings = termios.tcgetattr(0)
            changed = termios.tcgetattr(0)
            changed[_LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(0, termios.TCSADRAIN, changed)
        _write(_BEGIN)

    def _leave(self) -> None:
        """Restore what can be restored: a terminal that is gone needs nothing."""
        try:
            _write(_END)
            if self._settings is not None:
                termios.tcsetattr(0, termios.TCSADRAIN, self._settings)
        except (OSError, termios.error):
            pass


def _notice(*_: object) -> None:
    """The signal's number is in the pipe."""


def _write(text: str) -> None:
    rest = text.encode("utf-8", "surrogateescape")
    while rest:
        rest = rest[os.write(1, rest) :]
