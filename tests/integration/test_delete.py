# SPDX-License-Identifier: Apache-2.0
"""The verb `delete`, with and without force."""

from __future__ import annotations

import os

import pytest

from support import configs
from support.runtime import MakeContainer, Runtime


def test_running_container_is_refused(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    container.delete().failed("running")
    assert container.status == "running"


@pytest.mark.parametrize("option", ["--force", "-f"])
def test_force_removes_a_running_container(make_container: MakeContainer, option: str) -> None:
    container = make_container(configs.shell("trap '' TERM; sleep 1000")).started()
    container.delete(option).succeeded()
    assert not container.exists()


def test_force_removes_a_created_container(make_container: MakeContainer) -> None:
    container = make_container().created()
    container.delete("--force").succeeded()
    assert not container.exists()


def test_force_removes_a_stopped_container(make_container: MakeContainer) -> None:
    container = make_container().started()
    container.wait_for_end()
    container.delete("--force").succeeded()
    assert not container.exists()


def test_force_removes_a_frozen_container(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    with open(f"/sys/fs/cgroup/{container.id}/cgroup.freeze", "w", encoding="ascii") as file:
        file.write("1")
    container.delete("--force").succeeded()


def test_force_is_content_with_a_missing_container(runtime: Runtime) -> None:
    runtime.call("delete", "--force", "missing").succeeded()


def test_missing_container_without_force(runtime: Runtime) -> None:
    runtime.call("delete", "missing").failed("container does not exist")


def test_created_container_without_force(make_container: MakeContainer) -> None:
    """runc deletes a created container without being forced; engines use that."""
    container = make_container().created()
    container.delete().succeeded()
    assert not container.exists()


def test_cgroups_below_the_containers_are_removed(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    inner = f"/sys/fs/cgroup/{container.id}/a/b"
    os.makedirs(inner)
    container.delete("--force").succeeded()
    assert not os.path.exists(f"/sys/fs/cgroup/{container.id}")


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups behind")
def test_processes_moved_into_cgroups_below_are_killed(make_container: MakeContainer) -> None:
    config = configs.without_namespace(configs.shell("sleep 1000 & echo ready; wait"), "pid")
    container = make_container(config).started()
    container.wait_for_output("ready")
    cgroup = f"/sys/fs/cgroup/{container.id}"
    os.mkdir(f"{cgroup}/inner")
    with open(f"{cgroup}/cgroup.procs", encoding="ascii") as file:
        (child,) = (int(line) for line in file if int(line) != container.pid)
    with open(f"{cgroup}/inner/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(child))
    container.delete("--force").succeeded()


def test_twice(make_container: MakeContainer) -> None:
    container = make_container().created()
    container.delete("--force").succeeded()
    container.delete().failed("container does not exist")
    container.delete("--force").succeeded()
