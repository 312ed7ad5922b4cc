# SPDX-License-Identifier: Apache-2.0
"""Who is told of a new process: sockets get its terminal and a pidfd, a file its pid."""

from __future__ import annotations

import os

from pyrun.errors import PyrunError, error_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket


class Recipients:
    """What the options --console-socket, --pidfd-socket and --pid-file name."""

    def __init__(self, console_socket: str | None, pidfd_socket: str | None, pid_file: str | None) -> None:
        """Connect to the sockets, so that one that is not there is noticed before anything is made.

        Raises:
            PyrunError: a socket can't be connected to.
        """
        self._pid_file = pid_file
        self._console: socket | None = None
        self._pidfd: socket | None = None
        if console_socket is not None or pidfd_socket is not None:
            from pyrun.container.sockets import connect

            if console_socket is not None:
                self._console = connect(console_socket, "--console-socket")
            if pidfd_socket is not None:
                self._pidfd = connect(pidfd_socket, "--pidfd-socket")

    def take_terminal(self, master: int | None) -> int | None:
        """Hand the master of a terminal to its recipient and close it; without a recipient, return it.

        Raises:
            PyrunError: the recipient does not take it.
        """
        if self._console is None or master is None:
            return master
        from pyrun.container.sockets import send_descriptor

        try:
            send_descriptor(self._console, b"/dev/ptmx", master, "--console-socket")
        finally:
            os.close(master)
        return None

    def take_process(self, pid: int, kind: str) -> None:
        """Tell of a process, which has not been started yet and is a child of this one.

        Args:
            pid: of the process.
            kind: what runc calls it, "standard" or "setns": the data that comes with the pidfd.

        Raises:
            PyrunError: the pidfd or the pid can't be handed over.
        """
        if self._pidfd is not None:
            from pyrun.container.sockets import send_descriptor

            pidfd = os.pidfd_open(pid)
            try:
                send_descriptor(self._pidfd, kind.encode(), pidfd, "--pidfd-socket")
            finally:
                os.close(pidfd)
        if self._pid_file is not None:
            write_pid_file(self._pid_file, pid)

    def close(self) -> None:
        """Close the connections."""
        for connection in (self._console, self._pidfd):
            if connection is not None:
                connection.close()


def check_console(terminal: bool, detached: bool, console_socket: str | None) -> None:
    """Refuse a terminal that nobody would get or see, and a console socket that would get none.

    Raises:
        PyrunError: in runc's words, which engines know.
    """
    if terminal and detached and console_socket is None:
        raise PyrunError("cannot allocate tty if pyrun will detach without setting console socket")
    if console_socket is not None and not (terminal and detached):
        raise PyrunError("cannot use console socket if pyrun will not detach or allocate tty")
    if terminal and not detached:
        from pyrun.container.terminal import check_caller

        check_caller()


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid so that whoever waits for the file never sees half of it.

    Raises:
        PyrunError: the file can't be written.
    """
    directory, name = os.path.split(path)
    new = os.path.join(directory, f".{name}")
    try:
        _write_new(new, str(pid).encode())
        os.rename(new, path)
    except OSError as error:
        _unlink_if_there(new)
        reason = error_words(error.errno or 0)
        raise PyrunError(f"can't write the pid file {path}: {reason}", errno=error.errno) from error


def _write_new(path: str, data: bytes) -> None:
    _unlink_if_there(path)  # of a pyrun that was killed; somebody may hold it open
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _unlink_if_there(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # what is in the way shows when the path is used
