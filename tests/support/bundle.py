# SPDX-License-Identifier: Apache-2.0
"""Bundles: a directory with a small root filesystem of busybox and a config.json."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache

from support.configs import Config
from support.snapshot import Tree, compare, tree

DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var")
# Created in advance, so that a runtime has no reason to change the root filesystem.
MOUNT_POINTS = ("etc/resolv.conf", "etc/hostname", "etc/hosts")


@cache
def busybox() -> str:
    """Returns the path of a statically linked busybox; raises FileNotFoundError if there is none."""
    path = shutil.which("busybox")
    if path is None:
        raise FileNotFoundError("busybox is missing: apt-get install busybox-static")
    return path


@cache
def applets() -> tuple[str, ...]:
    """Returns the names of the programs that are in busybox."""
    listed = subprocess.run([busybox(), "--list"], check=True, capture_output=True, text=True)
    return tuple(name for name in listed.stdout.split() if name != "busybox")


def make_rootfs(path: str, template: str | None = None) -> None:
    """Makes a root filesystem with busybox at `path`; its binary is a hard link to `template`, if that is given."""
    for directory in DIRECTORIES:
        os.makedirs(os.path.join(path, directory))
    os.chmod(os.path.join(path, "tmp"), 0o1777)
    if template:
        os.link(template, os.path.join(path, "bin/busybox"))
    else:
        shutil.copy(busybox(), os.path.join(path, "bin/busybox"))
    for name in applets():
        os.symlink("busybox", os.path.join(path, "bin", name))
    for name in MOUNT_POINTS:
        open(os.path.join(path, name), "w", encoding="ascii").close()
    _write(path, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n")
    _write(path, "etc/group", "root:x:0:\nalice:x:1000:\ntty:x:5:\n")


def _write(rootfs: str, name: str, text: str) -> None:
    with open(os.path.join(rootfs, name), "w", encoding="utf-8") as file:
        file.write(text)


class Bundle:
    """One bundle directory.

    From the first use by a runtime on, the bundle must stay as it is: `changes` lists what became different.
    Paths in `may_change` (relative to the bundle), and what is below them, are left out.
    """

    def __init__(self, path: str, config: Config, template: str | None = None) -> None:
        self.path = path
        self.rootfs = os.path.join(path, "rootfs")
        self.config = config
        self.may_change: set[str] = set()
        self._sealed: Tree | None = None
        os.makedirs(path)
        make_rootfs(self.rootfs, template)

    def write(self, name: str, text: str = "", mode: int = 0o644) -> str:
        """Writes a file into the root filesystem; returns its path."""
        path = os.path.join(self.rootfs, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def seal(self) -> None:
        """Writes config.json, and takes down the bundle as it must stay, if that has not been done yet."""
        if self._sealed is not None:
            return
        if self.config is not None and not os.path.lexists(os.path.join(self.path, "config.json")):
            with open(os.path.join(self.path, "config.json"), "w", encoding="utf-8") as file:
                json.dump(self.config, file)
        self._sealed = tree(self.path, "")

    def changes(self) -> list[str]:
        """Returns a line for each file that is not as it was when the bundle was sealed."""
        if self._sealed is None:
            return []
        return compare(self.path, self._relevant(self._sealed), self._relevant(tree(self.path, "")))

    def _relevant(self, files: Tree) -> Tree:
        return {name: entry for name, entry in files.items() if not self._is_free(name)}

    def _is_free(self, name: str) -> bool:
        return any(name == free or name.startswith(free + "/") for free in self.may_change)
