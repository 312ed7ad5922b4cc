# SPDX-License-Identifier: Apache-2.0
"""Limits for a cgroup that is in use: all of some writes are made, or none.

Every file is opened and read before the first is written, so most of what can be wrong shows while nothing has
changed. When the kernel refuses a value after all, what was written before is put back as it was read. That can't
be hidden from processes in between, and not undone is what it did to them: memory that was reclaimed, a process that
was killed for want of it.
"""

from __future__ import annotations

import errno
import os

from pyrun_cgroups import placement, records
from pyrun_cgroups.order import in_order
from pyrun_cgroups.system_calls import open_beneath
from pyrun_cgroups.writes import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NOT_READABLE = (errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
_LONGEST_SHOWN = 100


class ApplyError(OSError):
    """A limit that could not be set, after which all is as it was before.

    Attributes:
        errno: the kernel's error number.
        filename: the cgroup.
        pointer: JSON pointer, below ``linux.resources``, of the property that asked for it.
        file: name of the file in the cgroup.
        value: what was to be written to it.
        words: what was refused, and why if the kernel's error number does not say it.
        not_restored: names of files that could not be put back either: normally none.
    """

    def __init__(self, error: int, write: Write, path: str, why: str = "") -> None:
        super().__init__(error, os.strerror(error), path)
        self.pointer, self.file, self.value = write.pointer, write.file, write.value
        self.words = why or f'write "{_shown(write.value)}" to {write.file}'
        self.explains_itself = bool(why)
        self.not_restored: list[str] = []

    def __str__(self) -> str:
        said = self.words if self.explains_itself else f"{self.words}: {self.strerror}"
        rest = f" ({', '.join(self.not_restored)} could not be put back)" if self.not_restored else ""
        return f"{self.filename}: {self.pointer}: {said}{rest}"


def apply(path: str, writes: Iterable[Write]) -> None:
    """Make all of some writes to the files of a cgroup, or none.

    Args:
        path: the cgroup's directory.
        writes: as `limits.writes_of` returns them; they are made in an order that suits the kernel.

    Raises:
        ApplyError: one can't be made.
        OSError: there is no such cgroup.
    """
    change = Change(path, writes)
    try:
        change.make()
    finally:
        change.close()


class Change:
    """Writes to a cgroup that can be taken back."""

    def __init__(self, path: str, writes: Iterable[Write], others: Iterable[str] = ()) -> None:
        """Open all files and remember what is in them; nothing changes yet.

        Args:
            path: the cgroup's directory.
            writes: what is to be written.
            others: names of further files, which somebody else may write meanwhile; see `restore_others`.

        Raises:
            ApplyError: a file is not there or may not be written.
            OSError: there is no such cgroup.
        """
        self._path = path
        self._files: dict[str, int] = {}
        self._others: list[str] = []
        self._before: dict[str, str] = {}
        self._holding: dict[str, str] = {}
        self._cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            wanted = [write for write in writes if self._open(write)]
            self._others = [name for name in others if name not in self._files and self._open_file(name)]
            for name in records.affected(self._files):
                self._open_file(name)
            for name in self._files:
                self._remember(name)
            self._writes = in_order(wanted, self._before)
        except BaseException:
            self.close()
            raise

    def make(self) -> None:
        """Write all values.

        Raises:
            ApplyError: one was refused; then those before it are undone.
        """
        try:
            for write in self._writes:
                self._write(write)
        except ApplyError as refused:
            refused.not_restored = self.undo()
            raise
        except BaseException:
            self.undo()
            raise

    def undo(self) -> list[str]:
        """Put back what has another value than before, and return the names of the files where that failed."""
        return self._restore(self._order_of_undoing())

    def restore_others(self) -> list[str]:
        """Put back the other files, and return the names of those where that failed."""
        return self._restore(self._others)

    def _restore(self, names: list[str]) -> list[str]:
        failed = []
        for name in names:
            if name in self._before and not self._restores(name, self._before[name]):
                failed.append(name)
                if name in self._holding:
                    self._restores(name, self._holding[name])
        return failed

    def _restores(self, name: str, before: str) -> bool:
        try:
            for value in records.differences(name, before, self._read(name)):
                self._write_file(name, value)
        except OSError:
            return False
        return True

    def _order_of_undoing(self) -> list[str]:
        names = [name for write in reversed(self._writes) for name, _ in _choices(write)]
        return list(dict.fromkeys([*names, *self._others, *records.affected(names)]))

    def close(self) -> None:
        """Close the files."""
        for descriptor in (*self._files.values(), self._cgroup):
            os.close(descriptor)
        self._files = {}

    def _open(self, write: Write) -> bool:
        """Open the files that a write may go to, and return whether there is any."""
        found = [name for name, _ in _choices(write) if self._open_file(name, write)]
        if not found and not write.optional:
            why = why_missing(self._path, write.file)
            raise ApplyError(errno.ENOENT, write, self._path, why)
        return bool(found)

    def _open_file(self, name: str, write: Write | None = None) -> bool:
        if name in self._files:
            return True
        for flags in (os.O_RDWR, os.O_WRONLY):
            try:
                self._files[name] = open_beneath(self._cgroup, name, flags)
                return True
            except FileNotFoundError:
                return False
            except OSError as error:
                if (error.errno != errno.EACCES or flags == os.O_WRONLY) and write is not None:
                    raise ApplyError(error.errno or errno.EIO, write, self._path) from None
        return False

    def _remember(self, name: str) -> None:
        if not records.is_setting(name):
            return
        try:
            self._before[name] = self._read(name)
            if name in records.WHAT_HOLDS:
                self._holding[name] = self._read_other(records.WHAT_HOLDS[name])
        except OSError as error:
            if error.errno not in _NOT_READABLE and error.errno != errno.EBADF:
                raise

    def _write(self, write: Write) -> None:
        """Write the first value whose file is there and does not refuse it as not its business."""
        refused = None
        for name, value in _choices(write):
            if name not in self._files:
                continue
            try:
                self._write_file(name, value)
                return
            except OSError as error:
                refused = refused or ApplyError(error.errno or errno.EIO, Write(write.pointer, name, value), self._path)
                if error.errno != errno.EOPNOTSUPP:
                    break
        if refused is not None:
            raise refused

    def _write_file(self, name: str, value: str) -> None:
        os.pwrite(self._files[name], value.encode("utf-8", "surrogateescape"), 0)

    def _read(self, name: str) -> str:
        return _text_of(self._files[name])

    def _read_other(self, name: str) -> str:
        descriptor = open_beneath(self._cgroup, name, os.O_RDONLY)
        try:
            return _text_of(descriptor)
        finally:
            os.close(descriptor)


def why_missing(path: str, file: str) -> str:
    """Return why a file is not in a cgroup, in words that say what to do; "" where the kernel does not have it.

    Args:
        path: the cgroup.
        file: name of the file.
    """
    controller = file.partition(".")[0]
    if controller == "cgroup" or controller in _words(f"{path}/cgroup.controllers"):
        return ""
    above = path.rpartition("/")[0]
    while above and os.path.exists(f"{above}/cgroup.controllers"):
        if controller in _words(f"{above}/cgroup.controllers"):
            return f"{file} needs controller {controller}, which cgroup {above} does not pass on: it {_why(above)}"
        above = above.rpartition("/")[0]
    return (
        f"{file} needs controller {controller}, which cgroup v2 does not have here, {placement.why_missing(controller)}"
    )


def _why(cgroup: str) -> str:
    if os.path.exists(f"{cgroup}/cgroup.type") and _words(f"{cgroup}/cgroup.procs"):
        return "has processes of its own; move them to a cgroup below it"
    if not os.access(f"{cgroup}/cgroup.subtree_control", os.W_OK, effective_ids=True):
        return "is not yours; have the controller delegated, or remove the limit"
    return "has it switched off; write it to cgroup.subtree_control there, or remove the limit"


def _text_of(descriptor: int) -> str:
    content = b""
    while part := os.pread(descriptor, 65536, len(content)):
        content += part
    return content.decode("utf-8", "surrogateescape")


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def _choices(write: Write) -> list[tuple[str, str]]:
    return [(write.file, write.value), *([write.instead] if write.instead else [])]


def _shown(value: str) -> str:
    return value.partition("\n")[0][:_LONGEST_SHOWN]
