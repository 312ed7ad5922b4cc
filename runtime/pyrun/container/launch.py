# SPDX-License-Identifier: Apache-2.0
"""Starting pyrun-init, and the conversation with it until the container is created."""

from __future__ import annotations

import _socket
import fcntl
import os
import sys

from pyrun.errors import PyrunError, error_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.container.seccomp_agent import Agent
    from pyrun.state import StateDirectory

PROGRAM = f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/bin/pyrun-init"
CONFIG = "config.json"
MESSAGE_SIZE = 2048
FIRST_KEPT = 3
INT_SIZE = 4
# At most two descriptors, and who sent them: pid, uid and gid (unix(7)).
ANCILLARY_SIZE = _socket.CMSG_SPACE(2 * INT_SIZE) + _socket.CMSG_SPACE(3 * INT_SIZE)
SIGKILL = 9
# memfd_create(2): MFD_NOEXEC_SEAL and MFD_EXEC are known since Linux 6.3.
MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL, MFD_EXEC = 0x1, 0x2, 0x8, 0x10
F_ADD_SEALS, ALL_SEALS = 1033, 0xF


def launch(state: StateDirectory, kept: int = 0, plan: bytes | None = None) -> Conversation:
    """Spawn pyrun-init's outer stage.

    Args:
        state: the container's state directory.
        kept: how many of the descriptors from 3 on, all of them open, the container keeps.
        plan: the encoded plan for a further process, or None for the plan in the state directory.

    Raises:
        OSError: no memory, or no process to be had.
    """
    ours, theirs = control_sockets()
    opened: list[int] = []
    try:
        program = _sealed_program()
        opened.append(program)
        # Opened anew: a copy of our descriptor would hold our lock for as long as the outer stage lives.
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=state.descriptor)
        opened.append(directory)
        words = ["pyrun-init", str(theirs.fileno()), str(directory), str(kept)]
        passed = [*range(FIRST_KEPT, FIRST_KEPT + kept), theirs.fileno(), directory]
        if plan is not None:
            file = memory_file(plan)
            opened.append(file)
            words.append(str(file))
            passed.append(file)
        actions = [(os.POSIX_SPAWN_DUP2, each, each) for each in passed]
        pid = os.posix_spawn(f"/proc/self/fd/{program}", words, {}, file_actions=actions)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        for descriptor in opened:
            os.close(descriptor)
    return Conversation(ours, pid, state if plan is None else None)


