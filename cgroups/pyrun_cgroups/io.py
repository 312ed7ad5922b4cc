# SPDX-License-Identifier: Apache-2.0
"""The io controller: ``linux.resources.blockIO``.

Files: Documentation/admin-guide/cgroup-v2.rst, "IO Interface Files". A weight is obeyed by the scheduler BFQ
(``io.bfq.weight``, Documentation/block/bfq-iosched.rst) or by the cost model (``io.weight``), each with a file that
is there when the kernel has it.
"""

from __future__ import annotations

from pyrun_cgroups.writes import LimitError, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SMALLEST_WEIGHT, _LARGEST_WEIGHT = 10, 1000

THROTTLES = {
    "throttleReadBpsDevice": "rbps",
    "throttleWriteBpsDevice": "wbps",
    "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}
"""Property, and its key in ``io.max``."""


def writes(block_io: dict[str, Any]) -> list[Write]:
    """Return what ``blockIO`` asks for (runtime-spec config-linux.md, "Block IO").

    Weights are 10 to 1000, or 0 for unset; rates are bytes or operations a second, and 0 lifts the limit.

    Raises:
        LimitError: a weight out of range; or a ``leafWeight``, which is about processes beside child cgroups:
            version 2 has no such.
    """
    return [*_weights(block_io), *_throttles(block_io)]


def weight_of(weight: int) -> int:
    """Return the ``io.weight``, 1 to 10000, on a straight line for BFQ's weight, 10 to 1000."""
    return 1 + (weight - _SMALLEST_WEIGHT) * 9999 // 990


def _weights(block_io: dict[str, Any]) -> Iterator[Write]:
    yield from _weight(block_io, "/blockIO", "")
    for index, device in enumerate(block_io.get("weightDevice") or ()):
        yield from _weight(device, f"/blockIO/weightDevice/{index}", f"{device['major']}:{device['minor']} ")


def _weight(holder: dict[str, Any], pointer: str, prefix: str) -> Iterator[Write]:
    if holder.get("leafWeight"):
        raise LimitError(f"{pointer}/leafWeight", "cgroup v2 has no leaf weights: remove it, and use weight")
    weight = holder.get("weight")
    if not weight:
        return
    if not _SMALLEST_WEIGHT <= weight <= _LARGEST_WEIGHT:
        raise LimitError(f"{pointer}/weight", f"{weight} is not between {_SMALLEST_WEIGHT} and {_LARGEST_WEIGHT}")
    instead = ("io.weight", f"{prefix}{weight_of(weight)}")
    yield Write(f"{pointer}/weight", "io.bfq.weight", f"{prefix}{weight}", instead=instead)


def _throttles(block_io: dict[str, Any]) -> Iterator[Write]:
    for name, key in THROTTLES.items():
        for index, device in enumerate(block_io.get(name) or ()):
            rate = device.get("rate") or "max"
            line = f"{device['major']}:{device['minor']} {key}={rate}"
            yield Write(f"/blockIO/{name}/{index}/rate", "io.max", line, optional=rate == "max")
