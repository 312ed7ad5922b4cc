# SPDX-License-Identifier: Apache-2.0
"""``linux.resources.network``: the controllers net_cls and net_prio, which cgroup v2 does not have."""

from __future__ import annotations

from pyrun_cgroups.writes import LimitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check(network: dict[str, Any]) -> None:
    """Raise LimitError where ``network`` asks for something; a class or a priority of 0 is what all traffic has.

    What can't be converted to version 2 has to be an error (runtime-spec config-linux.md, "Unified").
    """
    if network.get("classID"):
        raise LimitError(
            "/network/classID",
            "cgroup v2 has no network classes: remove it (nftables matches cgroups: socket cgroupv2)",
        )
    for index, interface in enumerate(network.get("priorities") or ()):
        if interface.get("priority"):
            raise LimitError(
                f"/network/priorities/{index}/priority",
                "cgroup v2 has no network priorities: remove it (nftables can set them: meta priority)",
            )
