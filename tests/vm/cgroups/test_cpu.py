# SPDX-License-Identifier: Apache-2.0
"""cpu.max and cpu.weight: how much of the CPU's time a container gets that wants all of it.

Times are of the kernel under test: its monotonic clock against what it says the cgroup used. On an emulated machine
whose host is busy the kernel stands still at times. Periods that pass meanwhile do not come back, so that a window
shows too little; or the time counts as the container's, which then pays it back in the next periods. So several windows
are looked at, until one is as the limit says, and all of them together are not above it.
"""

from __future__ import annotations

import time

from support.managed import MakeManaged, Managed, limited
from support.waiting import wait_until

QUOTA, PERIOD = 25000, 100000
TOLERANCE = 0.1
WINDOWS, WINDOW_SECONDS = 8, 1.5


def used_share(container: Managed) -> float:
    """Returns the share of one CPU that the container has had during a window."""
    used, begin = container.count("cpu.stat", "usage_usec"), time.monotonic_ns()
    time.sleep(WINDOW_SECONDS)
    used = container.count("cpu.stat", "usage_usec") - used
    return 1000 * used / (time.monotonic_ns() - begin)


def is_limited(shares: list[float], limit: float) -> bool:
    mean = sum(shares) / len(shares)
    return abs(shares[-1] - limit) <= TOLERANCE * limit and mean <= (1 + TOLERANCE) * limit


def test_quota_throttles(make_managed: MakeManaged) -> None:
    container = make_managed(limited({"cpu": {"quota": QUOTA, "period": PERIOD}}, "load spin")).started()
    wait_until(lambda: container.count("cpu.stat", "nr_throttled") > 0, "the container is throttled")
    before = container.count("cpu.stat", "nr_throttled")
    shares = [used_share(container)]
    while not is_limited(shares, QUOTA / PERIOD) and len(shares) < WINDOWS:
        shares.append(used_share(container))
    assert is_limited(shares, QUOTA / PERIOD), shares
    assert container.count("cpu.stat", "nr_throttled") - before > 3


def test_weights_share_a_cpu(make_managed: MakeManaged) -> None:
    """Two containers on CPU 0, one with three times the weight of the other."""
    containers = [
        make_managed(limited({"cpu": {"cpus": "0"}, "unified": {"cpu.weight": weight}}, "load spin"), name).started()
        for name, weight in (("heavy", "300"), ("light", "100"))
    ]
    before = [container.count("cpu.stat", "usage_usec") for container in containers]
    time.sleep(2 * WINDOW_SECONDS)
    heavy, light = (
        container.count("cpu.stat", "usage_usec") - used for container, used in zip(containers, before, strict=True)
    )
    assert 2 < heavy / light < 4.5
