# SPDX-License-Identifier: Apache-2.0
"""`--console-socket`: who gets the terminal of a process that pyrun does not wait for, and what can be wrong with it."""

from __future__ import annotations

import os
import socket

import pytest

from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import Call, Container, MakeContainer, Result, Runtime
from support.terminal import Receiver, with_terminal
from support.waiting import wait_for_exit

VERBS = ["create", "run", "exec"]


class Verb:
    """A verb that makes a process and does not wait for it."""

    def __init__(self, name: str, make_container: MakeContainer) -> None:
        self.name = name
        self.status = 255 if name == "exec" else 1
        self._make_container = make_container

    def start(self, *options: str, terminal: bool = True, detach: bool = True, directory: str | None = None) -> Call:
        """Starts a shell's script with these options."""
        words = ["--detach"] if detach and self.name != "create" else []
        config = configs.default("/bin/sleep", "1000")
        if self.name == "exec":
            words += [*(["--tty"] if terminal else []), *options, "test", "/bin/sleep", "1000"]
            self._container(config).started()
            return self.container.runtime.start("exec", *words, directory=directory)
        container = self._container(with_terminal(config) if terminal else config)
        container.bundle.seal()
        words += [*options, "--bundle", container.bundle.path, "test"]
        return container.runtime.start(self.name, *words, directory=directory)

    def call(self, *options: str, terminal: bool = True, detach: bool = True) -> Result:
        """As `start`; waits for the end."""
        return self.start(*options, terminal=terminal, detach=detach).wait()

    def _container(self, config: Config) -> Container:
        self.container = self._make_container(config, "test")
        return self.container

    def left(self) -> list[str]:
        """Returns what the container and its runtime still have."""
        container, runtime = self.container, self.container.runtime
        if self.name == "exec":
            listed = runtime.call("ps", "--format", "json", container.id).succeeded().output
            return [] if listed.count(",") == 0 else [listed]
        return os.listdir(str(runtime.root))


@pytest.fixture(params=VERBS)
def verb(request: pytest.FixtureRequest, make_container: MakeContainer) -> Verb:
    """Each of the verbs in turn."""
    return Verb(request.param, make_container)


def test_terminal_without_a_socket(verb: Verb, runtime: Runtime) -> None:
    words = f"cannot allocate tty if {runtime.name} will detach without setting console socket"
    verb.call().failed(words, status=verb.status)
    assert verb.left() == []


def test_socket_without_a_terminal(verb: Verb, runtime: Runtime, scratch: str) -> None:
    words = f"cannot use console socket if {runtime.name} will not detach or allocate tty"
    with Receiver(os.path.join(scratch, "console")) as receiver:
        verb.call("--console-socket", receiver.path, terminal=False).failed(words, status=verb.status)
    assert verb.left() == []


@pytest.mark.parametrize("verb", ["run", "exec"], indirect=True)
def test_socket_in_the_foreground(verb: Verb, runtime: Runtime, scratch: str) -> None:
    words = f"cannot use console socket if {runtime.name} will not detach or allocate tty"
    with Receiver(os.path.join(scratch, "console")) as receiver:
        result = verb.call("--console-socket", receiver.path, detach=False)
    result.failed(words, status=verb.status)
    assert verb.left() == []


def test_no_socket_there(verb: Verb, scratch: str) -> None:
    path = os.path.join(scratch, "console")
    verb.call("--console-socket", path).failed(path, "no such file or directory", status=verb.status)
    assert verb.left() == []


@pytest.mark.parametrize("kind", ["file", "directory"])
@pytest.mark.pyrun_only("runc says that the connection is refused")
def test_no_socket_but_something_else(verb: Verb, scratch: str, kind: str) -> None:
    path = os.path.join(scratch, "console")
    if kind == "file":
        open(path, "w", encoding="ascii").close()
    else:
        os.mkdir(path)
    words = f"--console-socket: {path}: this is not a socket; name one at which the caller listens"
    verb.call("--console-socket", path).failed(words, status=verb.status)
    assert verb.left() == []


def test_nobody_listens(verb: Verb, scratch: str) -> None:
    path = os.path.join(scratch, "console")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        words = "nobody listens there" if verb_is_pyruns(verb) else "connection refused"
        verb.call("--console-socket", path).failed(path, words, status=verb.status)
    assert verb.left() == []


def verb_is_pyruns(verb: Verb) -> bool:
    """Tells whether pyrun is the runtime under test."""
    return verb.container.runtime.name == "pyrun" if hasattr(verb, "container") else True


def test_receiver_that_closes_at_once(verb: Verb, scratch: str) -> None:
    with Receiver(os.path.join(scratch, "console")) as receiver:
        call = verb.start("--console-socket", receiver.path)
        receiver.accept().close()
        call.wait().failed("broken pipe", status=verb.status)
    assert verb.left() == []


def test_receiver_that_takes_its_time(verb: Verb, scratch: str) -> None:
    """It is enough that there is room in its queue."""
    pid_file = os.path.join(scratch, "pid")
    with Receiver(os.path.join(scratch, "console")) as receiver:
        verb.call("--console-socket", receiver.path, "--pid-file", pid_file).succeeded()
        with receiver.receive() as master:
            assert receiver.data == b"/dev/ptmx"
            assert os.isatty(master.descriptor)
            end(pid_file)


def test_relative_path(verb: Verb, scratch: str) -> None:
    pid_file = os.path.join(scratch, "pid")
    with Receiver(os.path.join(scratch, "console")) as receiver:
        call = verb.start("--console-socket", "console", "--pid-file", pid_file, directory=scratch)
        receiver.receive().close()
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
        receiver.receive().close()
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
