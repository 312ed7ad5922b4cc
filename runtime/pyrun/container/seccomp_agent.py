# SPDX-License-Identifier: Apache-2.0
"""The seccomp agent of a container, which decides about system calls with the action SCMP_ACT_NOTIFY.

It listens at linux.seccomp.listenerPath and gets, on a connection for each filter that is loaded, the listener's
descriptor and the container process state (config-linux.md, "The Container Process State"). pyrun-init hands the
descriptor to pyrun; the container never has a connection to the agent.
"""

from __future__ import annotations

import _socket
import errno
import os
import stat
import sys

from pyrun.container.launch import ANCILLARY_SIZE, INT_SIZE, received
from pyrun.container.sockets import SECONDS_TO_ACCEPT, open_connection
from pyrun.errors import PyrunError, error_words
from pyrun.jsontext import encode_compactly
from pyrun.state import OCI_VERSION, hook_state, stat_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan.operations import Plan

POINTER = "/linux/seccomp/listenerPath"

# What to do about a connection that can't be had.
_REMEDIES = {
    errno.EAGAIN: f"it accepts no connection in {SECONDS_TO_ACCEPT} seconds, its queue is full",
    errno.ECONNREFUSED: "nobody listens there; start the seccomp agent first",
    errno.ENOENT: "no such file or directory; start the seccomp agent first",
    errno.ENOTSOCK: "not a socket; name the one at which the seccomp agent listens",
    errno.EPROTOTYPE: "not a stream socket; let the seccomp agent listen at one (SOCK_STREAM)",
    errno.EACCES: "permission denied; give the user who calls pyrun write access to the socket",
}


def agent_of(profile: dict[str, Any], bundle: str) -> dict[str, str]:
    """Return path and metadata of the agent that ``profile`` asks for, as :class:`Agent` takes them.

    Args:
        profile: ``linux.seccomp`` with a rule that notifies.
        bundle: absolute path of the bundle; a relative path starts there, as with runc.
    """
    return {"path": os.path.join(bundle, profile["listenerPath"]), "metadata": profile.get("listenerMetadata") or ""}


def is_asked_on_start(plan: Plan) -> bool:
    """Whether a container's filter is loaded when it is started, not when it is created."""
    names = [name for name, _, _ in plan.operations]
    return "load_seccomp" in names[names.index("wait_at_gate") :]


class Agent:
    """The agent, as the process that hands it descriptors knows it."""

    def __init__(self, agent: dict[str, str], known: dict[str, Any], status: str, container_pid: int = 0) -> None:
        """Remember what the agent is told; nothing is done yet.

        Args:
            agent: what :func:`agent_of` returns.
            known: what ``state.json`` holds.
            status: the container's status.
            container_pid: pid of the container's init; 0 where it is the process that is filtered.
        """
        self._path = agent["path"]
        self._metadata = agent["metadata"]
        self._known = known
        self._status = status
        self._container_pid = container_pid
        self._connection: _socket.socket | None = None
        self._gate: _socket.socket | None = None

    def check(self) -> None:
        """Look whether there is a socket.

        Raises:
            PyrunError: there is none.
        """
        try:
            is_socket = stat.S_ISSOCK(os.stat(self._path).st_mode)
        except OSError as error:
            raise self._error(error) from error
        if not is_socket:
            raise self._error(OSError(errno.ENOTSOCK, ""))

    def connect(self) -> None:
        """Connect, so that an agent that is not there is noticed before anything is done.

        Raises:
            PyrunError: it is not there, or does not accept.
        """
        try:
            self._connection = open_connection(self._path)
        except OSError as error:
            raise self._error(error) from error

    def deliver(self, descriptors: list[int], pid: int) -> None:
        """Hand over the listener of a loaded filter, on a connection of its own, and let the filtered process go on.

        Args:
            descriptors: the listener, and the end of a pipe at which pyrun-init waits for the answer; both get closed.
            pid: the process with the filter.

        Raises:
            PyrunError: the agent does not take it; the process ends then.
        """
        try:
            if len(descriptors) != 2:
                raise PyrunError("pyrun-init hands over no seccomp listener: the container interferes")
            self._send(descriptors[0], self._process_state(pid).encode())
            # The pipe that pyrun-init has made takes a byte at once; one of the container's making may be full.
            os.set_blocking(descriptors[1], False)
            os.write(descriptors[1], b"\0")
        except BrokenPipeError:
            pass  # the process has ended meanwhile, which shows elsewhere
        except BlockingIOError:
            raise PyrunError("pyrun-init takes no answer about its listener: the container interferes") from None
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def wait_at(self, gate: int) -> None:
        """Take listeners that come from ``gate``, the connection to a created init, which is not started yet.

        Raises:
            PyrunError: as for :meth:`connect`.
        """
        self.connect()
        self._gate = _socket.socket(fileno=os.dup(gate))
        self._gate.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)

    def receive(self, _gate: int, size: int) -> bytes:
        """Return the next message from the gate, as os.read would; a listener that comes along is delivered.

        Raises:
            PyrunError: as for :meth:`deliver`.
            OSError: nothing can be received.
        """
        assert self._gate is not None
        message, ancillary, _, _ = self._gate.recvmsg(size, ANCILLARY_SIZE, _socket.MSG_CMSG_CLOEXEC)
        descriptors, sender = received(ancillary)
        if message == b"listener":
            # Root in the container may give another's pid for its own.
            self.deliver(descriptors, sender if self._is_hook(sender) else self._container_pid)
            descriptors = []
        for descriptor in descriptors:
            os.close(descriptor)
        return message

    def close(self) -> None:
        """Close what is open."""
        for connection in (self._connection, self._gate):
            if connection is not None:
                connection.close()

    def _is_hook(self, pid: int) -> bool:
        """Whether it is a child of the init, as hooks are."""
        fields = stat_fields(pid)
        return fields is not None and int(fields[1]) == self._container_pid

    def _process_state(self, pid: int) -> str:
        state: dict[str, Any] = {"ociVersion": OCI_VERSION, "fds": ["seccompFd"], "pid": pid}
        if self._metadata:
            state["metadata"] = self._metadata
        state["state"] = hook_state(self._known, self._status, self._container_pid or pid)
        return encode_compactly(state)

    def _send(self, listener: int, data: bytes) -> None:
        if self._connection is None:
            self.connect()
        assert self._connection is not None
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, listener.to_bytes(INT_SIZE, sys.byteorder))]
        try:
            while data:
                data = data[self._connection.sendmsg([data], rights, _socket.MSG_NOSIGNAL) :]
                rights = []
        except OSError as error:
            raise self._error(error) from error
        finally:
            self._connection.close()
            self._connection = None

    def _error(self, error: OSError) -> PyrunError:
        number = error.errno or 0
        words = _REMEDIES.get(number) or f"{error_words(number)}; look after the seccomp agent"
        return PyrunError(f"{self._path}: {words}", source="config.json", pointer=POINTER, errno=number)
