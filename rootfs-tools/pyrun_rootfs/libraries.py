# SPDX-License-Identifier: Apache-2.0
"""Where the host keeps the libraries of a program: the search of ld.so(8), without running it.

``LD_LIBRARY_PATH``, ``LD_PRELOAD`` and ``ld.so.preload`` belong to the caller's environment, not to the
program, and are left out. Libraries that a program opens while it runs (dlopen(3)) cannot be seen here.
"""

from __future__ import annotations

import glob
import os
import re

from pyrun_rootfs.elf import Architecture, ElfFile, read_elf
from pyrun_rootfs.errors import RootfsError

GLIBC_CONFIGURATION = "/etc/ld.so.conf"
GLIBC_CACHE = "/etc/ld.so.cache"
GLIBC_DIRECTORIES = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
MUSL_DIRECTORIES = ("/lib", "/usr/local/lib", "/usr/lib")

_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)\b)")


def files_to_load(program: ElfFile) -> list[str]:
    """Host paths of the dynamic linker and of every library that ``program`` loads before its first line.

    A static program needs none.

    Raises:
        RootfsError: a library is missing on the host, or one that was found cannot be read.
    """
    if program.interpreter is None:
        return []
    system_directories = _system_directories(program.interpreter)
    found: dict[str, str] = {}
    waiting: list[tuple[ElfFile, list[str]]] = [(program, [])]
    while waiting:
        asking, inherited = waiting.pop(0)
        runpath = _expand(asking, asking.runpath)
        # A RUNPATH replaces an object's own RPATH and, for that object alone, those of what loaded it.
        rpath = inherited if runpath else [*_expand(asking, asking.rpath), *inherited]
        directories = [*(runpath or rpath), *system_directories]
        for name in asking.needed:
            if name not in found:
                library = _find(name, directories, asking)
                found[name] = library.path
                waiting.append((library, rpath))
    return [program.interpreter, *(path for path in found.values() if path != program.interpreter)]


def linker_configuration(interpreter: str) -> str | None:
    """The host file that tells the dynamic linker ``interpreter`` its directories, None where there is none.

    A copy of it makes the libraries of uncommon directories found again in another root; names in it that do
    not exist there are passed over by the linker.
    """
    path = _musl_path_file(interpreter) or GLIBC_CACHE
    return path if os.path.isfile(path) else None


def _find(name: str, directories: list[str], asking: ElfFile) -> ElfFile:
    candidates = [name] if "/" in name else [os.path.join(directory, name) for directory in directories]
    for candidate in filter(os.path.isabs, candidates):
        library = _library_for(candidate, asking.architecture)
        if library is not None:
            return library
    raise RootfsError(f'"{asking.path}" needs the library "{name}", which the host does not have')


def _library_for(path: str, architecture: Architecture) -> ElfFile | None:
    """The library at ``path``, or None where the linker would pass on to its next directory."""
    if not os.path.isfile(path):
        return None
    try:
        library = read_elf(path)
    except RootfsError:
        return None
    return library if library.architecture == architecture else None


def _expand(asking: ElfFile, directories: tuple[str, ...]) -> list[str]:
    """The directories with the tokens of ld.so(8) resolved; ``$LIB`` is all that distributions mean by it."""
    values = {"ORIGIN": os.path.dirname(os.path.realpath(asking.path)), "PLATFORM": os.uname().machine}
    meanings_of_lib = ["lib64", *glob.glob("lib/*-linux-*", root_dir="/usr"), "lib"]
    variants = [
        _replace_tokens(directory, values | {"LIB": lib}) for directory in directories for lib in meanings_of_lib
    ]
    return list(dict.fromkeys(variants))


def _replace_tokens(directory: str, values: dict[str, str]) -> str:
    return _TOKEN.sub(lambda token: values[token[1] or token[2]], directory)


def _system_directories(interpreter: str) -> list[str]:
    """What is searched last: configured directories, the linker's own (its libc is there), built-in ones."""
    musl_path_file = _musl_path_file(interpreter)
    if musl_path_file is not None:
        return _musl_directories(musl_path_file)
    own = os.path.dirname(os.path.realpath(interpreter))
    return [*_configured_directories(GLIBC_CONFIGURATION, set()), own, *GLIBC_DIRECTORIES]


def _musl_path_file(interpreter: str) -> str | None:
    match = re.fullmatch(r"ld-(musl-.+)\.so\.1", os.path.basename(interpreter))
    return f"/etc/ld-{match[1]}.path" if match else None


def _musl_directories(path_file: str) -> list[str]:
    try:
        with open(path_file, encoding="utf-8", errors="surrogateescape") as file:
            return [directory for directory in re.split(r"[:\n]", file.read()) if directory]
    except FileNotFoundError:
        return list(MUSL_DIRECTORIES)


def _configured_directories(path: str, seen: set[str]) -> list[str]:
    """The directories that ldconfig(8) reads in ``path`` and in what it includes."""
    if path in seen or not os.path.isfile(path):
        return []
    seen.add(path)
    directories: list[str] = []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.split("#", 1)[0].split() for line in file]
    for words in lines:
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                for included in sorted(glob.glob(os.path.join(os.path.dirname(path), pattern))):
                    directories += _configured_directories(included, seen)
        elif words[:1] != ["hwcap"]:
            directories += words
    return directories
