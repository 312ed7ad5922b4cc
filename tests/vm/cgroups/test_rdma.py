# SPDX-License-Identifier: Apache-2.0
"""rdma.max: handles and objects of a device that software makes."""

from __future__ import annotations

import pytest

from support.managed import MakeManaged, limited


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"hcaHandles": 5}, "hca_handle=5 hca_object=max"), ({"hcaObjects": 0}, "hca_handle=max hca_object=0")],
    ids=["handles", "objects"],
)
def test_rdma(make_managed: MakeManaged, rdma_device: str, limits: dict[str, int], expected: str) -> None:
    container = make_managed(limited({"rdma": {rdma_device: limits}})).created()
    assert container.value("rdma.max") == f"{rdma_device} {expected}"


@pytest.mark.pyrun_only("runc 1.1.5 writes a number that the kernel refuses")
def test_unlimited(make_managed: MakeManaged, rdma_device: str) -> None:
    limits = {"hcaHandles": 1, "hcaObjects": 2**32 - 1}
    container = make_managed(limited({"rdma": {rdma_device: limits}})).created()
    assert container.value("rdma.max") == f"{rdma_device} hca_handle=1 hca_object=max"
