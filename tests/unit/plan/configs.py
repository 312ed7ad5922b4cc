# SPDX-License-Identifier: Apache-2.0
"""Configs and requests for the tests of the planner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrun.plan import Request
from pyrun.plan.create import compile_config
from pyrun.plan.operations import OPERATIONS, Plan

if TYPE_CHECKING:
    from pyrun.plan.operations import Argument

BUNDLE = "/bundle"


def minimal_config(**changes: Any) -> dict[str, Any]:
    """Return the smallest config of a container with its own PID and mount namespaces, with ``changes``."""
    config: dict[str, Any] = {
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    }
    config.update(changes)
    return config


def compile_for_test(config: dict[str, Any], **changes: Any) -> Plan:
    """Compile for an imagined host."""
    return compile_config(config, request_for_test(**changes))


def request_for_test(**changes: Any) -> Request:
    """Return a request for an imagined host."""
    settings: dict[str, Any] = {"cgroup_mount": "/sys/fs/cgroup", "own_cgroup": "/user/session", **changes}
    return Request("box", BUNDLE, **settings)


def arguments_of(plan: Plan, name: str) -> list[dict[str, Argument]]:
    """Return the arguments of each operation of this name, by their labels."""
    return [
        dict(zip(OPERATIONS[operation][2], arguments, strict=True))
        for operation, _, arguments in plan.operations
        if operation == name
    ]


def names_of(plan: Plan) -> list[str]:
    """Return the operations' names, in order."""
    return [name for name, _, _ in plan.operations]
