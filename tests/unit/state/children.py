# SPDX-License-Identifier: Apache-2.0
"""Work done by child processes: what they hold, what they limit, and what they change for themselves alone."""

from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support import kernel

PAGE = 4096


@contextmanager
def child(act: Callable[[], object]) -> Iterator[int]:
    """Forks a child that calls `act` and then waits, and returns its pid once `act` has returned.

    The child ends with the block, by SIGKILL.
    """
    done, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os.write(tell, b"done")
            while True:
                os.read(os.pipe()[0], 1)
        finally:
            os._exit(1)
    os.close(tell)
    try:
        assert os.read(done, 4) == b"done", "the child has ended"
        yield pid
    finally:
        os.close(done)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def in_child(act: Callable[[], object]) -> object:
    """Returns what `act` returns, or raises what it raises, called in a forked child."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            outcome: tuple[bool, object]
            try:
                outcome = (True, act())
            except Exception as error:
                outcome = (False, error)
            os.write(write_end, pickle.dumps(outcome))
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as answer:
        content = answer.read()
    os.waitpid(pid, 0)
    succeeded, result = pickle.loads(content)
    if succeeded:
        return result
    raise result


def with_file_size_limit(size: int, act: Callable[[], object]) -> object:
    """Returns or raises as `act` does where no file may become larger than `size` bytes."""

    def limited() -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return act()

    return in_child(limited)


def on_full_disk(directory: str, act: Callable[[], object]) -> object:
    """Returns or raises as `act` does where a file system without free space is mounted on `directory`.

    It has one page, in the file `full`; the mount is seen by the child alone, and needs root.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a tmpfs; the limit on the size of files stands in for it without")

    def mounted() -> object:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("tmpfs", directory, "tmpfs", data=f"size={PAGE}")
        with open(os.path.join(directory, "full"), "wb") as file:
            file.write(bytes(PAGE))
        return act()

    return in_child(mounted)
