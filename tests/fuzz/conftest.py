# SPDX-License-Identifier: Apache-2.0
"""The builds with sanitizers, made once; and every test here must leave the host as it was."""

from __future__ import annotations

import pytest

from fuzz import builds
from support.world import World


@pytest.fixture(autouse=True)
def _leaves_nothing(host_unchanged: None) -> None:
    """Compares the host before and after each test."""


@pytest.fixture(scope="session")
def reporting_init(world: World) -> str:
    """pyrun-init that reports memory errors and undefined behaviour on standard error."""
    with world.entered():
        return builds.reporting_init(world.directory)


@pytest.fixture(scope="session")
def trapping_init(world: World) -> str:
    """A static pyrun-init that undefined behaviour kills."""
    with world.entered():
        return builds.trapping_init(world.directory)
