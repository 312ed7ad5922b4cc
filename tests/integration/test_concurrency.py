# SPDX-License-Identifier: Apache-2.0
"""Several commands at once on one container or on many, and many repeats."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from support import configs, strace
from support.runtime import Call, MakeBundle, MakeContainer, Runtime
from support.waiting import repeats, wait_for_exit, wait_until


def finish(calls: list[Call]) -> list[str]:
    """Waits for all calls, and returns "" for each that succeeded and the line of error of each other."""
    results = [call.wait(60) for call in calls]
    return ["" if result.status == 0 else result.failed() for result in results]


def test_one_of_many_creates_of_the_same_id_wins(runtime: Runtime, make_bundle: MakeBundle) -> None:
    container = runtime.container("test", make_bundle())
    container.bundle.seal()
    outcome = finish([runtime.start("create", "-b", container.bundle.path, "test") for _ in range(20)])
    assert outcome.count("") == 1
    assert all("already exists" in line for line in outcome if line)
    assert container.status == "created"
    container.delete("--force").succeeded()


def test_many_containers_run_at_once(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.shell("hostname; exit 3"))
    bundle.seal()
    calls = [runtime.start("run", "-b", bundle.path, f"test{number}") for number in range(50)]
    results = [call.wait(60) for call in calls]
    assert Counter((result.status, result.output, result.errors) for result in results) == {(3, "container\n", ""): 50}


@pytest.mark.pyrun_only("with runc 1.1.5 the second start may wait for ever")
def test_two_starts_at_once(make_container: MakeContainer) -> None:
    for _ in range(5):
        container = make_container(configs.default("/bin/sleep", "1000")).created()
        outcome = finish([container.runtime.start("start", container.id) for _ in range(4)])
        assert outcome.count("") == 1, outcome
        assert container.status == "running"
        container.delete("--force").succeeded()


@pytest.mark.pyrun_only("runc 1.1.5 sometimes leaves a cgroup behind")
def test_forced_delete_during_create(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Whichever comes first, nothing is left when the delete that came last is done."""
    bundle = make_bundle()
    container = runtime.container("test", bundle)
    bundle.seal()
    for _ in range(repeats(15)):
        create = runtime.start("create", "-b", bundle.path, "test")
        deletes = [runtime.start("delete", "--force", "test") for _ in range(3)]
        assert finish(deletes) == [""] * 3
        create.wait(60)
        container.delete("--force").succeeded()
        assert os.listdir(str(runtime.root)) == []


@pytest.mark.pyrun_only("runc 1.1.5 keeps no state before the container is created")
@pytest.mark.skipif(not strace.available(), reason="needs strace: apt-get install strace")
def test_state_of_a_container_that_is_being_created(case: str, make_container: MakeContainer) -> None:
    container = make_container()
    container.bundle.seal()
    slow = strace.traced(container.runtime, case, strace.delay("memfd_create", "enter", 0.5))
    call = slow.start("create", "--bundle", container.bundle.path, container.id)
    wait_until(container.exists, "the state directory is there")
    wait_until(lambda: container.status == "creating", "the status is creating")
    assert container.state()["pid"] == 0
    container.delete().failed("creating")
    # Other verbs wait until the one that creates is done.
    container.start().succeeded()
    assert call.wait().status == 0
    container.wait_for_end()
    assert container.status == "stopped"


def test_many_deletes_at_once(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    outcome = finish([container.runtime.start("delete", "--force", container.id) for _ in range(8)])
    assert outcome == [""] * 8


def test_state_and_list_while_others_come_and_go(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    bundle.seal()
    runs = [runtime.start("run", "-b", bundle.path, f"test{number}") for number in range(20)]
    lists = [runtime.start("list", "-f", ("table", "json")[number % 2]) for number in range(20)]
    states = [runtime.start("state", f"test{number}") for number in range(20)]
    assert finish(runs) == [""] * 20
    assert finish(lists) == [""] * 20
    assert all(line == "" or "container does not exist" in line for line in finish(states))


@pytest.mark.pyrun_only("it is pyrun that must leave nothing behind")
def test_hundred_repeats_leave_nothing(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Whatever one run left that a comparison of a single test overlooks would add up here."""
    bundle = make_bundle(configs.shell("exit 7"))
    for number in range(repeats(50)):
        assert runtime.run("test", bundle).status == 7, number
    container = runtime.container("test", bundle)
    for _ in range(repeats(25)):
        container.created()
        pid = container.pid
        container.start().succeeded()
        wait_for_exit(pid)
        container.delete().succeeded()
    for _ in range(repeats(25)):
        container.created()
        container.delete("--force").succeeded()
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        assert "test-hundred" not in "".join(line for line in table if " - tmpfs " not in line)
