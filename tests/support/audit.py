# SPDX-License-Identifier: Apache-2.0
"""The kernel's audit records, as they come over its multicast group (linux/audit.h)."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass

NETLINK_AUDIT = 9
AUDIT_NLGRP_READLOG = 1
AUDIT_SECCOMP = 1326
_HEADER = 16  # bytes of struct nlmsghdr


@dataclass(frozen=True)
class SeccompRecord:
    """A system call that a filter had logged: the program's name, the call's number, what the filter returned."""

    command: str
    number: int
    returned: int


class Audit:
    """Hears audit records from its making on; only in the machine's first network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_AUDIT)
        try:
            self._socket.bind((0, 1 << AUDIT_NLGRP_READLOG - 1))
        except OSError:
            self._socket.close()
            raise

    def seccomp_record_of(self, command: str, seconds: float) -> SeccompRecord | None:
        """Returns the next record about a program; None when there is none for so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                message = self._socket.recv(1 << 16)
            except TimeoutError:
                break
            record = _seccomp_record(message)
            if record is not None and record.command == command:
                return record
        return None

    def close(self) -> None:
        """Stops hearing."""
        self._socket.close()


def _seccomp_record(message: bytes) -> SeccompRecord | None:
    if int.from_bytes(message[4:6], "little") != AUDIT_SECCOMP:
        return None
    text = message[_HEADER:].decode("utf-8", "replace")
    found = re.search(r'comm="([^"]*)".* syscall=(\d+) .*code=0x([0-9a-f]+)', text)
    return SeccompRecord(found[1], int(found[2]), int(found[3], 16)) if found else None
