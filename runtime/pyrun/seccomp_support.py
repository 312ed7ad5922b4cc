# SPDX-License-Identifier: Apache-2.0
"""What this host has for seccomp: the version of libseccomp, and the flags that the running kernel takes."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping

# Numbers of seccomp(2), which the C library has no function for.
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE_RECV = 1 << 3, 1 << 5


def libseccomp_version() -> str | None:
    """Return the version of the libseccomp that filters are compiled with (seccomp_version(3)), if it is installed."""

    class Version(ctypes.Structure):
        _fields_ = [("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint)]

    try:
        function = ctypes.CDLL("libseccomp.so.2").seccomp_version
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.POINTER(Version)
    version = function().contents
    return f"{version.major}.{version.minor}.{version.micro}"


def supported_flags(known: Mapping[str, int]) -> list[str]:
    """Return the names of those flags of seccomp(2) that the kernel takes; none where seccomp is not to be had.

    Args:
        known: the bit of each name.
    """
    return [name for name, flag in known.items() if _takes(flag)]


def _takes(flag: int) -> bool:
    """Ask for a filter that is nowhere in memory: the kernel looks at the flags before it looks for the filter."""
    number = _SECCOMP.get(os.uname().machine)
    if number is None:
        return False
    if flag == _WAIT_KILLABLE_RECV:
        flag |= _NEW_LISTENER
    library = ctypes.CDLL(None, use_errno=True)
    return library.syscall(number, _SET_MODE_FILTER, flag, None) < 0 and ctypes.get_errno() == errno.EFAULT
