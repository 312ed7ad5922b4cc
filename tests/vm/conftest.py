# SPDX-License-Identifier: Apache-2.0
"""The virtual machine: its kernel modules, a disk; and every test leaves it as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.world import SHOWS_SYSTEMD, cgroup2_mount
from vm.machine.plugin import kind_of

CONTROLLERS = {"cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"}
MODULES = ("loop", "bfq", "dummy", "rdma_rxe")
DISK_BYTES = 16 << 20


def missing_controllers() -> set[str]:
    """Returns the controllers that cgroups below the root do not have here."""
    try:
        with open(os.path.join(cgroup2_mount(), "cgroup.subtree_control"), encoding="ascii") as file:
            return CONTROLLERS - set(file.read().split())
    except RuntimeError:
        return CONTROLLERS


def missing(kind: str) -> str:
    """Returns what tests for this kind of machine do not have here, "" when they have everything."""
    if kind in ("systemd", "processors") and not SHOWS_SYSTEMD:
        return "systemd"
    if kind == "processors" and len(os.sched_getaffinity(0)) < 2:
        return "a second processor"
    with open("/proc/filesystems", encoding="ascii") as file:
        if kind == "selinux" and "selinuxfs" not in file.read():
            return "SELinux"
    controllers = ", ".join(sorted(missing_controllers()))
    return f"cgroup v2 with {controllers}" if controllers else ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips where something is missing; in the machine nothing may be."""
    lack = missing(kind_of(item))
    if lack:
        end = pytest.fail if item.config.getoption("machine_port") else pytest.skip
        end(f"needs {lack}: make test-vm runs this in a virtual machine")


@pytest.fixture(scope="session", autouse=True)
def _virtual_machine() -> None:
    """Loads modules before anything is compared."""
    for module in MODULES:
        subprocess.run(["modprobe", module], check=False, capture_output=True)


@pytest.fixture(autouse=True)
def _leaves_nothing(_virtual_machine: None, host_unchanged: None) -> None:
    """Compares the machine before and after each test."""


@dataclass(frozen=True)
class Disk:
    """A block device of its own, on a loop device; `numbers` are as "7:0"."""

    path: str
    major: int
    minor: int

    @property
    def numbers(self) -> str:
        return f"{self.major}:{self.minor}"

    def schedule(self, scheduler: str) -> None:
        """Chooses an I/O scheduler."""
        with open(f"/sys/dev/block/{self.numbers}/queue/scheduler", "w", encoding="ascii") as file:
            file.write(scheduler)


@pytest.fixture
def disk(scratch: str) -> Iterator[Disk]:
    """A disk of 16 MiB without a scheduler."""
    image = os.path.join(scratch, "image")
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    attached = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if attached.returncode:
        pytest.skip(f"needs a loop device: {attached.stderr}")
    path = attached.stdout.strip()
    try:
        number = os.stat(path).st_rdev
        made = Disk(path, os.major(number), os.minor(number))
        made.schedule("none")
        yield made
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)
        # A device that the cost model has weighed once remembers that until it is made anew.
        for words in (["--remove", "loop"], ["loop"]):
            subprocess.run(["modprobe", *words], check=True)
