# SPDX-License-Identifier: Apache-2.0
"""File systems on loop devices, and idmapped mounts as the test itself makes them (mount_setattr(2))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping

from support import kernel
from support.waiting import wait_until

# What can be mapped, and since which Linux; each makes a file system in a file of that many MiB.
SINCE = {"tmpfs": (6, 3), "ext4": (5, 12), "xfs": (5, 12), "btrfs": (5, 15), "erofs": (5, 19)}
MEBIBYTES = {"ext4": 8, "xfs": 300, "btrfs": 120}
MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}

AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4
MOUNT_ATTR_IDMAP = 0x100000
# The same numbers on every machine that these calls came to.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"system call {number}")
    return result


def name_of(pid: int) -> str:
    """Returns the name of the program that a process executes, as /proc/PID/comm has it."""
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()


@contextlib.contextmanager
def user_namespace(first: int = 100000, size: int = 65536) -> Iterator[str]:
    """Yields the path of a new user namespace that maps ids from 0 to those from `first`."""
    with subprocess.Popen(["unshare", "--user", "sleep", "1000"], stdin=subprocess.DEVNULL) as holder:
        path = f"/proc/{holder.pid}/ns/user"
        try:
            wait_until(lambda: name_of(holder.pid) == "sleep", "unshare has made its namespace")
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{holder.pid}/{name}", "w", encoding="ascii") as file:
                    file.write(f"0 {first} {size}\n")
            yield path
        finally:
            holder.kill()


def map_mount(source: str, target: str | None) -> None:
    """Attaches an idmapped clone of the mount that `source` is on at `target`, if there is one; raises OSError."""
    with user_namespace() as path:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    tree = -1
    try:
        tree = _call(OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE | os.O_CLOEXEC)
        attributes = _MountAttributes(MOUNT_ATTR_IDMAP, 0, 0, namespace)
        _call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attributes), ctypes.sizeof(attributes))
        if target is not None:
            _call(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        for descriptor in (namespace, tree):
            if descriptor >= 0:
                os.close(descriptor)


def linux() -> tuple[int, ...]:
    """Returns the running kernel's version: the first two numbers."""
    return tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])


def load_modules() -> None:
    """Loads the kernel's modules for file systems on loop devices, where there are any."""
    if shutil.which("modprobe"):
        for module in ("loop", *(kind for kind in SINCE if kind != "tmpfs")):
            subprocess.run(["modprobe", module], check=False, capture_output=True)


def why_not(kind: str) -> str | None:
    """Returns what this machine lacks for a file system of this kind, or None."""
    program = MAKE.get(kind, ("mkfs.erofs",) if kind == "erofs" else ("true",))[0]
    if shutil.which(program) is None:
        return f"{program} is missing"
    with open("/proc/filesystems", encoding="ascii") as table:
        if kind not in table.read().split():
            return f"this kernel has no {kind}"
    needed = SINCE[kind]
    return None if linux() >= needed else f"Linux {needed[0]}.{needed[1]} is the first that can map the ids of {kind}"


def image(kind: str, directory: str, owners: Mapping[str, int]) -> str:
    """Makes a file in `directory` that holds a file system of this kind, with files of these names and owners.

    Returns its path.
    """
    path = os.path.join(directory, f"{kind}.image")
    with tempfile.TemporaryDirectory(dir=directory) as tree:
        os.chmod(tree, 0o755)
        if kind == "erofs":
            fill(tree, owners)
            subprocess.run(["mkfs.erofs", path, tree], check=True, capture_output=True)
            return path
        with open(path, "wb") as file:
            file.truncate(MEBIBYTES[kind] << 20)
        subprocess.run([*MAKE[kind], path], check=True, capture_output=True)
        with loop_device(path) as device:
            kernel.mount(device, tree, kind)
            try:
                fill(tree, owners)
            finally:
                kernel.unmount(tree, 0)
    return path


def fill(directory: str, owners: Mapping[str, int]) -> None:
    """Makes files of these names in a directory, and gives each to its owner, a user and group id."""
    for name, owner in owners.items():
        path = os.path.join(directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{name}\n")
        os.chown(path, owner, owner)


@contextlib.contextmanager
def loop_device(path: str) -> Iterator[str]:
    """Yields the path of a loop device with the contents of a file."""
    device = subprocess.run(
        ["losetup", "--find", "--show", path], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextlib.contextmanager
def mounted(kind: str, point: str, source: str) -> Iterator[str]:
    """Yields the directory `point`, which is made, with a file system from an image, or a tmpfs, on it."""
    os.mkdir(point)
    with contextlib.ExitStack() as stack:
        device = source if kind == "tmpfs" else stack.enter_context(loop_device(source))
        kernel.mount(device, point, kind, kernel.MS_RDONLY if kind == "erofs" else 0)
        stack.callback(kernel.unmount, point)
        yield point
