# SPDX-License-Identifier: Apache-2.0
"""io.weight and io.bfq.weight: of the scheduler BFQ, which is loaded, or of the cost model."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from support.managed import MakeManaged, limited
from vm.conftest import Disk


@pytest.mark.pyrun_only("runc 1.1.5 does not know weights of devices in cgroup v2")
def test_weight_of_a_device(make_managed: MakeManaged, disk: Disk) -> None:
    disk.schedule("bfq")
    device = {"major": disk.major, "minor": disk.minor, "weight": 300}
    container = make_managed(limited({"blockIO": {"weight": 500, "weightDevice": [device]}})).created()
    assert container.value("io.bfq.weight").splitlines() == ["default 500", f"{disk.numbers} 300"]


def set_cost_model(disk: Disk, enable: int) -> None:
    """Lets the cost model weigh a disk, or not: a file of the machine's own root cgroup."""
    line = f"{disk.numbers} enable={enable} ctrl=auto"
    script = f'echo "{line}" >/sys/fs/cgroup/io.cost.qos'
    subprocess.run(["nsenter", "--target", "1", "--cgroup", "--mount", "sh", "-c", script], check=True)


@pytest.fixture
def weighed_disk(disk: Disk) -> Iterator[Disk]:
    """A disk that the cost model weighs."""
    set_cost_model(disk, 1)
    yield disk
    set_cost_model(disk, 0)


@pytest.mark.pyrun_only("runc 1.1.5 does not know weights of devices in cgroup v2")
def test_weight_of_a_device_with_the_cost_model(make_managed: MakeManaged, weighed_disk: Disk) -> None:
    """The kernel has BFQ, which does not schedule this device: the other file is written."""
    disk = weighed_disk
    device = {"major": disk.major, "minor": disk.minor, "weight": 300}
    container = make_managed(limited({"blockIO": {"weightDevice": [device]}})).created()
    assert container.value("io.weight").splitlines() == ["default 100", f"{disk.numbers} 2930"]


@pytest.fixture
def _without_bfq(_virtual_machine: None) -> Iterator[None]:
    """Unloads the scheduler."""
    subprocess.run(["modprobe", "--remove", "bfq"], check=True)
    yield
    subprocess.run(["modprobe", "bfq"], check=True)


@pytest.mark.usefixtures("_without_bfq")
def test_weight_without_bfq(make_managed: MakeManaged) -> None:
    container = make_managed(limited({"blockIO": {"weight": 500}})).created()
    assert container.value("io.weight") == "default 4950"
    assert not os.path.exists(f"{container.cgroup}/io.bfq.weight")


@pytest.mark.pyrun_only("runc 1.1.5 does not know weights of devices in cgroup v2")
def test_weight_of_a_device_that_nothing_weighs(make_managed: MakeManaged, disk: Disk) -> None:
    device = {"major": disk.major, "minor": disk.minor, "weight": 300}
    container = make_managed(limited({"blockIO": {"weightDevice": [device]}}))
    container.create().failed("/linux/resources/blockIO/weightDevice/0/weight", "not supported", "choose bfq")
    assert not os.path.exists(container.cgroup)
