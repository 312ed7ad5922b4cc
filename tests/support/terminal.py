# SPDX-License-Identifier: Apache-2.0
"""Terminals for tests: a command on a pseudo-terminal of its own, and the socket that receives a container's master."""

from __future__ import annotations

import array
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from typing import Any, Self

from support.configs import Config
from support.runtime import Container
from support.waiting import PATIENCE, deadline_in, wait_until

SECONDS = 20.0
SECONDS_TO_END = 5.0
ROWS, COLUMNS = 33, 101

# What termios.tcgetattr returns.
Attributes = list[Any]

# Stays while the command runs, as a shell does: the kernel hangs a terminal up when its session's leader ends.
_LEADER = 'trap : HUP INT QUIT; "$@"; status=$?; exit $status'


class Master:
    """The master's side of a pseudo-terminal."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._unread = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def close(self) -> None:
        """Closes the master, which hangs the terminal up."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def end(self) -> None:
        """Ends what the test has begun here."""
        self.close()

    def read_ahead(self) -> None:
        """Reads what is there, so that nobody has to wait for it to be read."""
        self._read_some(0)

    def write(self, data: bytes | str, seconds: float = SECONDS) -> None:
        """Types `data`, and keeps reading meanwhile; raises TimeoutError when it is not taken in time."""
        rest = data.encode() if isinstance(data, str) else data
        deadline = deadline_in(seconds)
        while rest:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(rest)} bytes were not taken in {seconds} s; output: {self._end()}")
            for descriptor, _ in _poll(self.descriptor, select.POLLIN | select.POLLOUT, 0.1):
                self._read_some(0)
                rest = rest[os.write(descriptor, rest[:512]) :] if self._is_writable() else rest

    def expect(self, text: bytes | str, seconds: float = SECONDS) -> bytes:
        """Reads until `text` has been written; returns what came up to its end.

        Raises TimeoutError when it does not come in time, EOFError when the terminal ends before.
        """
        wanted = text.encode() if isinstance(text, str) else text
        deadline = deadline_in(seconds)
        while wanted not in self._unread:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {wanted!r} in {seconds} s: {self._end()}")
            if not self._read_some(0.1):
                raise EOFError(f"the terminal ended before {wanted!r}: {self._end()}")
        return self._take(self._unread.index(wanted) + len(wanted))

    def read_to_end(self, seconds: float = SECONDS) -> bytes:
        """Reads until nobody has the terminal open; raises TimeoutError when that does not happen in time."""
        deadline = deadline_in(seconds)
        while self._read_some(0.1):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the terminal is still open after {seconds} s: {self._end()}")
        return self._take(len(self._unread))

    def read_for(self, seconds: float) -> bytes:
        """Reads for a while; returns all that has not been returned before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read_some(0.01):
            pass
        return self._take(len(self._unread))

    def resize(self, rows: int, columns: int) -> None:
        """Gives the terminal another size; the kernel tells its foreground processes by SIGWINCH."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def size(self) -> tuple[int, int]:
        """Returns rows and columns."""
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(self.descriptor, termios.TIOCGWINSZ, bytes(8)))
        return rows, columns

    def attributes(self) -> Attributes:
        """Returns the attributes of the terminal (termios(3))."""
        return termios.tcgetattr(self.descriptor)

    def is_raw(self) -> bool:
        """Tells whether keys are passed on as they come: no line editing, no signals, no echo."""
        local = termios.tcgetattr(self.descriptor)[3]
        return not local & (termios.ICANON | termios.ISIG | termios.ECHO)

    def wait_until_raw(self) -> None:
        """Waits until a program has made the terminal raw."""
        wait_until(self.is_raw, f"the terminal is raw; output: {self._end()}", SECONDS)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    def _end(self) -> str:
        return repr(bytes(self._unread[-1000:]))

    def _is_writable(self) -> bool:
        return any(events & select.POLLOUT for _, events in _poll(self.descriptor, select.POLLOUT, 0))

    def _read_some(self, seconds: float) -> bool:
        """Reads what is there, or comes in time; returns whether the terminal is still open."""
        for _, events in _poll(self.descriptor, select.POLLIN, seconds):
            if events & select.POLLIN:
                try:
                    self._unread += os.read(self.descriptor, 65536)
                except OSError:  # EIO: the last one who had it open has closed it meanwhile
                    return False
            elif events & select.POLLHUP:
                return False
        return True


