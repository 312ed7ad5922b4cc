# SPDX-License-Identifier: Apache-2.0
"""io.max: how many bytes and operations a second a container gets of a loop device.

Blocks go past the cache. Large ones are limited by bytes, small ones by operations; reads and writes, which the kernel
counts apart, run at the same time. Times are of the kernel under test. On an emulated machine whose host is busy a
window can show too little, never too much: so the highest rate of several windows must be the limit.
"""

from __future__ import annotations

import pytest

from support.configs import Config
from support.managed import MakeManaged, Managed, Resources, limited
from vm.conftest import Disk

TOLERANCE = 0.2
WINDOWS, WINDOW_MILLISECONDS = 5, 2000
KIBIBYTE = 1 << 10
LARGE, SMALL = 64 * KIBIBYTE, 4 * KIBIBYTE
# Property of blockIO, its key in io.max, a rate in bytes or operations a second, and what such blocks are.
THROTTLES = [
    ("throttleReadBpsDevice", "rbps", 1024 * KIBIBYTE, ("read", LARGE)),
    ("throttleWriteBpsDevice", "wbps", 512 * KIBIBYTE, ("write", LARGE)),
    ("throttleReadIOPSDevice", "riops", 40, ("read", SMALL)),
    ("throttleWriteIOPSDevice", "wiops", 20, ("write", SMALL)),
]


def using(disk: Disk, resources: Resources) -> Config:
    """Returns a configuration of a container that has the disk at /dev/disk."""
    numbers = {"type": "b", "major": disk.major, "minor": disk.minor}
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "access": "rw", **numbers}]
    config = limited({"devices": rules, **resources})
    config["linux"]["devices"] = [{"path": "/dev/disk", **numbers}]
    return config


def throttles(disk: Disk) -> Resources:
    numbers = {"major": disk.major, "minor": disk.minor}
    return {"blockIO": {name: [{**numbers, "rate": rate}] for name, _, rate, _ in THROTTLES}}


def rates(container: Managed, size: int) -> dict[str, float]:
    """Returns how many blocks of a size are read and written a second, of a window."""
    words = [f"load {kind}:{size}:{WINDOW_MILLISECONDS}:/dev/disk &" for kind in ("read", "write")]
    output = container.exec("sh", "-c", " ".join([*words, "wait"])).succeeded().output
    found = {}
    for line in output.splitlines():
        kind, blocks, microseconds = line.split()
        found[kind] = 1e6 * int(blocks) / int(microseconds)
    return found


def highest_rates(container: Managed, size: int, enough: dict[str, float]) -> dict[str, float]:
    """Returns the highest rates of windows; there are no more of them once these are enough."""
    highest = {"read": 0.0, "write": 0.0}
    for _ in range(WINDOWS):
        highest = {kind: max(rate, highest[kind]) for kind, rate in rates(container, size).items()}
        if all(highest[kind] >= enough[kind] for kind in enough):
            break
    return highest


def test_rates_of_a_disk(make_managed: MakeManaged, disk: Disk) -> None:
    container = make_managed(using(disk, throttles(disk))).started()
    limits = " ".join(f"{key}={rate}" for _, key, rate, _ in THROTTLES)
    assert container.value("io.max") == f"{disk.numbers} {limits}"
    for size in (LARGE, SMALL):
        wanted = {
            kind: rate / size if key.endswith("bps") else rate
            for _, key, rate, (kind, block) in THROTTLES
            if block == size
        }
        reached = highest_rates(container, size, {kind: (1 - TOLERANCE) * rate for kind, rate in wanted.items()})
        off = {kind: (reached[kind], rate) for kind, rate in wanted.items() if not is_near(reached[kind], rate)}
        assert not off, (size, off)


def is_near(rate: float, wanted: float) -> bool:
    return abs(rate - wanted) <= TOLERANCE * wanted


@pytest.mark.pyrun_only("runc 1.1.5 writes all lines at once")
def test_unified_line_by_line(make_managed: MakeManaged, disk: Disk) -> None:
    lines = f"{disk.numbers} rbps=1048576\n{disk.numbers} wiops=100\n"
    container = make_managed(limited({"unified": {"io.max": lines}})).created()
    assert container.value("io.max") == f"{disk.numbers} rbps=1048576 wbps=max riops=max wiops=100"
