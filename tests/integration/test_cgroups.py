# SPDX-License-Identifier: Apache-2.0
"""Where the container's cgroup is: absolute, relative, under pure v2 and in the hybrid layout."""

from __future__ import annotations

import os

import pytest

from support import configs
from support.configs import Config
from support.runtime import HYBRID, Container, MakeBundle, MakeContainer, Runtime, runtime_under_test

ROOT = "/sys/fs/cgroup"


def at(path: str) -> Config:
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = path
    return config


def cgroup_of(container: Container) -> str:
    """Returns the path of the container's cgroup in cgroup v2."""
    with open(f"/proc/{container.pid}/cgroup", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("0::"))
    return line[3:].rstrip("\n")


def test_named_by_the_id_without_a_path(make_container: MakeContainer) -> None:
    assert cgroup_of(make_container(container_id="some-id").created()) == "/some-id"


@pytest.mark.parametrize("path", ["/absolute", "/with.dots-and_more", "/trailing/"])
def test_absolute_path(make_container: MakeContainer, path: str) -> None:
    assert cgroup_of(make_container(at(path)).created()) == path.rstrip("/")


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
def test_cgroups_above_are_made_and_removed_with_it(make_container: MakeContainer) -> None:
    container = make_container(at("/above/higher/own")).created()
    assert cgroup_of(container) == "/above/higher/own"
    container.delete("--force").succeeded()
    assert not os.path.exists(f"{ROOT}/above")


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
def test_cgroups_above_stay_as_long_as_others_use_them(make_container: MakeContainer) -> None:
    first = make_container(at("/above/first")).created()
    second = make_container(at("/above/second")).created()
    first.delete("--force").succeeded()
    assert os.path.isdir(f"{ROOT}/above/second")
    second.delete("--force").succeeded()
    if os.path.isdir(f"{ROOT}/above"):
        os.rmdir(f"{ROOT}/above")  # made by the first, in use when that went


def test_cgroups_that_were_there_before_stay(make_container: MakeContainer) -> None:
    os.mkdir(f"{ROOT}/engine")
    container = make_container(at("/engine/own")).created()
    container.delete("--force").succeeded()
    assert os.path.isdir(f"{ROOT}/engine") and not os.path.isdir(f"{ROOT}/engine/own")
    os.rmdir(f"{ROOT}/engine")


def test_relative_path_is_beside_the_callers_cgroup(make_container: MakeContainer) -> None:
    """As with runc: below the parent of the caller's own cgroup, which cannot have children with controllers."""
    assert cgroup_of(make_container(at("relative")).created()) == "/relative"


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
@pytest.mark.parametrize("path", ["../../../outside", "/../../outside", "/a/../outside"])
def test_path_does_not_climb_out(make_container: MakeContainer, path: str) -> None:
    container = make_container(at(path))
    if container.create().status == 0:
        assert cgroup_of(container) == "/outside"


def test_container_is_born_there(make_container: MakeContainer) -> None:
    """The caller's own cgroup never has the container's process in it: nothing is migrated."""
    container = make_container(at("/own")).created()
    with open(f"{ROOT}/own/cgroup.procs", encoding="ascii") as file:
        assert file.read().split() == [str(container.pid)]


def test_hybrid_layout(case: str, make_bundle: MakeBundle) -> None:
    """There, cgroup v2 is mounted below /sys/fs/cgroup/unified; version 1 is left alone."""
    runtime = Runtime(runtime_under_test(), case, wrapper=HYBRID)
    if runtime.name == "runc":
        pytest.skip("runc uses version 1 there")
    container = runtime.container("test", make_bundle(at("/in-hybrid"))).started()
    assert cgroup_of(container) == "/in-hybrid"
    assert container.status == "running"
    with open(f"{ROOT}/in-hybrid/cgroup.freeze", "w", encoding="ascii") as file:
        file.write("1")
    assert container.status == "paused"
    container.delete("--force").succeeded()
    assert not os.path.isdir(f"{ROOT}/in-hybrid")


def test_no_cgroup_v2_at_all(case: str, make_bundle: MakeBundle) -> None:
    without = ("unshare", "--mount", "sh", "-c", 'umount -n -R /sys/fs/cgroup && exec "$@"', "sh")
    runtime = Runtime(runtime_under_test(), case, wrapper=without)
    runtime.run("test", make_bundle()).failed("cgroup")


def test_cgroup_namespace_hides_the_path(make_container: MakeContainer) -> None:
    config = configs.shell("cat /proc/self/cgroup | grep ^0; ls /sys/fs/cgroup | grep -c cgroup.procs; exec sleep 1000")
    config["linux"]["cgroupsPath"] = "/hidden"
    container = make_container(config).started()
    container.wait_for_output("1\n")
    assert container.output == "0::/\n1\n"


def test_container_without_a_cgroup_namespace_cannot_write_to_the_hosts(make_container: MakeContainer) -> None:
    config = configs.without_namespace(
        configs.shell("mkdir /sys/fs/cgroup/x 2>&1; echo end; exec sleep 1000"), "cgroup"
    )
    container = make_container(config).started()
    container.wait_for_output("end")
    assert "Read-only file system" in container.output
