# SPDX-License-Identifier: Apache-2.0
"""The archive from which a machine boots: busybox, the modules that reach the host's files, scripts, settings."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Mapping

from vm.machine.kernel import Kernel

MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
DIRECTORIES = ("bin", "dev", "host", "machine", "modules", "proc", "root", "sys", "writable")


def initrd(kernel: Kernel, settings: Mapping[str, str]) -> bytes:
    """Returns the archive; its scripts find `settings` in /machine/settings, as assignments of the shell."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise RuntimeError("no busybox: apt-get install busybox-static")
    archive = Archive()
    for directory in DIRECTORIES:
        archive.add_directory(directory)
    archive.add_file("bin/busybox", _content(busybox), executable=True)
    for position, module in enumerate(kernel.needed_for(*MODULES)):
        archive.add_file(f"modules/{position:02}.ko", _content(module))
    archive.add_file("init", _content(os.path.join(SCRIPTS, "init")), executable=True)
    for script in ("start", "start-systemd", "machine.service", "run-tests"):
        archive.add_file(f"machine/{script}", _content(os.path.join(SCRIPTS, script)))
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    archive.add_file("machine/settings", "".join(lines).encode())
    return archive.finished()


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


class Archive:
    """A cpio archive in the kernel's format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._entries = 0

    def add_directory(self, path: str) -> None:
        """Adds a directory, after those above it."""
        self._add(path, stat.S_IFDIR | 0o755, b"")

    def add_file(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Adds a regular file, after the directory it is in."""
        self._add(path, stat.S_IFREG | (0o755 if executable else 0o644), content)

    def finished(self) -> bytes:
        """Returns the whole archive."""
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _add(self, path: str, mode: int, content: bytes) -> None:
        self._entries += 1
        name = path.encode() + b"\0"
        links, owner, device, checksum = 1, (0, 0), (0, 0), 0
        fields = (self._entries, mode, *owner, links, 0, len(content), *device, *device, len(name), checksum)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._parts += [_padded(header + name), _padded(content)]


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
