# SPDX-License-Identifier: Apache-2.0
"""The encoding of plans read strictly, as runtime/init/plan.c describes it: what is a plan, and where its parts are."""

from __future__ import annotations

from dataclasses import dataclass

from pyrun.plan.operations import MAGIC, OPERATIONS, VERSION

HEADER_BYTES = 20
VERSION_AT, COUNT_AT, LENGTH_AT = 8, 12, 16

SIGNATURES = [signature for _, signature, _ in OPERATIONS.values()]


class Damaged(Exception):
    """The bytes are no plan."""


@dataclass
class Layout:
    """Offsets of what damage is done to: 32-bit opcodes, counts and lengths, first bytes and NULs of strings."""

    opcodes: list[int]
    counts: list[int]
    lengths: list[int]
    texts: list[int]
    ends: list[int]

    @property
    def numbers(self) -> list[int]:
        """All 32-bit numbers behind the header."""
        return self.opcodes + self.counts + self.lengths


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = HEADER_BYTES
        self.layout = Layout([], [], [], [], [])

    def take(self, size: int) -> bytes:
        if len(self.data) - self.at < size:
            raise Damaged(f"{size} bytes at {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, places: list[int]) -> int:
        places.append(self.at)
        return int.from_bytes(self.take(4), "little")

    def blob(self) -> bytes:
        content = self.take(self.number(self.layout.lengths))
        self.layout.texts.append(self.at - len(content))
        self.layout.ends.append(self.at)
        if self.take(1) != b"\0":
            raise Damaged(f"no NUL at {self.at - 1}")
        return content

    def text(self) -> None:
        if b"\0" in self.blob():
            raise Damaged(f"a NUL in the string before {self.at}")

    def argument(self, letter: str) -> None:
        if letter == "u":
            self.take(8)
        elif letter == "s":
            self.text()
        elif letter == "b":
            self.blob()
        else:
            for _ in range(self.number(self.layout.counts)):
                self.argument({"l": "s", "n": "u"}[letter])

    def operation(self) -> None:
        opcode = self.number(self.layout.opcodes)
        if opcode >= len(SIGNATURES):
            raise Damaged(f"opcode {opcode}")
        self.text()
        for letter in SIGNATURES[opcode]:
            self.argument(letter)


def layout_of(plan: bytes) -> Layout:
    """Returns where the parts of a plan are.

    Raises Damaged if the bytes are no plan.
    """
    if len(plan) < HEADER_BYTES or plan[: len(MAGIC)] != MAGIC:
        raise Damaged("no header")
    version, count, length = (int.from_bytes(plan[at : at + 4], "little") for at in (VERSION_AT, COUNT_AT, LENGTH_AT))
    if version != VERSION or length != len(plan):
        raise Damaged(f"version {version}, length {length} of {len(plan)}")
    reader = _Reader(plan)
    for _ in range(count):
        reader.operation()
    if reader.at != len(plan):
        raise Damaged(f"{len(plan) - reader.at} bytes behind the last operation")
    return reader.layout


def is_plan(data: bytes) -> bool:
    """Tells whether the bytes are a plan."""
    try:
        layout_of(data)
    except Damaged:
        return False
    return True


def with_length(data: bytes) -> bytes:
    """Returns the bytes with the length in their header corrected, if they have one."""
    if len(data) < HEADER_BYTES:
        return data
    return data[:LENGTH_AT] + len(data).to_bytes(4, "little") + data[HEADER_BYTES:]
