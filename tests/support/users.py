# SPDX-License-Identifier: Apache-2.0
"""A made ordinary user of the private host, and the runtime as this user runs it.

The user is really one: the runtime is executed by setpriv (util-linux) with the user's ids, without supplementary
groups or capabilities. The machine's accounts stay as they are: /etc of the private host is an overlay meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from support import kernel
from support.bundle import Bundle
from support.configs import Config
from support.runtime import Container, Runtime
from support.snapshot import SECCOMP_CACHE
from support.waiting import PATIENCE

FIRST_SUBORDINATE, SUBORDINATES = 200000, 65536
MAPPERS = ("newuidmap", "newgidmap")

# What the fixture make_users_container is.
MakeUsersContainer = Callable[..., Container]


@dataclass(frozen=True)
class User:
    """An ordinary user: a name, a number that is user and group id, and a directory for $XDG_RUNTIME_DIR."""

    name: str
    number: int

    @property
    def runtime_directory(self) -> str:
        """The directory that a login would make for the user."""
        return f"/run/user/{self.number}"

    @property
    def dropping(self) -> tuple[str, ...]:
        """A command that executes its arguments as the user."""
        return (
            "setpriv",
            f"--reuid={self.number}",
            f"--regid={self.number}",
            "--clear-groups",
            "--inh-caps=-all",
            "--",
        )

    def owns(self, *paths: str) -> None:
        """Gives files to the user."""
        for path in paths:
            os.chown(path, self.number, self.number, follow_symlinks=False)

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user and returns how it ended."""
        return subprocess.run(
            [*self.dropping, *command], capture_output=True, text=True, timeout=PATIENCE * 30, **options
        )


USER = User("pyrun-test", 2000)
OTHER = User("pyrun-other", 2001)


@contextlib.contextmanager
def made(directory: str, *users: User) -> Iterator[None]:
    """Makes users with subordinate ids, the same for all, and their runtime directories.

    `directory` is for the files that come over those of /etc.
    """
    for part in ("upper", "work"):
        os.makedirs(os.path.join(directory, part))
    layers = f"lowerdir=/etc,upperdir={directory}/upper,workdir={directory}/work"
    kernel.mount("overlay", "/etc", "overlay", data=layers)
    is_new = not os.path.exists("/run/user")
    try:
        for user in users:
            _append("/etc/passwd", f"{user.name}:x:{user.number}:{user.number}::/nonexistent:/bin/sh")
            _append("/etc/group", f"{user.name}:x:{user.number}:")
            grant(user, f"{FIRST_SUBORDINATE}:{SUBORDINATES}")
            os.makedirs(user.runtime_directory)
            os.chmod(user.runtime_directory, 0o700)
            user.owns(user.runtime_directory)
        yield
    finally:
        kernel.unmount("/etc")
        for user in users:
            shutil.rmtree(user.runtime_directory, ignore_errors=True)
        if is_new:
            os.rmdir("/run/user")


def grant(user: User, ranges: str, *files: str) -> None:
    """Adds subordinate ids, as FIRST:NUMBER, to the user's (subuid(5)), in the given files or in both."""
    for file in files or ("/etc/subuid", "/etc/subgid"):
        _append(file, f"{user.name}:{ranges}")


def revoke_subordinates(*files: str) -> None:
    """Takes all subordinate ids from all users, in the given files or in both."""
    for file in files or ("/etc/subuid", "/etc/subgid"):
        with open(file, "w", encoding="utf-8"):
            pass


def _append(path: str, line: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


class UsersRuntime(Runtime):
    """The runtime as an ordinary user runs it, with the state root that it chooses itself.

    `before` is a command that executes its arguments while it is still root.
    """

    def __init__(self, path: str, case: str, user: User, *, before: Sequence[str] = ()) -> None:
        super().__init__(path, case, wrapper=(*before, *user.dropping))
        self.user = user
        self.root = os.path.join(user.runtime_directory, self.name)
        self.environment |= {
            "HOME": user.runtime_directory,
            "TMPDIR": user.runtime_directory,
            "XDG_RUNTIME_DIR": user.runtime_directory,
        }

    def command(self, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """Returns the whole command line for a verb and its arguments, with global options before the verb."""
        return [*self.wrapper, self.path, *options, *arguments]

    def why_not(self) -> str | None:
        """Returns why the user can't run the runtime here, or None."""
        result = self.user.run(self.path, "--version", env=self.environment)
        return None if result.returncode == 0 else f"{self.user.name} can't execute {self.path}: {result.stderr}"

    def remains(self) -> list[str]:
        """Returns what is left in the state root."""
        if not os.path.isdir(str(self.root)):
            return []
        return [name for name in os.listdir(str(self.root)) if name != SECCOMP_CACHE.strip("/")]


def missing_mapper() -> str | None:
    """Returns why ranges of ids can't be mapped here, or None."""
    for name in MAPPERS:
        path = shutil.which(name)
        if path is None:
            return f"{name} is missing: apt-get install uidmap"
    return None


def rootless_config(runtime: UsersRuntime, bundle: Bundle, *arguments: str) -> Config:
    """Returns what the user's `spec --rootless` writes into the bundle, for another program and without terminal."""
    runtime.user.owns(bundle.path)
    runtime.call("spec", "--rootless", "--bundle", bundle.path).succeeded()
    path = os.path.join(bundle.path, "config.json")
    with open(path, encoding="utf-8") as file:
        config: Config = json.load(file)
    os.unlink(path)
    config["process"]["terminal"] = False
    config["process"]["args"] = list(arguments)
    return config


def map_range(config: Config, user: User) -> Config:
    """Maps the user to root and the subordinate ids to the ids after that; returns `config`."""
    mapping = [
        {"containerID": 0, "hostID": user.number, "size": 1},
        {"containerID": 1, "hostID": FIRST_SUBORDINATE, "size": SUBORDINATES},
    ]
    config["linux"]["uidMappings"] = [dict(entry) for entry in mapping]
    config["linux"]["gidMappings"] = [dict(entry) for entry in mapping]
    return config


def delegated_cgroup(parent: str, user: User) -> tuple[str, ...]:
    """Makes a cgroup at `parent` that belongs to the user, and a leaf in it.

    Returns a command that enters the leaf and executes its arguments (cgroups(7), "Delegation").
    """
    leaf = os.path.join(parent, "leaf")
    os.makedirs(leaf)
    for directory in (parent, leaf):
        user.owns(directory)
        for name in ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
            user.owns(os.path.join(directory, name))
    return ("sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', leaf)
