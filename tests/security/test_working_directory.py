# SPDX-License-Identifier: Apache-2.0
"""CVE-2024-21626: a working directory that leads through an open descriptor, or a magic link, to the host."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

import pytest

from support import configs, process, strace
from support.configs import Config
from support.runtime import Container, MakeBundle, MakeContainer, Runtime, runtime_under_test
from support.waiting import wait_until

DESCRIPTORS = range(3, 21)
CHDIR = {"x86_64": 80, "aarch64": 49}

# Opens a directory at each of the numbers, and executes the rest of its arguments.
LEAKING = f"""
import os, sys
directory = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
for number in {list(DESCRIPTORS)}:
    os.dup2(directory, number)
    os.set_inheritable(number, True)
os.execv(sys.argv[2], sys.argv[2:])
"""


def in_directory(path: str) -> Config:
    """Returns a configuration whose program, in this directory, tries to read the host's canary and users."""
    climb = "../" * 20
    config = configs.shell(f"cat secret {climb}canary/secret {climb}etc/shadow 2>/dev/null; pwd")
    config["process"]["cwd"] = path
    return config


@pytest.fixture
def make_leaking(case: str, make_bundle: MakeBundle, canary: str) -> Iterator[MakeContainer]:
    """As `make_container`, of a runtime whose caller leaves the canary's directory open at all these numbers."""
    wrapper = (sys.executable, "-I", "-S", "-c", LEAKING, canary)
    runtime = Runtime(runtime_under_test(), case, wrapper=wrapper)

    def make(config: Config) -> Container:
        return runtime.container(f"leaking{len(runtime.containers)}", make_bundle(config))

    yield make
    for container in runtime.containers:
        if container.exists():
            container.delete("--force").succeeded()


def test_descriptor(make_leaking: MakeContainer) -> None:
    """CVE-2024-21626: create refuses it, at every number that the caller or the runtime may have open."""
    for number in DESCRIPTORS:
        container = make_leaking(in_directory(f"/proc/self/fd/{number}"))
        container.create().failed(f"/proc/self/fd/{number}")
        assert not container.exists()


@pytest.mark.parametrize("further", ["/..", "/../../..", "/." + "/.." * 16 + "/etc", "/."])
@pytest.mark.parametrize("way", ["cwd", "link", "above a link"])
def test_descriptor_and_further(make_leaking: MakeContainer, way: str, further: str) -> None:
    """CVE-2024-21626 by an image: its working directory is a link, or the path goes on behind the descriptor."""
    for number in (3, 7, 20):
        target = f"/proc/self/fd/{number}{further}"
        path = {"cwd": target, "link": "/link", "above a link": "/link/below"}[way]
        container = make_leaking(in_directory(path))
        os.symlink(target, os.path.join(container.bundle.rootfs, "link"))
        container.create().failed()
        assert not container.exists()


@pytest.mark.parametrize("target", ["/proc/1/root", "/proc/self/root", "/proc/self/cwd", "/proc/thread-self/root/.."])
@pytest.mark.pyrun_only("runc 1.1.5 takes them")
def test_other_magic_links(make_container: MakeContainer, target: str) -> None:
    """They lead to where the runtime is at that moment; refused too, although they lead into the container later."""
    make_container(in_directory(target)).create().failed("cwd")


@pytest.mark.pyrun_only("runc waits with other descriptors")
def test_nothing_of_the_caller_is_open_while_it_waits(make_leaking: MakeContainer) -> None:
    """CVE-2024-21626: neither a directory of the host nor anything that leads to one."""
    container = make_leaking(in_directory("/")).created()
    others = [target for number, target in process.descriptors(container.pid).items() if number > 2]
    assert [target for target in others if not target.startswith("socket:")] == []
    container.start().succeeded()
    container.wait_for_end()
    assert container.output == "/\n"


def targets() -> pytest.MarkDecorator:
    """Links of the host's procfs that lead out of any root."""
    return pytest.mark.parametrize("target", ["root", "cwd", "fd/{canary}", "root{path}"])


@contextlib.contextmanager
def exchanged(link: str, canary: str, target: str) -> Iterator[None]:
    """Lets the image's link lead to the host meanwhile, by a process of the host that the container can name."""
    directory = os.open(canary, os.O_RDONLY | os.O_DIRECTORY)
    os.unlink(link)
    os.symlink(f"/proc/{os.getpid()}/" + target.format(canary=directory, path=canary), link)
    try:
        yield
    finally:
        os.close(directory)


@pytest.fixture
def linked(make_container: MakeContainer) -> tuple[Container, str]:
    """A container in the host's PID namespace whose working directory is a link in its image; and the link."""
    container = make_container(configs.without_namespace(in_directory("/link"), "pid"))
    link = os.path.join(container.bundle.rootfs, "link")
    container.bundle.may_change.add("rootfs/link")
    os.symlink("/tmp", link)
    return container, link


@targets()
def test_directory_that_becomes_a_link_to_the_host_after_create(
    linked: tuple[Container, str], canary: str, target: str
) -> None:
    """The init is in its working directory by then."""
    container, link = linked
    container.created()
    with exchanged(link, canary, target):
        container.start().succeeded()
        container.wait_for_end()
    assert container.output == "/tmp\n"


@pytest.mark.skipif(not strace.available(), reason="strace is missing: apt-get install strace")
@pytest.mark.pyrun_only("the system call is pyrun's own")
@targets()
def test_directory_that_becomes_a_link_to_the_host_during_create(
    linked: tuple[Container, str], runtime: Runtime, case: str, canary: str, target: str
) -> None:
    """CVE-2024-21626: the check itself, which is that the kernel finds the directory below the container's root.

    What create has looked at is exchanged just before it is entered, as somebody who shares the image could.
    """
    container, link = linked
    container.bundle.seal()
    # The first chdir enters the new root.
    traced = strace.traced(runtime, case, strace.delay("chdir", "enter", 1) + ":when=2", follow=True)
    call = traced.start("create", "--bundle", container.bundle.path, container.id)
    record = os.path.join(str(runtime.root), container.id, "process")
    wait_until(lambda: os.path.exists(record), "the init has been made")
    with open(record, encoding="ascii") as file:
        pid = file.read().split()[0]
    wait_until(lambda: _rests_before_chdir(pid), "the directory is to be entered")
    with exchanged(link, canary, target):
        result = call.wait()
    assert result.status == 1
    assert "cwd" in result.errors and "outside" in result.errors


def _rests_before_chdir(pid: str) -> bool:
    """Tells whether a process stays before that system call for a while."""
    for _ in range(2):
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            if file.read().split()[0] != str(CHDIR[os.uname().machine]):
                return False
        time.sleep(0.05)
    return True


def test_program_by_a_descriptor(make_leaking: MakeContainer) -> None:
    """CVE-2024-21626 in its other form: the program's path leads through the descriptor.

    While create looks for it, that may be the runtime's own one of the container's root; at start there is none.
    """
    for number in DESCRIPTORS:
        path = f"/proc/self/fd/{number}" + "/.." * 16 + "/bin/sh"
        container = make_leaking(configs.default(path, "-c", "echo ran"))
        result = container.create()
        line = container.start().failed() if result.status == 0 else result.failed()
        assert "exec" in line
        assert container.output == ""
