# SPDX-License-Identifier: Apache-2.0
"""The files of one cgroup, read in the formats that the kernel writes.

Formats: Documentation/admin-guide/cgroup-v2.rst, "Format". A line that has none of them is passed over, so that a
newer kernel's addition is no error.
"""

from __future__ import annotations

import errno
import os

from pyrun_cgroups.control import CgroupError

UNLIMITED = 2**64 - 1
"""What stands for ``max``: more than any file can hold."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""A path may lead to what somebody else made to look like a cgroup: no link is followed, no pipe waited for."""

_ABSENT = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.EISDIR)
"""The kernel or the controller lacks the file, and perhaps a cgroup below has its name; or the cgroup is gone, which
:meth:`CgroupFiles.check` notices."""


class CgroupFiles:
    """An open cgroup. All files are of this one, even when another cgroup gets its name meanwhile."""

    __slots__ = ("_core", "_directory", "path")

    def __init__(self, path: str) -> None:
        """Open a cgroup.

        Raises:
            CgroupError: it is gone, it is no cgroup, or it can't be read.
        """
        self.path = path
        try:
            self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._error(error) from error
        try:
            self._core = os.open("cgroup.stat", _FLAGS, dir_fd=self._directory)
        except OSError as error:
            os.close(self._directory)
            raise self._error(error) from error

    def close(self) -> None:
        """Close it."""
        os.close(self._core)
        os.close(self._directory)

    def check(self) -> None:
        """Make sure that the cgroup is still there, and so was while it was read.

        Raises:
            CgroupError: ENODEV when it has been removed.
        """
        try:
            os.pread(self._core, 1, 0)
        except OSError as error:
            raise self._error(error) from error

    def names(self) -> list[str]:
        """Return the names of all files and of the cgroups below, sorted."""
        return sorted(os.listdir(self._directory))

    def text(self, name: str) -> str | None:
        """Return the content of a file without white space around it; None if there is no such file.

        Raises:
            CgroupError: it can't be read for another reason.
        """
        content = b""
        try:
            descriptor = os.open(name, _FLAGS, dir_fd=self._directory)
            try:
                while chunk := os.read(descriptor, 65536):
                    content += chunk
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise self._error(error) from error
        return content.decode("utf-8", "replace").strip()

    def number(self, name: str) -> int | None:
        """Return the one number in a file, `UNLIMITED` for ``max``; None if there is none."""
        text = self.text(name)
        return None if text is None else number_of(text)

    def counters(self, name: str) -> dict[str, int] | None:
        """Return a file's numbers by the names before them ("flat keyed"); None if there is no such file."""
        text = self.text(name)
        if text is None:
            return None
        found = {}
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            number = number_of(value)
            if number is not None:
                found[key] = number
        return found

    def tables(self, name: str) -> dict[str, dict[str, str]] | None:
        """Return a file's lines of ``NAME KEY=VALUE...`` ("nested keyed"); None if there is no such file."""
        text = self.text(name)
        if text is None:
            return None
        found = {}
        for line in text.splitlines():
            words = line.split()
            pairs = [word.partition("=") for word in words if "=" in word]
            # Some kernels give a device without statistics no line of its own, but its name before the next one's.
            names = [word for word in words if "=" not in word]
            if names and pairs:
                found[names[-1]] = {key: value for key, _, value in pairs}
        return found

    def numeric_tables(self, name: str) -> dict[str, dict[str, int]] | None:
        """Return what :meth:`tables` does, but numbers alone."""
        found = self.tables(name)
        return None if found is None else {key: numbers_of(table) for key, table in found.items()}

    def _error(self, error: OSError) -> CgroupError:
        return CgroupError(error.errno or 0, "its statistics cannot be read", self.path)


def number_of(text: str) -> int | None:
    """Return the number that a text is, `UNLIMITED` for ``max``; None if it is none."""
    text = text.strip()
    if text == "max":
        return UNLIMITED
    # int() takes more: digits of other scripts, underscores.
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() else None


def numbers_of(table: dict[str, str]) -> dict[str, int]:
    """Return the entries of a table that are numbers."""
    numbers = {key: number_of(value) for key, value in table.items()}
    return {key: number for key, number in numbers.items() if number is not None}
