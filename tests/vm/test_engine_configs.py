# SPDX-License-Identifier: Apache-2.0
"""What Docker, Podman and ctr write by default, unchanged: it runs, and the container's cgroup has its limits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from support.engines import SYSTEMD_PATHS, container_of, run
from support.runtime import Container, MakeContainer
from support.world import CGROUPS, SHOWS_SYSTEMD

PARENTS = {"docker": "docker", "docker-unconfined": "docker", "ctr": "default", "podman": "libpod_parent"}
LIMITS = {"ctr": {"cpu.weight": "100"}, "podman": {"pids.max": "2048"}}
UNLIMITED = {"cpu.weight": "100", "cpu.max": "max 100000", "memory.max": "max", "memory.swap.max": "max"}


def assert_limits(container: Container, engine: str, cgroup: str) -> None:
    """Compares where the container is, and the limits there, with what the engine has asked for."""
    with open(f"/proc/{container.pid}/cgroup", encoding="ascii") as file:
        assert file.read() == f"0::{cgroup}\n"
    expected = UNLIMITED | LIMITS.get(engine, {})
    if engine == "ctr" and container.runtime.name == "runc":
        expected["cpu.weight"] = "39"  # runc 1.1.5 draws a straight line between shares and weights
    assert {name: value(cgroup, name) for name in expected} == expected


def value(cgroup: str, name: str) -> str:
    with open(f"{CGROUPS}{cgroup}/{name}", encoding="ascii") as file:
        return file.read().strip()


@pytest.fixture(params=PARENTS)
def engine(request: pytest.FixtureRequest, case: str) -> Iterator[str]:
    """An engine's name; the cgroup for its containers is there, as after the first one."""
    parent = f"{CGROUPS}/{PARENTS[request.param]}"
    os.mkdir(parent)
    yield request.param
    os.rmdir(parent)


def test_default_configuration(make_container: MakeContainer, engine: str) -> None:
    container = container_of(engine, make_container).created()
    assert_limits(container, engine, container.bundle.config["linux"]["cgroupsPath"])
    container.delete("--force").succeeded()
    run(container).succeeded()


@pytest.fixture(params=SYSTEMD_PATHS)
def engine_of_systemd(request: pytest.FixtureRequest, case: str) -> Iterator[str]:
    """An engine's name; its slice, which systemd starts for the first container, is stopped afterwards."""
    if not SHOWS_SYSTEMD:
        pytest.skip("needs the virtual machine that systemd boots")
    yield request.param
    subprocess.run(["systemctl", "stop", "machine.slice"], check=True)


@pytest.mark.machine("systemd")
def test_default_configuration_under_systemd(make_container: MakeContainer, engine_of_systemd: str) -> None:
    container = container_of(engine_of_systemd, make_container)
    path = SYSTEMD_PATHS[engine_of_systemd].format(container.id)
    container.bundle.config["linux"]["cgroupsPath"] = path
    container.created(options=["--systemd-cgroup"])
    slice_name, prefix, name = path.split(":")
    unit = f"{prefix}-{name}.scope"
    assert_limits(container, engine_of_systemd, f"/{slice_name}/{unit}")
    shown = subprocess.run(
        ["systemctl", "show", "--property=TasksMax", unit], check=True, capture_output=True, text=True
    )
    assert (shown.stdout == "TasksMax=2048\n") == (engine_of_systemd == "podman")
    container.start().succeeded()
    container.wait_for_end()
