# SPDX-License-Identifier: Apache-2.0
"""A seccomp agent: gets the listeners of containers' filters, and answers the notifications (seccomp_unotify(2))."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.waiting import wait_until

# ioctl(2) numbers of linux/seccomp.h: direction, size of the structure, '!' and a number.
NOTIF_RECV = 0xC050_2100
NOTIF_SEND = 0xC018_2101
NOTIF_ADDFD = 0x4018_2103

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # id, pid, flags; number, architecture, instruction pointer, arguments
_RESPONSE = struct.Struct("=QqiI")  # id, value, error, flags
_DESCRIPTOR = struct.Struct("=QIIII")  # id, flags, source, target, flags of the target
_CONTINUE = 1
_LONGEST_MESSAGE = 4096  # bytes: what agents take


@dataclass(frozen=True)
class Answer:
    """What a notified call returns: a value, or the error number if it is not 0; or let the kernel carry it out.

    With a `descriptor` the call returns a copy of it, installed in the process.
    """

    value: int = 0
    error: int = 0
    goes_on: bool = False
    descriptor: int | None = None


CONTINUE = Answer(goes_on=True)


@dataclass(frozen=True)
class Notification:
    """A system call that waits; number and architecture as in seccomp(2), the pid as the agent sees it."""

    id: int
    pid: int
    number: int
    architecture: int
    arguments: tuple[int, ...]


@dataclass
class Delivery:
    """What came over one connection: the first message and how many descriptors; what came later, until its end."""

    text: bytes
    descriptors: int
    rest: bytes = b""
    ended: bool = False
    notifications: list[Notification] = field(default_factory=list)

    @property
    def state(self) -> dict[str, Any]:
        """The container process state."""
        document = json.loads(self.text)
        assert isinstance(document, dict)
        return document


class Agent:
    """Listens at `path` until `close`; each notification is answered with what `answer` returns for it.

    A `deaf` agent accepts no connection; one that `hangs_up` closes each without reading.
    """

    def __init__(
        self,
        path: str,
        answer: Callable[[Notification], Answer] = lambda _: CONTINUE,
        *,
        deaf: bool = False,
        hangs_up: bool = False,
        backlog: int = 16,
    ) -> None:
        self.path = path
        self.deliveries: list[Delivery] = []
        self._answer = answer
        self.hangs_up = hangs_up
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
        try:
            self._listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        finally:
            os.close(directory)
        self._listener.listen(backlog)
        self._ended, self._end = os.pipe()
        self._threads: list[threading.Thread] = []
        if not deaf:
            self._go(self._accept)

    @property
    def notifications(self) -> list[Notification]:
        """All notifications so far."""
        return [each for delivery in self.deliveries for each in delivery.notifications]

    def wait_for_deliveries(self, count: int) -> list[Delivery]:
        """Waits until there are `count` deliveries, and returns them."""
        wait_until(lambda: len(self.deliveries) >= count, f"{count} deliveries reached the agent")
        assert len(self.deliveries) == count
        return self.deliveries

    def close(self) -> None:
        """Ends the agent; calls that wait for an answer fail with ENOSYS. The socket's file is removed."""
        os.write(self._end, b"\0")
        for thread in self._threads:
            thread.join()
        for descriptor in (self._ended, self._end):
            os.close(descriptor)
        self._listener.close()
        os.unlink(self.path)

    def _go(self, function: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _is_readable(self, descriptor: int) -> bool:
        """Waits until something can be read; returns False at the agent's end, or when nothing will come any more."""
        waiter = select.poll()
        waiter.register(descriptor, select.POLLIN)
        waiter.register(self._ended, select.POLLIN)
        ready = dict(waiter.poll())
        return self._ended not in ready and bool(ready[descriptor] & select.POLLIN)

    def _accept(self) -> None:
        while self._is_readable(self._listener.fileno()):
            connection, _ = self._listener.accept()
            if self.hangs_up:
                connection.close()
            else:
                self._go(self._receive, connection)

    def _receive(self, connection: socket.socket) -> None:
        with connection:
            text, descriptors, _, _ = socket.recv_fds(connection, _LONGEST_MESSAGE, 8)
            if not text:
                return
            delivery = Delivery(text, len(descriptors))
            self.deliveries.append(delivery)
            for descriptor in descriptors:
                self._go(self._serve, descriptor, delivery)
            while not delivery.ended and self._is_readable(connection.fileno()):
                part = connection.recv(1 << 16)
                delivery.rest += part
                delivery.ended = not part

    def _serve(self, listener: int, delivery: Delivery) -> None:
        try:
            while self._is_readable(listener):
                notification = receive(listener)
                if notification is not None:
                    delivery.notifications.append(notification)
                    respond(listener, notification, self._answer(notification))
        finally:
            os.close(listener)


def receive(listener: int) -> Notification | None:
    """Returns the notification that is there; None when its call was interrupted, or its process has ended."""
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, NOTIF_RECV, buffer)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    identity, pid, _, number, architecture, _, *arguments = _NOTIFICATION.unpack(buffer)
    return Notification(identity, pid, number, architecture, tuple(arguments))


def respond(listener: int, notification: Notification, answer: Answer) -> None:
    """Answers a notification, if it still waits."""
    value = answer.value
    try:
        if answer.descriptor is not None:
            added = bytearray(_DESCRIPTOR.pack(notification.id, 0, answer.descriptor, 0, 0))
            value = fcntl.ioctl(listener, NOTIF_ADDFD, added)
        response = bytearray(_RESPONSE.pack(notification.id, value, -answer.error, _CONTINUE if answer.goes_on else 0))
        fcntl.ioctl(listener, NOTIF_SEND, response)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
