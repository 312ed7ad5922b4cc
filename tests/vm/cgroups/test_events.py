# SPDX-License-Identifier: Apache-2.0
"""The verb `events` where there is something to tell: statistics of all controllers, and the OOM killer."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from pyrun_cgroups.events import END, OOM, Watch
from support.bundle import Bundle
from support.configs import Config
from support.managed import MEBIBYTE, PROGRAM, MakeManaged, Managed, ManagedRuntime, limited
from support.runtime import Call, MakeBundle
from support.shapes import NEWER_STATISTICS, places
from support.waiting import wait_until
from vm.cgroups.conftest import runtime_of
from vm.conftest import Disk

KILLED = 128 + 9
LITTLE_MEMORY = {"memory": {"limit": 32 * MEBIBYTE, "swap": 32 * MEBIBYTE}}
BLOCK = 65536
RESOURCES = {
    "memory": {"limit": 64 * MEBIBYTE, "swap": 96 * MEBIBYTE},
    "cpu": {"quota": 20000, "period": 100000},  # so that two on one processor both come to their limits
    "pids": {"limit": 50},
}


def using(disk: Disk) -> Config:
    """Returns a configuration of a container that uses something of everything, as its limits allow."""
    numbers = {"type": "b", "major": disk.major, "minor": disk.minor}
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "access": "rw", **numbers}]
    script = f"load memory:8 spin & load read:{BLOCK}:200:/dev/disk; echo ready; wait"
    config = limited({"devices": rules, **RESOURCES}, script)
    config["linux"]["devices"] = [{"path": "/dev/disk", **numbers}]
    return config


def uses_everything(container: Managed) -> bool:
    """Tells whether the quota has run out and the memory is taken."""
    throttled, taken = container.count("cpu.stat", "nr_throttled"), container.count("memory.stat", "anon")
    return throttled > 2 and taken > 8 * MEBIBYTE


def wait_for_use(container: Managed) -> None:
    """Waits until the container's programs do what `using` has them do."""
    container.wait_for_words("ready")
    try:
        wait_until(partial(uses_everything, container), "the program uses something of everything")
    except TimeoutError as error:
        error.add_note("\n".join([container.output, *map(container.value, ("cpu.max", "cpu.stat", "memory.stat"))]))
        raise


def statistics(container: Managed) -> dict[str, Any]:
    event = json.loads(container.runtime.call("events", "--stats", container.id).succeeded().output)
    assert (event["type"], event["id"]) == ("stats", container.id)
    data: dict[str, Any] = event["data"]
    return data


