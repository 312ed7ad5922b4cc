# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal: a window of tmux, with a server of its own, in which a shell runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Self

from support.waiting import PATIENCE, wait_for_exit, wait_until

ROWS, COLUMNS = 30, 100
PROMPT = "outer>"
SECONDS = 20


class Tmux:
    """A window with an interactive shell whose prompt is PROMPT; ends with its server.

    The socket and nothing else is in `directory`; its path must be short enough for an address (unix(7)).
    """

    def __init__(self, directory: str, shell: Sequence[str]) -> None:
        self._command = ["tmux", "-S", os.path.join(directory, "tmux"), "-f", "/dev/null"]
        self._environment = {
            "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
            "HOME": directory,
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
            "PS1": f"{PROMPT} ",
            "ENV": "",
        }
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._tmux("new-session", "-d", *size, *shell, ";", "set", "-g", "status", "off")
        self._server = int(self._tmux("display-message", "-p", "#{pid}"))
        self.shell = int(self._tmux("display-message", "-p", "#{pane_pid}"))
        self.resize(ROWS, COLUMNS)  # the status line had taken one
        self.wait_for_prompt(PROMPT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # its last window has been closed
            self._tmux("kill-server")
        wait_for_exit(self._server)

    def type(self, text: str) -> None:
        """Types a text."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Presses keys by tmux's names, such as Enter or C-c."""
        self._tmux("send-keys", *keys)

    def enter(self, line: str) -> None:
        """Types a line."""
        self.type(line)
        self.press("Enter")

    def resize(self, rows: int, columns: int) -> None:
        """Gives the window another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def size(self) -> str:
        """Returns the rows and columns that the shell has."""
        return self._tmux("display-message", "-p", "#{pane_height} #{pane_width}").strip()

    def cursor_is_visible(self) -> bool:
        """Tells whether the terminal shows a cursor."""
        return self._tmux("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def split(self) -> None:
        """Splits the window, so that the shell has the left half of it."""
        self._tmux("split-window", "-d", "-h", "sleep 1000")

    def close(self) -> None:
        """Closes the window."""
        self._tmux("kill-pane")

    def lines(self) -> list[str]:
        """Returns the lines on the screen that are not empty, without the spaces around them."""
        return [line.strip() for line in self._tmux("capture-pane", "-p").splitlines() if line.strip()]

    def wait_for(self, line: str) -> None:
        """Waits until there is such a line on the screen."""
        self._wait(lambda: line in self.lines(), f"there is {line!r}")

    def wait_for_words(self, words: str) -> None:
        """Waits until a line on the screen has these words in it."""
        self._wait(lambda: any(words in line for line in self.lines()), f"there is {words!r}")

    def wait_for_prompt(self, prompt: str) -> None:
        """Waits until the last line on the screen is a prompt."""
        self._wait(lambda: self.lines()[-1:] == [prompt], f"the last line is {prompt!r}")

    def ask(self, prompt: str, command: str) -> str:
        """Carries out a command at a prompt, and returns the line that it prints."""
        self.enter(f"clear; {command}; echo end of answer")
        self.wait_for("end of answer")
        self.wait_for_prompt(prompt)
        answer, *_ = self.lines()
        return answer

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        try:
            wait_until(ready, what, SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the screen shows {self.lines()}") from None

    def _tmux(self, *words: str) -> str:
        command = [*self._command, *words]
        result = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE * SECONDS, check=True
        )
        return result.stdout
