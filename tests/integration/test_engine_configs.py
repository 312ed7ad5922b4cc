# SPDX-License-Identifier: Apache-2.0
"""What Docker, Podman and ctr write, unchanged: limits need their controller, values that limit nothing do not.

On a machine with all controllers tests/vm/test_engine_configs.py looks at what the limits become.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from support.engines import container_of, run
from support.runtime import MakeContainer
from support.world import CGROUPS, controllers

LIMITS = {"ctr": ("cpu", "shares", "cpu.weight"), "podman": ("pids", "limit", "pids.max")}
"""By engine, the only limit that it asks for: a controller, its property, and the file."""


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
@pytest.mark.parametrize("engine", ["docker", "docker-unconfined"])
def test_docker_asks_for_no_limit(make_container: MakeContainer, engine: str) -> None:
    run(container_of(engine, make_container)).succeeded()


@pytest.mark.pyrun_only("runc 1.1.5 names neither property nor remedy")
@pytest.mark.parametrize("engine", LIMITS)
def test_limit_without_its_controller(make_container: MakeContainer, engine: str) -> None:
    controller, name, file = LIMITS[engine]
    if controller in controllers():
        pytest.skip(f"cgroup v2 has the controller {controller} here: tests/vm/test_engine_configs.py covers that")
    container = container_of(engine, make_container)
    parent = container.bundle.config["linux"]["cgroupsPath"].split("/")[1]
    words = (f"/linux/resources/{controller}/{name}", file, f"controller {controller}", "remove the limit")
    run(container).failed(*words)
    assert not os.path.exists(f"{CGROUPS}/{parent}")
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 writes what lifts a limit too, into files that are not there")
@pytest.mark.parametrize(
    ("engine", "resources"),
    [
        ("ctr", {"cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}}),
        ("podman", {"pids": {"limit": 0}, "memory": {"limit": -1, "swap": -1}}),
        ("docker", {"pids": {"limit": -1}, "memory": {"limit": 0, "swap": 0, "reservation": 0}}),
    ],
    ids=["ctr", "podman", "docker"],
)
def test_values_that_limit_nothing(make_container: MakeContainer, engine: str, resources: dict[str, Any]) -> None:
    run(container_of(engine, make_container, **resources)).succeeded()
