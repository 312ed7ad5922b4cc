# SPDX-License-Identifier: Apache-2.0
"""Tests that run in the machine for the tests of it; each does what its name says."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest


def test_passes() -> None:
    with open("/proc/sys/kernel/hostname", encoding="ascii") as file:
        assert file.read() == "machine\n"
    with open("/sys/fs/cgroup/cgroup.controllers", encoding="ascii") as file:
        assert {"cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"} <= set(file.read().split())


def test_fails() -> None:
    print("what it printed")
    words = "what it found"
    assert words == "what it expected"


def test_skips() -> None:
    pytest.skip("for a reason")


@pytest.fixture
def failing_in_the_end() -> Iterator[None]:
    """Fails after the test."""
    yield
    raise AssertionError("in the end")


@pytest.mark.usefixtures("failing_in_the_end")
def test_fails_in_the_end() -> None:
    pass


def test_panics() -> None:
    with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
        trigger.write("c")
    time.sleep(60)


def test_sleeps() -> None:
    time.sleep(600)


@pytest.mark.machine("unheard-of")
def test_unheard_of() -> None:
    pass
