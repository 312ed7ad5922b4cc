# SPDX-License-Identifier: Apache-2.0
"""The table of operations, and the encoding that pyrun-init reads."""

from __future__ import annotations

import struct
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun.container.launch import PROGRAM
from pyrun.plan.operations import INIT, OPERATIONS, OUTER, START, Plan

from .configs import compile_for_test, minimal_config


def test_table_agrees_with_pyrun_init() -> None:
    printed = subprocess.run([PROGRAM, "--operations"], capture_output=True, text=True, check=True).stdout
    ours = [f"{name} {signature}" for name, (_, signature, _) in OPERATIONS.items()]
    assert printed.splitlines() == ours


def test_every_argument_has_a_name() -> None:
    for name, (_, signature, labels) in OPERATIONS.items():
        assert len(signature) == len(labels), name


def test_stages_follow_each_other() -> None:
    plan = compile_for_test(minimal_config())
    stages = [OPERATIONS[name][0] for name, _, _ in plan.operations]
    assert stages == sorted(stages, key=[OUTER, INIT, START].index)


def decode(data: bytes) -> list[tuple[str, str, tuple[Any, ...]]]:
    """Decode as plan.c describes the encoding, independently of the encoder."""
    names = list(OPERATIONS)
    magic, version, count, length = struct.unpack_from("<8sIII", data)
    assert (magic, version, length) == (b"PYRUNPLN", 1, len(data))
    at = 20

    def number(size: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{size}", data, at)
        at += struct.calcsize(f"<{size}")
        return int(value)

    def blob() -> bytes:
        nonlocal at
        size = number("I")
        value = data[at : at + size]
        assert data[at + size] == 0
        at += size + 1
        return value

    def text() -> str:
        return blob().decode("utf-8", "surrogateescape")

    readers: dict[str, Any] = {
        "u": lambda: number("Q"),
        "s": text,
        "b": blob,
        "l": lambda: [text() for _ in range(number("I"))],
        "n": lambda: [number("Q") for _ in range(number("I"))],
    }
    result = []
    for _ in range(count):
        name = names[number("I")]
        pointer = text()
        result.append((name, pointer, tuple(readers[letter]() for letter in OPERATIONS[name][1])))
    assert at == len(data)
    return result


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
numbers = st.integers(0, 2**64 - 1)
values = {
    "u": numbers,
    "s": texts,
    "b": st.binary(),
    "l": st.lists(texts, max_size=4),
    "n": st.lists(numbers, max_size=4),
}
operations = st.sampled_from(list(OPERATIONS)).flatmap(
    lambda name: st.tuples(st.just(name), texts, st.tuples(*(values[letter] for letter in OPERATIONS[name][1])))
)


@given(st.lists(operations, max_size=6))
def test_encoding_keeps_everything(sample: list[tuple[str, str, tuple[Any, ...]]]) -> None:
    plan = Plan()
    for name, pointer, arguments in sample:
        plan.add(name, pointer, *arguments)
    assert decode(plan.encode()) == sample


def test_bytes_that_are_no_utf8_survive() -> None:
    plan = Plan()
    plan.add("set_hostname", "", b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert b"caf\xe9" in plan.encode()


@pytest.mark.parametrize("name", ["a\0b", "\0"])
def test_nul_is_refused(name: str) -> None:
    plan = Plan()
    plan.add("set_hostname", "", name)
    with pytest.raises(ValueError, match="NUL"):
        plan.encode()


def test_number_beyond_64_bits_is_refused() -> None:
    plan = Plan()
    plan.add("set_umask", "", 2**64)
    with pytest.raises(OverflowError):
        plan.encode()


def test_plan_does_not_depend_on_who_compiles_it() -> None:
    config = minimal_config()
    assert compile_for_test(config).encode() == compile_for_test(config).encode()
