# SPDX-License-Identifier: Apache-2.0
"""Something else stands where a terminal's names are: in the image, on a volume, or put there by the container."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from security.attackers import PLANTED, plant, racing, tries
from security.conftest import SECRET
from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.execs import reap_orphans, wait_until_alone
from support.process import mountinfo
from support.runtime import Call, Container, MakeBundle, MakeContainer, Runtime
from support.snapshot import compare, tree
from support.terminal import Master, Receiver, with_terminal
from support.waiting import wait_until

TERMINAL_MAJOR = 136
CASES: list[Any] = [(name, kind) for name in ("console", "ptmx", "tty") for kind in (*PLANTED, "directory")]
CASES.remove(("console", "hard link"))
CASES.append(
    pytest.param("console", "hard link", marks=pytest.mark.pyrun_only("runc 1.1.5 changes the mode of that file"))
)
DEV = pytest.param("dev", marks=pytest.mark.pyrun_only("runc 1.1.5 makes and removes files there (CVE-2026-41579)"))


def with_dev_of_the_image(*without: str) -> Config:
    """Returns a configuration with a terminal in which /dev is the image's own directory, with devpts below it."""
    config = with_terminal(configs.default("/bin/sleep", "1000"))
    config["root"]["readonly"] = False
    return configs.without_mounts(config, "/dev", "/dev/shm", "/dev/mqueue", *without)


def taken(receiver: Receiver, call: Call, status: int) -> Master | None:
    """Waits for the end of a verb; returns the terminal if it succeeded, and fails unless it otherwise says why not."""
    result = call.wait()
    if result.status != 0:
        result.failed(status=status)
        return None
    return receiver.receive()


def create(container: Container, path: str) -> Master | None:
    """Creates a container; returns its terminal, or None if it was refused, which must leave nothing."""
    container.bundle.may_change.add("rootfs")
    container.bundle.seal()
    with Receiver(path) as receiver:
        words = ["--console-socket", path, "--bundle", container.bundle.path, container.id]
        master = taken(receiver, container.runtime.start("create", *words), 1)
    if master is None:
        assert os.listdir(str(container.runtime.root)) == []
    return master


def check_terminal(container: Container) -> None:
    """Fails unless the container's standard streams and console are a terminal of its own devpts."""
    terminal = os.stat(f"/proc/{container.pid}/fd/0")
    assert os.major(terminal.st_rdev) == TERMINAL_MAJOR and stat.S_ISCHR(terminal.st_mode)
    assert terminal.st_dev != os.stat("/dev/pts").st_dev, "it is a terminal of the host"
    device = f"{os.major(terminal.st_dev)}:{os.minor(terminal.st_dev)}"
    (console,) = (fields for fields in mountinfo(container.pid) if fields[2] == device and fields[3] != "/")
    assert console[3] == f"/{os.minor(terminal.st_rdev)}"
    assert os.path.basename(console[4]).startswith("console")  # other names are of the races


@pytest.mark.parametrize("name, kind", CASES)
def test_names_in_the_image(make_container: MakeContainer, canary: str, scratch: str, name: str, kind: str) -> None:
    """CVE-2025-52565 of runc, CVE-2026-88264 and CVE-2026-88265 of crun: /dev/console leads to a file of the host."""
    container = make_container(with_dev_of_the_image())
    path = os.path.join(container.bundle.rootfs, "dev", name)
    if kind == "directory":
        os.mkdir(path)
    else:
        plant(path, kind, canary)
    master = create(container, os.path.join(scratch, "console"))
    if master is not None:
        check_terminal(container)
        master.close()
    if name == "console" and "link" in kind and kind != "hard link":
        assert master is None, "a link was followed"


@pytest.mark.parametrize("kind", [*PLANTED, "link to a directory", "fake"])
def test_no_devpts_but_what_the_image_has(make_container: MakeContainer, canary: str, scratch: str, kind: str) -> None:
    """Without a devpts of its own, the container gets no terminal, whatever the image calls one."""
    container = make_container(with_dev_of_the_image("/dev/pts"))
    pts = os.path.join(container.bundle.rootfs, "dev/pts")
    if kind == "link to a directory":
        os.symlink(canary, pts)
    elif kind == "fake":
        os.mkdir(pts)
        os.mknod(os.path.join(pts, "ptmx"), stat.S_IFCHR | 0o666, os.makedev(5, 2))
        os.mknod(os.path.join(pts, "0"), stat.S_IFCHR | 0o666, os.makedev(TERMINAL_MAJOR, 0))
    else:
        os.mkdir(pts)
        for name in ("ptmx", "0"):
            plant(os.path.join(pts, name), kind, canary)
    assert create(container, os.path.join(scratch, "console")) is None


