# SPDX-License-Identifier: Apache-2.0
"""sd_notify(3) for containers: the program's first notifications, passed on to the service manager that started pyrun.

The manager's socket, which NOTIFY_SOCKET names, is not given to the container. It gets a directory with a socket of its
own, at which pyrun listens until the program is ready. Whoever is in the container can write to it, so only what is
about the start of the service is passed on, and the main process is the one that pyrun names.
"""

from __future__ import annotations

import _socket
import _thread
import errno
import os
import select
import sys
import time

from pyrun.errors import PyrunError, error_words
from pyrun.plan.process import NOTIFY_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.state import StateDirectory

DIRECTORY = "notify"
READY = b"READY=1"
# Of the service's start; the others name processes, hand over descriptors, or come later.
PASSED_ON = (b"STATUS=", b"ERRNO=", b"BUSERROR=", b"EXTEND_TIMEOUT_USEC=")
LARGEST = 4096  # bytes of a datagram; the manager takes no larger ones either
# Who sends more than so many a second, after so many at once, waits for each.
RATE, BURST = 10.0, 20.0
SECONDS_BETWEEN_EXCESSIVE = 0.01
QUEUED = 16  # datagrams that are looked at when the container has ended; the kernel queues 10 (net.unix.max_dgram_qlen)
SECONDS_TO_TAKE = 5  # for the manager to take a message from a full queue
SECONDS_TO_PASS_BARRIER = 30


def prepare(state: StateDirectory) -> None:
    """Make the directory that the container sees, in the state directory of a new container.

    Raises:
        OSError: the disk is full, among others.
    """
    os.mkdir(DIRECTORY, 0o700, dir_fd=state.descriptor)
    # Its users are the container's; to the host's the state directory is closed.
    os.chmod(DIRECTORY, 0o755, dir_fd=state.descriptor)


def listen(state: StateDirectory) -> Listener:
    """Listen for notifications of a created container, whose state directory is locked; comes before it is started.

    Raises:
        PyrunError: the manager's socket can't be reached, or the container was created without one, or has ended.
        OSError: the socket can't be made.
    """
    process = state.read_process()
    pidfd = process.open() if process else None
    if process is None or pidfd is None:
        raise PyrunError("cannot start a container that has stopped")
    manager: _socket.socket | None = None
    try:
        manager = _connect_to_manager(os.environ["NOTIFY_SOCKET"])
        return Listener(_bind(state), manager, process.pid, pidfd)
    except BaseException:
        os.close(pidfd)
        if manager is not None:
            manager.close()
        raise


