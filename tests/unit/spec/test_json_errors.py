# SPDX-License-Identifier: Apache-2.0
"""Parsing JSON: what is accepted, and how errors name the place."""

from __future__ import annotations

import _json
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrun_spec.errors import SpecError
from pyrun_spec.load import parse_json
from unit.spec.config_samples import PATIENT


@pytest.fixture(params=["scanner of the interpreter", "no _json", "another _json"])
def scanner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the private scanner and with what serves when it is missing or was changed."""

    def changed(context: object) -> None:
        raise AttributeError("another context is needed")

    if request.param == "no _json":
        monkeypatch.setitem(sys.modules, "_json", None)
    elif request.param == "another _json":
        monkeypatch.setattr(_json, "make_scanner", changed)


def refusal(text: bytes | str) -> SpecError:
    """Returns the error of a text that must be refused."""
    with pytest.raises(SpecError) as caught:
        parse_json(text if isinstance(text, bytes) else text.encode(), "config.json")
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.usefixtures("scanner")
@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "",
        0,
        None,
        True,
        {"a": [1, -2, 2**64, {"b": None}]},
        {"é": '😀"\\\n\0'},
        [1.5, -1e300],
        {"": {"": 1}},
    ],
)
def test_json_is_parsed(value: object) -> None:
    assert parse_json(json.dumps(value).encode(), "x") == value
    assert parse_json(json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\r\n\t ", "x") == value


@pytest.mark.usefixtures("scanner")
def test_null_members_are_dropped_on_demand() -> None:
    text = b'{"a": null, "b": [null, {"c": null, "d": 1}], "e": {"f": null}}'
    assert parse_json(text, "x") == {"a": None, "b": [None, {"c": None, "d": 1}], "e": {"f": None}}
    assert parse_json(text, "x", drop_null=True) == {"b": [None, {"d": 1}], "e": {}}


@pytest.mark.usefixtures("scanner")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty: an object is expected"),
        (b" \n\t", "is empty: an object is expected"),
        (b'\xef\xbb\xbf{"a": 1}', "starts with a byte order mark (save it as UTF-8 without one)"),
        ("{}".encode("utf-16"), "is UTF-16 or UTF-32 (save it as UTF-8)"),
        ("{}".encode("utf-16-le"), "is UTF-16 or UTF-32 (save it as UTF-8)"),
        ("{}".encode("utf-16-be"), "is UTF-16 or UTF-32 (save it as UTF-8)"),
        ("{}".encode("utf-32"), "is UTF-16 or UTF-32 (save it as UTF-8)"),
        (b'{\n"\xc3\xa9": "\xff"}', "line 2, column 7: byte 0xff at offset 9 is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "line 1, column 8: byte 0xed at offset 7 is not UTF-8"),
        (b"{]", 'line 1, column 2: expected a name in double quotes or "}", found "]"'),
        (b"{\n  a: 1\n}", 'line 2, column 3: expected a name in double quotes or "}", found "a"'),
        (b"{'a': 1}", "line 1, column 2: strings are written in double quotes"),
        (b'{"a": 1,}', 'line 1, column 9: a comma too many before "}"'),
        (b"[1,\n]", 'line 2, column 1: a comma too many before "]"'),
        (b'{"a": 1\n "b": 2}', 'line 2, column 2: a comma is missing before "b"'),
        (b"[1 2]", 'line 1, column 4: a comma is missing before "2"'),
        (b'{"a" 1}', 'line 1, column 6: expected ":", found "1"'),
        (b'{"a": }', 'line 1, column 7: expected a value, found "}"'),
        (b'{"a": 1', 'line 1, column 8: the text ends where "," or "}" is expected'),
        (b"[", 'line 1, column 2: the text ends where a value or "]" is expected'),
        (b"{} {}", 'line 1, column 4: "{" follows the end of the document'),
        (b'{"a": 1} trailing', 'line 1, column 10: expected the end, found "trailing"'),
        (b'{"a": 1 // why\n}', "line 1, column 9: comments are not part of JSON"),
        (b"# why\n{}", "line 1, column 1: comments are not part of JSON"),
        (b'{"a": "b', "line 1, column 7: this string does not end"),
        (b'{"a": "b\nc"}', "line 1, column 9: the control character 0x0a inside a string (write \\n)"),
        (b'{"a": "\x01"}', "line 1, column 8: the control character 0x01 inside a string (write \\u0001)"),
        (b'{"a": "\\x41"}', 'line 1, column 8: "\\x" is not an escape of JSON (a backslash is \\\\)'),
        (b'{"a": "\\u12"}', "line 1, column 8: \\u needs four hexadecimal digits"),
        (b'{"a": True}', "line 1, column 7: True is not part of JSON (write true)"),
        (b'{"a": NaN}', "line 1, column 7: NaN is not a number of JSON"),
        (b'{"a": Infinity}', "line 1, column 7: Infinity is not a number of JSON"),
        (b'{"a": -Infinity}', "line 1, column 7: -Infinity is not a number of JSON"),
        (b'{"a": 0644}', "line 1, column 7: 0644 is not a number of JSON (octal 0644 is 420)"),
        (b'{"a": 0x1f}', "line 1, column 7: 0x1f is not a number of JSON"),
        (b'{"a": +1}', "line 1, column 7: +1 is not a number of JSON"),
        (b'{"a": 1.}', "line 1, column 7: 1. is not a number of JSON"),
        (b'{"a": 1e}', "line 1, column 7: 1e is not a number of JSON"),
        (b'{"a": tru}', 'line 1, column 7: expected a value, found "tru"'),
        (b'{"a": @}', 'line 1, column 7: expected a value, found "@"'),
        ('{"a":\u00a01}'.encode(), 'line 1, column 6: expected a value, found "\\xa0"'),
    ],
)
def test_errors_say_where_and_what(text: bytes, message: str) -> None:
    error = refusal(text)
    assert error.message == message
    assert str(error) == f"config.json: {message}"


@pytest.mark.usefixtures("scanner")
def test_a_member_given_twice_is_an_error() -> None:
    error = refusal('{"x": [{"a": 1}, {"b/c": 1,\n  "\\u0062/c": 2}]}')
    assert error.pointer == "/x/1/b~1c"
    assert error.message == 'line 2, column 3: "b/c" is given twice (remove one)'


@pytest.mark.usefixtures("scanner")
def test_huge_numbers_are_refused_where_they_are() -> None:
    digits = "1" * 5000
    assert refusal(f'{{"a":\n {digits}}}').message == "line 2, column 2: a number of 5000 digits is too large"
    assert parse_json(f"[1.{digits}]".encode(), "x") == [1.1111111111111112]


@pytest.mark.usefixtures("scanner")
@pytest.mark.parametrize("begin, end", [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_an_error_and_not_a_crash(begin: str, end: str) -> None:
    too_deep = "objects and arrays are nested more than 10000 deep"
    assert too_deep in refusal(begin * 100_000 + "1" + end * 100_000).message
    assert too_deep in refusal(begin * 5_000_000).message


def test_nesting_that_only_the_interpreter_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(context: object) -> Callable[[str, int], None]:
        def scan(string: str, index: int) -> None:
            raise RecursionError

        return scan

    monkeypatch.setattr(_json, "make_scanner", overflow)
    assert refusal("[[{}]]").message == "objects and arrays are nested 3 deep, which is too much"


def test_large_texts_with_an_error_at_the_end_are_explained_in_time() -> None:
    text = '{"a": ["' + "x" * 5_000_000 + '", "' + "\\n" * 1_000_000 + '" 1]}'
    assert "a comma is missing" in refusal(text).message
    assert "does not end" in refusal('{"a": "' + "x" * 5_000_000).message


def _judged(text: bytes) -> Any:
    """Returns what the json package makes of a text, with the rules that it lacks; raises ValueError."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    return json.loads(text.decode(), parse_constant=refuse, object_pairs_hook=unique)


DOCUMENTS = [
    '{"a": [1, -2.5e+3, true, null], "b": {"c": "d\\u00e9\\n"}, "a2": {}}',
    '[{"k": []}, "x", 0, {"k": {"k": 1}}]',
    '{"x": {"y": {"z": [[[]]]}}, "": ""}',
]


@settings(PATIENT, max_examples=1000)
@given(
    st.sampled_from(DOCUMENTS),
    st.lists(
        st.tuples(
            st.integers(0, 80),
            st.integers(0, 3),
            st.text(st.sampled_from(list('{}[]:,"\\ \n\t01-+.eEabtrufnl/#é\0NI')), max_size=3),
        ),
        max_size=3,
    ),
)
def test_the_reader_of_errors_agrees_with_the_json_package(document: str, edits: list[tuple[int, int, str]]) -> None:
    for position, removed, inserted in edits:
        document = document[:position] + inserted + document[position + removed :]
    text = document.encode()
    try:
        value = _judged(text)
    except ValueError:
        assert "nested" not in refusal(text).message
    else:
        assert parse_json(text, "x") == value
