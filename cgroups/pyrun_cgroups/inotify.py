# SPDX-License-Identifier: Apache-2.0
"""inotify(7), which the standard library does not have: the kernel tells of changes in files."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

IN_MODIFY = 0x2
"""A file has other content (linux/inotify.h); of a file of cgroup2, that the kernel has said so."""

_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """An inotify instance: a descriptor that can be read without waiting, or waited for with poll(2)."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            OSError: the user has too many; it names the kernel parameter that says how many may be.
        """
        descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._descriptor = _checked(descriptor, "fs.inotify.max_user_instances")

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def add(self, path: str) -> int:
        """Watch a file for new content, and return the number by which :meth:`read` will name it.

        Raises:
            OSError: there is no such file, or the user watches too many; then it names the kernel parameter.
        """
        watch = _libc.inotify_add_watch(self._descriptor, os.fsencode(path), IN_MODIFY)
        return _checked(watch, "fs.inotify.max_user_watches" if ctypes.get_errno() == errno.ENOSPC else path)

    def read(self) -> set[int]:
        """Return the numbers of the files that have changed since it was read last; -1 that some are not known."""
        changed: set[int] = set()
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return changed
        position = 0
        while position < len(data):
            watch, _, _, length = _EVENT.unpack_from(data, position)
            changed.add(watch)
            position += _EVENT.size + length
        return changed

    def forget(self, watch: int) -> None:
        """Watch a file no more."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


def _checked(result: int, path: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)
    return result
