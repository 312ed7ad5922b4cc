# SPDX-License-Identifier: Apache-2.0
"""Runtimes with one of the two managers of cgroups, and their containers, whose cgroups the tests look into.

The programs of those containers are words for load.c.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import Container, Runtime
from support.waiting import wait_until
from support.world import CGROUPS

MEBIBYTE = 1 << 20
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.c")
PROGRAM = "bin/load"
PREFIX = "test"

Resources = dict[str, Any]

# What the fixture of the same name is.
MakeManaged = Callable[..., "Managed"]


def compile_load(output: str) -> None:
    """Compiles load.c statically, so that it runs anywhere."""
    partial = f"{output}.{os.getpid()}"
    os.makedirs(os.path.dirname(output), exist_ok=True)
    words = ["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", SOURCE, "-o", partial]
    subprocess.run(words, check=True)
    os.rename(partial, output)


def cached_load() -> str:
    """Returns the place of the compiled program on this host, from where virtual machines take it."""
    with open(SOURCE, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "pyrun", f"load-{digest[:16]}")


def limited(resources: Resources, script: str = "") -> Config:
    """Returns the default configuration with these resources, whose program is a script, and sleeps after it."""
    config = configs.shell(f"{script}\nexec sleep 1000")
    config["linux"]["resources"] = resources
    return config


class Managed(Container):
    """A container whose cgroup is known by its name."""

    runtime: ManagedRuntime

    @property
    def cgroup(self) -> str:
        """Path of the container's cgroup."""
        if self.runtime.manager == "systemd":
            return f"{CGROUPS}/system.slice/{PREFIX}-{self.id}.scope"
        return f"{CGROUPS}/{self.id}"

    def value(self, name: str) -> str:
        """Returns what stands in a file of the cgroup."""
        with open(f"{self.cgroup}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def count(self, name: str, key: str) -> int:
        """Returns the number behind a key in a file of lines; raises KeyError if there is none."""
        return int(dict(line.split() for line in self.value(name).splitlines())[key])

    def members(self) -> list[int]:
        """Returns the ids of the processes in the cgroup, none if it is gone; the init is the first."""
        try:
            return sorted(map(int, self.value("cgroup.procs").split()))
        except FileNotFoundError:
            return []

    def wait_for_words(self, words: str) -> str:
        """Waits until the program has written `words`, and returns all that it has written."""
        wait_until(lambda: words in self.output, f"{words!r} is in the output: {self.output!r} {self.errors!r}", 30)
        return self.output

    def deleted(self) -> None:
        """Deletes the container with all that runs in it; neither its cgroup nor its processes may be left."""
        members = self.members()
        self.delete("--force").succeeded()
        assert not os.path.lexists(self.cgroup)
        assert not [pid for pid in members if lives(pid)]


class ManagedRuntime(Runtime):
    """A runtime with a manager of cgroups: "cgroupfs" or "systemd"."""

    def __init__(self, path: str, case: str, manager: str) -> None:
        super().__init__(path, case)
        self.manager = manager

    def command(self, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """As `Runtime.command`, with the option for the manager."""
        chosen = ("--systemd-cgroup",) if self.manager == "systemd" else ()
        return super().command(*arguments, options=[*chosen, *options])

    def cgroups_path(self, container_id: str) -> str:
        """Returns linux.cgroupsPath for the cgroup that `Managed.cgroup` names."""
        return f"system.slice:{PREFIX}:{container_id}" if self.manager == "systemd" else f"/{container_id}"

    def container(self, container_id: str, bundle: Bundle) -> Managed:
        """As `Runtime.container`, with a cgroup that is known by its name."""
        bundle.config["linux"]["cgroupsPath"] = self.cgroups_path(container_id)
        made = Managed(self, container_id, bundle)
        self.containers.append(made)
        return made


def lives(pid: int) -> bool:
    """Tells whether there is a process that has not ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
