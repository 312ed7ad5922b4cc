# SPDX-License-Identifier: Apache-2.0
"""An interactive shell in a container, as a person at a terminal has it."""

from __future__ import annotations

import os
import shlex
import signal
import termios
from collections.abc import Iterator

import pytest

from support import configs
from support.execs import end_others, members, reap_orphans
from support.runtime import Container, MakeContainer
from support.snapshot import process_table
from support.terminal import with_terminal
from support.tmux import COLUMNS, PROMPT, ROWS, Tmux
from support.waiting import wait_for_exit, wait_until

INNER = "inner>"
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "dash": ["dash", "-i"]}


@pytest.fixture(params=sorted(SHELLS))
def window(request: pytest.FixtureRequest, scratch: str) -> Iterator[Tmux]:
    """A window with each of the shells that people have."""
    with Tmux(scratch, SHELLS[request.param]) as opened:
        yield opened


class Inside:
    """An interactive shell in a container, in a window."""

    def __init__(self, verb: str, window: Tmux, make_container: MakeContainer) -> None:
        self.verb = verb
        self._window = window
        shell = configs.default("/bin/sh", "-i") if verb == "run" else configs.default("/bin/sleep", "1000")
        shell["process"]["env"] += [f"PS1={INNER} ", "HOME=/tmp"]
        shell["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        self.container = make_container(with_terminal(shell) if verb == "run" else shell)

    def enter(self) -> None:
        """Starts the shell."""
        runtime, container = self.container.runtime, self.container
        container.bundle.seal()
        if self.verb == "run":
            command = runtime.command("run", "--bundle", container.bundle.path, container.id)
        else:
            container.started()
            command = runtime.command("exec", "-t", "-e", f"PS1={INNER} ", container.id, "sh", "-i")
        self._window.enter(shlex.join(command))
        self._window.wait_for_prompt(INNER)

    def start_cat(self) -> None:
        """Lets cat read what is typed, and returns when it does.

        The shell asks the terminal for the place of the cursor after each prompt. The terminal has answered when it
        shows what was printed later, and the answer has been read when what is typed later has.
        """
        self._window.enter("clear; echo ready; cat")
        self._window.wait_for("ready")
        self._window.enter("words")
        wait_until(lambda: self._window.lines().count("words") == 2, "cat has read")

    def pid(self) -> int:
        """Returns the pid of the runtime."""
        (pid,) = (pid for pid, (parent, _, _) in process_table().items() if parent == self._window.shell)
        return pid

    def leave(self) -> None:
        """Ends the shell, when the terminal's answer to it (see start_cat) has come."""
        self._window.enter("clear; exec sh -c 'echo ready; read line; exit 3'")
        self._window.wait_for("ready")
        self._window.press("Enter")
        self._window.wait_for_prompt(PROMPT)
        self._window.enter("echo status $?")
        self._window.wait_for("status 3")


@pytest.fixture(params=["run", "exec"])
def inside(request: pytest.FixtureRequest, window: Tmux, make_container: MakeContainer) -> Iterator[Inside]:
    """A shell by each of the verbs, which has not been started yet."""
    shell = Inside(request.param, window, make_container)
    yield shell
    if request.param == "exec" and shell.container.exists():
        end_others(shell.container)
        reap_orphans()


def settings(window: Tmux) -> str:
    """Returns the settings of the terminal, as the outer shell's programs find them."""
    return window.ask(PROMPT, "stty -a | grep -v speed | tr '\\n' ' ' | cksum")


def test_session(window: Tmux, inside: Inside) -> None:
    before = settings(window)
    inside.enter()
    assert window.ask(INNER, "stty size") == f"{ROWS} {COLUMNS}"
    assert window.ask(INNER, "tty") == "/dev/pts/0"
    window.enter("cat")
    window.enter("words that cat says again")
    window.wait_for("words that cat says again")
    window.press("C-d")
    window.wait_for_prompt(INNER)
    inside.leave()
    assert settings(window) == before


def test_window_that_changes(window: Tmux, inside: Inside) -> None:
    inside.enter()

    def follows() -> bool:
        return window.ask(INNER, "stty size") == window.size()

    for rows, columns in [(20, 70), (40, 130)]:
        window.resize(rows, columns)
        wait_until(follows, "the size follows")
    window.split()
    assert window.size() != "40 130"
    wait_until(follows, "the size follows")
    inside.leave()


def test_interrupt(window: Tmux, inside: Inside) -> None:
    inside.enter()
    window.enter("sleep 1000; echo 'not reached'")
    wait_for_program("sleep", inside)
    window.press("C-c")
    window.wait_for_prompt(INNER)
    assert "not reached" not in window.lines()
    window.enter("cat")
    wait_for_program("cat", inside)
    window.press("C-\\")
    window.wait_for_words("Quit")
    window.wait_for_prompt(INNER)
    inside.leave()


def test_stop_and_go_on(window: Tmux, inside: Inside) -> None:
    inside.enter()
    window.enter("cat")
    wait_for_program("cat", inside)
    window.press("C-z")
    window.wait_for_words("Stopped")
    window.wait_for_prompt(INNER)
    assert "Stopped" in window.ask(INNER, "jobs") and "cat" in window.ask(INNER, "jobs")
    window.enter("clear; fg")
    window.wait_for("cat")
    window.enter("words")
    wait_until(lambda: window.lines().count("words") == 2, "cat goes on")
    window.press("C-c")
    window.wait_for_prompt(INNER)
    inside.leave()


def wait_for_program(name: str, inside: Inside) -> None:
    """Waits until a program runs in the container."""
    wait_until(lambda: name in {process_table().get(pid, (0, "", ""))[2] for pid in members(inside.container)}, name)


def test_program_that_fills_the_screen(window: Tmux, inside: Inside) -> None:
    inside.enter()
    window.enter("vi /tmp/file")
    window.wait_for("~")
    window.type("isome text")
    window.wait_for("some text")
    window.wait_for_words("I /tmp/file")
    window.press("Escape")
    window.wait_for_words("- /tmp/file")  # not I for inserting any more
    window.enter(":wq")
    window.wait_for_prompt(INNER)
    assert window.ask(INNER, "cat /tmp/file") == "some text"
    inside.leave()


@pytest.mark.pyrun_only("runc leaves the terminal raw")
def test_terminal_is_sane_when_pyrun_is_killed(window: Tmux, inside: Inside) -> None:
    before = settings(window)
    inside.enter()
    inside.start_cat()
    os.kill(inside.pid(), signal.SIGKILL)
    window.wait_for_words("Killed")
    window.wait_for_prompt(PROMPT)
    assert settings(window) == before
    assert window.ask(PROMPT, "echo one; echo two") == "one"
    assert window.lines()[:3] == ["one", "two", "end of answer"]
    window.type("typed")
    window.wait_for(f"{PROMPT} typed")
    window.press("C-u")


@pytest.mark.pyrun_only("runc does not make the terminal raw again")
@pytest.mark.parametrize("window", ["bash"], indirect=True)  # dash leaves the terminal as a stopped job has made it
def test_pyrun_that_is_stopped(window: Tmux, inside: Inside) -> None:
    inside.enter()
    inside.start_cat()
    os.kill(inside.pid(), signal.SIGSTOP)
    window.wait_for_words("Stopped")
    window.wait_for_prompt(PROMPT)
    window.enter("fg")
    wait_until(lambda: is_raw(inside.pid()), "the terminal is raw again")
    window.press("C-d")
    window.wait_for_prompt(INNER)
    assert window.ask(INNER, "tty") == "/dev/pts/0"
    inside.leave()


def is_raw(pid: int) -> bool:
    """Tells whether the standard input of a process is a terminal in raw mode."""
    descriptor = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NOCTTY)
    try:
        return not termios.tcgetattr(descriptor)[3] & termios.ICANON
    finally:
        os.close(descriptor)


@pytest.mark.pyrun_only("runc goes on when its terminal is gone")
def test_window_that_is_closed(window: Tmux, inside: Inside) -> None:
    inside.enter()
    pid = inside.pid()
    window.close()
    wait_for_exit(pid)


@pytest.mark.pyrun_only("runc's run has no such option")
@pytest.mark.parametrize("inside", ["run"], indirect=True)
def test_terminal_that_the_configuration_does_not_ask_for(
    window: Tmux, inside: Inside, make_container: MakeContainer
) -> None:
    config = configs.default("/bin/sh", "-i")
    config["process"]["env"].append(f"PS1={INNER} ")
    other: Container = make_container(config)
    other.bundle.seal()
    window.enter(shlex.join(other.runtime.command("run", "-t", "--bundle", other.bundle.path, other.id)))
    window.wait_for_prompt(INNER)
    assert window.ask(INNER, "stty size") == f"{ROWS} {COLUMNS}"
    inside.leave()
