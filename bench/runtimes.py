# SPDX-License-Identifier: Apache-2.0
"""The runtimes that are compared, and the bundles they run."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

from measure import BenchError


@dataclass
class Runtime:
    """One OCI runtime.

    Attributes:
        name: what the tables call it.
        path: absolute path of the command.
        version: what it is, in a few words.
        state: its ``--root``, used by nobody else.
    """

    name: str
    path: str
    version: str
    state: str
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def command(self, verb: str, *arguments: str) -> list[str]:
        return [self.path, "--root", self.state, verb, *arguments]

    def new_id(self) -> str:
        return f"bench-{os.getpid()}-{self.name}-{next(self._numbers)}"

    def remove(self, container_id: str) -> None:
        """Delete a container and what else a failed measurement may have left of it."""
        subprocess.run(self.command("delete", "--force", container_id), capture_output=True, check=False)
        with contextlib.suppress(OSError):
            os.rmdir(f"/sys/fs/cgroup/{container_id}")


def told_version(path: str) -> str:
    """The first line of what the command at ``path`` says of its version."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return said.split("\n", 1)[0].strip()


@dataclass(frozen=True)
class Bundles:
    """Two bundles with one root filesystem and one config, but for what they run.

    Attributes:
        short: runs /bin/true.
        long: runs until it is killed.
    """

    short: str
    long: str


def make_bundles(directory: str, rootfs: str, config: dict[str, Any]) -> Bundles:
    """Make ``directory`` with the bundles of ``config`` in it; ``rootfs`` is an absolute path."""
    return Bundles(
        short=_bundle(os.path.join(directory, "short"), rootfs, config, ["/bin/true"]),
        long=_bundle(os.path.join(directory, "long"), rootfs, config, ["/bin/sleep", "1000"]),
    )


def default_config(runtime: Runtime, directory: str) -> dict[str, Any]:
    """What the runtime's ``spec`` writes into ``directory``.

    Raises:
        BenchError: it failed.
    """
    made = subprocess.run([runtime.path, "spec"], cwd=directory, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise BenchError(f"{runtime.path} spec: {made.stderr.strip()}")
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        config: dict[str, Any] = json.load(file)
    return config


def without_device_rules(config: dict[str, Any]) -> dict[str, Any]:
    """The config for a runtime that must raise a limit to load a device filter and may not."""
    linux = {name: value for name, value in config["linux"].items() if name != "resources"}
    return config | {"linux": linux}


def _bundle(directory: str, rootfs: str, config: dict[str, Any], arguments: list[str]) -> str:
    os.makedirs(directory)
    process = config["process"] | {"args": arguments, "terminal": False}
    root = config["root"] | {"path": rootfs}
    # Older runtimes refuse a newer version, though nothing in the config needs it.
    config = config | {"ociVersion": "1.0.0", "process": process, "root": root}
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    return directory
