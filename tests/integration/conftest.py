# SPDX-License-Identifier: Apache-2.0
"""Every test here must leave the host as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support import attributes, configs
from support.attributes import Attributes
from support.configs import Config
from support.resctrl import Resctrl
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.world import World


@pytest.fixture(autouse=True)
def _leaves_nothing(host_unchanged: None) -> None:
    """Compares the host before and after each test."""


@pytest.fixture
def resctrl(host_unchanged: None) -> Iterator[Resctrl]:
    """An imitation of the resctrl file system, in the private host."""
    imitation = Resctrl()
    try:
        yield imitation
    finally:
        imitation.close()


@pytest.fixture
def sleeper(make_container: MakeContainer) -> Container:
    """A running container whose program sleeps."""
    return make_container(configs.default("/bin/sleep", "1000")).started()


@pytest.fixture(scope="session")
def attributes_program(world: World) -> str:
    """The program that says how it is scheduled."""
    with world.entered():
        return attributes.compile_program(world.directory)


@pytest.fixture
def observed(runtime: Runtime, make_bundle: MakeBundle, attributes_program: str) -> Callable[[Config], Attributes]:
    """A function that runs that program by a configuration, which must succeed; returns its attributes."""

    def observe(config: Config) -> Attributes:
        bundle = make_bundle(config)
        attributes.install(attributes_program, bundle)
        name = f"observed{len(runtime.containers)}"
        return attributes.parse(runtime.run(name, bundle).succeeded().output)

    return observe


@pytest.fixture
def sleeper_with_attributes(make_container: MakeContainer, attributes_program: str) -> Callable[[Config], Container]:
    """A function that starts a container whose program sleeps, and which has that program; returns it."""

    def start(config: Config) -> Container:
        config["process"]["args"] = ["/bin/sleep", "1000"]
        container = make_container(config)
        attributes.install(attributes_program, container.bundle)
        return container.started()

    return start
