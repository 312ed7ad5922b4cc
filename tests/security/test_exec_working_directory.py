# SPDX-License-Identifier: Apache-2.0
"""CVE-2024-21626 by exec: a working directory, or a program, that is reached through somebody's open descriptor.

Each attack is made with a caller that leaves a directory of the host open at every number that a path could name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from security.conftest import SECRET
from support import configs
from support.execs import members, process_file, wait_until_alone
from support.runtime import Container, MakeContainer

DESCRIPTORS = range(3, 65)
# Where the runtime's own are, and the last.
SOME = (*range(3, 13), 64)
CLIMB = "../" * 20

# Opens a directory at each of the numbers, and executes the rest of its arguments.
LEAKING = f"""
import os, sys
directory = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
for number in {list(DESCRIPTORS)}:
    os.dup2(directory, number)
    os.set_inheritable(number, True)
os.execv(sys.argv[2], sys.argv[2:])
"""

# Tries to read what only the host has, in the working directory and above it.
LOOK = ("sh", "-c", f"cat secret {CLIMB}canary/secret {CLIMB}etc/shadow 2>/dev/null; pwd")


@pytest.fixture
def container(make_container: MakeContainer, canary: str) -> Iterator[Container]:
    """A container with links, whose exec is called with the canary's directory open at all the numbers."""
    made = make_container(configs.default("/bin/sleep", "1000"))
    for number in DESCRIPTORS:
        os.symlink(f"/proc/self/fd/{number}", os.path.join(made.bundle.rootfs, f"link{number}"))
    made.started()
    made.runtime.wrapper = (sys.executable, "-I", "-S", "-c", LEAKING, canary)
    yield made
    made.runtime.wrapper = ()


def assert_refused(container: Container, path: str, scratch: str, by: str) -> None:
    """Asserts that a working directory is refused, and that nothing of the host is seen."""
    if by == "process file":
        result = container.exec(options=["--process", process_file(scratch, *LOOK, cwd=path)])
    else:
        result = container.exec(*LOOK, options=["--cwd", path])
    assert result.output == "", path
    result.failed(status=255)


@pytest.mark.parametrize("by", ["option", "process file"])
def test_descriptor(container: Container, scratch: str, by: str) -> None:
    for number in DESCRIPTORS:
        assert_refused(container, f"/proc/self/fd/{number}", scratch, by)
    wait_until_alone(container)


def test_link_to_a_descriptor(container: Container, scratch: str) -> None:
    """By an image whose owner knows which directory will be asked for."""
    for number in SOME:
        assert_refused(container, f"/link{number}", scratch, "option")


@pytest.mark.parametrize("further", ["/..", "/../../..", "/." + "/.." * 16 + "/etc", "/.", "/"])
def test_descriptor_and_further(container: Container, scratch: str, further: str) -> None:
    for number in SOME:
        assert_refused(container, f"/proc/self/fd/{number}{further}", scratch, "option")
        assert_refused(container, f"/link{number}{further}", scratch, "process file")


@pytest.mark.parametrize("what", ["fd", "root", "cwd", "task/1/root", "root/proc/1/cwd", "cwd/../.."])
def test_other_magic_links(container: Container, what: str) -> None:
    """Refused, or a directory of the container."""
    for who in ("1", "self", "thread-self"):
        result = container.exec(*LOOK, options=["--cwd", f"/proc/{who}/{what}"])
        assert result.status in (0, 255)
        assert SECRET not in result.output and "root:" not in result.output


def test_program(container: Container) -> None:
    """The program's path leads through the descriptor."""
    for number in SOME:
        for path in (f"/proc/self/fd/{number}{'/..' * 16}/bin/sh", f"/link{number}{'/..' * 16}/bin/sh"):
            result = container.exec(path, "-c", "echo ran")
            assert result.output == "", path
            result.failed(status=255)
    assert members(container) == {container.pid}


@pytest.mark.pyrun_only("runc 1.1.5 finds the container's program through a descriptor of its own")
def test_search_path(container: Container) -> None:
    """The program that PATH finds through the descriptor would be the host's."""
    for number in SOME:
        options = ["--env", f"PATH=/proc/self/fd/{number}{'/..' * 16}/bin"]
        container.exec("sh", "-c", "echo ran", options=options).failed(status=255)


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_link_into_a_process_of_the_host(make_container: MakeContainer, canary: str, user_namespace: bool) -> None:
    """With the host's PID namespace the image can name the root of a process of the host."""
    config = configs.without_namespace(configs.default("/bin/sleep", "1000"), "pid")
    if user_namespace:
        configs.with_user_namespace(config)
        configs.without_mounts(config, "/proc")
        config["mounts"].append({**configs.bind("/proc", "/proc"), "options": ["rbind"]})
        config["linux"]["maskedPaths"] = config["linux"]["readonlyPaths"] = []
    container = make_container(config)
    os.symlink(f"/proc/{os.getpid()}/root{canary}", os.path.join(container.bundle.rootfs, "link"))
    container.started()
    for path in (f"/proc/{os.getpid()}/root{canary}", f"/proc/{os.getpid()}/cwd", "/link"):
        result = container.exec(*LOOK, options=["--cwd", path])
        assert result.output == "", path
        result.failed(status=255)
