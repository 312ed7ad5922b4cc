# SPDX-License-Identifier: Apache-2.0
"""Every attack must leave the host as it was; and what attacks aim at and are made with."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from security import attackers
from support.snapshot import compare, tree
from support.world import World

SECRET = "host secret\n"


@pytest.fixture(autouse=True)
def _leaves_nothing(host_unchanged: None) -> None:
    """Compares the host before and after each test."""


@pytest.fixture(scope="session")
def racer(world: World) -> str:
    """A program that changes names while a container is being created: see racer.c."""
    with world.entered():
        return attackers.compile_attacker("racer", world.directory)


@pytest.fixture(scope="session")
def intruder(world: World) -> str:
    """A program that tries everything on the processes in its PID namespace: see intruder.c."""
    with world.entered():
        return attackers.compile_attacker("intruder", world.directory)


@pytest.fixture
def canary(scratch: str) -> Iterator[str]:
    """A directory of the host with a file "secret" in it; it must stay as it is, owners and times included."""
    path = os.path.join(scratch, "canary")
    os.mkdir(path)
    secret = os.path.join(path, "secret")
    with open(secret, "w", encoding="ascii") as file:
        file.write(SECRET)
    os.chmod(secret, 0o600)
    before = tree(path)
    yield path
    assert compare("canary", before, tree(path)) == []
