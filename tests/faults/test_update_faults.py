# SPDX-License-Identifier: Apache-2.0
"""An update whose system calls fail, or that is killed: all is as it was, or it can be done again."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from pyrun_cgroups.bpf import attached_device_filters
from support import configs, strace
from support.runtime import Container, MakeContainer
from support.strace import SystemCall
from support.world import CGROUPS

pytestmark = pytest.mark.pyrun_only("the calls are pyrun's own")

DEPTH, DESCENDANTS = "cgroup.max.depth", "cgroup.max.descendants"
DENY_ALL = {"allow": False, "access": "rwm"}
BEFORE = {"unified": {DEPTH: "5", DESCENDANTS: "7"}, "devices": [DENY_ALL]}
AFTER = {"unified": {DEPTH: "6", DESCENDANTS: "8"}, "devices": [{"allow": True, "access": "r"}]}

# What an update changes something with, and what it prepares that with.
CALLS = {"bpf", "flock", "openat2", "pwrite64", "renameat", "write"}


@pytest.fixture
def container(make_container: MakeContainer) -> Container:
    """A created container with limits."""
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = "/limited"
    config["linux"]["resources"] = BEFORE
    return make_container(config).created()


@pytest.fixture
def words(container: Container, scratch: str) -> list[str]:
    """The command line of an update."""
    path = os.path.join(scratch, "resources.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(AFTER, file)
    return ["update", "--resources", path, container.id]


def everything(container: Container) -> tuple[Any, ...]:
    """What holds, and what is kept of it."""
    found = []
    for name in (DEPTH, DESCENDANTS):
        with open(f"{CGROUPS}/limited/{name}", encoding="ascii") as file:
            found.append(file.read().strip())
    with open(f"{container.runtime.root}/{container.id}/config.json", encoding="utf-8") as file:
        kept = json.load(file)["linux"]["resources"]
    return (*found, kept, attached_device_filters(f"{CGROUPS}/limited"))


@pytest.fixture
def undo(container: Container, scratch: str) -> list[str]:
    """The command line of the update that takes it back."""
    path = os.path.join(scratch, "before.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(BEFORE, file)
    return ["update", "--resources", path, container.id]


@pytest.fixture
def calls(container: Container, case: str, words: list[str], undo: list[str]) -> list[SystemCall]:
    """Those calls of the update that matter; it is undone then."""
    for _ in range(2):  # the first time modules may be compiled
        strace.traced(container.runtime, case).call(*words).succeeded()
        container.runtime.call(*undo).succeeded()
    (traced,) = strace.read_trace(case)
    found = [call for call in traced if call.name in CALLS and not call.failed()]
    assert {call.name for call in found} == CALLS
    return found


def test_nothing_changes_when_a_call_fails(
    container: Container, case: str, words: list[str], calls: list[SystemCall]
) -> None:
    before = everything(container)
    assert before[:2] == ("5", "7")
    for call in calls:
        injection = f"{call.name}:error=EIO:when={call.occurrence}"
        result = strace.traced(container.runtime, case, injection).call(*words)
        assert result.status == 1, call
        assert len(result.errors.splitlines()) == 1, result.errors
        assert everything(container) == before, call


def test_killed_update_can_be_done_again(
    container: Container, case: str, words: list[str], undo: list[str], calls: list[SystemCall]
) -> None:
    for call in [each for each in calls if each.name in ("pwrite64", "renameat")][-3:]:
        injection = f"{call.name}:signal=KILL:when={call.occurrence}"
        assert strace.traced(container.runtime, case, injection).call(*words).status != 0
        assert container.status == "created"
        container.runtime.call(*words).succeeded()
        assert everything(container)[:3] == ("6", "8", AFTER)
        container.runtime.call(*undo).succeeded()
