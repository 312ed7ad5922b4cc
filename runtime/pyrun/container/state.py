# SPDX-License-Identifier: Apache-2.0
"""state: what the OCI specification says of a container's state, with runc's additions."""

from __future__ import annotations

import time

from pyrun.state import STOPPED, StateDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def container_state(root: str, container_id: str) -> dict[str, Any]:
    """Return the state of a container: ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner.

    The owner is left empty, as runc does; list fills it in.

    Raises:
        PyrunError: there is no such container.
    """
    directory = StateDirectory(root, container_id)
    try:
        known = directory.read_state() or {}
        process = directory.read_process()
        status = directory.status(process, known.get("cgroup"))
        return {
            "ociVersion": known.get("ociVersion", ""),
            "id": container_id,
            "pid": process.pid if process and status != STOPPED else 0,
            "status": status,
            "bundle": known.get("bundle", ""),
            "rootfs": known.get("rootfs", ""),
            "created": _timestamp(process.created if process else "0."),
            "annotations": known.get("annotations", {}),
            "owner": "",
        }
    finally:
        directory.close()


def _timestamp(created: str) -> str:
    """RFC 3339 in UTC, with the decimals that are not zero, as Go writes it."""
    seconds, _, decimals = created.partition(".")
    decimals = decimals.rstrip("0")
    fraction = f".{decimals}" if decimals else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(seconds))) + fraction + "Z"
