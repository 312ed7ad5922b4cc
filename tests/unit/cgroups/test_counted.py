# SPDX-License-Identifier: Apache-2.0
"""What controllers count: processes, huge pages, RDMA handles; and what cgroup v2 has no controller for."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun_cgroups import hugetlb, network, pids, rdma
from pyrun_cgroups.writes import LimitError, Write


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, []),
        (-1, [Write("/pids/limit", "pids.max", "max", optional=True)]),
        (-5, [Write("/pids/limit", "pids.max", "max", optional=True)]),
        (0, [Write("/pids/limit", "pids.max", "1")]),
        (1, [Write("/pids/limit", "pids.max", "1")]),
        (32771, [Write("/pids/limit", "pids.max", "32771")]),
    ],
)
def test_pids(limit: int | None, expected: list[Write]) -> None:
    assert pids.writes({"limit": limit}) == expected


@pytest.mark.parametrize(
    ("limit", "value", "optional"),
    [(0, "0", False), (2097152, "2097152", False), (2**63 - 1, "max", True), (2**64 - 1, "max", True)],
)
@pytest.mark.parametrize("size", ["64KB", "2MB", "1GB", "512MB"])
def test_huge_pages(size: str, limit: int, value: str, optional: bool) -> None:
    assert hugetlb.writes([{"pageSize": size, "limit": limit}]) == [
        Write("/hugepageLimits/0/limit", f"hugetlb.{size}.max", value, optional=optional),
        Write("/hugepageLimits/0/limit", f"hugetlb.{size}.rsvd.max", value, optional=True),
    ]


@pytest.mark.parametrize(
    "size", ["", "MB", "2", "2M", "0MB", "02MB", "2mb", "2TB", "-2MB", "2 MB", "../2MB", "2/MB", "²MB"]
)
def test_page_sizes(size: str) -> None:
    with pytest.raises(LimitError, match="is not a size of huge pages") as caught:
        hugetlb.writes([{"pageSize": "2MB", "limit": 0}, {"pageSize": size, "limit": 0}])
    assert caught.value.pointer == "/hugepageLimits/1/pageSize"


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ({}, []),
        ({"mlx5_0": {}}, []),
        ({"mlx5_0": {"hcaHandles": None}}, []),
        (
            {"mlx5_0": {"hcaObjects": 10000, "hcaHandles": 3}, "rxe0": {"hcaObjects": 0}},
            [
                Write("/rdma/mlx5_0", "rdma.max", "mlx5_0 hca_handle=3 hca_object=10000"),
                Write("/rdma/rxe0", "rdma.max", "rxe0 hca_object=0"),
            ],
        ),
        (
            {"a/b~c": {"hcaHandles": 2**32 - 1}},
            [Write("/rdma/a~1b~0c", "rdma.max", "a/b~c hca_handle=max", optional=True)],
        ),
        (
            {"rxe0": {"hcaHandles": 2**31, "hcaObjects": 5}},
            [Write("/rdma/rxe0", "rdma.max", "rxe0 hca_handle=max hca_object=5")],
        ),
    ],
    ids=str,
)
def test_rdma(devices: dict[str, Any], expected: list[Write]) -> None:
    assert rdma.writes(devices) == expected


@pytest.mark.parametrize("name", ["", "rxe0 hca_object=max", "rxe0\nrxe1", "rxe\0"])
def test_names_of_rdma_devices(name: str) -> None:
    with pytest.raises(LimitError, match="not the name of an RDMA device") as caught:
        rdma.writes({name: {"hcaHandles": 1}})
    assert caught.value.pointer == f"/rdma/{name}"


@pytest.mark.parametrize(
    "group",
    [{"classID": 0}, {"classID": None, "priorities": []}, {"priorities": [{"name": "eth0", "priority": 0}]}],
    ids=str,
)
def test_network_without_effect(group: dict[str, Any]) -> None:
    network.check(group)


@pytest.mark.parametrize(
    ("group", "pointer"),
    [
        ({"classID": 1048577}, "/network/classID"),
        (
            {"priorities": [{"name": "lo", "priority": 0}, {"name": "eth0", "priority": 5}]},
            "/network/priorities/1/priority",
        ),
    ],
    ids=str,
)
def test_network(group: dict[str, Any], pointer: str) -> None:
    with pytest.raises(LimitError, match="cgroup v2 has no network") as caught:
        network.check(group)
    assert caught.value.pointer == pointer
