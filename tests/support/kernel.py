# SPDX-License-Identifier: Apache-2.0
"""Thin wrappers over the system calls that the tests need and Python 3.11 does not have.

Each raises OSError with the kernel's errno. Constants are named as the kernel names them (sched.h, mount.h).
"""

from __future__ import annotations

import ctypes
import os

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWTIME = 0x00000080

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20
MNT_DETACH = 2

PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)


def unshare(flags: int) -> None:
    """Moves the calling thread into new namespaces (unshare(2))."""
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Moves the calling thread into the namespace that `descriptor` stands for (setns(2))."""
    _checked(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    options = data.encode() if data is not None else None
    _checked(_libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options), target)


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2), detaching by default."""
    _checked(_libc.umount2(target.encode(), flags), target)


def become_subreaper() -> None:
    """Makes orphaned descendants children of this process (PR_SET_CHILD_SUBREAPER of prctl(2))."""
    _checked(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
