# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true, with a deadline.

The environment variable PYRUN_PATIENCE says how many times longer all waits may take on a slow machine.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = float(os.environ.get("PYRUN_PATIENCE", "1"))


def deadline_in(seconds: float) -> float:
    """Returns the time of `time.monotonic` at which a wait of `seconds`, on an ordinary machine, is over."""
    return time.monotonic() + PATIENCE * seconds


def repeats(number: int) -> int:
    """Returns how often to try what may go wrong once in a while: on a slow machine fewer times than `number`."""
    return max(3, int(number / PATIENCE))


def wait_until(ready: Callable[[], T], what: str, seconds: float = 10) -> T:
    """Calls `ready` until it returns something true, and returns that.

    Raises TimeoutError with the words `what` after `seconds`.
    """
    deadline = deadline_in(seconds)
    pause = 0.001
    while True:
        result = ready()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE * seconds} s in vain until {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def wait_for_exit(pid: int, seconds: float = 10) -> None:
    """Waits until process `pid` has ended, and reaps it if this process is its parent.

    Raises TimeoutError after `seconds`.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([descriptor], [], [], PATIENCE * seconds)[0]:
            raise TimeoutError(f"process {pid} did not end in {PATIENCE * seconds} s")
    finally:
        os.close(descriptor)
    reap(pid)


def reap(pid: int) -> None:
    """Takes the exit status of `pid` if it is a zombie child of this process."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
