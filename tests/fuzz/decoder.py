# SPDX-License-Identifier: Apache-2.0
"""pyrun-init given one plan after the other, as pyrun gives them, by a process that can do the host no harm.

That process has no capabilities and is nobody's: should a damaged plan ever be carried out, the kernel refuses it.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from fuzz.guarded import is_guarded
from pyrun.container import launch
from pyrun.state import StateDirectory

NOBODY = 65534
SECONDS = 20


@dataclass(frozen=True)
class Outcome:
    """How pyrun-init ended: its exit status (a signal's is negative), its messages, its standard error."""

    status: int
    messages: list[bytes]
    errors: str


class Decoder:
    """A pyrun-init that takes plans; `running` makes one."""

    def __init__(self, connection: Connection[bytes | None, Outcome]) -> None:
        self._connection = connection

    def give(self, plan: bytes | None) -> Outcome:
        """Writes `plan` into the state directory and runs pyrun-init on it; None leaves what is there.

        Raises ValueError for a plan without the guard, and EOFError if the process behind this has ended.
        """
        if plan is not None and not is_guarded(plan):
            raise ValueError("the plan could be carried out")
        self._connection.send(plan)
        return self._connection.recv()


@contextmanager
def running(program: str, directory: str) -> Iterator[Decoder]:
    """Returns a decoder that runs `program`, with a state directory `test` below `directory`."""
    os.mkdir(os.path.join(directory, "test"))
    for path in (directory, os.path.join(directory, "test")):
        os.chown(path, NOBODY, NOBODY)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(ours, theirs, program, directory))
    process.start()
    theirs.close()
    try:
        yield Decoder(ours)
    finally:
        ours.close()
        process.join(SECONDS)
        process.close()


def _serve(
    other_end: Connection[bytes | None, Outcome],
    connection: Connection[Outcome, bytes | None],
    program: str,
    directory: str,
) -> None:
    other_end.close()
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    launch.PROGRAM = program
    errors = os.open(os.path.join(directory, "errors"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    for stream, descriptor in enumerate((null, errors, errors)):
        os.dup2(descriptor, stream)
    while True:
        try:
            plan = connection.recv()
        except EOFError:
            return
        os.truncate(errors, 0)
        connection.send(_run(directory, plan, errors))


def _run(directory: str, plan: bytes | None, errors: int) -> Outcome:
    state = StateDirectory(directory, "test")
    if plan is not None:
        state.write("plan", plan)
    conversation = launch.launch(state)
    state.close()
    status = _wait(conversation.outer or 0)
    messages = []
    while message := os.read(conversation.connection.fileno(), launch.MESSAGE_SIZE):
        messages.append(message)
    conversation.close()
    text = os.pread(errors, 1 << 16, 0).decode(errors="replace")
    return Outcome(os.waitstatus_to_exitcode(status), messages, text)


def _wait(pid: int) -> int:
    """Returns the wait status of a child, which is killed if it does not end."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], SECONDS)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return os.waitpid(pid, 0)[1]
    finally:
        os.close(pidfd)
