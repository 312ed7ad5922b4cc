# SPDX-License-Identifier: Apache-2.0
"""Which properties of ``linux.resources`` ask for a limit.

Engines write many values that ask for nothing: 0, -1, empty lists. Those hold without any controller. Each
other value is a limit, and dropping one silently would run a container with more than it was given.

What counts as nothing follows runc's cgroup v2 code (libcontainer/cgroups/fs2), where version 2 has no file
for a property (``memory.kernel``, ``kernelTCP``, ``swappiness``, ``useHierarchy``) it is ignored as there.
Device rules are no limits: see `devices`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_UNLIMITED = 0x7FFF_FFFF_FFFF_F000
"""From this many bytes on the kernel itself makes "max" of a size (PAGE_COUNTER_MAX of 4 KiB pages)."""


def _zero_or_minus_one(value: Any) -> bool:
    return value in (0, -1)


def _no_size(value: Any) -> bool:
    return value in (0, -1) or value >= _UNLIMITED


def _unlimited(value: Any) -> bool:
    return bool(value >= _UNLIMITED)


def _not_positive(value: Any) -> bool:
    return bool(value <= 0)


def _falsy(value: Any) -> bool:
    return not value


_SCALARS = (
    ("memory", "limit", _no_size, "a memory limit"),
    ("memory", "reservation", _no_size, "a memory reservation"),
    ("memory", "swap", _no_size, "a swap limit"),
    ("memory", "disableOOMKiller", _falsy, "switching the OOM killer off"),
    ("cpu", "shares", _falsy, "a CPU weight"),
    ("cpu", "quota", _not_positive, "a CPU quota"),
    ("cpu", "burst", _falsy, "a CPU burst"),
    ("cpu", "idle", _falsy, "idle scheduling"),
    ("cpu", "realtimeRuntime", _zero_or_minus_one, "a realtime CPU budget"),
    ("cpu", "cpus", _falsy, "a choice of CPUs"),
    ("cpu", "mems", _falsy, "a choice of memory nodes"),
    ("pids", "limit", _zero_or_minus_one, "a limit of processes"),
    ("blockIO", "weight", _falsy, "an I/O weight"),
    ("blockIO", "leafWeight", _falsy, "an I/O leaf weight"),
    ("network", "classID", _falsy, "a network class"),
)
"""Group, property, what asks for nothing, and words. A period without a quota or budget limits nothing."""

_LISTS = (
    ("blockIO", "weightDevice", ("weight", "leafWeight"), "an I/O weight of a device"),
    ("blockIO", "throttleReadBpsDevice", ("rate",), "a read rate"),
    ("blockIO", "throttleWriteBpsDevice", ("rate",), "a write rate"),
    ("blockIO", "throttleReadIOPSDevice", ("rate",), "a limit of reads"),
    ("blockIO", "throttleWriteIOPSDevice", ("rate",), "a limit of writes"),
    ("network", "priorities", ("priority",), "a network priority"),
)
"""Group, property, and in each item the numbers that ask for nothing when they are 0."""


def unsupported_limits(resources: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the limits that are asked for, none of which is applied yet.

    Args:
        resources: ``linux.resources``, valid as the schema has it.

    Returns:
        For each limit the JSON pointer below ``resources`` and a message for a person, in the order of the
        tables above; an empty list when nothing is limited.
    """
    return [(pointer, f"{words} is not supported yet: remove it") for pointer, words in _real_limits(resources)]


def _real_limits(resources: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for group, name, is_nothing, words in _SCALARS:
        value = (resources.get(group) or {}).get(name)
        if value is not None and not is_nothing(value):
            yield f"/{group}/{name}", words
    for group, name, numbers, words in _LISTS:
        for index, item in enumerate((resources.get(group) or {}).get(name) or ()):
            for number in numbers:
                if item.get(number):
                    yield f"/{group}/{name}/{index}/{number}", words
    for index, item in enumerate(resources.get("hugepageLimits") or ()):
        if not _unlimited(item["limit"]):
            yield f"/hugepageLimits/{index}/limit", "a limit of huge pages"
    for device, item in (resources.get("rdma") or {}).items():
        for number in ("hcaHandles", "hcaObjects"):
            if item.get(number) is not None:
                yield f"/rdma/{_escape(device)}/{number}", "an RDMA limit"
    for name, value in (resources.get("unified") or {}).items():
        if not _is_unlimited_file(name, value):
            yield f"/unified/{_escape(name)}", "a value for a cgroup file"


def _is_unlimited_file(name: str, value: str) -> bool:
    """Return whether a value lifts the limit of a file, which is how a new cgroup starts.

    ``max`` in ``memory.low`` or ``memory.min`` is the opposite: it protects everything.
    """
    return name.endswith((".max", ".high")) and value.split()[:1] == ["max"]


def _escape(token: str) -> str:
    """Return a reference token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")
