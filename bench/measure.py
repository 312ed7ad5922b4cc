# SPDX-License-Identifier: Apache-2.0
"""Run a command and take its time and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time

PR_SET_CHILD_SUBREAPER = 36
NULL_INPUT_AND_OUTPUT = (
    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
)


class BenchError(Exception):
    """A measurement that cannot be made: one line that says why."""


def adopt_orphans() -> None:
    """Make this process the parent of what its children leave running, as prctl(2) has it."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wall_time(command: list[str]) -> int:
    """Nanoseconds from before the command is spawned until it has been waited for.

    Its standard input and output are /dev/null.

    Raises:
        BenchError: it did not end with status 0; the message has the last line of its standard error.
    """
    errors = os.memfd_create("stderr")
    try:
        actions = [*NULL_INPUT_AND_OUTPUT, (os.POSIX_SPAWN_DUP2, errors, 2)]
        begin = time.perf_counter_ns()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        end = time.perf_counter_ns()
        _check(command, status, errors)
    finally:
        os.close(errors)
    return end - begin


def peak_memory(command: list[str]) -> int:
    """Peak resident memory of the command, or of the largest process that it waited for, in KiB.

    A process inherits the peak of the memory that it leaves by execve(2), which would be that of this Python.
    So a shell, which has little, starts the command in the background and leaves it to this process, which
    must have called `adopt_orphans`.

    Raises:
        BenchError: the command did not end with status 0.
    """
    _reap_orphans()
    errors = os.memfd_create("stderr")
    try:
        shell = ["/bin/sh", "-c", '"$@" &', "sh", *command]
        actions = [*NULL_INPUT_AND_OUTPUT, (os.POSIX_SPAWN_DUP2, errors, 2)]
        shell_pid = os.posix_spawn(shell[0], shell, os.environ, file_actions=actions)
        os.waitpid(shell_pid, 0)
        _, status, usage = os.wait4(-1, 0)
        _check(command, status, errors)
    finally:
        os.close(errors)
    return usage.ru_maxrss


def _reap_orphans() -> None:
    """Wait for what earlier commands left behind, so that the next child to end is the measured one."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _check(command: list[str], status: int, errors: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        lines = os.pread(errors, 65536, 0).decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        raise BenchError(f"{' '.join(command)}: ended with {code}: {last}")
