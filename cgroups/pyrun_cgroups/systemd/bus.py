# SPDX-License-Identifier: Apache-2.0
"""A connection to systemd by D-Bus (D-Bus Specification; org.freedesktop.systemd1(5)); jeepney writes the messages.

A bus is not needed where systemd's own socket is: there both ends are alone. What is said is the same.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time

from jeepney.low_level import (  # type: ignore[import-untyped]
    Endianness,
    Header,
    HeaderFields,
    Message,
    MessageFlag,
    MessageType,
    Parser,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SYSTEMD = "org.freedesktop.systemd1"
_BUS = "org.freedesktop.DBus"
_SYSTEM = ("/run/dbus/system_bus_socket", "/run/systemd/private")
_PRIVATE = "/systemd/private"
_NO_SUCH_PEER = (f"{_BUS}.Error.ServiceUnknown", f"{_BUS}.Error.NameHasNoOwner")
_LONGEST_ANSWER = 65536


class SystemdError(Exception):
    """systemd is not there, or refuses.

    Attributes:
        message: one line, with what to do about it where that is known.
        name: D-Bus name of the error, or "" where nobody answered.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.name = name


def addresses(*, user: bool) -> list[str]:
    """Return the paths of the sockets at which a manager may be reached, the best first; "\\0" begins an abstract one.

    The user's are those of the environment if they are this user's; after a change of users (setuid(2)) the
    environment is another's.
    """
    if not user:
        return list(_SYSTEM)
    directory = f"/run/user/{os.geteuid()}"
    if _is_own(os.environ.get("XDG_RUNTIME_DIR", "")):
        directory = os.environ["XDG_RUNTIME_DIR"]
    given = os.environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    return [*filter(_is_own, _paths_of(given)), f"{directory}/bus", directory + _PRIVATE]


def owns_the_system() -> bool:
    """Return whether the system's manager is this user's, as that of the container in which it is root may be."""
    return _is_own(_SYSTEM[1])


