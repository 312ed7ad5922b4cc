# SPDX-License-Identifier: Apache-2.0
"""Containers of an ordinary user below that user's own systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from support.bundle import Bundle
from support.managed import MEBIBYTE, lives
from support.runtime import Container, runtime_under_test
from support.users import USER, UsersRuntime, rootless_config
from support.waiting import wait_until
from support.world import CGROUPS, SHOWS_SYSTEMD

pytestmark = [
    pytest.mark.machine("systemd"),
    pytest.mark.skipif(not SHOWS_SYSTEMD, reason="runs in the virtual machine that systemd boots"),
]

SERVICE, SLICE = f"user@{USER.number}.service", f"user-{USER.number}.slice"
DELEGATED = f"{CGROUPS}/user.slice/user-{USER.number}.slice/{SERVICE}"
CGROUP = f"{DELEGATED}/user.slice/pyrun-own.scope"
# Where the machine and the private host both see it, as the user's systemd is in the former.
DIRECTORY = "/srv/pyrun-test"
IN_THE_MACHINE = ("nsenter", "--target", "1", "--mount", "--")


@pytest.fixture
def user_manager(case: str) -> Iterator[None]:
    """The user's account and systemd."""
    slices = [SLICE] if os.path.isdir(f"{CGROUPS}/user.slice") else [SLICE, "user.slice"]
    subprocess.run(["useradd", "--no-create-home", "--uid", str(USER.number), USER.name], check=True)
    os.mkdir(DIRECTORY)
    USER.owns(DIRECTORY)
    try:
        subprocess.run(["systemctl", "start", SERVICE], check=True)
        yield
    finally:
        shutil.rmtree(DIRECTORY)
        subprocess.run(["systemctl", "stop", SERVICE, *slices], check=True)
        subprocess.run(["userdel", "--force", USER.name], check=True, capture_output=True)


@pytest.fixture
def container(case: str, user_manager: None) -> Iterator[Container]:
    """A container of the user, not yet created, with limits of what is delegated to users."""
    runtime = UsersRuntime(runtime_under_test(), case, USER, before=IN_THE_MACHINE)
    bundle = Bundle(os.path.join(DIRECTORY, "bundle"), {})
    os.chmod(bundle.rootfs, 0o755)
    bundle.config = rootless_config(runtime, bundle, "/bin/sleep", "1000")
    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 * MEBIBYTE}, "pids": {"limit": 20}}
    made = runtime.container("own", bundle)
    yield made
    made.delete("--force").succeeded()


def value(name: str) -> str:
    with open(f"{CGROUP}/{name}", encoding="ascii") as file:
        return file.read().strip()


def test_life(container: Container) -> None:
    container.created(options=["--systemd-cgroup"])
    assert (value("memory.max"), value("pids.max")) == (str(64 * MEBIBYTE), "20")
    assert value("cgroup.procs") == str(container.pid)
    container.start().succeeded()
    # From outside of the user's part of the tree, where a user may not clone into it.
    inside = container.start_exec("sh", "-c", "echo inside; exec sleep 1000")
    inside.wait_for_output("inside")
    members = [int(pid) for pid in value("cgroup.procs").split()]
    assert len(members) == 2
    container.delete("--force").succeeded()
    inside.wait()
    wait_until(lambda: not os.path.lexists(CGROUP), "the scope is gone")
    assert not [pid for pid in members if lives(pid)]


def test_root_deletes_it(container: Container) -> None:
    container.created(options=["--systemd-cgroup"])
    pid = container.pid
    words = [*IN_THE_MACHINE, container.runtime.path, "--root", str(container.runtime.root), "delete", "--force", "own"]
    subprocess.run(words, check=True)
    assert not lives(pid)
    assert not os.path.lexists(CGROUP)
    container.runtime.call("state", "own").failed("does not exist")


def test_what_is_not_delegated(container: Container) -> None:
    container.bundle.config["linux"]["resources"] = {"cpu": {"cpus": "0"}}
    container.create(options=["--systemd-cgroup"]).failed("/linux/resources/cpu/cpus", "controller cpuset")
    wait_until(lambda: not os.path.lexists(CGROUP), "the scope is gone")


def test_user_without_a_systemd(container: Container) -> None:
    container.runtime.environment["XDG_RUNTIME_DIR"] = DIRECTORY
    container.create(options=["--systemd-cgroup"]).failed("can't be reached", "enable-linger")
