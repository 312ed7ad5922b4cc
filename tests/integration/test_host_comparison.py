# SPDX-License-Identifier: Apache-2.0
"""The comparison of the host before and after each test must be able to fail: here something is left on purpose."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from support import configs, kernel
from support.runtime import MakeContainer
from support.snapshot import differences, take_snapshot
from support.world import CGROUPS

Leak = Callable[[str], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def a_mount(case: str) -> Iterator[None]:
    kernel.mount("tmpfs", "/var/tmp", "tmpfs")
    try:
        yield
    finally:
        kernel.unmount("/var/tmp")


@contextlib.contextmanager
def a_cgroup(case: str) -> Iterator[None]:
    os.mkdir(f"{CGROUPS}/left")
    try:
        yield
    finally:
        os.rmdir(f"{CGROUPS}/left")


@contextlib.contextmanager
def a_child(case: str) -> Iterator[None]:
    with subprocess.Popen(["sleep", "1000"]) as child:
        try:
            yield
        finally:
            child.kill()


@contextlib.contextmanager
def an_orphan(case: str) -> Iterator[None]:
    """A process whose parent has ended, as a daemon's."""
    text = subprocess.run(
        ["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True, check=True
    ).stdout
    try:
        yield
    finally:
        os.kill(int(text), 9)
        os.waitpid(int(text), 0)


def a_file(directory: str) -> Leak:
    @contextlib.contextmanager
    def leak(case: str) -> Iterator[None]:
        path = os.path.join(directory or case, "left")
        open(path, "w", encoding="ascii").close()
        try:
            yield
        finally:
            os.unlink(path)

    return leak


@contextlib.contextmanager
def mode_of_a_device(case: str) -> Iterator[None]:
    os.mknod("/dev/shm/null", 0o020600, os.makedev(1, 3))
    os.chmod("/dev/shm/null", 0o600)
    kernel.mount("/dev/shm/null", "/dev/null", flags=kernel.MS_BIND)
    try:
        yield
    finally:
        kernel.unmount("/dev/null")
        os.unlink("/dev/shm/null")


@contextlib.contextmanager
def a_host_name(case: str) -> Iterator[None]:
    with open("/proc/sys/kernel/hostname", encoding="ascii") as file:
        name = file.read()
    with open("/proc/sys/kernel/hostname", "w", encoding="ascii") as file:
        file.write("changed")
    try:
        yield
    finally:
        with open("/proc/sys/kernel/hostname", "w", encoding="ascii") as file:
            file.write(name)


@contextlib.contextmanager
def a_sysctl(case: str) -> Iterator[None]:
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
        file.write("1")
    try:
        yield
    finally:
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("0")


@contextlib.contextmanager
def a_link(case: str) -> Iterator[None]:
    subprocess.run(["ip", "tuntap", "add", "dev", "left0", "mode", "tap"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "tuntap", "del", "dev", "left0", "mode", "tap"], check=True)


@contextlib.contextmanager
def a_descriptor(case: str) -> Iterator[None]:
    descriptor = os.open("/etc/passwd", os.O_RDONLY)
    try:
        yield
    finally:
        os.close(descriptor)


LEAKS: dict[str, tuple[str, Leak]] = {
    "mount": ("mounts", a_mount),
    "cgroup": ("cgroups", a_cgroup),
    "child": ("processes", a_child),
    "orphan": ("processes", an_orphan),
    "file beside the bundle": ("files", a_file("")),
    "file in /run": ("files", a_file("/run")),
    "file in /tmp": ("files", a_file("/tmp")),
    "file in /dev/shm": ("files", a_file("/dev/shm")),
    "device": ("files", mode_of_a_device),
    "hostname": ("sysctls", a_host_name),
    "sysctl": ("sysctls", a_sysctl),
    "link": ("links", a_link),
    "descriptor": ("descriptors", a_descriptor),
}


@pytest.mark.parametrize("name", LEAKS)
def test_leak_is_noticed(case: str, name: str) -> None:
    category, leak = LEAKS[name]
    before = take_snapshot(case)
    assert differences(before, take_snapshot(case)) == []
    with leak(case):
        during = take_snapshot(case)
        assert differences(before, during, category)
        assert differences(during, before, category)
    assert differences(before, take_snapshot(case)) == []


def test_change_of_propagation_is_noticed(case: str, scratch: str) -> None:
    kernel.mount("tmpfs", scratch, "tmpfs")
    try:
        before = take_snapshot(case)
        kernel.mount("", scratch, flags=kernel.MS_PRIVATE)
        assert differences(before, take_snapshot(case), "mounts")
    finally:
        kernel.unmount(scratch)


def test_change_of_a_bundle_is_noticed(make_container: MakeContainer) -> None:
    bundle = make_container().bundle
    bundle.seal()
    assert bundle.changes() == []
    path = os.path.join(bundle.rootfs, "etc/group")
    os.chmod(path, 0o600)
    assert len(bundle.changes()) == 1
    os.chmod(path, 0o644)
    made = bundle.write("etc/new")
    assert len(bundle.changes()) == 1
    os.unlink(made)
    assert bundle.changes() == []


LEAKY_TEST = """
import os
import pytest
pytestmark = pytest.mark.usefixtures("host_unchanged")

def test_mount_is_left(case):
    from support import kernel
    kernel.mount("tmpfs", "/var/tmp", "tmpfs")

def test_process_and_cgroup_are_left(case):
    os.mkdir("/sys/fs/cgroup/left")
    os.system("(echo $$ >/sys/fs/cgroup/left/cgroup.procs; sleep 1000 >/dev/null 2>&1 &)")

def test_nothing_is_left(case):
    assert not os.path.exists("/sys/fs/cgroup/left")
"""


def test_fixture_fails_the_leaky_test_and_spares_the_next(scratch: str) -> None:
    path = os.path.join(scratch, "test_leaky.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(LEAKY_TEST)
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", "-c", "/dev/null"]
    environment = {**os.environ, "PYTHONPATH": tests, "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [*command, "--rootdir", scratch, path], cwd=scratch, env=environment, capture_output=True, text=True
    )
    assert "3 passed, 2 errors" in result.stdout, result.stdout + result.stderr
    assert "mounts: left behind" in result.stdout
    assert "cgroups: left behind: /sys/fs/cgroup/left" in result.stdout
    assert "processes: left behind" in result.stdout


def test_containers_of_a_runtime_show_in_every_category_that_they_touch(
    case: str, make_container: MakeContainer
) -> None:
    before = take_snapshot(case)
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    found = {line.split(":")[0] for line in differences(before, take_snapshot(case))}
    assert found == {"cgroups", "processes", "files"}
    container.delete("--force").succeeded()
