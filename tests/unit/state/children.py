# SPDX-License-Identifier: Apache-2.0
"""Work done by child processes: what they hold, what they limit, and what they change for themselves alone.

They keep no descriptor of this process, and so no lock.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from support import kernel

MOST_DESCRIPTORS = 1024
PAGE = 4096  # bytes


def fork(act: Callable[[], object], keep: int = 2) -> int:
    """Forks a child that calls `act` and ends; returns its pid.

    Above standard error only the descriptor `keep` stays open in it.
    """
    pid = os.fork()
    if pid == 0:
        try:
            os.closerange(3, keep)
            os.closerange(keep + 1, MOST_DESCRIPTORS)
            act()
        finally:
            os._exit(0)
    return pid


@contextmanager
def running(act: Callable[[], object], keep: int = 2) -> Iterator[int]:
    """Forks a child that calls `act`, and kills it with the end of the block; returns its pid at once."""
    pid = fork(act, keep)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextmanager
def after(act: Callable[[], object]) -> Iterator[int]:
    """Forks a child that calls `act` and lives until the end of the block; returns its pid when `act` has returned."""
    done, tell = os.pipe()

    def act_and_tell() -> None:
        act()
        os.write(tell, b"done")
        signal.pause()

    with running(act_and_tell, tell) as pid:
        os.close(tell)
        assert os.read(done, 4) == b"done", "the child has ended"
        os.close(done)
        yield pid


class Call:
    """A function that is being called in a forked child, whose pid is `pid`."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._answer, answer = os.pipe()
        self.pid = fork(lambda: os.write(answer, pickle.dumps(_outcome(act))), answer)
        os.close(answer)

    def result(self) -> Any:
        """Waits for the end of the call, and returns or raises what it does."""
        with open(self._answer, "rb") as answer:
            content = answer.read()
        os.waitpid(self.pid, 0)
        succeeded, result = pickle.loads(content)
        if succeeded:
            return result
        raise result


def _outcome(act: Callable[[], object]) -> tuple[bool, object]:
    try:
        return True, act()
    except Exception as error:
        return False, error


def with_file_size_limit(size: int, act: Callable[[], object]) -> Any:
    """Returns or raises as `act` does where no file may become larger than `size` bytes."""

    def limited() -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return act()

    return Call(limited).result()


def on_full_disk(directory: str, prepare: Callable[[], object], act: Callable[[], object]) -> Any:
    """Returns or raises as `act` does where a file system of one page is mounted on `directory`, full after `prepare`.

    The mount is seen by the child alone, and needs root.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a tmpfs; the limit on the size of files stands in for it without")

    def mounted() -> object:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("tmpfs", directory, "tmpfs", data=f"size={PAGE}")
        prepare()
        with open(os.path.join(directory, "rest"), "wb", buffering=0) as file, suppress(OSError):
            file.write(bytes(PAGE))
        return act()

    return Call(mounted).result()
