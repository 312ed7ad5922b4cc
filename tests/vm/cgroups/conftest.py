# SPDX-License-Identifier: Apache-2.0
"""Each test runs with each manager of cgroups and each runtime; what is `pyrun_only`, not with runc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.configs import Config
from support.managed import PREFIX, PROGRAM, MakeManaged, Managed, ManagedRuntime, cached_load, compile_load
from support.runtime import MakeBundle
from support.waiting import wait_until
from support.world import SHOWS_SYSTEMD, World

TRANSIENT = "/run/systemd/transient"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compiles on the host what takes long in a machine."""
    if session.config.getoption("in_machine", False) and not os.path.exists(cached_load()):
        compile_load(cached_load())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives each test that asks for it a manager, and a runtime; systemd runs in the machine named for that test."""
    if "manager" in metafunc.fixturenames:
        named = metafunc.definition.get_closest_marker("machine")
        marks = [] if named else [pytest.mark.machine("systemd")]
        metafunc.parametrize("manager", ["cgroupfs", pytest.param("systemd", marks=marks)])
    if "runtime" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("pyrun_only")
        metafunc.parametrize("runtime", ["pyrun"] if only else ["pyrun", "runc"], indirect=True)


def runtime_of(name: str, case: str, manager: str) -> ManagedRuntime:
    """Returns pyrun, from beside the running interpreter, or runc."""
    if manager == "systemd" and not SHOWS_SYSTEMD:
        pytest.skip("needs the virtual machine that systemd boots")
    beside = os.path.join(os.path.dirname(sys.executable), name)
    path = beside if os.path.exists(beside) else shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return ManagedRuntime(path, case, manager)


@pytest.fixture
def runtime(request: pytest.FixtureRequest, case: str, manager: str) -> Iterator[ManagedRuntime]:
    """A runtime with a state root of its own; its containers are deleted after the test."""
    under_test = runtime_of(request.param, case, manager)
    yield under_test
    for container in under_test.containers:
        if container.exists():
            container.delete("--force").succeeded()
    wait_until(lambda: not units_left(), "systemd has forgotten the scopes")


def units_left() -> list[str]:
    """Returns the names of the containers' units that systemd keeps."""
    if not os.path.isdir(TRANSIENT):
        return []
    return [name for name in os.listdir(TRANSIENT) if name.startswith(f"{PREFIX}-")]


@pytest.fixture(scope="session")
def load(world: World) -> str:
    """The program that uses what cgroups limit: see load.c."""
    path = os.path.join(world.directory, "load")
    with world.entered():
        if os.path.exists(cached_load()):
            shutil.copy(cached_load(), path)
        else:
            compile_load(path)
    return path


@pytest.fixture
def make_managed(runtime: ManagedRuntime, make_bundle: MakeBundle, load: str) -> MakeManaged:
    """A function that makes a bundle of a configuration, with that program; returns its container, not yet created."""

    def make(config: Config, container_id: str = "limited") -> Managed:
        bundle = make_bundle(config)
        os.link(load, os.path.join(bundle.rootfs, PROGRAM))
        return runtime.container(container_id, bundle)

    return make


@pytest.fixture
def rdma_device(_virtual_machine: None) -> Iterator[str]:
    """A device made by software, on an interface of the machine's own network namespace."""
    outside = ["nsenter", "--target", "1", "--net"]
    subprocess.run([*outside, "ip", "link", "add", "under", "type", "dummy"], check=True)
    try:
        subprocess.run([*outside, "ip", "link", "set", "under", "up"], check=True)
        words = ["rdma", "link", "add", "soft0", "type", "rxe", "netdev", "under"]
        made = subprocess.run([*outside, *words], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"needs the module rdma_rxe: {made.stderr}")
        yield "soft0"
        subprocess.run([*outside, "rdma", "link", "delete", "soft0"], check=True)
    finally:
        subprocess.run([*outside, "ip", "link", "delete", "under"], check=True)
