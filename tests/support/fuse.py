# SPDX-License-Identifier: Apache-2.0
"""A small file system of the tests' own, by the protocol of /dev/fuse (linux/fuse.h): directories, and files that act.

A thread answers the kernel. Nothing is cached, so that what a file says is what it says now.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from collections.abc import Callable

from support import kernel

LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, RMDIR, OPEN, READ, WRITE = 1, 2, 3, 4, 9, 11, 14, 15, 16
RELEASE, INIT, OPENDIR, READDIR, RELEASEDIR, BATCH_FORGET = 18, 26, 27, 28, 29, 42
VERSION = (7, 31)
LARGEST_REQUEST = 1 << 20
LARGEST_WRITE = 4096
DIRECT_IO = 1
ROOT = 1
REQUEST = struct.Struct("<IIQQIIIHH")


class File:
    """A file whose content is made when it is read; `write(text, pid)` gets what a process writes at once.

    Both may raise OSError, which that process sees.
    """

    mode = stat.S_IFREG | 0o644

    def __init__(self, read: Callable[[], str], write: Callable[[str, int], None] | None = None) -> None:
        self.read = read
        self.write = write


class Directory:
    """A directory; the functions, where there are any, make and remove what it has, and may raise OSError."""

    mode = stat.S_IFDIR | 0o755

    def __init__(
        self,
        entries: dict[str, Node],
        make: Callable[[str], None] | None = None,
        remove: Callable[[str], None] | None = None,
    ) -> None:
        self.entries = entries
        self.make = make
        self.remove = remove


Node = File | Directory


class FileSystem:
    """A mounted file system of `root`, until it is closed."""

    def __init__(self, root: Directory, mount_point: str) -> None:
        self._nodes: dict[int, Node] = {ROOT: root}
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._mount_point = mount_point
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
        kernel.mount("imitation", mount_point, "fuse", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, options)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Unmounts it and ends the thread."""
        kernel.unmount(self._mount_point)
        self._thread.join()
        os.close(self._device)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, LARGEST_REQUEST)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return  # unmounted
                continue
            _, operation, unique, node, _, _, pid, _, _ = REQUEST.unpack_from(request)
            if operation in (FORGET, BATCH_FORGET):
                continue
            try:
                answer, failure = self._answer(operation, node, request[REQUEST.size :], pid), 0
            except OSError as error:
                answer, failure = b"", error.errno or errno.EIO
            try:
                os.write(self._device, struct.pack("<IiQ", 16 + len(answer), -failure, unique) + answer)
            except OSError:
                pass  # the process that asked was killed

    def _answer(self, operation: int, number: int, body: bytes, pid: int) -> bytes:
        if operation == INIT:
            return struct.pack("<IIIIHHIIHHI28x", *VERSION, 0, 0, 0, 0, LARGEST_WRITE, 1, 0, 0, 0)
        node = self._nodes.get(number)
        if operation in (GETATTR, SETATTR) and node:
            return struct.pack("<QII", 0, 0, 0) + self._attributes(number, node)
        if operation in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, DIRECT_IO, 0)
        if operation in (RELEASE, RELEASEDIR):
            return b""
        if isinstance(node, Directory):
            return self._answer_about_directory(operation, node, body)
        if isinstance(node, File):
            return self._answer_about_file(operation, node, body, pid)
        raise OSError(errno.ENOSYS, "")

    def _answer_about_directory(self, operation: int, node: Directory, body: bytes) -> bytes:
        if operation == LOOKUP:
            return self._entry(node, _name(body))
        if operation == MKDIR and node.make:
            name = _name(body[8:])
            if name in node.entries:
                raise OSError(errno.EEXIST, name)
            node.make(name)
            return self._entry(node, name)
        if operation == RMDIR and node.remove:
            node.remove(_name(body))
            return b""
        if operation == READDIR:
            return self._listing(node, *struct.unpack_from("<QI", body, 8))
        raise OSError(errno.EPERM if operation in (MKDIR, RMDIR) else errno.ENOSYS, "")

    @staticmethod
    def _answer_about_file(operation: int, node: File, body: bytes, pid: int) -> bytes:
        if operation == READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return node.read().encode()[offset : offset + size]
        if operation == WRITE and node.write:
            (size,) = struct.unpack_from("<I", body, 16)
            node.write(body[40 : 40 + size].decode(), pid)
            return struct.pack("<II", size, 0)
        raise OSError(errno.EACCES if operation == WRITE else errno.ENOSYS, "")

    def _entry(self, directory: Directory, name: str) -> bytes:
        node = directory.entries.get(name)
        if node is None:
            raise OSError(errno.ENOENT, name)
        number = next((number for number, known in self._nodes.items() if known is node), max(self._nodes) + 1)
        self._nodes[number] = node
        return struct.pack("<QQQQII", number, 0, 0, 0, 0, 0) + self._attributes(number, node)

    @staticmethod
    def _attributes(number: int, node: Node) -> bytes:
        links = 2 if isinstance(node, Directory) else 1
        return struct.pack("<QQQQQQIIIIIIIIII", number, 0, 0, 0, 0, 0, 0, 0, 0, node.mode, links, 0, 0, 0, 4096, 0)

    @staticmethod
    def _listing(node: Directory, offset: int, size: int) -> bytes:
        listing = b""
        for position, (name, entry) in enumerate(node.entries.items(), 1):
            data = name.encode()
            record = struct.pack("<QQII", position, position, len(data), entry.mode >> 12) + data
            record += b"\0" * (-len(record) % 8)
            if position > offset and len(listing) + len(record) <= size:
                listing += record
        return listing


def _name(body: bytes) -> str:
    return body.split(b"\0", 1)[0].decode()
