# SPDX-License-Identifier: Apache-2.0
"""`events --watch`: lines where there is no terminal, and a table that leaves a terminal as it was."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator

import pytest

from support import configs
from support.execs import reap_orphans
from support.runtime import Container, MakeContainer
from support.snapshot import process_table
from support.tmux import COLUMNS, PROMPT, ROWS, Tmux
from support.waiting import wait_for_exit, wait_until

pytestmark = pytest.mark.pyrun_only("runc has no --watch")

TITLES = "CONTAINER CPU % MEMORY TASKS OOM READ/s WRITE/s WAIT cpu/mem/io".split()
BUSY = "while :; do :; done"


@pytest.fixture
def busy(make_container: MakeContainer) -> Container:
    """A running container whose program uses a processor."""
    return make_container(configs.shell(BUSY)).started()


def test_lines(busy: Container, make_container: MakeContainer) -> None:
    """Of one container until it ends, of all until the user interrupts it."""
    make_container(configs.default("/bin/sleep", "1000"), "another").started()
    one = busy.runtime.start("events", "--watch", "--interval", "100ms", busy.id)
    every = busy.runtime.start("events", "--watch", "--interval", "100ms")
    wait_until(lambda: one.output.count("\n") > 2 and every.output.count("another") > 1, "there are some lines")
    busy.stop()
    result = one.wait().succeeded()
    title, *lines = [line.split() for line in result.output.splitlines()]
    assert (title, {line[0] for line in lines}) == (TITLES, {busy.id})
    assert 0 < float(lines[0][1])
    count = every.output.count(busy.id)
    seen = every.output.count("another")
    wait_until(lambda: every.output.count("another") > seen + 2, "the other container is still there")
    assert every.output.count(busy.id) <= count + 1
    every.process.send_signal(signal.SIGINT)
    ended = every.wait()
    assert (ended.status, ended.errors) == (130, "")


def names(window: Tmux) -> list[str]:
    """Returns the first word of each line on the screen."""
    return [line.split()[0] for line in window.lines()]


class Watching:
    """A person who looks at the table, in a window of tmux."""

    def __init__(self, window: Tmux, container: Container, *words: str) -> None:
        self.window = window
        self.container = container
        self._command = shlex.join(container.runtime.command("events", "--watch", "--interval=100ms", *words))
        self.settings = window.ask(PROMPT, "stty -g")
        window.enter("clear; echo earlier line")
        window.wait_for("earlier line")
        window.wait_for_prompt(PROMPT)

    def begin(self) -> None:
        self.window.enter(f"{self._command}; echo status $?")
        self.wait_for_table()

    def wait_for_table(self) -> None:
        """Waits until the screen has the title, the container, and nothing else."""
        wait_until(lambda: names(self.window) == ["CONTAINER", self.container.id], "the table is on the screen")

    def pid(self) -> int:
        (pid,) = (pid for pid, (parent, _, _) in process_table().items() if parent == self.window.shell)
        return pid

    def wait_for_end(self, status: int) -> None:
        """Waits until the terminal is as it was, but for what has been typed and printed since."""
        self.window.wait_for_words(f"status {status}")
        self.window.wait_for_prompt(PROMPT)
        first, typed, *_ = self.window.lines()
        assert first == "earlier line"
        assert typed.startswith(PROMPT)
        assert self.window.cursor_is_visible()
        assert self.window.ask(PROMPT, "stty -g") == self.settings


@pytest.fixture
def watching(scratch: str, busy: Container) -> Iterator[Watching]:
    with Tmux(scratch, ["bash", "--norc", "--noprofile", "-i"]) as window:
        yield Watching(window, busy, busy.id)
    reap_orphans()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(watching: Watching, number: signal.Signals, status: int) -> None:
    watching.begin()
    if number == signal.SIGINT:
        watching.window.press("C-c")
    else:
        os.kill(watching.pid(), number)
    watching.wait_for_end(status)


def test_resized_and_quit(watching: Watching) -> None:
    """Lines never wrap: what does not fit is not shown."""
    watching.begin()
    assert not watching.window.cursor_is_visible()
    watching.window.resize(ROWS, 31)
    wait_until(lambda: watching.window.lines()[0].endswith("MEMORY"), "the titles are cut off")
    watching.window.resize(1, 31)
    wait_until(lambda: names(watching.window) == ["CONTAINER"], "one line is left")
    watching.window.resize(ROWS, COLUMNS)
    watching.wait_for_table()
    watching.window.press("q")
    watching.wait_for_end(0)


def test_stopped_and_continued(watching: Watching) -> None:
    watching.begin()
    watching.window.press("C-z")
    watching.window.wait_for_words("Stopped")
    watching.window.wait_for_prompt(PROMPT)
    assert watching.window.cursor_is_visible()
    assert watching.window.ask(PROMPT, "stty -g") == watching.settings
    watching.window.enter("fg; echo status $?")
    watching.wait_for_table()
    watching.window.press("q")
    watching.window.wait_for("status 0")


def test_container_ends(watching: Watching) -> None:
    """The last table stays on the screen."""
    watching.begin()
    watching.container.stop()
    watching.wait_for_end(0)


def test_all_containers(scratch: str, busy: Container, make_container: MakeContainer) -> None:
    with Tmux(scratch, ["bash", "--norc", "--noprofile", "-i"]) as window:
        watching = Watching(window, busy)
        watching.begin()
        another = make_container(configs.default("/bin/sleep", "1000"), "another").started()
        wait_until(lambda: names(window) == ["CONTAINER", "another", busy.id], "both are shown")
        another.stop()
        watching.wait_for_table()
        window.press("q")
        watching.wait_for_end(0)
    reap_orphans()
    wait_for_exit(window.shell)