def control_sockets() -> tuple[_socket.socket, _socket.socket]:
    """Return pyrun's end of a control socket, and the other one.

    Who may trace the process in the container gets hold of its end, so each message says who sent it (unix(7)).
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    ours.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
    return ours, theirs


def memory_file(data: bytes = b"") -> int:
    """Return an open file in memory (memfd_create(2)) that holds ``data`` and is read from its beginning.

    Raises:
        OSError: no memory, or no descriptor to be had.
    """
    try:
        descriptor = os.memfd_create("pyrun", MFD_CLOEXEC | MFD_NOEXEC_SEAL)
    except OSError:
        descriptor = os.memfd_create("pyrun", MFD_CLOEXEC)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Conversation:
    """pyrun's end of the control socket, and the two processes behind it.

    Attributes:
        connection: the socket.
        outer: pid of the outer stage, None when it has ended.
        init: pid of the process that carries the plan on, once the outer stage has told it; None when it has ended.
        source: the file that errors are about.
        agent: gets the listener of a seccomp filter that is loaded meanwhile; None where none is expected.
    """

    def __init__(self, connection: _socket.socket, outer: int, recorded_in: StateDirectory | None) -> None:
        self.connection = connection
        self._recorded_in = recorded_in
        self.outer: int | None = outer
        self._spawned = outer
        self.init: int | None = None
        self._terminal: int | None = None
        self.source: str | None = CONFIG
        self.agent: Agent | None = None

    def wait_for_scope(self) -> int:
        """Return the pid of the outer stage when it waits for systemd to put it into a scope.

        Raises:
            PyrunError: an operation of the outer stage failed.
        """
        outer = self.outer or 0
        if self._receive() != b"scope":
            _, status = os.waitpid(outer, 0)
            self.outer = None
            raise _ended("the outer stage", status)
        return outer

    def wait_for_init(self) -> None:
        """Return when the outer stage has made the process that carries the plan on.

        Raises:
            PyrunError: an operation of the outer stage failed.
        """
        # Its end first: killed before it could report, it leaves an init that holds the socket open and waits.
        _, status = os.waitpid(self.outer or 0, 0)
        self.outer = None
        message = b"" if os.WIFSIGNALED(status) else self._receive()
        if not message.startswith(b"pid "):
            raise _ended("the outer stage", status)
        self.init = int(message[4:])

    def go(self) -> None:
        """Let the process go on, now that everything that it needs from outside is there."""
        try:
            os.write(self.connection.fileno(), b"go")
        except BrokenPipeError:
            pass  # why it ended is what the next message, or its absence, tells

    def wait_for(self, awaited: bytes) -> int:
        """Return the pid of the process when it has sent the message ``awaited``: created, hooks or inside.

        Raises:
            PyrunError: an operation of the process failed.
        """
        message = self._receive()
        while message.startswith(b"pid "):
            self._follow(int(message[4:]))
            if awaited == b"inside":
                return self.init or 0
            self.go()
            message = self._receive()
        if message != awaited or self.init is None:
            raise self._init_ended()
        return self.init

    def wait_until_executed(self) -> None:
        """Return when the process has become the program, which closes its end of the socket.

        Raises:
            PyrunError: an operation of the process failed.
        """
        if self._receive():
            raise self._init_ended()

    def _follow(self, pid: int) -> None:
        """Take ``pid`` for the process from now on: the other one is not in the PID namespace."""
        if self.init is not None:
            _reap(self.init)
        # Root in the container may give another's pid for its own, and then name a process of the host.
        self.init = pid if _is_child(pid) else None
        if self.init is None:
            raise PyrunError(f"pyrun-init names process {pid}, which is not its own: the container interferes")
        if self._recorded_in is not None:
            self._recorded_in.write_process(pid)

    def take_terminal(self) -> int | None:
        """Return the master of the terminal that was made, if one was; it is the caller's from now on."""
        terminal, self._terminal = self._terminal, None
        return terminal

    def close(self) -> None:
        """End the conversation; the process does not need it any more."""
        self.connection.close()

    def break_off(self) -> None:
        """End the conversation before its aim is reached: both processes end when they notice."""
        self.connection.close()
        terminal = self.take_terminal()
        if terminal is not None:
            os.close(terminal)
        if self.outer is not None:
            _reap(self.outer)
            self.outer = None

    def kill(self) -> None:
        """Kill and reap the process, which may be frozen, or wait for something."""
        if self.init is not None:
            os.kill(self.init, SIGKILL)  # not reaped yet, so the pid is still its own
        self.reap()

    def reap(self) -> None:
        """Reap a process that has been killed, or that ends because the conversation was broken off."""
        if self.init is not None:
            _reap(self.init)
            self.init = None

    def _receive(self) -> bytes:
        while True:
            message = self._receive_any()
            if message.startswith(b"lost ") and self.init is None:
                _reap(int(message[5:]))
            elif message.startswith(b"warning"):
                log_warning(message)
            elif message not in (b"terminal", b"listener"):
                break
        if message.startswith(b"failed"):
            raise operation_error(message, self.source)
        return message

    def _receive_any(self) -> bytes:
        """Return the next message of the process that has its turn; empty when the socket is closed."""
        while True:
            try:
                message, ancillary, _, _ = self.connection.recvmsg(
                    MESSAGE_SIZE, ANCILLARY_SIZE, _socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                continue  # the process ended before it read what we wrote; what it said is still to come
            descriptors, sender = received(ancillary)
            genuine = not message or sender == (self.init or self._spawned)
            if genuine and message == b"listener" and self.agent is not None:
                self.agent.deliver(descriptors, sender)
                descriptors = []
            if genuine and message == b"terminal" and descriptors and self._terminal is None:
                self._terminal = descriptors.pop()
            for descriptor in descriptors:
                os.close(descriptor)
            if genuine:
                return message

    def _init_ended(self) -> PyrunError:
        _, status = os.waitpid(self.init or 0, 0)
        self.init = None
        return _ended("the container's init", status)


def received(ancillary: list[tuple[int, int, bytes]]) -> tuple[list[int], int]:
    """Return the descriptors that came with a message (unix(7)), and the pid of who sent it; 0 if that is not told."""
    descriptors: list[int] = []
    sender = 0
    for _, kind, data in ancillary:
        numbers = [int.from_bytes(data[at : at + INT_SIZE], sys.byteorder) for at in range(0, len(data), INT_SIZE)]
        if kind == _socket.SCM_RIGHTS:
            descriptors += numbers
        elif kind == _socket.SCM_CREDENTIALS:
            sender = numbers[0]
    return descriptors, sender


def operation_error(message: bytes, source: str | None = CONFIG) -> PyrunError:
    """Return the error that a "failed" message of pyrun-init stands for.

    Args:
        source: the file that its JSON pointer is about; None for no place at all.
    """
    _, _, number, operation, pointer, words = message.decode("utf-8", "replace").split("\0", 5)
    errno = int(number)
    from pyrun.container.hints import hint

    reason = f": {error_words(errno)}" if errno else ""
    remedy = hint(operation, errno)
    file, place = place_of(pointer, source)
    return PyrunError(
        words + reason + (f"; {remedy}" if remedy else ""),
        source=file,
        pointer=place,
        operation=operation,
        errno=errno or None,
    )


def place_of(pointer: str, source: str | None) -> tuple[str | None, str | None]:
    """Return the file and the JSON pointer in it of what is at ``pointer`` in a config.json, or None for both.

    Args:
        source: config.json, or a file that holds its /process alone; None for no place at all.
    """
    if not source or not pointer:
        return None, None
    if source == CONFIG or not pointer.startswith("/process/"):
        return CONFIG, pointer
    return source, pointer.removeprefix("/process")


def log_warning(message: bytes) -> None:
    """Log a "warning" message of pyrun-init, if there is a log: it is loaded when it is set up."""
    log = sys.modules.get("pyrun.cli.log")
    if log is not None:
        _, _, _, _, pointer, words = message.decode("utf-8", "replace").split("\0", 5)
        log.warning(f"{pointer}: {words}")


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        return False
    return True


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
        copy = _executable_memory_file()
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


def _executable_memory_file() -> int:
    try:
        return os.memfd_create("pyrun-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC)
    except OSError:
        return os.memfd_create("pyrun-init", MFD_CLOEXEC | MFD_ALLOW_SEALING)


def _ended(who: str, status: int) -> PyrunError:
    code = os.waitstatus_to_exitcode(status)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    return PyrunError(f"{who} {how} before the container was created")
