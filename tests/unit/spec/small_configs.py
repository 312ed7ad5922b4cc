# SPDX-License-Identifier: Apache-2.0
"""Small configurations for the tests of the rules, and what the rules say about them."""

from __future__ import annotations

from pyrun_spec.check import check_config
from pyrun_spec.rules import check_rules
from unit.spec.config_samples import Config, minimal_config

Findings = list[tuple[str, str]]


def broken(config: Config) -> Findings:
    """Returns what the rules report for a configuration of the right shape."""
    assert check_config(config)
    findings: Findings = []
    check_rules(config, lambda pointer, message: findings.append((pointer, message)))
    return findings


def process(**properties: object) -> Config:
    """Returns a configuration with a process."""
    return minimal_config() | {"process": {"cwd": "/", "args": ["sh"], **properties}}


def linux(*namespaces: str | dict[str, str], **properties: object) -> Config:
    """Returns a configuration with namespaces, by type or in full, and other properties of `linux`."""
    listed = [{"type": kind} if isinstance(kind, str) else kind for kind in namespaces]
    return minimal_config() | {"linux": {"namespaces": listed, **properties}}


def mount(**properties: object) -> Config:
    """Returns a configuration with a mount and no namespaces."""
    return minimal_config() | {"mounts": [{"destination": "/data", **properties}]}


def mapping(container: int, host: int, size: int) -> dict[str, int]:
    """Returns a range of mapped IDs."""
    return {"containerID": container, "hostID": host, "size": size}


def needs(kind: str) -> str:
    """Returns the message for a namespace that is missing."""
    return f'needs a namespace of type "{kind}" (add {{"type": "{kind}"}} to /linux/namespaces)'
