# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that make containers.

`host_unchanged` is what integration, security, fault and fuzz tests use throughout: each test acts in the private
copy of the host (see `support.world`), and fails when it leaves that copy other than it was.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import configs
from support.bundle import Bundle, busybox
from support.configs import Config
from support.notifying import MakeAgent
from support.runtime import Container, MakeBundle, MakeContainer, Run, Runtime, runtime_under_test
from support.seccomp_agent import CONTINUE, Agent, Answer, Notification
from support.snapshot import SCRATCH, clean_up, differences, take_snapshot, unmount_below
from support.users import OTHER, USER, MakeUsersContainer, UsersRuntime, made, rootless_config
from support.waiting import deadline_in
from support.world import World

pytest_plugins = ["vm.machine.plugin"]

_OUTCOME = pytest.StashKey[bool]()
SETTLING_SECONDS = 2.0


def pytest_configure(config: pytest.Config) -> None:
    """Declares the markers of these tests."""
    config.addinivalue_line(
        "markers", "pyrun_only(reason): what the test asks for is pyrun's own, so it does not run with PYRUN=runc"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what runc does otherwise when runc is the runtime under test."""
    if os.path.basename(os.environ.get("PYRUN", "pyrun")) == "pyrun":
        return
    for item in items:
        marker = item.get_closest_marker("pyrun_only")
        if marker is not None:
            item.add_marker(pytest.mark.skip(reason=f"of pyrun only: {marker.args[0]}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remembers whether the test itself passed, for the comparison after it."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call":
        item.stash[_OUTCOME] = report.passed


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The private copy of the host, made once."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make namespaces, mounts and cgroups")
    copy = World()
    try:
        yield copy
    finally:
        copy.close()


@pytest.fixture(scope="session")
def busybox_template(world: World) -> str:
    """A copy of busybox in the private host's directory, to be linked into bundles."""
    with world.entered():
        return shutil.copy(busybox(), os.path.join(world.directory, "busybox"))


@pytest.fixture
def case(request: pytest.FixtureRequest, world: World) -> Iterator[str]:
    """A directory in the private host for the test at hand, which acts in that host meanwhile.

    It holds an empty state root and the directory of `scratch`.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:40].strip("-")
    with world.entered():
        path = os.path.join(world.directory, name)
        os.mkdir(path)
        os.mkdir(os.path.join(path, "root"), 0o700)
        os.mkdir(os.path.join(path, SCRATCH))
        try:
            yield path
        finally:
            unmount_below(path)
            shutil.rmtree(path)


@pytest.fixture
def scratch(case: str) -> str:
    """The directory for bundles and whatever else the test makes; what is in it is not compared afterwards."""
    return os.path.join(case, SCRATCH)


@pytest.fixture
def host_unchanged(request: pytest.FixtureRequest, case: str) -> Iterator[None]:
    """Compares the private host before and after the test."""
    before = take_snapshot(case)
    yield
    deadline = deadline_in(SETTLING_SECONDS)
    after = take_snapshot(case)
    while differences(before, after) and time.monotonic() < deadline:
        time.sleep(0.02)
        after = take_snapshot(case)
    found = differences(before, after)
    if not found:
        return
    clean_up(before, after)
    if request.node.stash.get(_OUTCOME, True):
        pytest.fail("the host is not as it was before the test:\n" + "\n".join(found), pytrace=False)


@pytest.fixture
def make_bundle(scratch: str, busybox_template: str) -> Iterator[MakeBundle]:
    """A function that makes a bundle from a configuration; afterwards each must be as it was when first used."""
    bundles: list[Bundle] = []

    def make(config: Config | None = None) -> Bundle:
        path = os.path.join(scratch, f"bundle{len(bundles)}")
        bundles.append(Bundle(path, config or configs.default(), busybox_template))
        return bundles[-1]

    yield make
    changes = [line for bundle in bundles for line in bundle.changes()]
    assert not changes, "the bundle is not as it was before its use:\n" + "\n".join(changes)


@pytest.fixture
def runtime(case: str) -> Iterator[Runtime]:
    """The runtime under test with a state root of its own; its containers are deleted after the test."""
    under_test = Runtime(runtime_under_test(), case)
    yield under_test
    for container in under_test.containers:
        if container.exists():
            container.delete("--force").succeeded()


@pytest.fixture
def make_container(runtime: Runtime, make_bundle: MakeBundle) -> MakeContainer:
    """A function that makes a bundle from a configuration and returns a container of it, not yet created."""

    def make(config: Config | None = None, container_id: str | None = None) -> Container:
        name = container_id or f"test{len(runtime.containers)}"
        return runtime.container(name, make_bundle(config))

    return make


@pytest.fixture
def run(runtime: Runtime, make_bundle: MakeBundle) -> Run:
    """A function that runs a configuration in the foreground, which must succeed, and returns its output."""

    def run_config(config: Config, *options: str) -> str:
        return runtime.run("test", make_bundle(config), *options).succeeded().output

    return run_config


@pytest.fixture
def users_runtime(case: str, scratch: str) -> Iterator[UsersRuntime]:
    """The runtime under test as a made ordinary user runs it; afterwards the user's containers are deleted."""
    with made(os.path.join(scratch, "accounts"), USER, OTHER):
        under_test = UsersRuntime(runtime_under_test(), case, USER)
        reason = under_test.why_not()
        if reason:
            pytest.skip(reason)
        yield under_test
        for container in under_test.containers:
            if container.exists():
                container.delete("--force").succeeded()
        assert under_test.remains() == []


@pytest.fixture
def make_users_container(users_runtime: UsersRuntime, make_bundle: MakeBundle) -> MakeUsersContainer:
    """A function that makes a bundle with what `spec --rootless` writes for a program and its arguments.

    It returns a container of the bundle, not yet created, whose configuration can still be changed.
    """

    def make(*arguments: str) -> Container:
        bundle = make_bundle()
        bundle.config = rootless_config(users_runtime, bundle, *arguments)
        return users_runtime.container(f"test{len(users_runtime.containers)}", bundle)

    return make


@pytest.fixture
def make_agent(scratch: str) -> Iterator[MakeAgent]:
    """A function that starts a seccomp agent with `answer` and options as of `Agent`.

    It listens at `agent` in the scratch directory unless it gets another path.
    """
    agents: list[Agent] = []

    def make(answer: Callable[[Notification], Answer] = lambda _: CONTINUE, path: str = "", **options: Any) -> Agent:
        agents.append(Agent(path or os.path.join(scratch, "agent"), answer, **options))
        return agents[-1]

    yield make
    for agent in agents:
        agent.close()


@pytest.fixture
def agent(make_agent: MakeAgent) -> Agent:
    """A seccomp agent that lets every call go on."""
    return make_agent()
