# SPDX-License-Identifier: Apache-2.0
"""start: open the gate, and hear whether the program was executed."""

from __future__ import annotations

import os

from pyrun.container.launch import MESSAGE_SIZE, log_warning, operation_error
from pyrun.errors import PyrunError
from pyrun.state import RUNNING, StateDirectory, hook_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.container.notify import Listener


def start(root: str, container_id: str) -> None:
    """Start a created container; with a service manager in NOTIFY_SOCKET, return when it is ready or has ended.

    Raises:
        PyrunError: as for :func:`start_program`.
    """
    listener = start_program(root, container_id)
    if listener is not None:
        listener.wait()


def start_program(root: str, container_id: str) -> Listener | None:
    """Start a created container.

    Returns:
        What waits for its readiness, where NOTIFY_SOCKET names a service manager.

    Raises:
        PyrunError: there is none, it is not in the state created, or its program can't be executed; or a hook failed,
            and nothing of the container is left then (runtime.md, "Lifecycle", steps 7 and 9).
    """
    state = StateDirectory.open_as_owner(root, container_id)
    try:
        state.lock()
        connection = _connect(state)
        try:
            listener = _listener(state)
            try:
                _start(state, connection)
            except BaseException:
                if listener is not None:
                    listener.close()
                raise
        finally:
            os.close(connection)
    finally:
        state.close()
    return listener


def _connect(state: StateDirectory) -> int:
    try:
        connection = state.connect()
    except BlockingIOError:
        raise PyrunError("the container's init does not answer: it is frozen or stopped; let it run") from None
    if connection is None:
        raise _not_created(state)
    return connection


def _listener(state: StateDirectory) -> Listener | None:
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    from pyrun.container.notify import listen

    return listen(state)


def _start(state: StateDirectory, connection: int) -> None:
    try:
        _open_gate(connection)
    except PyrunError as error:
        if error.operation == "run_hook":
            _destroy(state)
        raise
    os.unlink("gate", dir_fd=state.descriptor)
    try:
        _run_poststart_hooks(state)
    except BaseException:
        _destroy(state)
        raise


def _open_gate(connection: int) -> None:
    """Say start; the connection ends without a further word when the init has become the program."""
    started = False
    try:
        os.write(connection, b"start")
        while message := os.read(connection, MESSAGE_SIZE):
            if message == b"starting":
                started = True
            elif message == b"hook":
                started = False
            elif message.startswith(b"failed"):
                raise operation_error(message)
            else:
                log_warning(message)
    except (BrokenPipeError, ConnectionResetError):
        pass
    if not started:
        raise PyrunError("the container's init ended before it was started, or belongs to another user")


def _run_poststart_hooks(state: StateDirectory) -> None:
    # Only then it is worth its parsing.
    if b'"poststart"' not in (state.read("state.json") or b""):
        return
    known, process = state.read_state() or {}, state.read_process()
    hooks = known.get("hooks", {}).get("poststart")
    if hooks and process is not None:
        from pyrun.container.hooks import run_hooks

        run_hooks(hooks, "poststart", hook_state(known, RUNNING, process.pid), state)


def _destroy(state: StateDirectory) -> None:
    from pyrun.container.delete import destroy

    destroy(state)


def _not_created(state: StateDirectory) -> PyrunError:
    process = state.read_process()
    if process is None or state.has_unfinished_gate():
        return PyrunError("cannot start a container that was not created completely; delete it")
    if process.is_alive():
        return PyrunError("cannot start an already running container")
    return PyrunError("cannot start a container that has stopped")
