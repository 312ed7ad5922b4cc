# SPDX-License-Identifier: Apache-2.0
"""What the dynamic linker reads in an ELF file: its interpreter and the libraries it asks for.

The format is described by elf(5) and by the System V ABI, chapters 4 and 5. Both word sizes and both byte
orders are read, so that a foreign program is recognised as such. Nothing is executed.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pyrun_rootfs.errors import RootfsError

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_RPATH, DT_RUNPATH = 0, 1, 5, 10, 15, 29


class Architecture(NamedTuple):
    """What must be the same for a program and its libraries: EI_CLASS, EI_DATA and e_machine."""

    word_size: int
    byte_order: int
    machine: int


@dataclass(frozen=True)
class ElfFile:
    """The linking information of one file.

    Attributes:
        path: the file that was read.
        architecture: what it is made for.
        interpreter: path of its dynamic linker (PT_INTERP), None for libraries and static programs.
        needed: names of the libraries it asks for (DT_NEEDED), in order.
        rpath, runpath: directories to search (DT_RPATH, DT_RUNPATH) as written, with ``$ORIGIN`` and such.
    """

    path: str
    architecture: Architecture
    interpreter: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]


class _Segment(NamedTuple):
    type: int
    offset: int
    address: int
    size: int


class _Layout(NamedTuple):
    """Where the fields are, for one word size: struct formats without the byte order."""

    header: str
    segment: str
    segment_fields: tuple[int, int, int]
    dynamic: str


_LAYOUTS = {
    1: _Layout(header="16xHHIIIIIHHH", segment="8I", segment_fields=(1, 2, 4), dynamic="iI"),
    2: _Layout(header="16xHHIQQQIHHH", segment="IIQQQQQQ", segment_fields=(2, 3, 5), dynamic="qQ"),
}
_BYTE_ORDERS = {1: "<", 2: ">"}


def read_elf(path: str) -> ElfFile:
    """Read the linking information of the program or library at ``path``.

    Raises:
        RootfsError: the file cannot be read, is not ELF, or contradicts itself.
    """
    image = _read_regular_file(path)
    if image[:4] != b"\x7fELF":
        raise RootfsError(f'"{path}" is not an ELF program{_script_hint(image)}')
    try:
        return _parse(path, image)
    except (struct.error, KeyError, IndexError, OverflowError, ValueError) as error:
        raise RootfsError(f'"{path}" is a damaged ELF file') from error


def _read_regular_file(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RootfsError(f'"{path}" is not a regular file')
            with open(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RootfsError(f'"{path}": {error.strerror}') from error


def _script_hint(image: bytes) -> str:
    if image[:2] != b"#!":
        return ""
    interpreter = image[2:].split(b"\n", 1)[0].decode(errors="replace").strip()
    return f' but a script for "{interpreter}"'


def _parse(path: str, image: bytes) -> ElfFile:
    word_size, byte_order = image[4], image[5]
    layout, order = _LAYOUTS[word_size], _BYTE_ORDERS[byte_order]
    header = struct.unpack_from(order + layout.header, image)
    segments = list(_segments(image, order, layout, header))
    dynamic = _dynamic_section(image, order + layout.dynamic, segments)
    strings = _string_table(image, segments, dynamic) if dynamic else b""

    def texts(tag: int) -> list[str]:
        return [_text_at(strings, value) for entry, value in dynamic if entry == tag]

    interpreter = next((_contents(image, each) for each in segments if each.type == PT_INTERP), None)
    return ElfFile(
        path=path,
        architecture=Architecture(word_size, byte_order, header[1]),
        interpreter=None if interpreter is None else _text_at(interpreter, 0),
        needed=tuple(texts(DT_NEEDED)),
        rpath=_directories(texts(DT_RPATH)),
        runpath=_directories(texts(DT_RUNPATH)),
    )


def _segments(image: bytes, order: str, layout: _Layout, header: tuple[int, ...]) -> Iterator[_Segment]:
    table, entry_size, count = header[4], header[8], header[9]
    offset, address, size = layout.segment_fields
    for index in range(count):
        fields = struct.unpack_from(order + layout.segment, image, table + index * entry_size)
        yield _Segment(fields[0], fields[offset], fields[address], fields[size])


def _dynamic_section(image: bytes, form: str, segments: list[_Segment]) -> list[tuple[int, int]]:
    section = next((_contents(image, each) for each in segments if each.type == PT_DYNAMIC), b"")
    entries = []
    for tag, value in struct.iter_unpack(form, section):
        if tag == DT_NULL:
            break
        entries.append((tag, value))
    return entries


def _string_table(image: bytes, segments: list[_Segment], dynamic: list[tuple[int, int]]) -> bytes:
    values = dict(dynamic)
    address, size = values[DT_STRTAB], values[DT_STRSZ]
    for segment in segments:
        start = address - segment.address
        if segment.type == PT_LOAD and start >= 0 and start + size <= segment.size:
            return _contents(image, segment)[start : start + size]
    raise ValueError("the string table is in no loaded segment")


def _contents(image: bytes, segment: _Segment) -> bytes:
    contents = image[segment.offset : segment.offset + segment.size]
    if len(contents) != segment.size:
        raise ValueError("the segment ends behind the end of the file")
    return contents


def _text_at(strings: bytes, offset: int) -> str:
    return os.fsdecode(strings[offset : strings.index(b"\0", offset)])


def _directories(values: list[str]) -> tuple[str, ...]:
    return tuple(directory for value in values for directory in value.split(":") if directory)
