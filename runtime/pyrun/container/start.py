# SPDX-License-Identifier: Apache-2.0
"""start: open the gate, and hear whether the program was executed."""

from __future__ import annotations

import os

from pyrun.container.launch import MESSAGE_SIZE, log_warning, operation_error
from pyrun.errors import PyrunError
from pyrun.state import StateDirectory


def start(root: str, container_id: str) -> None:
    """Start a created container.

    Raises:
        PyrunError: there is none, it is not in the state created, or its program can't be executed.
    """
    state = StateDirectory(root, container_id)
    try:
        state.lock()
        try:
            connection = state.connect()
        except BlockingIOError:
            raise PyrunError("the container's init does not answer: it is frozen or stopped; let it run") from None
        if connection is None:
            raise _not_created(state)
        try:
            _open_gate(connection)
        finally:
            os.close(connection)
        os.unlink("gate", dir_fd=state.descriptor)
    finally:
        state.close()


def _open_gate(connection: int) -> None:
    """Say start; the connection ends without a further word when the init has become the program."""
    started = False
    try:
        os.write(connection, b"start")
        while message := os.read(connection, MESSAGE_SIZE):
            if message == b"starting":
                started = True
            elif message.startswith(b"failed"):
                raise operation_error(message)
            else:
                log_warning(message)
    except (BrokenPipeError, ConnectionResetError):
        pass
    if not started:
        raise PyrunError("the container's init ended before it was started, or belongs to another user")


def _not_created(state: StateDirectory) -> PyrunError:
    process = state.read_process()
    if process is None or state.has_unfinished_gate():
        return PyrunError("cannot start a container that was not created completely; delete it")
    if process.is_alive():
        return PyrunError("cannot start an already running container")
    return PyrunError("cannot start a container that has stopped")
