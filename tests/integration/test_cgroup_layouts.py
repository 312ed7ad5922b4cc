# SPDX-License-Identifier: Apache-2.0
"""All that this host's cgroup v2 can do, where it is mounted alone and where it stands beside version 1 (hybrid)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support import configs
from support.configs import Config
from support.machine import COVERED
from support.runtime import HYBRID, MakeContainer, Runtime
from support.waiting import wait_for_exit, wait_until
from support.world import CGROUPS, controllers

MEBIBYTE = 1 << 20
OWN = f"{CGROUPS}/engine/own"


@pytest.fixture(params=["unified", "hybrid"])
def layout(request: pytest.FixtureRequest, runtime: Runtime) -> Runtime:
    """The runtime under test in either layout; the test itself sees cgroup v2 alone."""
    if request.param == "hybrid":
        if runtime.name == "runc":
            pytest.skip("runc uses version 1 there")
        runtime.wrapper = HYBRID
    return runtime


def placed(*arguments: str) -> Config:
    config = configs.default(*(arguments or ("/bin/sleep", "1000")))
    config["linux"]["cgroupsPath"] = "/engine/own"
    return config


def value(file: str) -> str:
    with open(f"{OWN}/{file}", encoding="ascii") as opened:
        return opened.read()


@pytest.fixture(autouse=True)
def _engine(layout: Runtime) -> Iterator[None]:
    """A cgroup of an engine, which stays when the containers below it are deleted."""
    os.mkdir(f"{CGROUPS}/engine")
    yield
    for container in layout.containers:
        container.delete("--force").succeeded()
    os.rmdir(f"{CGROUPS}/engine")


def test_placement(make_container: MakeContainer) -> None:
    container = make_container(placed()).created()
    assert value("cgroup.procs") == f"{container.pid}\n"
    assert value("cgroup.controllers").split() == controllers()
    call = container.start_exec("sh", "-c", "echo ready; exec sleep 1000")
    call.wait_for_output("ready")
    assert len(value("cgroup.procs").split()) == 2
    container.delete("--force").succeeded()
    call.wait()
    assert not os.path.exists(OWN)


def test_freeze(make_container: MakeContainer) -> None:
    container = make_container(placed()).started()
    container.runtime.call("pause", container.id).succeeded()
    assert "frozen 1" in value("cgroup.events")
    assert container.status == "paused"
    container.runtime.call("resume", container.id).succeeded()
    assert "frozen 0" in value("cgroup.events")
    assert container.status == "running"


def test_kill(make_container: MakeContainer) -> None:
    """Of all processes, one of which is in a cgroup below."""
    config = configs.without_namespace(placed("/bin/sh", "-c", "sleep 1000 & echo ready; wait"), "pid")
    container = make_container(config).started()
    container.wait_for_output("ready")
    os.mkdir(f"{OWN}/below")
    (other,) = {int(line) for line in value("cgroup.procs").split()} - {container.pid}
    with open(f"{OWN}/below/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(other))
    pid = container.pid
    container.runtime.call("kill", "--all", container.id, "KILL").succeeded()
    for each in (pid, other):
        wait_for_exit(each)
    wait_until(lambda: "populated 0" in value("cgroup.events"), "nobody is left")
    container.delete().succeeded()
    assert not os.path.exists(OWN)


def test_device_filter(make_container: MakeContainer) -> None:
    script = (
        "mknod /dev/kmsg c 1 11; mknod /dev/one c 1 3; (: </dev/kmsg) && echo kmsg; (: </dev/one) && echo null; "
        "echo end; exec sleep 1000"
    )
    config = placed("/bin/sh", "-c", script)
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = ["CAP_MKNOD"]
    container = make_container(config).started()
    container.wait_for_output("end")
    assert container.output == "null\nend\n"
    assert "/dev/kmsg: Operation not permitted" in container.errors


def test_hugetlb(make_container: MakeContainer) -> None:
    if "hugetlb" not in controllers() or not os.path.isdir("/sys/kernel/mm/hugepages/hugepages-2048kB"):
        pytest.skip(f"needs huge pages of 2 MiB and cgroup v2's controller of them: {COVERED}")
    config = placed()
    config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}]
    make_container(config).created()
    assert value("hugetlb.2MB.max") == f"{4 * MEBIBYTE}\n"


@pytest.mark.pyrun_only("runc 1.1.5 does not say why")
def test_controller_of_version_1(layout: Runtime, make_container: MakeContainer) -> None:
    if "memory" in controllers():
        pytest.skip("needs a controller that version 1 has")
    config = placed()
    config["linux"]["resources"]["memory"] = {"limit": 64 * MEBIBYTE}
    container = make_container(config)
    container.create().failed("/linux/resources/memory/limit", "as cgroup v1 has it", "cgroup_no_v1=memory")
    assert not os.path.exists(OWN)
    layout.containers.remove(container)
