# SPDX-License-Identifier: Apache-2.0
"""`--console-socket`: who gets the terminal of a process that pyrun does not wait for, and what can go wrong."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from support import configs
from support.execs import wait_until_alone
from support.runtime import Call, MakeContainer, Runtime
from support.terminal import Receiver
from support.waiting import wait_for_exit


class Verb:
    """A verb that makes a process and does not wait for it."""

    def __init__(self, name: str, make_container: MakeContainer) -> None:
        self._name = name
        self._config = configs.default("/bin/sleep", "1000")
        self._container = make_container(self._config, "test")
        self._status = 255 if name == "exec" else 1

    def start(self, *options: str, terminal: bool = True, detach: bool = True, directory: str | None = None) -> Call:
        """Starts a program with these options."""
        runtime = self._container.runtime
        words = [self._name, *(["--detach"] if detach and self._name != "create" else []), *options]
        if self._name == "exec":
            self._container.started()
            words += [*(["--tty"] if terminal else []), "test", "/bin/sleep", "1000"]
        else:
            self._config["process"]["terminal"] = terminal
            self._container.bundle.seal()
            words += ["--bundle", self._container.bundle.path, "test"]
        return runtime.start(*words, directory=directory)

    def check_refused(self, words: str, *options: str, terminal: bool = True, detach: bool = True) -> str:
        """Fails unless the verb fails with `words` and leaves nothing; returns the line of error."""
        return self.check_failed(self.start(*options, terminal=terminal, detach=detach), words)

    def check_failed(self, call: Call, words: str) -> str:
        """As `check_refused`, for a verb that has been started."""
        line = call.wait().failed(words, status=self._status)
        if self._name == "exec":
            wait_until_alone(self._container)
        else:
            assert os.listdir(str(self._container.runtime.root)) == []
        return line


@pytest.fixture(params=["create", "run", "exec"])
def verb(request: pytest.FixtureRequest, make_container: MakeContainer) -> Verb:
    """Each of the verbs in turn."""
    return Verb(request.param, make_container)


def test_terminal_without_a_socket(verb: Verb, runtime: Runtime) -> None:
    verb.check_refused(f"cannot allocate tty if {runtime.name} will detach without setting console socket")


def test_socket_without_a_terminal(verb: Verb, runtime: Runtime, scratch: str) -> None:
    words = f"cannot use console socket if {runtime.name} will not detach or allocate tty"
    with Receiver(os.path.join(scratch, "console")) as receiver:
        verb.check_refused(words, "--console-socket", receiver.path, terminal=False)


@pytest.mark.parametrize("verb", ["run", "exec"], indirect=True)
def test_socket_in_the_foreground(verb: Verb, runtime: Runtime, scratch: str) -> None:
    words = f"cannot use console socket if {runtime.name} will not detach or allocate tty"
    with Receiver(os.path.join(scratch, "console")) as receiver:
        verb.check_refused(words, "--console-socket", receiver.path, detach=False)


def test_nothing_there(verb: Verb, scratch: str) -> None:
    path = os.path.join(scratch, "console")
    assert path in verb.check_refused("no such file or directory", "--console-socket", path)


@pytest.mark.parametrize("make", [lambda path: open(path, "w").close(), os.mkdir, os.mkfifo])
@pytest.mark.pyrun_only("runc says that the connection is refused")
def test_no_socket(verb: Verb, scratch: str, make: Callable[[str], object]) -> None:
    path = os.path.join(scratch, "console")
    make(path)
    words = f"--console-socket: {path}: this is not a socket; name one at which the caller listens"
    verb.check_refused(words, "--console-socket", path)


def test_nobody_listens(verb: Verb, runtime: Runtime, scratch: str) -> None:
    path = os.path.join(scratch, "console")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        words = "nobody listens there" if runtime.name == "pyrun" else "connection refused"
        assert path in verb.check_refused(words, "--console-socket", path)


def test_receiver_that_closes_at_once(verb: Verb, scratch: str) -> None:
    with Receiver(os.path.join(scratch, "console")) as receiver:
        call = verb.start("--console-socket", receiver.path)
        receiver.accept().close()
        verb.check_failed(call, "broken pipe")


def test_receiver_that_takes_its_time(verb: Verb, scratch: str) -> None:
    """It is enough that there is room in its queue."""
    pid_file = os.path.join(scratch, "pid")
    with Receiver(os.path.join(scratch, "console")) as receiver:
        verb.start("--console-socket", receiver.path, "--pid-file", pid_file).wait().succeeded()
        with receiver.receive() as master:
            assert receiver.data == b"/dev/ptmx"
            assert os.isatty(master.descriptor)
            end(pid_file)


@pytest.mark.pyrun_only("runc looks for it elsewhere: below the bundle, or the directory of its state")
def test_relative_path(verb: Verb, scratch: str) -> None:
    pid_file = os.path.join(scratch, "pid")
    with Receiver(os.path.join(scratch, "console")) as receiver:
        call = verb.start("--console-socket", "console", "--pid-file", pid_file, directory=scratch)
        with receiver.receive():
            call.wait().succeeded()
            end(pid_file)


@pytest.mark.pyrun_only("runc can't connect to a path longer than an address")
def test_long_path(verb: Verb, scratch: str) -> None:
    directory = os.path.join(scratch, "d" * 200)
    os.mkdir(directory)
    pid_file = os.path.join(scratch, "pid")
    with Receiver(os.path.join(scratch, "console")) as receiver:
        path = os.path.join(directory, "console")
        os.rename(receiver.path, path)
        receiver.path = path
        call = verb.start("--console-socket", path, "--pid-file", pid_file)
        with receiver.receive():
            call.wait().succeeded()
            end(pid_file)


def end(pid_file: str) -> None:
    """Kills and reaps the process: the PID namespace of a container ends only when all in it are reaped."""
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
    wait_for_exit(pid)
