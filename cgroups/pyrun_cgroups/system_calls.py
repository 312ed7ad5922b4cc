# SPDX-License-Identifier: Apache-2.0
"""System calls that Python has no function for, by ctypes; only for what is not in a hurry."""

from __future__ import annotations

import ctypes
import os

_OPENAT2 = 437
"""openat2(2), which has the same number on every architecture."""

_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x1, 0x2, 0x4, 0x8

_library = ctypes.CDLL(None, use_errno=True)
_library.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    """``struct open_how`` (linux/openat2.h)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def call(number: int, *arguments: int) -> int:
    """Make a system call.

    Args:
        number: of the call on this architecture.
        arguments: each as a machine word: numbers, descriptors, addresses.

    Raises:
        OSError: the kernel refuses.
    """
    result: int = _library.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def open_beneath(directory: int, name: str, flags: int) -> int:
    """Open a file in a directory: no link on the way is followed, and nothing that is mounted there entered.

    Args:
        directory: descriptor of the directory.
        name: path below it.
        flags: as of open(2); O_CLOEXEC is added.

    Raises:
        OSError: EXDEV or ELOOP where the name leads elsewhere; or what open(2) says.
    """
    path = ctypes.create_string_buffer(os.fsencode(name))
    how = _OpenHow(
        flags | os.O_CLOEXEC,
        0,
        _RESOLVE_BENEATH | _RESOLVE_NO_XDEV | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS,
    )
    return call(_OPENAT2, directory, ctypes.addressof(path), ctypes.addressof(how), ctypes.sizeof(how))
