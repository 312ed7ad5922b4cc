# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel package, unpacked into a cache and never installed."""

from __future__ import annotations

import fcntl
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

PACKAGE = "linux-image-amd64"
_APT = ("-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "APT::Sandbox::User=root")
_XZ = b"\xfd7zXZ\x00"


@dataclass(frozen=True)
class Kernel:
    """`image` is what QEMU boots, `modules` a directory as /usr/lib/modules, with the modules of `release`."""

    release: str
    image: str
    modules: str

    def needed_for(self, *modules: str) -> list[str]:
        """Returns the files of these modules and of those they depend on, in the order in which they can be loaded."""
        root = self.modules.removesuffix("/lib/modules")
        files: dict[str, None] = {}
        for module in modules:
            command = ["modprobe", "--dirname", root, "--set-version", self.release, "--show-depends", module]
            lines = _output(command, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin").splitlines()
            files.update((line.split()[1], None) for line in lines if line.startswith("insmod "))
        return list(files)


def cached_kernel() -> Kernel:
    """Returns the kernel in `$XDG_CACHE_HOME/pyrun/kernel`, which is downloaded when it is not there yet.

    Raises RuntimeError with the messages of the command that failed.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    directory = os.path.join(os.path.realpath(cache), "pyrun")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = os.path.join(directory, "kernel")
        if not os.path.isdir(place):
            _make(place)
    (release,) = os.listdir(os.path.join(place, "lib/modules"))
    return Kernel(release, os.path.join(place, "vmlinux"), os.path.join(place, "lib/modules"))


def _make(place: str) -> None:
    """Makes the directory in one step, so that nothing half made is ever found there."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(place)) as directory:
        package = os.path.join(directory, "package")
        os.mkdir(package)
        name = _current_package()
        _output(["apt-get", *_APT, "download", name], directory=package)
        (archive,) = os.listdir(package)
        unpacked = os.path.join(directory, "unpacked")
        _output(["dpkg-deb", "--extract", os.path.join(package, archive), unpacked])
        release = name.removeprefix("linux-image-")
        _output(["depmod", "--basedir", unpacked, release], PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        _extract_image(os.path.join(unpacked, "boot", f"vmlinuz-{release}"), os.path.join(unpacked, "vmlinux"))
        shutil.rmtree(os.path.join(unpacked, "usr"), ignore_errors=True)
        os.rename(unpacked, place)


def _current_package() -> str:
    """Returns the package with the kernel itself, on which the one without a version depends."""
    for _ in range(2):
        found = re.search(r"Depends: (linux-image-\S+)", _output(["apt-cache", "depends", PACKAGE], check=False))
        if found:
            return found[1]
        _output(["apt-get", *_APT, "update"])
    raise RuntimeError(f"apt-get knows no package {PACKAGE}: the virtual machine's kernel is Debian's for x86_64")


def _extract_image(compressed: str, target: str) -> None:
    """Spares the guest the decompression of its own kernel, which takes seconds in emulation."""
    with open(compressed, "rb") as file:
        image = file.read()
    start = image.find(_XZ)
    with open(target, "wb") as file:
        file.write(image if start < 0 else lzma.LZMADecompressor().decompress(image[start:]))


def _output(command: list[str], *, directory: str | None = None, check: bool = True, **environment: str) -> str:
    ended = subprocess.run(
        command, cwd=directory, env={**os.environ, "LC_ALL": "C", **environment}, capture_output=True, text=True
    )
    if check and ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {ended.returncode}\n{ended.stderr}")
    return ended.stdout
