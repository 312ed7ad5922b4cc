# SPDX-License-Identifier: Apache-2.0
"""A service manager as sd_notify(3) knows one: a datagram socket, and the messages that come there."""

from __future__ import annotations

import array
import os
import socket
import struct
from dataclasses import dataclass

from support.runtime import SECONDS, Call, Result
from support.waiting import wait_until

CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7)
BARRIER = "BARRIER=1"


@dataclass(frozen=True)
class Message:
    """One datagram: its lines, who sent it, and how many descriptors came along."""

    lines: tuple[str, ...]
    pid: int
    uid: int
    descriptors: int


class Manager:
    """The socket, at a path or, with an @ before it, an abstract name; to be closed."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self._socket.settimeout(0.01)
        self.messages: list[Message] = []

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def receive(self) -> bool:
        """Takes one datagram, and closes its descriptors; returns False when none came in a moment."""
        room = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(16 * 4)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(1 << 16, room)
        except TimeoutError:
            return False
        pid, uid, descriptors = 0, -1, array.array("i")
        for _, kind, content in ancillary:
            if kind == socket.SCM_CREDENTIALS:
                pid, uid, _ = CREDENTIALS.unpack(content)
            else:
                descriptors.frombytes(content)
        for descriptor in descriptors:
            os.close(descriptor)
        lines = tuple(data.decode("utf-8", "surrogateescape").splitlines())
        self.messages.append(Message(lines, pid, uid, len(descriptors)))
        return True

    def receive_all(self) -> None:
        """Takes what has come."""
        while self.receive():
            pass

    def wait_for(self, line: str) -> None:
        """Takes messages until one has the line."""
        wait_until(lambda: self.receive() and line in self.lines, f"the manager is told {line}")

    def serve(self, call: Call) -> Result:
        """Takes messages until a call of the runtime has ended; returns its result."""
        wait_until(lambda: not self.receive() and call.process.poll() is not None, "the call ends", SECONDS)
        self.receive_all()
        return call.wait()

    @property
    def lines(self) -> list[str]:
        """The lines of all messages so far, without those of a barrier."""
        return [line for message in self.messages for line in message.lines if line != BARRIER]
