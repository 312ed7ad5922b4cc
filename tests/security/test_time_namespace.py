# SPDX-License-Identifier: Apache-2.0
"""A time namespace with an offset shifts the start times by which processes are told apart."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest

from support import configs, process
from support.runtime import Container, MakeContainer
from support.waiting import wait_for_exit, wait_until

pytestmark = pytest.mark.pyrun_only("runc 1.1 has no time namespaces")


@contextlib.contextmanager
def time_namespace(boot_offset: int) -> Iterator[str]:
    """Yields the path of a time namespace whose boot time differs by so many seconds."""
    command = ["unshare", "--time", f"--boottime={boot_offset}", "--fork", "--kill-child", "sleep", "1000"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as holder:

        def child() -> str:
            with open(f"/proc/{holder.pid}/task/{holder.pid}/children", encoding="ascii") as file:
                return file.read().strip()

        try:
            yield f"/proc/{wait_until(child, 'unshare has forked')}/ns/time"
        finally:
            holder.kill()


@pytest.fixture(params=[100000, 1])
def shifted(request: pytest.FixtureRequest, make_container: MakeContainer) -> Iterator[Container]:
    """A created container in such a namespace."""
    with time_namespace(request.param) as path:
        container = make_container(configs.with_namespace(configs.default("/bin/sleep", "1000"), "time", path))
        container.created()
        assert process.namespace(container.pid, "time") == os.readlink(path)
        yield container
        if container.exists():
            container.delete("--force").succeeded()


def test_life_in_a_shifted_time(shifted: Container) -> None:
    assert shifted.status == "created"
    shifted.start().succeeded()
    assert shifted.status == "running"
    pid = shifted.pid
    shifted.kill("KILL").succeeded()
    wait_for_exit(pid)
    assert shifted.status == "stopped"
    shifted.delete().succeeded()


def test_running_container_is_not_deleted_without_force(shifted: Container) -> None:
    shifted.start().succeeded()
    shifted.delete().failed("running")
    assert shifted.status == "running"
