# SPDX-License-Identifier: Apache-2.0
"""A cgroup for each test, on both layouts of a host: cgroup v2 alone, and hybrid beside version 1."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import pytest

from pyrun_cgroups import control
from support import kernel
from support.waiting import reap

Body = Callable[[str], None]
Act = Callable[[Body], None]

FAILED = 1


@pytest.fixture(params=["unified", "hybrid"])
def act(request: pytest.FixtureRequest, case: str) -> Act:
    """A function that runs a test's body in a child process, and fails where that fails.

    The child has a mount namespace of its own with the layout, and gets the path for a cgroup, not made yet.
    """

    def run(body: Body) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                body(os.path.join(_lay_out(request.param), f"case-{os.getpid()}"))
                os._exit(0)
            except BaseException:
                os.write(writer, traceback.format_exc().encode())
            os._exit(FAILED)
        os.close(writer)
        with open(reader, encoding="utf-8") as report:
            text = report.read()
        _, status = os.waitpid(child, 0)
        if status:
            pytest.fail(text or f"the child ended with status {status:#x}", pytrace=False)

    return run


def in_cgroup(act: Act, body: Body) -> None:
    """Acts in a new cgroup, and removes it."""

    def whole(cgroup: str) -> None:
        os.mkdir(cgroup)
        body(cgroup)
        control.remove(cgroup)

    act(whole)


def _lay_out(layout: str) -> str:
    """Mounts cgroup2 as the layout has it, in a new mount namespace, and returns where."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    if layout == "unified":
        return "/sys/fs/cgroup"
    kernel.mount("tmpfs", "/sys/fs/cgroup", "tmpfs")
    os.mkdir("/sys/fs/cgroup/unified")
    kernel.mount("cgroup2", "/sys/fs/cgroup/unified", "cgroup2")
    return "/sys/fs/cgroup/unified"


class Member:
    """A child process in a cgroup, killed and reaped at the end of a `with` block."""

    def __init__(self, cgroup: str, action: Callable[[], None]) -> None:
        """Starts a process that enters `cgroup` and then acts until it returns."""
        ready, entered = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                with open(os.path.join(cgroup, "cgroup.procs"), "w", encoding="ascii") as members:
                    members.write("0")
                os.write(entered, b".")
                action()
            finally:
                os._exit(0)
        os.close(entered)
        assert os.read(ready, 1), f"could not enter {cgroup}"
        os.close(ready)

    def __enter__(self) -> Member:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            reap(self.pid)
