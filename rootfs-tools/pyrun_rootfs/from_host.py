# SPDX-License-Identifier: Apache-2.0
"""A root filesystem made from what the host has: busybox, or its own programs with their libraries."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence

from pyrun_rootfs.busybox import applet_names
from pyrun_rootfs.elf import read_elf
from pyrun_rootfs.errors import RootfsError
from pyrun_rootfs.libraries import files_to_load, linker_configuration

SHELL = "sh"
# fmt: off
COMMON_PROGRAMS = (
    "cat", "chmod", "cp", "date", "df", "env", "false", "grep", "head", "hostname", "id", "ip", "ln",
    "ls", "mkdir", "mount", "mv", "ps", "readlink", "rm", "rmdir", "sed", "sleep", "sort", "stat",
    "tail", "touch", "true", "umount", "uname", "wc",
)
# fmt: on
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DIRECTORIES = {
    "/dev": 0o755,
    "/etc": 0o755,
    "/home": 0o755,
    "/mnt": 0o755,
    "/proc": 0o555,
    "/root": 0o700,
    "/run": 0o755,
    "/sys": 0o555,
    "/tmp": 0o1777,
    "/usr": 0o755,
    "/usr/bin": 0o755,
    "/usr/lib": 0o755,
    "/usr/lib64": 0o755,
    "/usr/sbin": 0o755,
    "/var": 0o755,
    "/var/tmp": 0o1777,
}
# One tree whether the host keeps a program in /bin or in /usr/bin, a library in /lib or in /usr/lib.
DIRECTORY_LINKS = {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/sbin": "usr/sbin"}
FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "/etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
}


def root_filesystem_from_host(target: str | os.PathLike[str], programs: Sequence[str] | None = None) -> list[str]:
    """Make the directory ``target`` a root filesystem with programs of the host.

    Programs are copied with the libraries they load, which are found by reading the files; none is executed.
    Set-user-ID and set-group-ID bits stay behind. busybox brings a link for each of its applets. The
    directory is built beside its final place and renamed, so that ``target`` exists whole or not at all.

    Args:
        target: the directory to make; its parent must exist, it must not.
        programs: names, looked up in `SEARCH_PATH` and put into ``/usr/bin``, or absolute paths, kept. None
            means busybox where the host has it, else ``sh`` and what it has of `COMMON_PROGRAMS`.

    Returns:
        The files and links of the new root filesystem as absolute paths inside it, sorted.

    Raises:
        RootfsError: the target exists, or a program or one of its libraries is missing or not readable.
    """
    target = os.path.abspath(target)
    if os.path.lexists(target):
        raise RootfsError(f'"{target}" exists already')
    wanted = _default_programs() if programs is None else {_place(name): _locate(name) for name in programs}
    try:
        workshop = tempfile.mkdtemp(prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target))
        try:
            files = _Tree(workshop).build(wanted)
            _rename_to_new(workshop, target)
        except BaseException:
            shutil.rmtree(workshop)
            raise
    except OSError as error:
        raise RootfsError(f'"{error.filename or target}": {error.strerror}') from error
    return files


def _default_programs() -> dict[str, str]:
    busybox = _which("busybox")
    if busybox is not None:
        return {_place("busybox"): busybox}
    programs = {_place(SHELL): _locate(SHELL)}
    for name in COMMON_PROGRAMS:
        path = _which(name)
        if path is not None:
            programs[_place(name)] = path
    return programs


def _place(name: str) -> str:
    """Where the program is found in the root filesystem."""
    return os.path.normpath(name) if os.path.isabs(name) else f"/usr/bin/{name}"


def _locate(name: str) -> str:
    path = _which(name)
    if path is None:
        raise RootfsError(f'the host has no program "{name}"')
    return path


def _which(name: str) -> str | None:
    return shutil.which(name, path=SEARCH_PATH)


def _rename_to_new(source: str, target: str) -> None:
    """Rename a directory to a name that must not be taken; rename(2) alone replaces an empty directory."""
    try:
        os.mkdir(target)
    except FileExistsError:
        raise RootfsError(f'"{target}" exists already') from None
    os.rename(source, target)


class _Tree:
    """The root filesystem while it is built."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: set[str] = set()

    def build(self, programs: dict[str, str]) -> list[str]:
        self._make_skeleton()
        for place, path in programs.items():
            self._add_program(place, path)
        for place, path in programs.items():
            if os.path.basename(place) == "busybox":
                self._link_applets(path)
        return sorted(self.files)

    def _make_skeleton(self) -> None:
        os.chmod(self.root, 0o755)
        for directory, mode in DIRECTORIES.items():
            os.mkdir(self.root + directory)
            os.chmod(self.root + directory, mode)
        for link, directory in DIRECTORY_LINKS.items():
            os.symlink(directory, self.root + link)
        for path, text in FILES.items():
            self._write(path, text.encode(), 0o644)

    def _add_program(self, place: str, path: str) -> None:
        """The program at its true path, where its ``$ORIGIN`` is the host's, and a link at its usual one."""
        program = read_elf(path)
        self._copy(path, 0o755)
        self._link(place, os.path.realpath(path))
        for file in files_to_load(program):
            self._copy(file, 0o755)
            self._link(os.path.normpath(file), os.path.realpath(file))
        configuration = linker_configuration(program.interpreter) if program.interpreter else None
        if configuration is not None:
            self._copy(configuration, 0o644)

    def _link_applets(self, busybox: str) -> None:
        with open(busybox, "rb") as file:
            names = applet_names(file.read())
        if not names:
            raise RootfsError(f'"{busybox}" has no shell')
        for name in names:
            self._link(f"/usr/bin/{name}", os.path.realpath(busybox))

    def _copy(self, path: str, mode: int) -> None:
        path = os.path.realpath(path)
        if not self._has(path):
            with open(path, "rb") as file:
                self._write(path, file.read(), mode)

    def _write(self, path: str, contents: bytes, mode: int) -> None:
        self._make_parents(path)
        with open(self.root + path, "xb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(contents)
        self.files.add(path)

    def _link(self, path: str, destination: str) -> None:
        if not self._has(path):
            self._make_parents(path)
            os.symlink(destination, self.root + path)
            self.files.add(path)

    def _has(self, path: str) -> bool:
        return os.path.lexists(self.root + path)

    def _make_parents(self, path: str) -> None:
        parent = os.path.dirname(path)
        if not os.path.isdir(self.root + parent):
            self._make_parents(parent)
            os.mkdir(self.root + parent)
            os.chmod(self.root + parent, 0o755)
