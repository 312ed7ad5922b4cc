# SPDX-License-Identifier: Apache-2.0
"""Starting pyrun-init, and the conversation with it until the container is created."""

from __future__ import annotations

import _socket
import fcntl
import os

from pyrun.errors import PyrunError, error_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.state import StateDirectory

PROGRAM = f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/bin/pyrun-init"
MESSAGE_SIZE = 2048
# memfd_create(2): MFD_EXEC is known since Linux 6.3.
MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC = 0x1, 0x2, 0x10
F_ADD_SEALS, ALL_SEALS = 1033, 0xF


def launch(state: StateDirectory) -> Conversation:
    """Spawn pyrun-init's outer stage on the plan in the state directory.

    Raises:
        OSError: no memory, or no process to be had.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    ours_fd, theirs_fd = ours.detach(), theirs.detach()
    program = _sealed_program()
    # Opened anew: a copy of our descriptor would hold our lock for as long as the outer stage lives.
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=state.descriptor)
    try:
        pid = os.posix_spawn(
            f"/proc/self/fd/{program}",
            ["pyrun-init", str(theirs_fd), str(directory)],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, each, each) for each in (theirs_fd, directory)],
        )
    except BaseException:
        os.close(ours_fd)
        raise
    finally:
        os.close(theirs_fd)
        os.close(program)
        os.close(directory)
    return Conversation(state, ours_fd, pid)


class Conversation:
    """pyrun's end of the control socket, and the two processes behind it.

    Attributes:
        outer: pid of the outer stage, None when it has ended.
        init: pid of the init once the outer stage has told it, None when it has ended.
    """

    def __init__(self, state: StateDirectory, descriptor: int, outer: int) -> None:
        self.state = state
        self.descriptor = descriptor
        self.outer: int | None = outer
        self.init: int | None = None

    def wait_for_init(self) -> None:
        """Return when the outer stage has made and recorded the init.

        Raises:
            PyrunError: an operation of the outer stage failed.
        """
        # Its end first: killed before it could report, it leaves an init that holds the socket open and waits.
        _, status = os.waitpid(self.outer or 0, 0)
        self.outer = None
        message = b"" if os.WIFSIGNALED(status) else self._receive()
        if not message.startswith(b"pid "):
            raise _ended("the outer stage", status)
        self.init = int(message.split()[1])

    def go(self) -> None:
        """Let the init go on, now that everything that it needs from outside is there."""
        try:
            os.write(self.descriptor, b"go")
        except BrokenPipeError:
            pass  # why it ended is what wait_until_created finds out

    def wait_until_created(self) -> int:
        """Return the init's pid when it waits at the gate.

        Raises:
            PyrunError: an operation of the init failed.
        """
        message = self._receive()
        if message.startswith(b"pid "):
            self._follow(int(message.split()[1]))
            message = self._receive()
        if message != b"created" or self.init is None:
            raise self._init_ended()
        return self.init

    def _follow(self, pid: int) -> None:
        """Take ``pid`` for the init from now on: it went over to another process to enter a PID namespace."""
        if self.init is not None:
            _reap(self.init)
        self.init = pid
        self.state.write_process(pid)
        self.go()

    def close(self) -> None:
        """End the conversation; the created init does not need it any more."""
        os.close(self.descriptor)

    def break_off(self) -> None:
        """End the conversation before the init is created: both processes end when they notice."""
        os.close(self.descriptor)
        if self.outer is not None:
            _reap(self.outer)
            self.outer = None

    def reap(self) -> None:
        """Reap an init that has been killed."""
        if self.init is not None:
            _reap(self.init)
            self.init = None

    def _receive(self) -> bytes:
        while True:
            try:
                message = os.read(self.descriptor, MESSAGE_SIZE)
            except ConnectionResetError:
                message = b""  # the init ended before it read what we wrote
            if message.startswith(b"lost "):
                _reap(int(message.split()[1]))
            elif message.startswith(b"warning"):
                log_warning(message)
            else:
                break
        if message.startswith(b"failed"):
            raise operation_error(message)
        return message

    def _init_ended(self) -> PyrunError:
        _, status = os.waitpid(self.init or 0, 0)
        self.init = None
        return _ended("the container's init", status)


def operation_error(message: bytes) -> PyrunError:
    """Return the error that a "failed" message of pyrun-init stands for."""
    _, _, number, operation, pointer, words = message.decode("utf-8", "replace").split("\0", 5)
    errno = int(number)
    from pyrun.container.hints import hint

    reason = f": {error_words(errno)}" if errno else ""
    remedy = hint(operation, errno)
    return PyrunError(
        words + reason + (f"; {remedy}" if remedy else ""),
        source="config.json" if pointer else None,
        pointer=pointer or None,
        operation=operation,
        errno=errno or None,
    )


def log_warning(message: bytes) -> None:
    """Log a "warning" message of pyrun-init."""
    from pyrun.cli import log

    _, _, _, _, pointer, words = message.decode("utf-8", "replace").split("\0", 5)
    log.warning(f"{pointer}: {words}")


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # the caller ignores SIGCHLD, so the kernel reaps


def _sealed_program() -> int:
    """Return a sealed copy of pyrun-init, which nobody who gets hold of /proc/PID/exe can write to."""
    source = os.open(PROGRAM, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(source).st_size
        copy = _memory_file()
        try:
            done = 0
            while done < size:
                sent = os.sendfile(copy, source, done, size - done)
                if not sent:
                    raise PyrunError(f"{PROGRAM} was cut off while it was read; install pyrun again")
                done += sent
            fcntl.fcntl(copy, F_ADD_SEALS, ALL_SEALS)
        except BaseException:
            os.close(copy)
            raise
        return copy
    finally:
        os.close(source)


def _memory_file() -> int:
    try:
        return os.memfd_create("pyrun-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC)
    except OSError:
        return os.memfd_create("pyrun-init", MFD_CLOEXEC | MFD_ALLOW_SEALING)


def _ended(who: str, status: int) -> PyrunError:
    code = os.waitstatus_to_exitcode(status)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    return PyrunError(f"{who} {how} before the container was created")