def _poll(descriptor: int, events: int, seconds: float) -> list[tuple[int, int]]:
    waiter = select.poll()
    waiter.register(descriptor, events)
    return waiter.poll(seconds * 1000)


class Session(Master):
    """A command whose controlling terminal is a new pseudo-terminal; a shell that waits for it leads the session."""

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str] | None = None,
        *,
        rows: int = ROWS,
        columns: int = COLUMNS,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Starts the command; its standard streams are the terminal but for those that are given."""
        master, slave = os.openpty()
        super().__init__(master)
        self.resize(rows, columns)
        self.before = self.attributes()
        streams = [slave if stream is None else stream for stream in (stdin, stdout, stderr)]
        self.process = subprocess.Popen(
            ["sh", "-c", _LEADER, "sh", *command],
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env=environment,
            pass_fds=(slave, *pass_fds),
            start_new_session=True,
            preexec_fn=lambda: _become_controlling(slave),
        )
        os.close(slave)

    def end(self) -> None:
        """Hangs the terminal up, and waits for the end of the command, which is killed when it takes too long."""
        self.close()
        try:
            self.process.wait(PATIENCE * SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            for pid in (self.pid(), self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def pid(self) -> int:
        """Returns the pid of the command, once it has been started."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"

        def children() -> list[str]:
            with open(path, encoding="ascii") as file:
                return file.read().split()

        return int(wait_until(children, "the command has been started")[0])

    def wait(self, seconds: float = SECONDS) -> int:
        """Reads until the command has ended; returns its exit status.

        Raises TimeoutError when it does not end in time.
        """
        deadline = deadline_in(seconds)
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the command runs after {seconds} s: {self._end()}")
            if not self._read_some(0.02):
                time.sleep(0.005)
        return self.process.returncode


def _become_controlling(slave: int) -> None:
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    os.close(slave)


class Receiver:
    """A console socket: what `--console-socket` names."""

    def __init__(self, path: str, backlog: int = 1) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE * SECONDS)
        self._socket.bind(path)
        self._socket.listen(backlog)
        self.data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        os.unlink(self.path)

    def accept(self) -> socket.socket:
        """Returns the next connection."""
        return self._socket.accept()[0]

    def receive(self) -> Master:
        """Returns the master that comes with the next connection; the words beside it go to `data`."""
        with self.accept() as connection:
            connection.settimeout(PATIENCE * SECONDS)
            self.data, rights, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 16), socket.MSG_CMSG_CLOEXEC)
            descriptors = array.array("i")
            for _, _, content in rights:
                descriptors.frombytes(content)
            assert len(descriptors) == 1, f"{len(descriptors)} descriptors came with {self.data!r}"
            assert connection.recv(1) == b"", "something follows the terminal"
        return Master(descriptors[0])


def with_terminal(config: Config, rows: int | None = None, columns: int | None = None) -> Config:
    """Gives the process of `config` a terminal, of a size if that is given; returns `config`."""
    config["process"]["terminal"] = True
    if rows is not None and columns is not None:
        config["process"]["consoleSize"] = {"height": rows, "width": columns}
    return config


def run_on_terminal(container: Container, *options: str, **keywords: Any) -> Session:
    """Runs a container in the foreground on a new terminal; keywords are those of `Session`."""
    container.bundle.seal()
    runtime = container.runtime
    command = runtime.command("run", *options, "--bundle", container.bundle.path, container.id)
    return Session(command, runtime.environment, **keywords)


def exec_on_terminal(container: Container, *words: str, options: Sequence[str] = (), **keywords: Any) -> Session:
    """Executes a program with a terminal in a container, in the foreground on a new one; keywords as for `Session`."""
    runtime = container.runtime
    command = runtime.command("exec", "--tty", *options, container.id, *words)
    return Session(command, runtime.environment, **keywords)
