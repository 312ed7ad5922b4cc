# SPDX-License-Identifier: Apache-2.0
"""--pidfd-socket: a descriptor of the container's process for whoever listens."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from support import configs
from support.configs import Config
from support.runtime import Container, MakeContainer, Runtime
from support.waiting import PATIENCE, wait_for_exit, wait_until

pytestmark = pytest.mark.pyrun_only("runc has the option since 1.2")


@dataclass(frozen=True)
class Received:
    """What came in one message: a word, and a pidfd."""

    word: str
    pidfd: int

    @property
    def pid(self) -> int:
        """The process, as /proc/self/fdinfo shows it (pidfd_open(2)); -1 when it has been reaped."""
        with open(f"/proc/self/fdinfo/{self.pidfd}", encoding="ascii") as file:
            (value,) = [line.split(":")[1] for line in file if line.startswith("Pid:")]
        return int(value)

    def has_ended(self, seconds: float = 0) -> bool:
        """Whether the process ends within some seconds."""
        return bool(select.select([self.pidfd], [], [], seconds)[0])


class Receiver:
    """A socket at which somebody waits for a pidfd; to be closed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE * 10)
        self._socket.bind(path)
        self._socket.listen()
        self._received: list[int] = []

    def accept(self) -> socket.socket:
        """Accepts a connection."""
        connection, _ = self._socket.accept()
        connection.settimeout(PATIENCE * 10)
        return connection

    def receive(self) -> Received:
        """Accepts a connection, and takes the one message that comes there."""
        with self.accept() as connection:
            data, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4 * 4))
            assert connection.recv(100) == b""
        ((level, kind, content),) = ancillary
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        (descriptor,) = array.array("i", content)
        self._received.append(descriptor)
        return Received(data.decode(), descriptor)

    def close(self) -> None:
        """Closes the socket and all pidfds."""
        self._socket.close()
        for descriptor in self._received:
            os.close(descriptor)


@pytest.fixture
def receiver(scratch: str) -> Iterator[Receiver]:
    """Somebody who waits for a pidfd."""
    made = Receiver(os.path.join(scratch, "receiver"))
    yield made
    made.close()


def test_create(make_container: MakeContainer, receiver: Receiver) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    container.created("--pidfd-socket", receiver.path)
    received = receiver.receive()
    assert (received.word, received.pid) == ("standard", container.pid)
    container.start().succeeded()
    assert not received.has_ended()
    signal.pidfd_send_signal(received.pidfd, signal.SIGKILL)
    assert received.has_ended(10)
    wait_until(lambda: container.status == "stopped", "the container has stopped")


def in_a_user_namespace(config: Config) -> Config:
    return configs.with_user_namespace(config)


def in_a_joined_pid_namespace(config: Config) -> Config:
    """The process that the container's init becomes is another than the one that was cloned first."""
    return configs.with_namespace(config, "pid", f"/proc/{os.getpid()}/ns/pid")


@pytest.mark.parametrize("change", [in_a_user_namespace, in_a_joined_pid_namespace])
def test_create_in_namespaces(
    make_container: MakeContainer, receiver: Receiver, change: Callable[[Config], Config]
) -> None:
    container = make_container(change(configs.default("/bin/sleep", "1000")))
    container.created("--pidfd-socket", receiver.path)
    assert receiver.receive().pid == container.pid


@pytest.mark.parametrize("detach", [True, False], ids=["detached", "foreground"])
def test_run(make_container: MakeContainer, receiver: Receiver, detach: bool) -> None:
    container = make_container(configs.shell("echo up; exec sleep 1000"))
    container.bundle.seal()
    options = ["--detach"] if detach else []
    words = ["run", *options, "--pidfd-socket", receiver.path, "--bundle", container.bundle.path, container.id]
    call = container.runtime.start(*words)
    received = receiver.receive()
    call.wait_for_output("up")
    assert (received.word, received.pid) == ("standard", container.pid)
    signal.pidfd_send_signal(received.pidfd, signal.SIGKILL)
    assert call.wait().status == (0 if detach else 128 + signal.SIGKILL)


