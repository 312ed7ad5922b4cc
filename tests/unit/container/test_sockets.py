# SPDX-License-Identifier: Apache-2.0
"""Connecting to a caller's socket, and handing a descriptor over."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrun.container import sockets
from pyrun.errors import PyrunError

OPTION = "--console-socket"
SECONDS = 10


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that listens at `tmp_path`/socket, with room for one connection that is not accepted yet."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(SECONDS)
        made.bind(str(tmp_path / "socket"))
        made.listen(0)
        yield made


def refused(path: Path | str) -> str:
    """Returns the error of a connection to `path`, which names the option and the path."""
    with pytest.raises(PyrunError) as caught:
        sockets.connect(str(path), OPTION)
    line = str(caught.value)
    assert line.startswith(f"{OPTION}: {path}: ") and "\n" not in line and "; " in line
    return line


def receive(listener: socket.socket) -> tuple[bytes, list[int]]:
    """Returns the data and the descriptors of the first message of the next connection."""
    connection, _ = listener.accept()
    with connection:
        data, descriptors, _, _ = socket.recv_fds(connection, 100, 10)
    return data, list(descriptors)


def test_data_and_descriptor_arrive_together(listener: socket.socket, tmp_path: Path) -> None:
    sent = os.open(tmp_path, os.O_RDONLY)
    connection = sockets.connect(str(tmp_path / "socket"), OPTION)
    assert not os.get_inheritable(connection.fileno())
    sockets.send_descriptor(connection, b"/dev/ptmx", sent, OPTION)
    connection.close()
    data, received = receive(listener)
    assert data == b"/dev/ptmx"
    assert len(received) == 1
    assert os.path.sameopenfile(sent, received[0])
    os.close(sent)
    os.close(received[0])


def test_nothing_there(tmp_path: Path) -> None:
    assert "no such file or directory; let the caller make the socket" in refused(tmp_path / "missing")
    assert "no such file or directory; let the caller make the socket" in refused(tmp_path / "no" / "directory")


def test_no_socket(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o777)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "file", tmp_path / "pipe", tmp_path):
        assert "this is not a socket; name one" in refused(path)
    assert "not a directory" in refused(tmp_path / "file" / "below")


def test_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    assert "too many levels of symbolic links" in refused(tmp_path / "link")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        assert "nobody listens there; let the caller listen" in refused(tmp_path / "socket")
    assert "nobody listens there; let the caller listen" in refused(tmp_path / "socket")


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_socket_of_another_type(tmp_path: Path, kind: int) -> None:
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(tmp_path / "socket"))
        if kind == socket.SOCK_SEQPACKET:
            other.listen()
        assert "this is not a stream socket; let the caller make it with SOCK_STREAM" in refused(tmp_path / "socket")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_socket_of_another_user() -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as owned:
        path = os.path.join(directory, "socket")
        owned.bind(path)
        owned.listen()
        os.chmod(directory, 0o755)
        os.seteuid(65534)
        try:
            assert "permission denied; give the user who calls pyrun write access" in refused(path)
        finally:
            os.seteuid(0)


def test_full_queue(listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SECONDS_TO_ACCEPT", 1)
    waiting = sockets.connect(str(tmp_path / "socket"), OPTION)
    began = time.monotonic()
    assert "its queue is full" in refused(tmp_path / "socket")
    assert time.monotonic() - began >= 0.5, "nobody was waited for"
    waiting.close()


def test_full_queue_that_moves_on(listener: socket.socket, tmp_path: Path) -> None:
    waiting = sockets.connect(str(tmp_path / "socket"), OPTION)
    accepted: list[socket.socket] = []
    later = threading.Timer(0.2, lambda: accepted.append(listener.accept()[0]))
    later.start()
    sockets.connect(str(tmp_path / "socket"), OPTION).close()
    later.join()
    waiting.close()
    accepted[0].close()


@pytest.mark.parametrize("name", ["socket", "s" * 255])
def test_path_longer_than_an_address(listener: socket.socket, tmp_path: Path, name: str) -> None:
    directory = tmp_path / ("d" * 200)
    directory.mkdir()
    path = directory / name
    os.rename(tmp_path / "socket", path)
    connection = sockets.connect(str(path), OPTION)
    sockets.send_descriptor(connection, b"x", 0, OPTION)
    connection.close()
    data, received = receive(listener)
    assert data == b"x"
    os.close(received[0])


def test_path_longer_than_any(tmp_path: Path) -> None:
    assert "file name too long" in refused(f"{tmp_path}/{'s' * 256}")
    assert "file name too long" in refused(f"{tmp_path}{'/d' * 2048}")


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file")
    refused(tmp_path / "missing")
    assert os.listdir("/proc/self/fd") == before


def test_peer_that_has_closed(listener: socket.socket, tmp_path: Path) -> None:
    connection = sockets.connect(str(tmp_path / "socket"), OPTION)
    listener.accept()[0].close()
    # The default action would end the tests: no SIGPIPE may come.
    previous = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        with pytest.raises(PyrunError) as caught:
            sockets.send_descriptor(connection, b"x", 0, OPTION)
    finally:
        signal.signal(signal.SIGPIPE, previous)
    connection.close()
    assert str(caught.value).startswith(f"{OPTION}: can't send a descriptor: broken pipe; let the caller receive")


def test_peer_that_does_not_read(listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SECONDS_TO_ACCEPT", 1)
    connection = sockets.connect(str(tmp_path / "socket"), OPTION)
    with pytest.raises(BlockingIOError):
        while True:
            connection.send(bytes(65536), socket.MSG_DONTWAIT)
    with pytest.raises(PyrunError) as caught:
        sockets.send_descriptor(connection, b"x", 0, OPTION)
    connection.close()
    assert str(caught.value) == f"{OPTION}: the caller does not read what it is sent; let it receive a descriptor"
