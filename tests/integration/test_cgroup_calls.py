# SPDX-License-Identifier: Apache-2.0
"""How many system calls it takes to make and limit a container's cgroup, and what is not among them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from support import configs, strace
from support.configs import Config
from support.runtime import MakeBundle, Runtime
from support.stages import OUTER
from support.strace import SystemCall
from support.world import CGROUPS, controllers

pytestmark = [
    pytest.mark.pyrun_only("how pyrun does it"),
    pytest.mark.skipif(not strace.available(), reason="needs strace: apt-get install strace"),
]

MOST = 6
# Of the outer stage's other operations: rlimits, and the socket between it and the init.
OF_OTHERS = {"prlimit64", "socketpair"}
MIGRATION = re.compile(r"cgroup\.(procs|threads).*O_(WRONLY|RDWR)")


@pytest.fixture
def traced_run(case: str, runtime: Runtime, make_bundle: MakeBundle) -> Callable[[Config], list[list[SystemCall]]]:
    """A function that runs a configuration a second time, and returns the calls of each process."""

    def run(config: Config) -> list[list[SystemCall]]:
        bundle = make_bundle(config)
        # The first container below a cgroup has its controllers passed down.
        runtime.run("first", bundle).succeeded()
        strace.traced(runtime, case, follow=True).run("second", bundle).succeeded()
        return strace.read_trace(case)

    return run


def calls_for_the_cgroup(processes: list[list[SystemCall]]) -> list[SystemCall]:
    """Returns what the outer stage does from the gate, which it makes first, to the clone of the init."""
    outer = processes[OUTER]
    begin = strace.first(outer, r"^bind\(.*gate\.new") + 1
    end = strace.first(outer, r"^clone3\(", begin)
    return [call for call in outer[begin:end] if call.name not in OF_OTHERS]


def test_plain_bundle(traced_run: Callable[[Config], list[list[SystemCall]]]) -> None:
    processes = traced_run(configs.default())
    calls = calls_for_the_cgroup(processes)
    assert len(calls) <= MOST, "\n".join(map(str, calls))
    assert [call.name for call in calls].count("bpf") == 2
    assert not [call for process in processes for call in process if MIGRATION.search(call.text)]
    assert not [call for process in processes for call in process if "mountinfo" in call.text]


def test_limits(traced_run: Callable[[Config], list[list[SystemCall]]]) -> None:
    """Each limit is one file that is opened, written and closed."""
    config = configs.default()
    unified = {"cgroup.max.depth": "5", "cgroup.max.descendants": "9"}
    config["linux"]["resources"]["unified"] = unified
    limits = len(unified)
    if "hugetlb" in controllers() and os.path.isdir("/sys/kernel/mm/hugepages/hugepages-2048kB"):
        config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4 << 20}]
        limits += 2
    calls = calls_for_the_cgroup(traced_run(config))
    writes = [call for call in calls if call.name == "write"]
    assert len(writes) == limits
    of_limits = [index for index, call in enumerate(calls) if call.name == "write"]
    assert all([call.name for call in calls[i - 1 : i + 2]] == ["openat2", "write", "close"] for i in of_limits)
    assert len(calls) - 3 * limits <= MOST, "\n".join(map(str, calls))


def test_pyrun_itself(traced_run: Callable[[Config], list[list[SystemCall]]]) -> None:
    """It looks three times: which controllers there are, where it is itself, and whether the cgroup exists."""
    config = configs.default()
    config["linux"]["cgroupsPath"] = "/looked-for"
    before_the_launch = traced_run(config)[0]
    before_the_launch = before_the_launch[: strace.first(before_the_launch, r"^memfd_create\(")]
    looked = [call for call in before_the_launch if CGROUPS in call.text or "/proc/self/cgroup" in call.text]
    assert len(looked) == 3, "\n".join(map(str, looked))
