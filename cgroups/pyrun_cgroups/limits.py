# SPDX-License-Identifier: Apache-2.0
"""``linux.resources`` as a list of writes to the files of a cgroup; device rules are no limits: see `devices`.

A controller's module is loaded when its group asks for something. Engines write many values that ask for nothing: 0,
-1, empty lists and objects. What is unset, and what lifts a limit, follows runc's code for cgroup v2.
"""

from __future__ import annotations

from pyrun_cgroups.writes import LimitError, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OF_CPUSET = ("cpus", "mems")
_LIFTED_BY_ZERO = ("burst", "idle")
"""Properties of ``cpu`` for which 0 is a value; for the others it means that they are not set."""


def writes_of(resources: dict[str, Any]) -> tuple[list[Write], list[LimitError]]:
    """Return what is to be written, in this order, before the first process is in the cgroup; and what can't be.

    Args:
        resources: ``linux.resources``, valid as the schema has it.

    Returns:
        The writes, those of ``unified`` last, which may replace others; and the first error of each controller.
    """
    found: list[Write] = []
    errors: list[LimitError] = []
    for group in (_pids, _memory, _io, _cpu, _cpuset, _hugetlb, _rdma, _network, _unified):
        try:
            found += group(resources)
        except LimitError as error:
            errors.append(error)
    return found, errors


def _pids(resources: dict[str, Any]) -> list[Write]:
    pids = resources.get("pids")
    if not pids:
        return []
    from pyrun_cgroups.pids import writes

    return writes(pids)


def _memory(resources: dict[str, Any]) -> list[Write]:
    memory = resources.get("memory")
    if not memory or not any(memory.values()):
        return []
    from pyrun_cgroups.memory import writes

    return writes(memory)


def _io(resources: dict[str, Any]) -> list[Write]:
    block_io = resources.get("blockIO")
    if not block_io or not any(block_io.values()):
        return []
    from pyrun_cgroups.io import writes

    return writes(block_io)


def _cpu(resources: dict[str, Any]) -> list[Write]:
    cpu = resources.get("cpu")
    if not cpu or not any(value or name in _LIFTED_BY_ZERO for name, value in cpu.items() if name not in _OF_CPUSET):
        return []
    from pyrun_cgroups.cpu import writes

    return writes(cpu)


def _cpuset(resources: dict[str, Any]) -> list[Write]:
    cpu = resources.get("cpu")
    if not cpu or not any(map(cpu.get, _OF_CPUSET)):
        return []
    from pyrun_cgroups.cpuset import writes

    return writes(cpu)


def _hugetlb(resources: dict[str, Any]) -> list[Write]:
    limits = resources.get("hugepageLimits")
    if not limits:
        return []
    from pyrun_cgroups.hugetlb import writes

    return writes(limits)


def _rdma(resources: dict[str, Any]) -> list[Write]:
    devices = resources.get("rdma")
    if not devices:
        return []
    from pyrun_cgroups.rdma import writes

    return writes(devices)


def _network(resources: dict[str, Any]) -> list[Write]:
    network = resources.get("network")
    if network:
        from pyrun_cgroups.network import check

        check(network)
    return []


def _unified(resources: dict[str, Any]) -> list[Write]:
    files = resources.get("unified")
    if not files:
        return []
    from pyrun_cgroups.unified import writes

    return writes(files)
