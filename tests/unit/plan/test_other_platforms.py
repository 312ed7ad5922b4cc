# SPDX-License-Identifier: Apache-2.0
"""What the specification has for virtual machines and other systems: never looked at, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrun_spec.load import checked_config

from .configs import BUNDLE, compile_for_test, minimal_config

# As the specification's examples have them, and as nobody means them.
CONTENTS: dict[str, Any] = {
    "/vm": {
        "hypervisor": {"path": "/path/to/vmm", "parameters": ["opts1=foo"]},
        "kernel": {"path": "/path/to/vmlinuz", "parameters": ["foo=bar"], "initrd": "/path/to/initrd.img"},
        "image": {"path": "/path/to/image", "format": "raw"},
        "hwConfig": {"vcpus": 1, "memory": 4096, "irqs": [39], "iomems": [{"firstGFN": 1, "nrMFNs": 2}]},
    },
    "/windows": {"layerFolders": ["C:\\layer"], "hyperv": {}, "resources": {"memory": {"limit": 2097152}}},
    "/solaris": {"milestone": "svc:/milestone/container:default", "cappedCPU": {"ncpus": "8"}},
    "/zos": {"namespaces": [{"type": "pid"}, {"type": "pid"}, {"type": "none", "path": "relative"}]},
    "/freebsd": {"jail": {"parent": "x", "ip4": "new"}, "devices": [{"path": "null"}]},
    "/process/commandLine": "cmd /c echo",
    "/process/user/username": "containeradministrator",
}
ODD: list[Any] = [0, -1.5e300, "", "\0", [], [[None]], {}, {"": {"/": [{}]}}, True, None, "x" * 100_000]


def with_member(pointer: str, value: Any) -> dict[str, Any]:
    config = minimal_config()
    *steps, last = pointer.split("/")[1:]
    parent: Any = config
    for step in steps:
        parent = parent[step]
    parent[last] = value
    return config


@pytest.mark.parametrize("pointer", CONTENTS)
def test_nothing_is_looked_at(pointer: str) -> None:
    expected = compile_for_test(minimal_config()).operations
    for value in [CONTENTS[pointer], *ODD]:
        config = checked_config(json.dumps(with_member(pointer, value)).encode(), BUNDLE)
        assert compile_for_test(config).operations == expected


def test_what_is_known_is_looked_at() -> None:
    """The comparison above can tell a difference."""
    changed = compile_for_test(with_member("/process/user/umask", 0)).operations
    assert changed != compile_for_test(minimal_config()).operations
