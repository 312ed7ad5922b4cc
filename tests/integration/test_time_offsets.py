# SPDX-License-Identifier: Apache-2.0
"""linux.timeOffsets: the clocks of a new time namespace, and that pyrun still knows its processes by their start."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from integration.test_namespaces import process_in_new_namespaces
from support import configs, process
from support.configs import Config
from support.runtime import MakeContainer
from support.waiting import wait_for_exit

pytestmark = pytest.mark.pyrun_only("runc 1.1 has no time namespaces")

OFFSETS = "cat /proc/self/timens_offsets"
HALF_A_DAY = 43200
CLOCKS = {"monotonic": time.CLOCK_MONOTONIC, "boottime": time.CLOCK_BOOTTIME}


def with_offsets(config: Config, **offsets: dict[str, Any]) -> Config:
    config["linux"]["timeOffsets"] = offsets
    return configs.with_namespace(config, "time")


def shown(text: str) -> dict[str, tuple[int, int]]:
    """Reads /proc/PID/timens_offsets."""
    return {clock: (int(seconds), int(rest)) for clock, seconds, rest in map(str.split, text.splitlines())}


@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "user namespace"])
@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ({"monotonic": {"secs": HALF_A_DAY}}, {"monotonic": (HALF_A_DAY, 0), "boottime": (0, 0)}),
        ({"boottime": {"secs": 86400, "nanosecs": 999999999}}, {"monotonic": (0, 0), "boottime": (86400, 999999999)}),
        (
            {"monotonic": {"secs": -3, "nanosecs": 250000000}, "boottime": {"nanosecs": 7}},
            {"monotonic": (-3, 250000000), "boottime": (0, 7)},
        ),
        ({"monotonic": {}, "boottime": {"secs": 0}}, {"monotonic": (0, 0), "boottime": (0, 0)}),
        ({}, {"monotonic": (0, 0), "boottime": (0, 0)}),
    ],
)
def test_offsets_of_the_clocks(
    make_container: MakeContainer,
    offsets: dict[str, Any],
    expected: dict[str, tuple[int, int]],
    user_namespace: bool,
) -> None:
    config = with_offsets(configs.shell(f"{OFFSETS}; exec sleep 1000"), **offsets)
    if user_namespace:
        configs.with_user_namespace(config)
    container = make_container(config).started()
    container.wait_for_output("boottime")
    assert shown(container.output) == expected
    with open(f"/proc/{container.pid}/timens_offsets", encoding="ascii") as file:
        assert shown(file.read()) == expected


def test_uptime_is_that_of_the_container(make_container: MakeContainer) -> None:
    container = make_container(with_offsets(configs.shell("cat /proc/uptime"), boottime={"secs": HALF_A_DAY})).started()
    container.wait_for_end()
    shift = float(container.output.split()[0]) - time.clock_gettime(CLOCKS["boottime"])
    assert abs(shift - HALF_A_DAY) < 60


@pytest.mark.parametrize("seconds", [-5, HALF_A_DAY, 4 * 365 * 86400])
def test_verbs_know_the_process(make_container: MakeContainer, seconds: int) -> None:
    config = with_offsets(configs.default("/bin/sleep", "1000"), boottime={"secs": seconds, "nanosecs": 5000001})
    container = make_container(config).created()
    assert container.status == "created"
    container.start().succeeded()
    assert container.status == "running"
    assert shown(container.exec("cat", "/proc/self/timens_offsets").succeeded().output)["boottime"][0] == seconds
    pid = container.pid
    container.kill("KILL").succeeded()
    wait_for_exit(pid)
    assert container.status == "stopped"
    container.delete().succeeded()


def test_exec_enters_the_namespace_and_sets_nothing(make_container: MakeContainer) -> None:
    config = with_offsets(configs.default("/bin/sleep", "1000"), monotonic={"secs": 77})
    container = make_container(config).started()
    output = container.exec("sh", "-c", f"readlink /proc/self/ns/time; {OFFSETS}").succeeded().output
    name, _, offsets = output.partition("\n")
    assert name == process.namespace(container.pid, "time") != process.namespace("thread-self", "time")
    assert shown(offsets)["monotonic"] == (77, 0)


def test_new_time_namespace_in_a_joined_user_namespace(make_container: MakeContainer) -> None:
    with process_in_new_namespaces("--user", "--map-root-user", "--fork", "--kill-child") as holder:
        config = with_offsets(configs.shell(OFFSETS), monotonic={"secs": 11})
        configs.with_namespace(config, "user", f"/proc/{holder}/ns/user")
        configs.mount_at(config, "/dev/pts")["options"].remove("gid=5")
        container = make_container(config).started()
        container.wait_for_output("boottime")
        assert shown(container.output)["monotonic"] == (11, 0)
        container.delete("--force").succeeded()


WRONG: list[tuple[object, bool | str, tuple[str, ...]]] = [
    ({"monotonic": {"secs": 1}}, False, ("/linux/timeOffsets", 'needs a namespace of type "time"')),
    ({"monotonic": {"secs": 1}}, "/proc/self/ns/time", ("/linux/timeOffsets", "joined")),
    ({"monotonic": {"secs": -(10**9)}}, True, ("/linux/timeOffsets", "out of range", "/proc/uptime")),
    ({"boottime": {"secs": -(10**9)}}, True, ("/linux/timeOffsets", "out of range", "/proc/uptime")),
    ({"boottime": {"secs": 9 * 10**9}}, True, ("/linux/timeOffsets", "out of range", "146 years")),
    ({"boottime": {"secs": 10**10}}, True, ("/linux/timeOffsets/boottime/secs",)),
    ({"boottime": {"secs": 2**63}}, True, ("/linux/timeOffsets/boottime/secs",)),
    ({"boottime": {"secs": 1.5}}, True, ("/linux/timeOffsets/boottime/secs",)),
    ({"boottime": {"secs": "1"}}, True, ("/linux/timeOffsets/boottime/secs",)),
    ({"boottime": {"nanosecs": -1}}, True, ("/linux/timeOffsets/boottime/nanosecs",)),
    ({"boottime": {"nanosecs": 10**9}}, True, ("/linux/timeOffsets/boottime/nanosecs",)),
    ({"boottime": 5}, True, ("/linux/timeOffsets/boottime",)),
    ({"realtime": {"secs": 1}}, True, ("/linux/timeOffsets/realtime",)),
    ([1], True, ("/linux/timeOffsets",)),
]


@pytest.mark.parametrize(("offsets", "namespace", "words"), WRONG)
def test_wrong_values(
    make_container: MakeContainer, offsets: object, namespace: bool | str, words: tuple[str, ...]
) -> None:
    config = configs.default()
    config["linux"]["timeOffsets"] = offsets
    if namespace:
        configs.with_namespace(config, "time", namespace if isinstance(namespace, str) else None)
    container = make_container(config)
    container.create().failed(*words)
    assert not container.exists()
    assert not os.path.isdir(f"/sys/fs/cgroup/{container.id}")
