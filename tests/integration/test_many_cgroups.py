# SPDX-License-Identifier: Apache-2.0
"""Containers that come and go at once, and a pyrun that is killed, in cgroups that share those above them."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import configs, strace
from support.bundle import Bundle
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.world import CGROUPS

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")

# Where each of those that work at once has its containers; the first is beside pyrun's own cgroup.
PATHS = ["", "/shared/a/0", "/shared/a/1", "/shared/b/2", "/shared/b/3", "/shared/4", "/shared/a/5/deep", "/other/6"]
# Two hundred in all; each round is a test of its own, which a slow machine gets done in time.
ROUNDS, TIMES = 5, 5


def sleeping_at(path: str) -> configs.Config:
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = path
    return config


def cgroups() -> set[str]:
    return {path for path, _, _ in os.walk(CGROUPS)}


def create_and_delete(runtime: Runtime, bundle: Bundle, number: int) -> list[str]:
    """Creates and deletes a container many times; returns what was said by those commands that failed."""
    said = []
    name = f"many{number}"
    null = subprocess.DEVNULL
    for words in [["create", "--bundle", bundle.path, name], ["delete", "--force", name]] * TIMES:
        with open(os.path.join(bundle.path, os.pardir, f"errors-of-{name}"), "w+", encoding="utf-8") as errors:
            command = runtime.command(*words)
            ended = subprocess.run(command, env=runtime.environment, stdin=null, stdout=null, stderr=errors)
            errors.seek(0)
            said += [errors.read()] if ended.returncode else []
    return said


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_two_hundred_in_parallel(runtime: Runtime, make_bundle: MakeBundle, turn: int) -> None:
    """The cgroups above are made and removed all the time: no create fails by that, and none is left."""
    before = cgroups()
    bundles = [make_bundle(sleeping_at(path)) for path in PATHS]
    for bundle in bundles:
        bundle.seal()
    with ThreadPoolExecutor(len(PATHS)) as pool:
        said = list(pool.map(lambda number: create_and_delete(runtime, bundles[number], number), range(len(PATHS))))
    assert said == [[]] * len(PATHS)
    assert cgroups() == before


@pytest.mark.parametrize("first_deleted", ["killed", "other"])
@pytest.mark.skipif(not strace.available(), reason="needs strace: apt-get install strace")
def test_killed_create_beside_another(
    case: str, runtime: Runtime, make_container: MakeContainer, first_deleted: str
) -> None:
    """The cgroups that it has made for both go with the last."""
    before = cgroups()
    killed = make_container(sleeping_at("/above/shared/killed"), "killed")
    killed.bundle.seal()
    # pyrun waits for the outer stage, which has made the cgroups.
    traced = strace.traced(runtime, case, "wait4:signal=SIGKILL")
    assert traced.call("create", "--bundle", killed.bundle.path, killed.id).status == -9
    other = make_container(sleeping_at("/above/shared/other"), "other").created()
    for container in (killed, other) if first_deleted == "killed" else (other, killed):
        container.delete("--force").succeeded()
    assert cgroups() == before
