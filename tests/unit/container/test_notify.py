# SPDX-License-Identifier: Apache-2.0
"""Between a container's notifications and the service manager: what is passed on, how much, and how long."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyrun.cli import log
from pyrun.container import notify
from pyrun.errors import PyrunError

MAIN = f"MAINPID={os.getpid()}"


class Ends:
    """A listener, with its ends in the tests' hands: the container's and the manager's, and a process as its init."""

    def __init__(self, directory: Path) -> None:
        self.init = subprocess.Popen(["sleep", "1000"])
        self.manager = _datagram_socket()
        self.manager.bind(str(directory / "manager"))
        self.manager.settimeout(5)
        to_manager = _datagram_socket()
        to_manager.connect(str(directory / "manager"))
        listening = _datagram_socket()
        listening.bind(str(directory / "container"))
        listening.setblocking(False)
        self.container = _datagram_socket()
        self.container.connect(str(directory / "container"))
        self.listener = notify.Listener(listening, to_manager, self.init.pid, os.pidfd_open(self.init.pid))

    def notify(self, *lines: str) -> None:
        """Sends lines in one datagram, as the container."""
        self.container.send("\n".join(lines).encode("utf-8", "surrogateescape"))

    def end_init(self) -> None:
        """Ends the container's init."""
        self.init.kill()
        self.init.wait()

    def told(self) -> list[str]:
        """Returns the lines of the messages that the manager has got."""
        lines: list[str] = []
        while select.select([self.manager], [], [], 0)[0]:
            lines += self.manager.recv(5000).decode().splitlines()
        return lines

    def close(self) -> None:
        """Ends everything."""
        self.end_init()
        self.container.close()
        self.manager.close()


def _datagram_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    """A listener whose ends the test has."""
    made = Ends(tmp_path)
    yield made
    made.close()


def serve(ends: Ends) -> list[str]:
    """Lets the listener work until the container is ready or ended; returns what the manager was told."""
    ends.listener.begin()
    ends.listener.end()
    return ends.told()


def test_ready(ends: Ends) -> None:
    ends.notify("READY=1")
    assert serve(ends) == ["READY=1", MAIN]


def test_lines_before_and_with_readiness(ends: Ends) -> None:
    ends.notify("STATUS=begin", "MAINPID=1", "ERRNO=3")
    ends.notify("X_ORDER=1", "READY=1", "STATUS=end", "")
    assert serve(ends) == ["STATUS=begin", "ERRNO=3", "STATUS=end", "READY=1", MAIN]


@pytest.mark.parametrize(
    "line",
    ["STATUS=\udcff", "STATUS=\x07", "STATUS=a\0b", "STATUS=\u202e", "STATUSX=1", "READY", "READY=", "READY=2", ""],
)
def test_line_that_is_not_passed_on(ends: Ends, line: str) -> None:
    ends.notify(line)
    ends.notify("READY=1")
    assert serve(ends) == ["READY=1", MAIN]


@pytest.mark.parametrize(("size", "told"), [(4096, True), (4097, False)])
def test_size_of_a_datagram(ends: Ends, size: int, told: bool) -> None:
    ends.notify("READY=1", "x" * (size - len("READY=1\n")))
    ends.end_init()
    assert ("READY=1" in serve(ends)) == told


def test_end_of_the_init(ends: Ends) -> None:
    ends.end_init()
    assert serve(ends) == []


def test_what_an_init_that_has_ended_has_said(ends: Ends) -> None:
    ends.notify("STATUS=bye")
    ends.notify("READY=1")
    ends.end_init()
    assert serve(ends) == ["STATUS=bye", "READY=1", MAIN]


