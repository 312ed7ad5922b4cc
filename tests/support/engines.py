# SPDX-License-Identifier: Apache-2.0
"""Containers as Docker, Podman and ctr ask their runtime for them: by the configurations captured in tests/data."""

from __future__ import annotations

from typing import Any

from support import configs
from support.runtime import Container, MakeContainer, Result

SYSTEMD_PATHS = {"docker": "system.slice:docker:{}", "podman": "machine.slice:libpod:{}"}
"""By engine, what it writes as `linux.cgroupsPath` for a container's id where systemd manages cgroups."""


def container_of(engine: str, make_container: MakeContainer, **resources: Any) -> Container:
    """Returns a container as an engine wants it, with some groups of resources replaced if they are given."""
    container = make_container()
    bundle = container.bundle
    bundle.config = configs.captured_unchanged(engine, bundle.path, container.id)
    bundle.config["linux"]["resources"].update(resources)
    bundle.write("run/.containerenv")
    return container


def run(container: Container) -> Result:
    """Runs the container in the foreground."""
    return container.runtime.run(container.id, container.bundle)