@pytest.mark.parametrize("detach", [True, False], ids=["detached", "foreground"])
def test_exec(make_container: MakeContainer, receiver: Receiver, detach: bool) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    options = ["--pidfd-socket", receiver.path, *(["--detach"] if detach else [])]
    call = container.start_exec("/bin/sh", "-c", "echo up; exec sleep 1000", options=options)
    received = receiver.receive()
    call.wait_for_output("up")
    pid = received.pid
    with open(f"/proc/{pid}/cmdline", encoding="ascii") as file:
        wait_until(lambda: file.seek(0) == 0 and file.read() == "sleep\x001000\x00", "it is the process of exec")
    assert received.word == "setns"
    signal.pidfd_send_signal(received.pidfd, signal.SIGKILL)
    assert call.wait().status == (0 if detach else 128 + signal.SIGKILL)
    wait_for_exit(pid)  # and reap it: the container's PID namespace can't end before
    assert received.has_ended()
    assert container.status == "running"


def test_relative_path(make_container: MakeContainer, receiver: Receiver) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    directory, name = os.path.split(receiver.path)
    container.created("--pidfd-socket", name, directory=directory)
    assert receiver.receive().pid == container.pid


def test_long_path(make_container: MakeContainer, receiver: Receiver, scratch: str) -> None:
    directory = os.path.join(scratch, "long" * 40)
    os.mkdir(directory)
    os.rename(receiver.path, os.path.join(directory, "receiver"))
    container = make_container(configs.default("/bin/sleep", "1000"))
    container.created("--pidfd-socket", os.path.join(directory, "receiver"))
    assert receiver.receive().pid == container.pid


@pytest.fixture(params=["missing", "file", "directory", "nobody listens", "datagram"])
def bad_path(request: pytest.FixtureRequest, scratch: str) -> str:
    """A path where nobody waits for a pidfd."""
    path = os.path.join(scratch, "bad")
    if request.param == "file":
        open(path, "w", encoding="ascii").close()
    elif request.param == "directory":
        os.mkdir(path)
    elif request.param in ("nobody listens", "datagram"):
        kind = socket.SOCK_STREAM if request.param == "nobody listens" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_UNIX, kind) as made:
            made.bind(path)
    return path


def test_create_without_a_receiver(make_container: MakeContainer, bad_path: str) -> None:
    container = make_container()
    container.create("--pidfd-socket", bad_path).failed("--pidfd-socket", bad_path)
    assert not container.exists()


def test_exec_without_a_receiver(make_container: MakeContainer, bad_path: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    result = container.exec("echo", "started", options=["--pidfd-socket", bad_path])
    result.failed("--pidfd-socket", bad_path, status=255)
    assert result.output == ""


WAITING_HOOK = "#!/bin/sh\nwhile [ ! -e $1 ]; do sleep 0.01; done\n"


@pytest.mark.parametrize("verb", ["create", "run"])
def test_receiver_that_goes_away(
    runtime: Runtime, make_container: MakeContainer, receiver: Receiver, scratch: str, verb: str
) -> None:
    """What nobody can watch is not made."""
    hook, gone = os.path.join(scratch, "hook"), os.path.join(scratch, "gone")
    with open(hook, "w", encoding="ascii") as file:
        file.write(WAITING_HOOK)
    os.chmod(hook, 0o755)
    config = configs.shell("echo started")
    config["hooks"] = {"createRuntime": [{"path": hook, "args": ["hook", gone], "timeout": 20}]}
    container: Container = make_container(config)
    container.bundle.seal()
    call = runtime.start(verb, "--pidfd-socket", receiver.path, "--bundle", container.bundle.path, container.id)
    receiver.accept().close()
    open(gone, "w", encoding="ascii").close()
    result = call.wait()
    result.failed("--pidfd-socket")
    assert result.output == ""
    assert not container.exists()
