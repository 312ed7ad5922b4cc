# SPDX-License-Identifier: Apache-2.0
"""Annotations org.systemd.property.*: GVariant in text form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun_cgroups.systemd.annotations import AnnotationError, parse, properties_of


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("true", ("b", True)),
        (" false ", ("b", False)),
        ("5", ("i", 5)),
        ("-5", ("i", -5)),
        ("0x1f", ("i", 31)),
        ("010", ("i", 8)),
        ("1.5", ("d", 1.5)),
        ("1e3", ("d", 1000.0)),
        ("uint64 18446744073709551615", ("t", 2**64 - 1)),
        ("byte 255", ("y", 255)),
        ("@q 7", ("q", 7)),
        ("double 7", ("d", 7.0)),
        ("'a b'", ("s", "a b")),
        ('"it\'s"', ("s", "it's")),
        (r"'a\'b\n\u00e4\101'", ("s", "a'b\näA")),
        ("objectpath '/a'", ("o", "/a")),
        ("b'ab'", ("ay", b"ab\0")),
        ("['a', 'b']", ("as", ["a", "b"])),
        ("['a',]", ("as", ["a"])),
        ("@as []", ("as", [])),
        ("[byte 1, 2]", ("ay", b"\x01\x02")),
        ("@au [1, 2]", ("au", [1, 2])),
        ("@a(ss) [('/dev/null', 'rw')]", ("a(ss)", [("/dev/null", "rw")])),
        ("[('a', uint64 7)]", ("a(st)", [("a", 7)])),
        ("@a(sasb) [('a', ['b'], true)]", ("a(sasb)", [("a", ["b"], True)])),
    ],
)
def test_values(text: str, variant: tuple[str, Any]) -> None:
    assert parse(text) == variant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "words",
        "'open",
        "[1, 'a']",
        "[]",
        "[1",
        "[1 2]",
        "()",
        "5000000000",
        "byte 256",
        "uint32 -1",
        "true false",
        "boolean 1",
        "string 5",
        "@as ['a', 5]",
        "@(ss) ('a', 'b', 'c')",
        "@(ss) ('a',)",
        "@",
        "1_000",
        "<5>",
        "{'a': 5}",
        "nan",
        "[" * 1000,
        "boolean " * 3000 + "true",
        "@s " * 3000 + "'a'",
        f"@{'a' * 3000} []",
        "@a []",
        "@az []",
        "@a(s []",
        "@ss 'a'",
        "@() ()",
        r"'\UFFFFFFFF'",
    ],
)
def test_what_is_no_value(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse(text)


@given(st.text(alphabet="@[](),'\"\\ <>{}abu0159.-x", max_size=40))
def test_nothing_else_is_raised(text: str) -> None:
    try:
        signature, _ = parse(text)
    except (ValueError, OverflowError):
        return
    assert signature


def test_properties() -> None:
    annotations = {
        "org.systemd.property.TimeoutStopSec": "7",
        "org.systemd.property.RuntimeMaxSec": "1.5",
        "org.systemd.property.TimeoutStopUSec": "uint64 123",
        "org.systemd.property.KillSignal": "37",
        "org.example": "nothing",
    }
    assert properties_of(annotations) == [
        ("TimeoutStopUSec", ("t", 7000000)),
        ("RuntimeMaxUSec", ("t", 1500000)),
        ("TimeoutStopUSec", ("t", 123)),
        ("KillSignal", ("i", 37)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("CPUWeight", "much", "much is not understood"),
        ("CPUWeight", "", "something is missing"),
        ("A1b", "1", "letters only"),
        ("ab", "1", "letters only"),
        ("TimeoutStopSec", "'a'", "seconds"),
        ("TimeoutStopSec", "-1", "out of the range"),
        ("TimeoutStopSec", "double inf", "infinity"),
        ("PIDs", "@au [1]", "cgroupsPath"),
        ("Slice", "'other.slice'", "cgroupsPath"),
    ],
)
def test_wrong_annotations(name: str, text: str, word: str) -> None:
    key = f"org.systemd.property.{name}"
    with pytest.raises(AnnotationError) as raised:
        properties_of({key: text})
    assert raised.value.key == key
    assert word in raised.value.message
    assert "\n" not in raised.value.message
