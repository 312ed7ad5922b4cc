# SPDX-License-Identifier: Apache-2.0
"""memory.max, memory.swap.max and memory.high: who takes too much is killed, or slowed down."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from support.managed import MEBIBYTE, MakeManaged, limited
from support.runtime import Call
from support.waiting import wait_until

SWAP = "/dev/zram0"
KILLED = 128 + 9


def watches(call: Call) -> bool:
    """Tells whether a process waits for changes of files (inotify(7))."""
    words = ["grep", "-rqs", "^inotify wd:", f"/proc/{call.process.pid}/fdinfo"]
    return subprocess.run(words, check=False).returncode == 0


def test_who_takes_too_much_is_killed(make_managed: MakeManaged) -> None:
    """The status says so, of the program and of `exec`; the kernel's count; and `events`."""
    resources = {"memory": {"limit": 32 * MEBIBYTE, "swap": 32 * MEBIBYTE}}
    container = make_managed(limited(resources, "load memory:64; echo status $?")).started()
    assert container.wait_for_words("status") == f"status {KILLED}\n"
    assert container.count("memory.events", "oom_kill") == 1
    events = container.runtime.start("events", container.id)
    wait_until(lambda: watches(events), "events waits for the kernel's word")
    assert container.exec("load", "memory:64").status == KILLED
    wait_until(lambda: '"type":"oom"' in events.output, f"events reports it: {events.errors}")
    assert container.exec("load", "memory:8").succeeded().output == "memory 8\n"
    container.deleted()
    events.wait()


def test_run_ends_with_the_status_of_who_is_killed(make_managed: MakeManaged) -> None:
    config = limited({"memory": {"limit": 32 * MEBIBYTE, "swap": 32 * MEBIBYTE}})
    config["process"]["args"] = ["load", "memory:64"]
    container = make_managed(config)
    ended = container.runtime.run(container.id, container.bundle)
    assert (ended.status, ended.output) == (KILLED, "")
    assert not os.path.exists(container.cgroup)


@pytest.mark.pyrun_only("runc 1.1.5 needs more itself")
def test_little_memory_is_enough_for_the_runtime(make_managed: MakeManaged) -> None:
    resources = {"memory": {"limit": MEBIBYTE, "swap": MEBIBYTE}}
    make_managed(limited(resources, "echo ready")).started().wait_for_words("ready")


@pytest.fixture
def _swap(_virtual_machine: None) -> Iterator[None]:
    """Swap of 128 MiB, compressed in memory."""
    subprocess.run(["modprobe", "zram"], check=True)
    with open("/sys/block/zram0/disksize", "w", encoding="ascii") as file:
        file.write(str(128 * MEBIBYTE))
    subprocess.run(["mkswap", SWAP], check=True, capture_output=True)
    subprocess.run(["swapon", SWAP], check=True)
    yield
    subprocess.run(["swapoff", SWAP], check=True)
    with open("/sys/block/zram0/reset", "w", encoding="ascii") as file:
        file.write("1")
    subprocess.run(["modprobe", "--remove", "zram"], check=True)


@pytest.mark.usefixtures("_swap")
def test_swap_counts_with_memory(make_managed: MakeManaged) -> None:
    """32 MiB of memory and 64 MiB with swap: there is room for 48 MiB, and none for 96."""
    resources = {"memory": {"limit": 32 * MEBIBYTE, "swap": 64 * MEBIBYTE}}
    script = "load memory:48; echo $?; load memory:96; echo $?; echo end"
    container = make_managed(limited(resources, script)).started()
    assert container.wait_for_words("end").split() == ["memory", "48", "0", str(KILLED), "end"]
    assert container.count("memory.swap.events", "fail") > 0


@pytest.mark.usefixtures("_swap")
def test_high_slows_down_and_does_not_kill(make_managed: MakeManaged) -> None:
    container = make_managed(limited({"unified": {"memory.high": str(16 * MEBIBYTE)}}, "load memory:32 wait"))
    container.started().wait_for_words("memory 32")
    assert container.count("memory.events", "high") > 0
    assert container.count("memory.events", "oom_kill") == 0
    assert int(container.value("memory.current")) < 20 * MEBIBYTE
    assert int(container.value("memory.swap.current")) > 8 * MEBIBYTE
