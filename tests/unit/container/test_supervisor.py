# SPDX-License-Identifier: Apache-2.0
"""Waiting in the foreground: the status, signals, orphans, and the name."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import Self

import pytest

from support.snapshot import process_table
from support.waiting import wait_until

SECONDS = 10
FOREGROUND = os.path.join(os.path.dirname(__file__), "foreground.py")
FORWARDED = sorted(
    {name for name in signal.Signals.__members__ if "_" not in name}
    - {"SIGKILL", "SIGSTOP", "SIGCHLD", "SIGCLD", "SIGPIPE", "SIGURG", "SIGIOT", "SIGPOLL", "SIGRTMIN", "SIGRTMAX"}
)


class Supervised:
    """A shell's script that pyrun's foreground waits for; whatever is left of it is killed at the end."""

    def __init__(self, kind: str, script: str) -> None:
        command = [sys.executable, FOREGROUND, kind, "sh", "-c", script]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def read_line(self) -> str:
        """Returns the next line of the output; raises TimeoutError if there is none in time."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            raise TimeoutError("no output")
        return self.process.stdout.readline().decode().strip()

    def go_on(self) -> None:
        """Gives the script a line to read."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    def status(self) -> int:
        """Waits for the end; returns the exit status."""
        return self.process.wait(SECONDS)

    def children(self) -> list[int]:
        """Returns the children of pyrun, zombies too."""
        return [pid for pid, (parent, _, _) in process_table().items() if parent == self.process.pid]


@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 42", 42), ("exit 255", 255), ("kill -KILL $$", 137)])
def test_status(script: str, status: int) -> None:
    with Supervised("plain", script) as supervised:
        assert supervised.status() == status


@pytest.mark.parametrize("name", FORWARDED)
def test_signals_are_forwarded(name: str) -> None:
    script = f"trap 'echo got {name}; exit 3' {int(signal.Signals[name])}; echo ready; while :; do sleep 0.01; done"
    with Supervised("plain", script) as supervised:
        assert supervised.read_line() == "ready"
        supervised.process.send_signal(signal.Signals[name])
        assert supervised.read_line() == f"got {name}"
        assert supervised.status() == 3


@pytest.mark.parametrize("name", ["SIGCHLD", "SIGPIPE", "SIGURG"])
def test_signals_about_pyrun_itself_are_not_forwarded(name: str) -> None:
    # Of several signals that wait the one with the lowest number is taken first, so the last one comes last.
    last = signal.SIGRTMIN + 1
    script = f"trap 'echo got {name}' {name[3:]}; trap 'exit 3' {last}; echo ready; while :; do read x; done"
    with Supervised("plain", script) as supervised:
        assert supervised.read_line() == "ready"
        supervised.process.send_signal(signal.Signals[name])
        supervised.process.send_signal(last)
        assert supervised.status() == 3
        assert supervised.read_line() == ""


def test_signal_before_the_start_is_forwarded() -> None:
    with Supervised("signalled", "exec sleep 1000") as supervised:
        assert supervised.status() == 128 + signal.SIGTERM


def test_orphans_are_adopted_and_reaped() -> None:
    # Each orphan is the child of a child that ends at once.
    script = """
        for n in 1 2 3 4 5; do (sleep 0.05 & exit 0); done
        (sleep 1000 & echo $!)
        read x
        exit 4
    """
    with Supervised("adopting", script) as supervised:
        orphan = int(supervised.read_line())
        wait_until(lambda: orphan in supervised.children(), "the orphan is adopted")
        wait_until(lambda: len(supervised.children()) == 2, "those that ended are reaped")
        supervised.go_on()
        assert supervised.status() == 4
    os.kill(orphan, signal.SIGKILL)


def test_orphans_are_not_adopted_without_being_asked_for() -> None:
    with Supervised("plain", "(sleep 1000 & echo $!); read x; exit 4") as supervised:
        orphan = int(supervised.read_line())
        try:
            (shell,) = supervised.children()
            wait_until(lambda: process_table()[orphan][0] != shell, "the orphan has another parent")
            assert supervised.children() == [shell]
        finally:
            os.kill(orphan, signal.SIGKILL)


def test_name_of_the_process() -> None:
    with Supervised("plain", "exec sleep 1000") as supervised:

        def name() -> str:
            return process_table()[supervised.process.pid][2]

        wait_until(lambda: name() == "pyrun", "the process is called pyrun")
