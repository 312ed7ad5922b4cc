# SPDX-License-Identifier: Apache-2.0
"""Limits that the kernel refuses: one line names property, file and reason, and nothing is left."""

from __future__ import annotations

import os

import pytest

from support.managed import MakeManaged, Resources, limited

REFUSED: list[tuple[Resources, tuple[str, ...]]] = [
    ({"cpu": {"cpus": "99"}}, ("cpu/cpus", "cpuset.cpus", "numerical result out of range")),
    ({"cpu": {"cpus": "zero"}}, ("cpu/cpus", "cpuset.cpus", "invalid argument")),
    ({"cpu": {"mems": "9"}}, ("cpu/mems", "cpuset.mems")),
    ({"cpu": {"quota": 50000, "period": 5}}, ("cpu/quota", "cpu.max", "invalid argument")),
    ({"memory": {"limit": 1 << 20, "swap": 1 << 19}}, ("memory/swap", "at least the limit")),
    (
        {"blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 250, "rate": 5}]}},
        ("blockIO/throttleReadBpsDevice/0/rate", "io.max", "no such device", "whole disk"),
    ),
    ({"rdma": {"missing0": {"hcaHandles": 5}}}, ("rdma/missing0", "rdma.max", "no such device")),
    (
        {"hugepageLimits": [{"pageSize": "64KB", "limit": 0}]},
        ("hugepageLimits/0/limit", "hugetlb.64KB.max", "/sys/kernel/mm/hugepages"),
    ),
    ({"unified": {"net_cls.classid": "1"}}, ("unified/net_cls.classid", "controller net_cls")),
    ({"unified": {"memory.limit_in_bytes": "1"}}, ("unified/memory.limit_in_bytes", "no such file")),
    ({"unified": {"misc.max": "sev 5"}}, ("unified/misc.max", "invalid argument")),
    ({"unified": {"pids.max": "many"}}, ("unified/pids.max", '"many"', "invalid argument")),
]


@pytest.mark.pyrun_only("runc 1.1.5 names neither property nor remedy")
def test_refused(make_managed: MakeManaged) -> None:
    for number, (resources, words) in enumerate(REFUSED):
        container = make_managed(limited(resources), f"refused{number}")
        container.create().failed("/linux/resources/", *words)
        assert not os.path.exists(container.cgroup)
        assert not container.exists()
