# SPDX-License-Identifier: Apache-2.0
"""The verb `events`: its lines, their values beside the cgroup's files, and when it ends.

What takes the controllers of memory, cpu, io and pids is in tests/vm/test_events.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from support import configs
from support.resctrl import Resctrl
from support.runtime import Call, Container, MakeContainer, Runtime
from support.users import MakeUsersContainer
from support.waiting import wait_until
from support.world import CGROUPS

NO_MEMORY_CONTROLLER = "runc watches memory.events, which a host without the memory controller does not have"
KEYS = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
BUSY = "while :; do :; done"


def statistics(container: Container) -> dict[str, Any]:
    """Returns the data of the one line that --stats prints."""
    (line,) = container.runtime.call("events", "--stats", container.id).succeeded().output.splitlines()
    event = json.loads(line)
    assert [*event] == ["type", "id", "data"]
    assert (event["type"], event["id"]) == ("stats", container.id)
    data: dict[str, Any] = event["data"]
    return data


def counters(container: Container, name: str) -> dict[str, int]:
    with open(f"{CGROUPS}/{container.id}/{name}", encoding="ascii") as file:
        return {key: int(value) for key, value in (line.split() for line in file)}


def test_statistics_are_those_of_the_cgroup(make_container: MakeContainer) -> None:
    container = make_container(configs.shell(f"sleep 1000 & {BUSY}")).started()
    wait_until(lambda: counters(container, "cpu.stat")["usage_usec"] > 20000, "the program has run for a while")
    before = counters(container, "cpu.stat")
    data = statistics(container)
    after = counters(container, "cpu.stat")
    assert [key for key in data if key != "cgroup2"] == KEYS
    for key, name in (("total", "usage_usec"), ("kernel", "system_usec"), ("user", "user_usec")):
        assert before[name] <= data["cpu"]["usage"][key] / 1000 <= after[name]
    assert data["pids"] == {"current": 2}
    assert {"2MB": {"failcnt": 0}}.items() <= data["hugetlb"].items()
    assert (data["intel_rdt"], data["network_interfaces"]) == ({}, None)


@pytest.mark.pyrun_only("runc 1.1.5 knows no PSI, and the rest is pyrun's own")
def test_newer_statistics(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    data = statistics(container)
    for part in ("cpu", "memory", "blkio"):
        assert (
            data[part]["psi"]["some"].keys()
            == data[part]["psi"]["full"].keys()
            == {"avg10", "avg60", "avg300", "total"}
        )
    assert [*data][-1] == "cgroup2"
    assert data["cgroup2"]["core"]["populated"] is True
    assert data["cgroup2"]["hugetlb"].keys() == data["hugetlb"].keys()


@pytest.mark.parametrize("status", ["created", "paused"])
def test_container_that_does_not_run(make_container: MakeContainer, status: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).created()
    freezer = f"{CGROUPS}/{container.id}/cgroup.freeze"
    if status == "paused":
        container.start().succeeded()
        with open(freezer, "w", encoding="ascii") as file:
            file.write("1")
    wait_until(lambda: container.status == status, f"the container is {status}")
    # runc's init has several threads before it is the program.
    assert statistics(container)["pids"]["current"] == 1 or container.runtime.name == "runc"
    with open(freezer, "w", encoding="ascii") as file:
        file.write("0")


@pytest.fixture
def busy(make_container: MakeContainer) -> Container:
    """A running container whose program uses a processor."""
    return make_container(configs.shell(BUSY)).started()


def begin(container: Container, *options: str) -> Call:
    return container.runtime.start("events", *options, container.id)


def events(call: Call) -> list[dict[str, Any]]:
    """Returns what has been printed so far, without a line that is not whole."""
    return [json.loads(line) for line in call.output.splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.pyrun_only(NO_MEMORY_CONTROLLER)
def test_ends_with_the_container(busy: Container) -> None:
    call = begin(busy, "--interval", "50ms")

    def used() -> list[int]:
        return [event["data"]["cpu"]["usage"]["total"] for event in events(call)]

    wait_until(lambda: len(set(used())) >= 3, "the numbers have grown twice")
    busy.stop()
    assert call.wait().succeeded().errors == ""
    assert {(event["type"], event["id"]) for event in events(call)} == {("stats", busy.id)}
    assert used() == sorted(used())


@pytest.mark.pyrun_only(NO_MEMORY_CONTROLLER)
def test_ends_with_the_container_before_the_interval(busy: Container) -> None:
    """Nothing is printed before it is over, which is five seconds by default."""
    calls = [begin(busy), begin(busy, "--interval", "24h")]
    wait_until(lambda: all(watches(call.process.pid) for call in calls), "both watch the cgroup")
    busy.delete("--force").succeeded()
    for call in calls:
        result = call.wait().succeeded()
        assert (result.output, result.errors) == ("", "")


def watches(pid: int) -> bool:
    """Tells whether a process waits for inotify."""
    try:
        return "anon_inode:inotify" in [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return False


@pytest.mark.pyrun_only(NO_MEMORY_CONTROLLER)
def test_interrupted(busy: Container) -> None:
    call = begin(busy, "--interval", "50ms")
    call.wait_for_output("\n")
    call.process.send_signal(signal.SIGINT)
    result = call.wait()
    assert (result.status, result.errors) == (130, "")
    assert result.output.endswith("\n")
    assert busy.status == "running"


@pytest.mark.pyrun_only("runc goes on without a word")
def test_full_disk(busy: Container) -> None:
    with open("/dev/full", "wb") as full:
        command = busy.runtime.command("events", "--stats", busy.id)
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr == "pyrun: standard output: no space left on device\n"


def test_missing_container(runtime: Runtime) -> None:
    runtime.call("events", "missing").failed("container does not exist")
    runtime.call("events", "--stats", "missing").failed("container does not exist")


def test_stopped_container(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/true")).started()
    container.wait_for_end()
    for options in ([], ["--stats"]):
        container.runtime.call("events", *options, container.id).failed(
            f"container with id {container.id} is not running"
        )


def test_wrong_interval(busy: Container) -> None:
    for interval, words in (("0s", "greater than 0"), ("-5s", "greater than 0"), ("5", "5"), ("often", "often")):
        busy.runtime.call("events", f"--interval={interval}", busy.id).failed(words)


def test_container_is_missing_from_the_command_line(runtime: Runtime) -> None:
    runtime.call("events").failed()
    runtime.call("events", "--stats").failed()
    runtime.call("events", "one", "two").failed()


@pytest.mark.pyrun_only("runc reads the root cgroup's statistics for it, or fails without a reason")
def test_container_without_a_cgroup(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    words = (f'"{container.id}" has no cgroup of its own', "Delegate=yes")
    for option in ("--stats", "--interval=1s", "--watch"):
        container.runtime.call("events", option, container.id).failed(*words)


@pytest.mark.pyrun_only("runc looks for a file system of the type resctrl, which only hardware has")
@pytest.mark.parametrize("monitoring", [False, True], ids=["", "monitoring group"])
def test_intel_rdt(resctrl: Resctrl, make_container: MakeContainer, monitoring: bool) -> None:
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["intelRdt"] = {"l3CacheSchema": "L3:0=f;1=f0", "enableMonitoring": monitoring}
    container = make_container(config).started()
    group = resctrl.groups[container.id]
    used = (group.monitors[container.id] if monitoring else group).monitored
    used["0"] |= {"llc_occupancy": "4096", "mbm_total_bytes": "70000", "mbm_local_bytes": "Unavailable"}
    found = statistics(container)["intel_rdt"]
    assert found == {
        "l3_cache_info": {"cbm_mask": "ff", "min_cbm_bits": 1, "num_closids": 4},
        "l3_cache_schema_root": "L3:0=00ff;1=00ff",
        "l3_cache_schema": "L3:0=000f;1=00f0",
        "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 4},
        "mem_bw_schema_root": "MB:0= 100;1= 100",
        "mem_bw_schema": "MB:0= 100;1= 100",
        "mbm_stats": [
            {"mbm_total_bytes": 70000, "mbm_local_bytes": 0},
            {"mbm_total_bytes": 0, "mbm_local_bytes": 0},
        ],
        "cmt_stats": [{"llc_occupancy": 4096}, {"llc_occupancy": 0}],
    }