class Connection:
    """A connection to a manager of units.

    Attributes:
        timeout_seconds: how long an answer may take.
    """

    def __init__(self, *, user: bool = False, timeout_seconds: float = 30.0) -> None:
        """Connect to the system's manager, or to that of the user.

        Raises:
            SystemdError: nobody is there, or it is in another PID namespace, where our pids mean other processes.
        """
        self.timeout_seconds = timeout_seconds
        self._parser = Parser()
        self._serial = 0
        self._signals: list[Message] = []
        self._sender: str | None = None
        self._socket, address = _connect(addresses(user=user), user, timeout_seconds)
        self._is_private = address.endswith(_PRIVATE)
        try:
            self._authenticate()
            if not self._is_private:
                self.call("/org/freedesktop/DBus", _BUS, "Hello", destination=_BUS)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        destination: str = SYSTEMD,
    ) -> tuple[Any, ...]:
        """Call a method and return what it answers.

        Raises:
            SystemdError: it refuses, or does not answer.
        """
        serial = self._send(path, interface, member, signature, body, destination)
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            message = self._receive(deadline)
            if message.header.fields.get(HeaderFields.reply_serial) == serial:
                break
            if message.header.message_type == MessageType.signal:
                self._signals.append(message)
        self._sender = message.header.fields.get(HeaderFields.sender)
        if message.header.message_type == MessageType.error:
            raise _refusal(message)
        answer: tuple[Any, ...] = message.body
        return answer

    def match(self, rule: str) -> None:
        """Let signals that a rule describes come here; without a bus all do.

        Raises:
            SystemdError: the bus refuses.
        """
        if not self._is_private:
            self.call("/org/freedesktop/DBus", _BUS, "AddMatch", "s", (rule,), destination=_BUS)

    def next_signal(self, deadline: float) -> Message:
        """Return the next signal of who has answered last: any user may send some to a connection to a bus.

        Args:
            deadline: until when to wait, as time.monotonic() counts.

        Raises:
            SystemdError: none comes in time.
        """
        while True:
            message = self._signals.pop(0) if self._signals else self._receive(deadline)
            is_signal = message.header.message_type == MessageType.signal
            if is_signal and message.header.fields.get(HeaderFields.sender) == self._sender:
                return message

    def _send(
        self, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...], destination: str
    ) -> int:
        fields = {HeaderFields.path: path, HeaderFields.interface: interface, HeaderFields.member: member}
        if not self._is_private:
            fields[HeaderFields.destination] = destination
        if signature:
            fields[HeaderFields.signature] = signature
        self._serial += 1
        header = Header(Endianness.little, MessageType.method_call, MessageFlag(0), 1, -1, self._serial, fields)
        try:
            data = Message(header, body).serialise()
        except (TypeError, ValueError, KeyError, IndexError, struct.error, UnicodeError) as error:
            raise SystemdError(f"{member} can't be written for D-Bus: {error}") from None
        self._write(data)
        return self._serial

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise SystemdError(f"the connection to systemd broke: {error.strerror or error}") from None

    def _receive(self, deadline: float) -> Message:
        while (message := self._parser.get_next_message()) is None:
            self._parser.add_data(self._read(deadline))
        return message

    def _read(self, deadline: float) -> bytes:
        waiter = select.poll()
        waiter.register(self._socket, select.POLLIN)
        if not waiter.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise SystemdError(f"systemd has not answered in {self.timeout_seconds:g} s: try again")
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise SystemdError(f"the connection to systemd broke: {error.strerror or error}") from None
        if not data:
            raise SystemdError("systemd has closed the connection")
        return data

    def _authenticate(self) -> None:
        """Be who the kernel says we are: a user namespace has other names for users than the peer.

        All at once, as systemd's own programs do: it may let a message wait that comes together with BEGIN.
        """
        deadline = time.monotonic() + self.timeout_seconds
        self._write(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
        answer = b""
        while answer.count(b"\r\n") < (2 if answer.startswith(b"DATA\r\n") else 1):
            answer += self._read(deadline)
            if len(answer) > _LONGEST_ANSWER:
                raise SystemdError("what answers for systemd does not speak D-Bus")
        line, _, rest = answer.removeprefix(b"DATA\r\n").partition(b"\r\n")
        if not line.startswith(b"OK"):
            raise SystemdError(f"systemd's bus does not let user {os.geteuid()} in")
        self._parser.add_data(rest)


def _connect(paths: list[str], user: bool, timeout_seconds: float) -> tuple[socket.socket, str]:
    why = "it has no socket"
    for path in paths:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(path)
            _check_peer(connection)
            return connection, path
        except OSError as error:
            connection.close()
            if not isinstance(error, FileNotFoundError):
                why = f"{path}: {error.strerror or error}"
        except BaseException:
            connection.close()
            raise
    whose = f"the systemd of user {os.geteuid()}" if user else "systemd"
    remedy = "log in, or let it linger (loginctl enable-linger)" if user else "boot with systemd"
    raise SystemdError(f"{whose} can't be reached ({why}): {remedy}, or leave out --systemd-cgroup")


def _check_peer(connection: socket.socket) -> None:
    """The kernel gives 0 for the pid of a peer that has none in our PID namespace."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if not pid:
        raise SystemdError(
            "systemd is in another PID namespace, where our pids mean other processes: call it from its own"
        )


def _paths_of(address: str) -> list[str]:
    """Return the paths in a D-Bus address (D-Bus Specification, "Server Addresses")."""
    found = []
    for each in address.split(";"):
        transport, _, rest = each.partition(":")
        values = dict(pair.partition("=")[::2] for pair in rest.split(","))
        if transport == "unix" and "path" in values:
            found.append(_unescaped(values["path"]))
        elif transport == "unix" and "abstract" in values:
            found.append("\0" + _unescaped(values["abstract"]))
    return found


def _unescaped(text: str) -> str:
    first, *rest = text.split("%")
    try:
        parts = [bytes.fromhex(part[:2]) + os.fsencode(part[2:]) for part in rest]
    except ValueError:
        return text
    return os.fsdecode(os.fsencode(first) + b"".join(parts))


def _is_own(path: str) -> bool:
    """Whether a socket or directory is this user's; of an abstract socket nobody knows."""
    if path.startswith("\0"):
        return True
    try:
        return bool(path) and os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False


def _refusal(message: Message) -> SystemdError:
    name = str(message.header.fields.get(HeaderFields.error_name, ""))
    words = message.body[0] if message.body and isinstance(message.body[0], str) else name
    if name in _NO_SUCH_PEER:
        return SystemdError("systemd is not on its bus: boot with systemd, or leave out --systemd-cgroup", name)
    return SystemdError(" ".join(words.split()).rstrip("."), name)