class Listener:
    """What stands between the container and the service manager until the program is ready."""

    def __init__(self, container: _socket.socket, manager: _socket.socket, init: int, pidfd: int) -> None:
        """Take over two sockets, and a pidfd of the container's init."""
        self._container = container
        self._manager = manager
        self._init = init
        self._pidfd = pidfd
        self._allowance = BURST
        self._counted = time.monotonic()
        self._thread_runs = _thread.allocate_lock()

    def wait(self) -> None:
        """Pass notifications on until the program is ready, and the manager knows, or until the init has ended.

        The manager is to watch the init from then on.
        """
        try:
            if self._serve(self._init):
                self._pass_barrier()
        finally:
            self.close()

    def begin(self) -> None:
        """Pass notifications on from a thread, while this process waits for the container's end.

        The manager is to watch this process. Signals should be blocked: those of the process are not for the thread.
        """
        self._thread_runs.acquire()
        _thread.start_new_thread(self._serve_in_thread, ())

    def end(self) -> None:
        """Wait for the thread: it ends when the container does."""
        self._thread_runs.acquire()
        self.close()

    def close(self) -> None:
        """Stop listening: further notifications are refused."""
        self._container.close()
        self._manager.close()
        os.close(self._pidfd)

    def _serve_in_thread(self) -> None:
        try:
            self._serve(os.getpid())
        finally:
            self._container.close()  # who still notifies is refused at once instead of waiting
            self._thread_runs.release()

    def _serve(self, main_process: int) -> bool:
        """Pass notifications on until the program is ready or the init has ended; return whether it is ready."""
        poll = select.poll()
        poll.register(self._container, select.POLLIN)
        poll.register(self._pidfd, select.POLLIN)
        while True:
            ended = any(descriptor == self._pidfd for descriptor, _ in poll.poll())
            for _ in range(QUEUED if ended else 1):
                if self._pass_on(main_process):
                    return True
            if ended:
                return False

    def _pass_on(self, main_process: int) -> bool:
        """Take one datagram and pass on what is for the manager; return whether it was told of readiness."""
        lines, ready = self._receive()
        if ready:
            self._send(b"\n".join([*(lines or ()), READY, b"MAINPID=%d" % main_process]))
        elif lines is not None and not self._is_allowed():
            time.sleep(SECONDS_BETWEEN_EXCESSIVE)
        elif lines:
            self._send(b"\n".join(lines), _socket.MSG_DONTWAIT)
        return ready

    def _receive(self) -> tuple[list[bytes] | None, bool]:
        """Return the lines that may be passed on, None without a datagram; and whether one line says READY.

        The kernel closes descriptors that come along and are not asked for.
        """
        try:
            datagram = self._container.recv(LARGEST + 1)
        except BlockingIOError:
            return None, False
        if len(datagram) > LARGEST:
            return [], False
        lines = datagram.split(b"\n")
        return [line for line in lines if line.startswith(PASSED_ON) and _is_printable(line)], READY in lines

    def _is_allowed(self) -> bool:
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._counted) * RATE)
        self._counted = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _send(self, message: bytes, flags: int = 0) -> None:
        try:
            self._manager.send(message, flags | _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            if not flags:
                _warn("it does not take messages")
        except OSError as error:
            _warn(error_words(error.errno or 0))

    def _pass_barrier(self) -> None:
        """Return when the manager has read everything: it finds out whose a message is while the sender exists.

        sd_notify_barrier(3): the manager closes the descriptor that it gets; one that does not know it, too.
        """
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, theirs.to_bytes(4, sys.byteorder))
            self._manager.sendmsg([b"BARRIER=1"], [rights], _socket.MSG_NOSIGNAL)
        except OSError:
            return  # as for the message before, about which there has been a warning
        finally:
            os.close(theirs)
        poll = select.poll()
        poll.register(ours, 0)
        poll.poll(SECONDS_TO_PASS_BARRIER * 1000)
        os.close(ours)


def _connect_to_manager(path: str) -> _socket.socket:
    if not path.startswith(("/", "@")):
        raise PyrunError(f'NOTIFY_SOCKET="{path}" is neither an absolute path nor an abstract name (@NAME); unset it')
    manager = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        timeout = SECONDS_TO_TAKE.to_bytes(8, sys.byteorder) + bytes(8)
        manager.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, timeout)
        if path.startswith("@"):
            manager.connect("\0" + path[1:])
        else:
            _connect_by_path(manager, path)
    except OSError as error:
        manager.close()
        number = error.errno or errno.ENAMETOOLONG  # which the socket module finds itself, and does not number
        reason = error_words(number)
        raise PyrunError(
            f'can\'t connect to NOTIFY_SOCKET="{path}": {reason}; unset it unless a service manager listens there',
            errno=number,
        ) from error
    return manager


def _connect_by_path(manager: _socket.socket, path: str) -> None:
    # By descriptor: the path may be longer than a socket's address can hold.
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        manager.connect(f"/proc/self/fd/{file}")
    finally:
        os.close(file)


def _bind(state: StateDirectory) -> _socket.socket:
    try:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        directory = os.open(DIRECTORY, flags, dir_fd=state.descriptor)
    except FileNotFoundError:
        raise PyrunError(
            "NOTIFY_SOCKET is in the environment, but the container was created without it; unset it"
        ) from None
    try:
        return _bind_in(directory)
    except OSError as error:
        number = error.errno or 0
        reason = error_words(number)
        raise PyrunError(f"can't listen for the container's notifications: {reason}", errno=number) from error
    finally:
        os.close(directory)


def _bind_in(directory: int) -> _socket.socket:
    try:
        os.unlink(NOTIFY_SOCKET, dir_fd=directory)  # of a start that was killed
    except FileNotFoundError:
        pass
    container = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    umask = os.umask(0)  # every user of the container may write
    try:
        container.setblocking(False)
        container.bind(f"/proc/self/fd/{directory}/{NOTIFY_SOCKET}")
    except BaseException:
        container.close()
        raise
    finally:
        os.umask(umask)
    return container


def _is_printable(line: bytes) -> bool:
    """Whether the line is text that a person's terminal can show."""
    try:
        return line.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _warn(reason: str) -> None:
    from pyrun.cli import log

    log.warning(f"can't notify the service manager at NOTIFY_SOCKET: {reason}")
