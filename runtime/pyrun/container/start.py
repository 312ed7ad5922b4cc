# SPDX-License-Identifier: Apache-2.0
"""start: open the gate, and hear whether the program was executed."""

from __future__ import annotations

import os

from pyrun.container.launch import MESSAGE_SIZE, log_warning, operation_error
from pyrun.errors import PyrunError
from pyrun.state import CREATED, PAUSED, RUNNING, StateDirectory, hook_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.container.notify import Listener
    from pyrun.container.seccomp_agent import Agent


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
    text = state.read("state.json") or b""
    if b'"withoutProcess"' in text and (state.read_state() or {}).get("withoutProcess"):
        raise PyrunError("cannot start a container that was created without a process; create it with one")
    agent = _agent(state, connection) if b'"seccompAgent"' in text else None
    try:
        _open_gate(state, connection, agent)
    except PyrunError as error:
        if error.operation == "run_hook":
            _destroy(state)
        raise
    finally:
        if agent is not None:
            agent.close()
    os.unlink("gate", dir_fd=state.descriptor)
    # Only then it is worth its parsing.
    if b'"poststart"' in text:
        _run_poststart_hooks(state)


def _agent(state: StateDirectory, connection: int) -> Agent | None:
    known, process = state.read_state() or {}, state.read_process()
    agent = known.get("seccompAgent")
    if not agent or process is None:
        return None
    from pyrun.container.seccomp_agent import Agent

    asked = Agent(agent, known, CREATED, process.pid)
    asked.wait_at(connection)
    return asked


def _open_gate(state: StateDirectory, connection: int, agent: Agent | None) -> None:
    """Say start; the connection ends without a further word when the init has become the program."""
    receive = os.read if agent is None else agent.receive
    started = False
    try:
        os.write(connection, b"start")
        while True:
            try:
                message = receive(connection, MESSAGE_SIZE)
            except BlockingIOError:
                if not started:
                    _refuse_paused(state)
                continue
            if not message:
                break
            if message == b"starting":
                started = True
            elif message == b"hook":
                started = False
            elif message.startswith(b"failed"):
                raise operation_error(message)
            elif message.startswith(b"warning"):
                log_warning(message)
    except (BrokenPipeError, ConnectionResetError):
        pass
    if not started:
        raise PyrunError("the container's init ended before it was started, or belongs to another user")


def _refuse_paused(state: StateDirectory) -> None:
    """Give up if the init is frozen: as nobody is there when it looks, it will not start."""
    if state.status(state.read_process(), (state.read_state() or {}).get("cgroup")) == PAUSED:
        raise PyrunError("cannot start a container in the paused state; resume it first")


def _run_poststart_hooks(state: StateDirectory) -> None:
    known, process = state.read_state() or {}, state.read_process()
    hooks = known.get("hooks", {}).get("poststart")
    if not hooks or process is None:
        return
    from pyrun.container.hooks import run_hooks

    try:
        run_hooks(hooks, "poststart", hook_state(known, RUNNING, process.pid), state)
    except BaseException:
        _destroy(state)
        raise


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
