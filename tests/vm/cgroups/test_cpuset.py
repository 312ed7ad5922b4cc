# SPDX-License-Identifier: Apache-2.0
"""cpuset.cpus and cpuset.mems: where a container may run, and where it does."""

from __future__ import annotations

import os

import pytest

from support.managed import MakeManaged, limited

pytestmark = pytest.mark.machine("processors")

LISTS = "grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status"


def lists(cpus: str) -> str:
    return f"Cpus_allowed_list:\t{cpus}\nMems_allowed_list:\t0\n"


def test_container_runs_where_it_may(make_managed: MakeManaged) -> None:
    """The runtime itself may run on the first CPU alone, which the container does not inherit."""
    config = limited({"cpu": {"cpus": "1", "mems": "0"}}, f"{LISTS}; load cpus:300; echo end")
    container = make_managed(config)
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        container.created()
    finally:
        os.sched_setaffinity(0, everywhere)
    container.start().succeeded()
    assert container.wait_for_words("end\n") == lists("1") + "ran on 1\nend\n"
    assert container.value("cpuset.cpus.effective") == "1"
    entered = container.exec("sh", "-c", f"{LISTS}; load cpus:50").succeeded()
    assert entered.output == lists("1") + "ran on 1\n"


@pytest.mark.pyrun_only("runc 1.1.5 leaves the affinity of the caller")
def test_affinity_is_that_of_the_cgroup(make_managed: MakeManaged) -> None:
    container = make_managed(limited({"cpu": {"cpus": "0-1"}}, f"{LISTS}; echo end"))
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        container.started()
        assert container.wait_for_words("end\n") == lists("0-1") + "end\n"
        assert container.exec("sh", "-c", LISTS).succeeded().output == lists("0-1")
    finally:
        os.sched_setaffinity(0, everywhere)
