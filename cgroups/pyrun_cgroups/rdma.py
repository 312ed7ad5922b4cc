# SPDX-License-Identifier: Apache-2.0
"""The rdma controller: ``linux.resources.rdma``.

File: Documentation/admin-guide/cgroup-v2.rst, "RDMA Interface Files".
"""

from __future__ import annotations

from pyrun_cgroups.writes import LimitError, Write, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEYS = {"hcaHandles": "hca_handle", "hcaObjects": "hca_object"}
_UNLIMITED = 0x7FFF_FFFF
"""The controller counts in a signed int, whose largest value is what it calls "max"."""


def writes(devices: dict[str, dict[str, Any]]) -> list[Write]:
    """Return what ``rdma`` asks for (runtime-spec config-linux.md, "RDMA"): numbers of handles and objects a device.

    Raises:
        LimitError: a name that no device can have, because it would be read as something else in ``rdma.max``.
    """
    found = []
    for device, limits in devices.items():
        pointer = f"/rdma/{escape(device)}"
        if not device or not device.isprintable() or " " in device:
            raise LimitError(pointer, "this is not the name of an RDMA device: see /sys/class/infiniband")
        asked = {key: limits[name] for name, key in _KEYS.items() if limits.get(name) is not None}
        if asked:
            line = " ".join([device, *(f"{key}={_number(value)}" for key, value in asked.items())])
            optional = all(value >= _UNLIMITED for value in asked.values())
            found.append(Write(pointer, "rdma.max", line, optional=optional))
    return found


def _number(value: int) -> str:
    return "max" if value >= _UNLIMITED else str(value)
