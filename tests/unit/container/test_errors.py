# SPDX-License-Identifier: Apache-2.0
"""The line that an error becomes."""

from __future__ import annotations

import errno
import os
import pickle
from typing import Any

import pytest

from pyrun.errors import PyrunError, error_words
from pyrun_spec.errors import SpecError

CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "words"),
    ({"source": "config.json"}, "config.json: words"),
    ({"source": "config.json", "pointer": "/mounts/3"}, "config.json: /mounts/3: words"),
    ({"source": "config.json", "pointer": ""}, "config.json: words"),
    ({"more": 1, "bundle": "/b"}, "words (and 1 more: pyrun validate /b)"),
    ({"more": 2}, "words (and 2 more: pyrun validate .)"),
    ({"more": 0, "bundle": "/b"}, "words"),
    (
        {"source": "config.json", "pointer": "/a", "more": 9, "bundle": "/b"},
        "config.json: /a: words (and 9 more: pyrun validate /b)",
    ),
]


@pytest.mark.parametrize(("attributes", "line"), CASES)
def test_line(attributes: dict[str, Any], line: str) -> None:
    error = PyrunError("words", **attributes)
    assert str(error) == line
    for name, value in attributes.items():
        assert getattr(error, name) == value


@pytest.mark.parametrize(("attributes", "line"), CASES)
def test_specification_says_it_alike(attributes: dict[str, Any], line: str) -> None:
    """Both kinds of errors are reported by the same code, which looks at the same attributes."""
    assert str(SpecError("words", **attributes)) == line


def test_operation_and_number_are_for_programs() -> None:
    error = PyrunError("words", operation="bind_root", errno=errno.ENOENT)
    assert str(error) == "words"
    assert (error.operation, error.errno) == ("bind_root", errno.ENOENT)


def test_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(PyrunError("words", source="config.json", pointer="/a", errno=2, more=3)))
    assert str(error) == "config.json: /a: words (and 3 more: pyrun validate .)"
    assert error.errno == 2


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "no such file or directory"),
        (errno.EACCES, "permission denied"),
        (errno.EBUSY, "device or resource busy"),
    ],
)
def test_words_of_error_numbers(number: int, words: str) -> None:
    assert error_words(number) == words


def test_error_number_that_is_not_known() -> None:
    assert error_words(4095) == "u" + os.strerror(4095)[1:]
