# SPDX-License-Identifier: Apache-2.0
"""Descriptors for the caller: over a socket at which it listens (--console-socket, --pidfd-socket)."""

from __future__ import annotations

import _socket
import errno
import os
import stat
import sys

from pyrun.errors import PyrunError, error_words

SECONDS_TO_ACCEPT = 5

# One message: why a connection can't be had, and what to do.
_WORDS = {
    errno.EAGAIN: f"nobody accepts a connection in {SECONDS_TO_ACCEPT} seconds; its queue is full",
    errno.ECONNREFUSED: "nobody listens there; let the caller listen before it calls pyrun",
    errno.EACCES: "permission denied; give the user who calls pyrun write access to the socket",
    errno.ENOENT: "no such file or directory; let the caller make the socket before it calls pyrun",
    errno.ENOTSOCK: "this is not a socket; name one at which the caller listens",
    errno.EPROTOTYPE: "this is not a stream socket; let the caller make it with SOCK_STREAM",
}


def connect(path: str, option: str) -> _socket.socket:
    """Connect to the stream socket at ``path``.

    Neither this nor a later :func:`send_descriptor` takes longer than SECONDS_TO_ACCEPT.

    Args:
        path: of any length that the kernel can open, also beyond the 107 bytes of an address (unix(7)).
        option: the command-line option that names the path, for errors.

    Raises:
        PyrunError: there is no socket, or nobody who accepts.
    """
    try:
        return open_connection(path)
    except OSError as error:
        raise _connection_error(path, option, error) from error


def open_connection(path: str) -> _socket.socket:
    """Connect to the stream socket at ``path``, as :func:`connect` does.

    Raises:
        OSError: with ENOTSOCK where there is another kind of file, and EAGAIN where nobody accepts in time.
    """
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, _timeval(SECONDS_TO_ACCEPT))
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{file}")
        except ConnectionRefusedError as error:
            # What the kernel says of every file that is no socket.
            raise error if _is_socket(file) else OSError(errno.ENOTSOCK, "") from error
        finally:
            os.close(file)
    except BaseException:
        connection.close()
        raise
    return connection


def send_descriptor(connection: _socket.socket, data: bytes, descriptor: int, option: str) -> None:
    """Send ``data``, which must not be empty, and one descriptor in one message (SCM_RIGHTS of unix(7)).

    Raises:
        PyrunError: the other end is closed, or does not read.
    """
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))
    try:
        connection.sendmsg([data], [rights], _socket.MSG_NOSIGNAL)
    except BlockingIOError:
        raise PyrunError(
            "the caller does not read what it is sent; let it receive a descriptor", source=option
        ) from None
    except OSError as error:
        reason = error_words(error.errno or 0)
        raise PyrunError(
            f"can't send a descriptor: {reason}; let the caller receive one before it closes the connection",
            source=option,
            errno=error.errno,
        ) from error


def _timeval(seconds: int) -> bytes:
    return seconds.to_bytes(8, sys.byteorder) + bytes(8)


def _is_socket(descriptor: int) -> bool:
    return stat.S_ISSOCK(os.fstat(descriptor).st_mode)


def _connection_error(path: str, option: str, error: OSError) -> PyrunError:
    number = error.errno or 0
    words = _WORDS.get(number) or f"{error_words(number)}; name a socket at which the caller listens"
    return PyrunError(f"{path}: {words}", source=option, errno=number)
