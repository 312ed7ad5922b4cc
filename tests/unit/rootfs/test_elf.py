# SPDX-License-Identifier: Apache-2.0
"""The ELF reader, on what a compiler makes, on hand-made files of each kind, and on damaged ones."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrun_rootfs.elf import read_elf
from pyrun_rootfs.errors import RootfsError

INTERPRETER = b"/lib/ld-test.so.1\0"
STRINGS = b"\0libone.so.1\0libtwo.so\0/opt/a:/opt/b\0$ORIGIN/../lib\0"
ADDRESS = 0x400000


def made_by_hand(word_size: int, byte_order: int, machine: int = 8) -> bytes:
    """A minimal dynamic program: interpreter, two libraries, RPATH and RUNPATH."""
    order = {1: "<", 2: ">"}[byte_order]
    wide = word_size == 2
    header_size, segment_size = (64, 56) if wide else (52, 32)
    interpreter_at = header_size + 3 * segment_size
    strings_at = interpreter_at + len(INTERPRETER)
    dynamic_at = strings_at + len(STRINGS)
    entries = [(1, 1), (1, 13), (15, 23), (29, 37), (5, ADDRESS + strings_at), (10, len(STRINGS)), (0, 0)]
    dynamic = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *entry) for entry in entries)
    total = dynamic_at + len(dynamic)

    def segment(kind: int, offset: int, size: int) -> bytes:
        address = ADDRESS + offset
        if wide:
            return struct.pack(order + "IIQQQQQQ", kind, 4, offset, address, address, size, size, 8)
        return struct.pack(order + "8I", kind, offset, address, address, size, size, 4, 4)

    header = struct.pack(
        order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
        *(2, machine, 1, ADDRESS, header_size, 0, 0, header_size, segment_size, 3, 0, 0, 0),
    )
    return b"".join(
        [
            b"\x7fELF" + bytes([word_size, byte_order, 1]) + bytes(9) + header,
            segment(1, 0, total),
            segment(3, interpreter_at, len(INTERPRETER)),
            segment(2, dynamic_at, len(dynamic)),
            INTERPRETER,
            STRINGS,
            dynamic,
        ]
    )


@pytest.mark.parametrize("word_size", [1, 2], ids=["32-bit", "64-bit"])
@pytest.mark.parametrize("byte_order", [1, 2], ids=["little-endian", "big-endian"])
def test_every_word_size_and_byte_order(tmp_path: Path, word_size: int, byte_order: int) -> None:
    path = tmp_path / "program"
    path.write_bytes(made_by_hand(word_size, byte_order))
    elf = read_elf(str(path))
    assert elf.interpreter == "/lib/ld-test.so.1"
    assert elf.needed == ("libone.so.1", "libtwo.so")
    assert elf.rpath == ("/opt/a", "/opt/b")
    assert elf.runpath == ("$ORIGIN/../lib",)
    assert elf.architecture == (word_size, byte_order, 8)


@pytest.mark.parametrize("word_size", [1, 2])
def test_a_file_cut_anywhere_is_damaged(tmp_path: Path, word_size: int) -> None:
    whole = made_by_hand(word_size, 1)
    path = tmp_path / "program"
    for length in range(4, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(RootfsError, match="is a damaged ELF file"):
            read_elf(str(path))


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_no_changed_byte_breaks_the_reader(tmp_path: Path, filler: bytes) -> None:
    whole = made_by_hand(2, 1)
    path = tmp_path / "program"
    for position in range(4, len(whole)):
        path.write_bytes(whole[:position] + filler + whole[position + 1 :])
        try:
            read_elf(str(path))
        except RootfsError as error:
            assert str(path) in str(error)


def test_a_compiled_program(tmp_path: Path, compile_c: Callable[..., Path]) -> None:
    compile_c(tmp_path / "libx.so", "int x(void) { return 0; }", "-shared", "-Wl,-soname,libx.so.7")
    program = compile_c(
        tmp_path / "program",
        "int x(void); int main(void) { return x(); }",
        *("-L", str(tmp_path), "-lx", "-Wl,--enable-new-dtags,-rpath,/opt/x"),
    )
    elf = read_elf(str(program))
    assert elf.needed[0] == "libx.so.7"
    assert any(name.startswith("libc.") for name in elf.needed)
    assert elf.interpreter is not None and os.path.isfile(elf.interpreter)
    assert (elf.rpath, elf.runpath) == ((), ("/opt/x",))


def test_a_static_program_asks_for_nothing(tmp_path: Path, compile_c: Callable[..., Path]) -> None:
    elf = read_elf(str(compile_c(tmp_path / "program", "int main(void) { return 0; }", "-static")))
    assert (elf.interpreter, elf.needed) == (None, ())


def test_what_is_not_an_elf_program_is_named(tmp_path: Path) -> None:
    script, text = tmp_path / "script", tmp_path / "text"
    script.write_text("#!/usr/bin/env python3\nprint()\n")
    text.write_text("")
    os.mkfifo(tmp_path / "fifo")
    for path, words in {
        script: 'is not an ELF program but a script for "/usr/bin/env python3"',
        text: "is not an ELF program",
        tmp_path / "fifo": "is not a regular file",
        tmp_path: "is not a regular file",
        tmp_path / "absent": "No such file or directory",
    }.items():
        with pytest.raises(RootfsError) as caught:
            read_elf(str(path))
        assert str(caught.value).startswith(f'"{path}"') and str(caught.value).endswith(words)
