# SPDX-License-Identifier: Apache-2.0
"""The OCI project's sample configurations are judged as their folder says, from the text to the plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrun.plan.create import find_problems
from pyrun_spec.errors import SpecError
from pyrun_spec.load import checked_config
from unit.spec.config_samples import OCI_SCHEMAS

from .configs import BUNDLE, request_for_test

SAMPLES = OCI_SCHEMAS / "test" / "config"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the OCI project's samples are not at {SAMPLES}")

# Good by the schema that they are samples for, and refused for what no schema says.
INCOMPLETE = {"linux-netdevice.json": "/linux/netDevices"}  # has no network namespace to move the device into

# What only cgroup v1 has, and security modules of the host.
NOT_OF_THIS_HOST = {
    "/linux/resources/blockIO/leafWeight",
    "/linux/resources/blockIO/weightDevice/0/leafWeight",
    "/linux/resources/cpu/realtimeRuntime",
    "/linux/resources/network/classID",
    "/linux/resources/network/priorities/0/priority",
    "/linux/resources/network/priorities/1/priority",
    "/process/apparmorProfile",
    "/process/selinuxLabel",
    "/linux/mountLabel",
}

# A host on which all else that the samples ask for can be had.
HOST = {"cgroup_controllers": ["cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"]}


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("good/*.json")), ids=lambda path: path.name)
def test_good_samples_become_plans(sample: Path) -> None:
    if sample.name in INCOMPLETE:
        with pytest.raises(SpecError) as caught:
            checked_config(sample.read_bytes(), BUNDLE)
        assert (caught.value.pointer, caught.value.more) == (INCOMPLETE[sample.name], 0)
        return
    config, request = checked_config(sample.read_bytes(), BUNDLE), request_for_test(**HOST)
    problems = {pointer for pointer, _ in find_problems(config, request)}
    assert problems <= (NOT_OF_THIS_HOST if sample.name == "spec-example.json" else set())


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("bad/*.json")), ids=lambda path: path.name)
def test_bad_samples_are_refused(sample: Path) -> None:
    with pytest.raises(SpecError) as caught:
        checked_config(sample.read_bytes(), BUNDLE)
    assert caught.value.pointer or "line 1, column" in caught.value.message
