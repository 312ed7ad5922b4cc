# SPDX-License-Identifier: Apache-2.0
"""Statistics and events of real cgroups, as far as no controller is needed for them."""

from __future__ import annotations

import errno
import os
import select
import time

import pytest

from integration.cgroups.conftest import Act, Member
from pyrun_cgroups import statistics
from pyrun_cgroups.control import CgroupError
from pyrun_cgroups.events import END, Event, Watch, watch_oom
from pyrun_cgroups.statistics.files import CgroupFiles

SECONDS = 10


def sleep() -> None:
    time.sleep(1000)


def wait_and_read(watch: Watch) -> list[Event]:
    """Waits by poll(2), and returns what has happened; notifications come before there is something to tell, too."""
    while select.select([watch], [], [], SECONDS)[0]:
        if found := watch.read():
            return found
    return []


def test_statistics_of_a_cgroup(act: Act) -> None:
    def body(path: str) -> None:
        os.mkdir(path)
        os.mkdir(f"{path}/below")
        before = statistics.read(path)
        assert (before.core.populated, before.core.frozen, before.core.descendants) == (False, False, 1)
        assert before.cpu.usage_microseconds == 0
        with Member(path, sleep):
            after = statistics.read(path)
            assert after.core.populated
            assert after.cpu.usage_microseconds is not None
        assert (after.memory, after.io, after.pids) == (None, None, None)
        os.rmdir(f"{path}/below")
        os.rmdir(path)

    act(body)


def test_root_cgroup(act: Act) -> None:
    def body(path: str) -> None:
        found = statistics.read(os.path.dirname(path))
        assert found.core.descendants is not None

    act(body)


def test_cgroup_that_is_removed_while_it_is_read(act: Act) -> None:
    """Another that takes its name is not mistaken for it."""

    def body(path: str) -> None:
        os.mkdir(path)
        files = CgroupFiles(path)
        files.check()
        os.rmdir(path)
        os.mkdir(path)
        assert files.counters("cpu.stat") is None
        with pytest.raises(CgroupError) as caught:
            files.check()
        assert caught.value.errno == errno.ENODEV
        files.close()
        os.rmdir(path)
        with pytest.raises(CgroupError) as caught:
            statistics.read(path)
        assert caught.value.errno == errno.ENOENT

    act(body)


def test_end_of_the_last_process_is_told(act: Act) -> None:
    """Not of a cgroup that is yet to have one."""

    def body(path: str) -> None:
        paths = [f"{path}-{name}" for name in ("one", "other", "empty")]
        for each in paths:
            os.mkdir(each)
        with Watch() as watch, Member(paths[1], sleep):
            for each in paths:
                watch.add(each)
            with Member(paths[0], sleep):
                pass
            (event,) = wait_and_read(watch)
            assert (event.path, event.kind) == (paths[0], END)
            assert watch.paths() == paths[1:]
        for each in paths:
            os.rmdir(each)

    act(body)


def test_removal_is_told(act: Act) -> None:
    def body(path: str) -> None:
        os.mkdir(path)
        with Watch() as watch:
            watch.add(path)
            watch.add(path)
            assert (watch.read(), watch.paths()) == ([], [path])
            os.rmdir(path)
            (event,) = watch.read()
            assert (event.kind, watch.paths()) == (END, [])

    act(body)


def test_nothing_to_watch(act: Act) -> None:
    def body(path: str) -> None:
        descriptors = len(os.listdir("/proc/self/fd"))
        for wrong in (path, "/proc"):
            with pytest.raises(CgroupError, match="its events cannot be watched"):
                list(watch_oom(wrong))
        assert len(os.listdir("/proc/self/fd")) == descriptors

    act(body)
