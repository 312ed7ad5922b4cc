# SPDX-License-Identifier: Apache-2.0
"""The attackers' programs, and what attacks have in common."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator

from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import Container, MakeContainer
from support.waiting import deadline_in

SOURCES = os.path.dirname(os.path.abspath(__file__))

# Container root's id outside of its user namespace, as `support.configs.with_user_namespace` maps it.
MAPPED_ROOT = 100000
# What an image may have where a device is expected: see `plant`.
PLANTED = ["link", "climbing link", "hard link", "socket", "fifo", "another device"]
CAPABILITY_SETS = ("bounding", "effective", "permitted")


def compile_attacker(name: str, directory: str, *kind: str) -> str:
    """Compiles NAME.c of this folder into `directory`; returns its path.

    Without options for another `kind` it is linked statically, so that it runs anywhere.
    """
    output = os.path.join(directory, name)
    source = os.path.join(SOURCES, f"{name}.c")
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", *(kind or ("-static",))]
    subprocess.run(["gcc", *flags, source, "-o", output], check=True)
    return output


@contextlib.contextmanager
def racing(racer: str, way: str, directory: str, pairs: dict[str, str]) -> Iterator[None]:
    """Runs the racer (see racer.c) on the names in `directory` meanwhile."""
    words = [word for pair in pairs.items() for word in pair]
    with subprocess.Popen([racer, way, directory, *words], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"racing\n"
            yield
            assert process.poll() is None, "the racer has ended"
        finally:
            process.kill()


def tries(most: int, seconds: float) -> Iterator[int]:
    """Counts up to `most`, and ends before that when `seconds` have passed."""
    deadline = deadline_in(seconds)
    for number in range(most):
        yield number
        if time.monotonic() > deadline:
            return


def give_to_mapped_root(bundle: Bundle) -> None:
    """Gives the directories of a root filesystem to the user that is root in its user namespace."""
    for directory, _, _ in os.walk(bundle.rootfs):
        os.chown(directory, MAPPED_ROOT, MAPPED_ROOT)


def with_capabilities(config: Config, *names: str) -> Config:
    """Gives the container's program these capabilities and no others; returns `config`."""
    config["process"]["capabilities"] = {kind: list(names) for kind in CAPABILITY_SETS}
    return config


def plant(path: str, kind: str, canary: str) -> None:
    """Puts something at `path` that leads to the canary, or is no device."""
    if os.path.lexists(path):
        os.unlink(path)
    if kind == "link":
        os.symlink(f"{canary}/secret", path)
    elif kind == "climbing link":
        os.symlink("../" * 20 + f"{canary}/secret".lstrip("/"), path)
    elif kind == "hard link":
        os.link(f"{canary}/secret", path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 11))


def plant_program(bundle: Bundle, kind: str, target: str) -> None:
    """Makes /entry in a root filesystem a link to `target`, a script for it, or a link to a link ("two links")."""
    if kind == "link":
        os.symlink(target, os.path.join(bundle.rootfs, "entry"))
    elif kind == "script":
        bundle.write("entry", f"#!{target}\n", 0o755)
    else:
        os.symlink(target, os.path.join(bundle.rootfs, "second"))
        os.symlink("/second", os.path.join(bundle.rootfs, "entry"))


def intruding(make_container: MakeContainer, intruder: str, canary: str, *capabilities: str) -> Container:
    """Starts a container with a PID namespace, in which the intruder tries every process (see intruder.c)."""
    config = with_capabilities(configs.default("/intruder", f"{canary}/secret"), *capabilities)
    config["mounts"].append(configs.bind(intruder, "/intruder"))
    container = make_container(config, "intruder")
    container.bundle.write("intruder")
    container.started().wait_for_output("scanning")
    return container
