# SPDX-License-Identifier: Apache-2.0
"""Every attack must leave the host as it was; and what attacks aim at and are made with."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from pyrun.container.launch import PROGRAM
from security import attackers
from security.attackers import racing, tries
from support.bundle import Bundle
from support.runtime import Runtime
from support.snapshot import compare, tree
from support.world import World

SECRET = "host secret\n"

Race = Callable[..., Counter[str]]
# Of a race, at most.
TRIES, SECONDS = 60, 2.0


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


def _digests(paths: list[str]) -> dict[str, str]:
    found = {}
    for path in paths:
        with open(path, "rb") as file:
            found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


@pytest.fixture
def race(runtime: Runtime, racer: str) -> Race:
    """A function that runs a bundle many times while names in a directory change (see racer.c).

    It counts outputs; a run that failed counts as "failed", and must leave nothing.
    """

    def run_often(
        bundle: Bundle, way: str, directory: str, pairs: dict[str, str], seconds: float = SECONDS
    ) -> Counter[str]:
        bundle.may_change.add("rootfs")
        bundle.seal()
        outcome: Counter[str] = Counter()
        with racing(racer, way, directory, pairs):
            for _ in tries(TRIES, seconds):
                result = runtime.run("test", bundle)
                outcome[result.output if result.status == 0 else "failed"] += 1
                assert os.listdir(str(runtime.root)) == [], result.errors
        return outcome

    return run_often


@pytest.fixture
def programs_stay(runtime: Runtime) -> Iterator[None]:
    """Compares what root executes on the host when it calls the runtime, before and after the test."""
    programs = [runtime.path, os.path.realpath(sys.executable), PROGRAM]
    before = _digests(programs)
    yield
    assert _digests(programs) == before