@pytest.mark.parametrize("name", [DEV, "dev/pts"])
@pytest.mark.parametrize("target", ["canary", "climbing"])
def test_directory_that_is_a_link(
    make_container: MakeContainer, canary: str, scratch: str, name: str, target: str
) -> None:
    """All names below it lead out of the root, if they are followed there; in the root they do not."""
    container = make_container(with_dev_of_the_image())
    path = os.path.join(container.bundle.rootfs, name)
    if name == "dev":
        os.rmdir(path)
    os.symlink(canary if target == "canary" else "../" * 20 + canary.lstrip("/"), path)
    master = create(container, os.path.join(scratch, "console"))
    if master is not None:
        check_terminal(container)
        master.close()


CHANGES = {
    "link": "ln -s /vol/file /dev/ptmx",
    "link to a terminal": "ln -s /proc/self/fd/0 /dev/ptmx",
    "file": "echo >/dev/ptmx",
    "fifo": "mkfifo /dev/ptmx",
    "another device": "mknod /dev/ptmx c 1 3",
    "nothing": "true",
    "a terminal": "mknod /dev/ptmx c 5 0",
}


@pytest.fixture
def host_file(scratch: str) -> Iterator[str]:
    """A file of the host in a directory that is a volume; neither is to be changed."""
    volume = os.path.join(scratch, "volume")
    os.mkdir(volume)
    path = os.path.join(volume, "file")
    with open(path, "w", encoding="ascii") as file:
        file.write(SECRET)
    before = tree(volume)
    yield path
    assert compare("volume", before, tree(volume)) == []


def intruder(make_container: MakeContainer, script: str, host_file: str) -> Container:
    """Starts a container with the volume of `host_file` at /vol, which carries out a script."""
    config = configs.shell(f"{script}; echo ready; exec sleep 1000")
    config["mounts"].append(configs.bind(os.path.dirname(host_file), "/vol"))
    for capabilities in config["process"]["capabilities"].values():
        capabilities.append("CAP_MKNOD")
    container = make_container(config)
    os.mkdir(os.path.join(container.bundle.rootfs, "vol"))
    container.started().wait_for_output("ready")
    return container


@pytest.mark.parametrize("kind", sorted(CHANGES))
def test_exec_into_a_container_that_has_replaced_its_multiplexer(
    make_container: MakeContainer, scratch: str, host_file: str, kind: str
) -> None:
    """A host's file on a volume is not used in its place, and exec fails in one line, in time."""
    container = intruder(make_container, f"rm /dev/ptmx; {CHANGES[kind]}", host_file)
    with Receiver(os.path.join(scratch, "console")) as receiver:
        words = ["--detach", "--tty", "--console-socket", receiver.path]
        assert taken(receiver, container.start_exec("sleep", "1000", options=words), 255) is None
    wait_until_alone(container)


def test_exec_with_a_console_that_leads_elsewhere(make_container: MakeContainer, scratch: str, host_file: str) -> None:
    """A further process leaves /dev/console alone."""
    container = intruder(make_container, "ln -s /vol/file /dev/console", host_file)
    with Receiver(os.path.join(scratch, "console")) as receiver:
        words = ["--detach", "--tty", "--console-socket", receiver.path]
        master = taken(receiver, container.start_exec("sh", "-c", "tty", options=words), 255)
        assert master is not None
        with master:
            master.expect("/dev/pts/0")
            master.read_to_end()
    wait_until_alone(container)
    reap_orphans()


@pytest.mark.pyrun_only("runc 1.1.5 leaves something of a create that failed")
@pytest.mark.parametrize("names", [["console"], ["ptmx"], ["pts"], ["console", "ptmx", "pts"]])
def test_race(
    runtime: Runtime, make_bundle: MakeBundle, racer: str, canary: str, scratch: str, names: list[str]
) -> None:
    """CVE-2025-52565: what a name stands for changes between the look at it and its use."""
    bundle: Bundle = make_bundle(with_dev_of_the_image())
    dev = os.path.join(bundle.rootfs, "dev")
    os.mkdir(os.path.join(dev, "pts"))
    os.mkdir(os.path.join(dev, "pts-other"))
    open(os.path.join(dev, "console"), "w", encoding="ascii").close()
    os.symlink("pts/ptmx", os.path.join(dev, "ptmx"))
    for name in ("console-other", "ptmx-other", "pts-other/ptmx", "pts-other/0"):
        os.symlink(f"{canary}/secret", os.path.join(dev, name))
    bundle.seal()
    outcome: Counter[str] = Counter()
    with racing(racer, "exchange", dev, {name: f"{name}-other" for name in names}):
        for number in tries(40, 1.0):
            container = Container(runtime, f"race{number}", bundle)
            master = create(container, os.path.join(scratch, "console"))
            outcome["refused" if master is None else "created"] += 1
            if master is not None:
                check_terminal(container)
                master.close()
                container.delete("--force").succeeded()
                wait_until(lambda: not os.listdir(str(runtime.root)), "it is deleted")
    assert outcome, "nothing was tried"