def test_statistics(make_managed: MakeManaged, disk: Disk) -> None:
    """They lie between what the files have said before and what they say afterwards."""
    container = make_managed(using(disk)).started()
    wait_for_use(container)
    before = [container.count("cpu.stat", name) for name in ("usage_usec", "nr_periods", "throttled_usec")]
    data = statistics(container)
    after = [container.count("cpu.stat", name) for name in ("usage_usec", "nr_periods", "throttled_usec")]

    usage, throttling = data["cpu"]["usage"], data["cpu"]["throttling"]
    found = [usage["total"] // 1000, throttling["periods"], throttling["throttledTime"] // 1000]
    assert all(low <= value <= high for low, value, high in zip(before, found, after, strict=True))
    assert abs(usage["total"] - usage["kernel"] - usage["user"]) <= 2000
    assert 0 < throttling["throttledPeriods"] <= throttling["periods"]

    memory = data["memory"]
    assert (memory["usage"]["limit"], memory["swap"]["limit"]) == (64 * MEBIBYTE, 96 * MEBIBYTE)
    assert 8 * MEBIBYTE < memory["raw"]["anon"] <= memory["usage"]["usage"] <= memory["swap"]["usage"]
    assert memory.get("cache", 0) == memory["raw"]["file"]
    assert data["pids"] == {"current": 2, "limit": 50}

    assert container.value("io.stat").startswith(f"{disk.numbers} ")
    read_from_disk = dict(word.split("=") for word in container.value("io.stat").split()[1:])
    read, _ = data["blkio"]["ioServiceBytesRecursive"]
    numbers = {name: number for name, number in (("major", disk.major), ("minor", disk.minor)) if number}
    assert read == {**numbers, "op": "Read", "value": int(read_from_disk["rbytes"])}
    operations, _ = data["blkio"]["ioServicedRecursive"]
    assert operations == {**numbers, "op": "Read", "value": int(read_from_disk["rios"])}


@pytest.fixture
def runc(case: str, manager: str) -> Iterator[ManagedRuntime]:
    """runc beside pyrun."""
    control = runtime_of("runc", case, manager)
    control.root = os.path.join(case, "root", "runc")
    yield control
    for container in control.containers:
        container.delete("--force").succeeded()
    for name in os.listdir(control.root):
        os.rmdir(os.path.join(control.root, name))
    os.rmdir(control.root)


@pytest.mark.pyrun_only("the test runs both")
def test_has_what_runc_has_in_its_order(
    make_managed: MakeManaged, runc: ManagedRuntime, make_bundle: MakeBundle, load: str, disk: Disk
) -> None:
    bundle: Bundle = make_bundle(using(disk))
    os.link(load, os.path.join(bundle.rootfs, PROGRAM))
    other = runc.container("other", bundle)
    container = make_managed(using(disk))
    found = []
    for each in (container, other):
        each.started()
        wait_for_use(each)
        found.append(statistics(each))
    own = places(found[0], NEWER_STATISTICS)
    assert set(own) - set(places(found[1])) == NEWER_STATISTICS
    assert [place for place in own if place not in NEWER_STATISTICS] == places(found[1])
    check_newer(container, found[0])


def check_newer(container: Managed, data: dict[str, Any]) -> None:
    """Looks at what runc 1.1.5 does not have."""
    assert data["memory"]["usage"]["usage"] <= data["memory"]["usage"]["max"] <= int(container.value("memory.peak"))
    for part, name in (("cpu", "cpu"), ("memory", "memory"), ("blkio", "io")):
        averages = [word.split("=") for word in container.value(f"{name}.pressure").split() if "=" in word]
        assert [*data[part]["psi"]["some"], *data[part]["psi"]["full"]] == [key for key, _ in averages]
    assert data["cpu"]["psi"]["some"]["total"] > 0
    everything = data["cgroup2"]
    assert everything["pids"]["peak"] >= everything["pids"]["current"] == 2
    assert everything["cpuset"]["effective_cpus"]
    assert everything["memory"]["swap"]["max_bytes"] == 32 * MEBIBYTE
    assert everything["memory"]["events"].keys() >= {"oom", "oom_kill", "max"}
    assert everything.keys() >= {"core", "rdma", "misc", "hugetlb", "io", "pressure"}


def begin(container: Managed, *options: str) -> Call:
    """Starts the verb, and returns when it waits for changes of files (inotify(7))."""
    call = container.runtime.start("events", *options, container.id)
    words = ["grep", "-rqs", "^inotify wd:", f"/proc/{call.process.pid}/fdinfo"]
    wait_until(lambda: subprocess.run(words, check=False).returncode == 0, "events waits for the kernel's word")
    return call


def kills(call: Call) -> int:
    """Returns how many lines of OOM kills there are; each is all that it should be."""
    lines = [line for line in call.output.splitlines() if '"oom"' in line.partition('"data"')[0]]
    assert set(lines) <= {'{"type":"oom","id":"limited"}'}
    return len(lines)


def waiting_to_be_killed() -> Config:
    """Returns a configuration of a container with little memory, whose program wants more when there is /tmp/go."""
    config = limited(LITTLE_MEMORY)
    config["process"]["args"] = ["/bin/sh", "-c", "until [ -e /tmp/go ]; do sleep 0.1; done; exec load memory:64"]
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    return config


@pytest.mark.pyrun_only("runc prints a line for every change of the file, once there was a kill")
def test_each_kill_is_told(make_managed: MakeManaged) -> None:
    """Also of a process in a cgroup below the container's, which goes on, and of its own program, which ends it."""
    container = make_managed(waiting_to_be_killed()).started()
    events = begin(container)
    assert container.exec("load", "memory:64").status == KILLED
    wait_until(lambda: kills(events) == 1, "the first is told")
    below = f"{container.cgroup}/below"
    os.mkdir(below)
    script = f"echo $$ >{below}/cgroup.procs; exec {container.bundle.rootfs}/{PROGRAM} memory:64"
    assert subprocess.run(["sh", "-c", script], check=False, timeout=60).returncode == -9
    wait_until(lambda: kills(events) == 2, "the second is told")
    os.rmdir(below)
    assert container.status == "running"
    table = container.runtime.start("events", "--watch", container.id)
    wait_until(lambda: table.output.count("\n") > 1, "the table has a line")
    assert table.output.splitlines()[1].split()[4] == "2"
    container.exec("touch", "/tmp/go").succeeded()
    for call in (events, table):
        assert call.wait().succeeded().errors == ""
    assert kills(events) == 3
    wait_until(lambda: container.status == "stopped", "the container is stopped")


@pytest.mark.pyrun_only("runc prints a line for every change of the file, once there was a kill")
def test_last_kill_is_told(make_managed: MakeManaged) -> None:
    """Although `run` deletes the container as soon as its program has ended."""
    container = make_managed(waiting_to_be_killed())
    container.bundle.seal()
    run = container.runtime.start("run", "--bundle", container.bundle.path, container.id)
    wait_until(lambda: container.exists() and container.status == "running", "the container runs")
    events = begin(container)
    container.exec("touch", "/tmp/go").succeeded()
    result = events.wait()
    assert (result.status, kills(events), result.errors) == (0, 1, "")
    assert run.wait().status == KILLED


@pytest.mark.pyrun_only("of the library")
def test_several_cgroups(make_managed: MakeManaged) -> None:
    one, other = (make_managed(limited(LITTLE_MEMORY), name).started() for name in ("one", "limited"))
    with Watch() as watch:
        for container in (one, other):
            watch.add(container.cgroup)
        assert other.exec("load", "memory:64").status == KILLED
        (event,) = wait_until(watch.read, "the kill is told")
        assert (event.path, event.kind, event.kills) == (other.cgroup, OOM, 1)
        one.stop()
        (event,) = wait_until(watch.read, "the end is told")
        assert (event.path, event.kind) == (one.cgroup, END)
        assert watch.paths() == [other.cgroup]
