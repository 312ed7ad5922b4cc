# SPDX-License-Identifier: Apache-2.0
"""pause and resume: a container stands still, and goes on."""

from __future__ import annotations

import os
import time

from support import configs
from support.managed import MakeManaged, Managed, limited
from support.waiting import wait_until

WINDOW_SECONDS = 0.5


def number(path: str) -> int:
    with open(path, "rb") as file:
        return int.from_bytes(file.read(8), "little")


def goes_on(path: str) -> None:
    """Waits until the number in a file grows."""
    before = number(path)
    wait_until(lambda: number(path) > before, "the container counts on")


def assert_frozen(container: Managed, path: str) -> None:
    before = number(path)
    time.sleep(WINDOW_SECONDS)
    assert number(path) == before
    assert container.count("cgroup.events", "frozen") == 1
    assert container.status == "paused"


def test_pause_and_resume(make_managed: MakeManaged, scratch: str) -> None:
    config = limited({}, "load count:/tmp/number")
    directory = os.path.join(scratch, "counts")
    os.mkdir(directory)
    config["mounts"].append(configs.bind(directory, "/tmp"))
    container = make_managed(config).started()
    path = os.path.join(directory, "number")
    wait_until(lambda: os.path.exists(path) and number(path), "the container counts")
    container.runtime.call("pause", container.id).succeeded()
    assert_frozen(container, path)
    container.runtime.call("resume", container.id).succeeded()
    goes_on(path)
    assert container.count("cgroup.events", "frozen") == 0
    assert container.status == "running"
    container.runtime.call("pause", container.id).succeeded()
    container.deleted()
