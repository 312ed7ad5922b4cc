# SPDX-License-Identifier: Apache-2.0
"""File systems with files of several owners, each on a mount of the test."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from support.filesystems import SINCE, fill, image, load_modules, mounted, why_not
from support.idmapping import OWNERS
from support.world import World


@contextlib.contextmanager
def opened(kind: str, scratch: str, images: Callable[[str], str]) -> Iterator[str]:
    """Yields a mounted file system of the kind, with files."""
    copy = kind if kind == "tmpfs" else os.path.join(scratch, f"{kind}.image")
    if kind != "tmpfs":
        subprocess.run(["cp", "--sparse=always", images(kind), copy], check=True)
    with mounted(kind, os.path.join(scratch, kind), copy) as point:
        if kind == "tmpfs":
            fill(point, OWNERS)
        yield point


@pytest.fixture(scope="session", autouse=True)
def _modules() -> None:
    """Loads modules before anything is compared."""
    load_modules()


@pytest.fixture(params=list(SINCE))
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of file system that this machine has, and whose ids it can map."""
    reason = why_not(str(request.param))
    if reason:
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture(scope="session")
def images(world: World) -> Callable[[str], str]:
    """A function that returns the path of an image with files, made once for each kind of file system."""

    @cache
    def make(kind: str) -> str:
        return image(kind, world.directory, OWNERS)

    return make


@pytest.fixture
def files(kind: str, scratch: str, images: Callable[[str], str]) -> Iterator[str]:
    """A mounted file system of the kind, with files."""
    with opened(kind, scratch, images) as point:
        yield point


@pytest.fixture
def source(scratch: str, images: Callable[[str], str]) -> Iterator[str]:
    """A mounted file system of a kind that can be mapped, with files."""
    kind = "ext4" if why_not("tmpfs") else "tmpfs"
    reason = why_not(kind)
    if reason:
        pytest.skip(reason)
    with opened(kind, scratch, images) as point:
        yield point