def test_end_of_the_init_in_a_flood(ends: Ends) -> None:
    """Others than the init may still notify; they are not listened to for ever."""
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            try:
                ends.container.send(b"STATUS=flood", socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
            except ConnectionRefusedError:
                return

    sender = threading.Thread(target=flood)
    sender.start()
    try:
        ends.end_init()
        serve(ends)
    finally:
        stop.set()
        sender.join()


def test_too_many_messages(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond some at once they are dropped, but not the one that counts."""
    monkeypatch.setattr(notify, "BURST", 3.0)
    monkeypatch.setattr(notify, "RATE", 0.0)
    ends.listener._allowance = 3.0
    for _ in range(6):
        ends.notify("STATUS=again")
    ends.notify("READY=1")
    assert serve(ends) == [*["STATUS=again"] * 3, "READY=1", MAIN]


def test_messages_are_allowed_again_after_a_while(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "RATE", 1e9)
    ends.listener._allowance = 0.0
    ends.notify("STATUS=again")
    ends.notify("READY=1")
    assert serve(ends) == ["STATUS=again", "READY=1", MAIN]


def test_detached_names_the_init_and_passes_a_barrier(ends: Ends) -> None:
    """The listener waits until the manager has closed what comes with the barrier."""
    ends.notify("READY=1")
    waiting = threading.Thread(target=ends.listener.wait)
    waiting.start()
    assert ends.manager.recv(100).decode() == f"READY=1\nMAINPID={ends.init.pid}"
    data, descriptors, _, _ = socket.recv_fds(ends.manager, 100, 4)
    assert (data, len(descriptors)) == (b"BARRIER=1", 1)
    assert waiting.is_alive()
    os.close(descriptors[0])
    waiting.join(10)
    assert not waiting.is_alive()


def test_manager_that_does_not_know_the_barrier(ends: Ends) -> None:
    """The kernel closes a descriptor that is not asked for."""
    ends.notify("READY=1")
    waiting = threading.Thread(target=ends.listener.wait)
    waiting.start()
    ends.manager.recv(100)
    assert ends.manager.recv(100) == b"BARRIER=1"
    waiting.join(10)
    assert not waiting.is_alive()


def test_no_barrier_for_a_container_that_was_not_ready(ends: Ends) -> None:
    ends.end_init()
    ends.listener.wait()
    assert ends.told() == []


def test_manager_that_is_gone(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(log, "warning", warnings.append)
    ends.manager.close()
    ends.notify("READY=1")
    ends.listener.wait()
    assert warnings == ["can't notify the service manager at NOTIFY_SOCKET: connection refused"]


def test_manager_that_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the way is dropped; readiness is tried for a while, and then a warning."""
    warnings: list[str] = []
    monkeypatch.setattr(log, "warning", warnings.append)
    monkeypatch.setattr(notify, "SECONDS_TO_TAKE", 1)
    monkeypatch.setattr(notify, "SECONDS_TO_PASS_BARRIER", 0)
    path = str(tmp_path / "manager")
    with _datagram_socket() as manager:
        manager.bind(path)
        connection = notify._connect_to_manager(path)
        listening = _datagram_socket()
        with subprocess.Popen(["sleep", "1000"]) as init:
            listener = notify.Listener(listening, connection, init.pid, os.pidfd_open(init.pid))
            for _ in range(100):
                listener._send(b"STATUS=again", socket.MSG_DONTWAIT)
            assert warnings == []
            listener._send(b"READY=1")
            listener.close()
            init.kill()
    assert warnings == ["can't notify the service manager at NOTIFY_SOCKET: it does not take messages"]


@pytest.mark.parametrize("path", ["relative", "", "vsock:2:1234", "./x"])
def test_address_of_another_kind(path: str) -> None:
    with pytest.raises(PyrunError, match="neither an absolute path nor an abstract name"):
        notify._connect_to_manager(path)


Prepare = Callable[[Path], str]


def _missing(directory: Path) -> str:
    return str(directory / "missing")


def _file(directory: Path) -> str:
    (directory / "file").touch()
    return str(directory / "file")


def _stream(directory: Path) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(str(directory / "stream"))
    return str(directory / "stream")


def _long_abstract(directory: Path) -> str:
    return "@" + "x" * 300


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_missing, "no such file or directory"),
        (_file, "connection refused"),
        (_stream, "connection refused"),
        (_long_abstract, "file name too long"),
    ],
)
def test_address_without_a_manager(tmp_path: Path, prepare: Prepare, words: str) -> None:
    path = prepare(tmp_path)
    with pytest.raises(PyrunError) as caught:
        notify._connect_to_manager(path)
    line = str(caught.value)
    assert line == f'can\'t connect to NOTIFY_SOCKET="{path}": {words}; unset it unless a service manager listens there'
