# SPDX-License-Identifier: Apache-2.0
"""What pyrun makes of a "failed" message of pyrun-init: one line for a person."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun.container.hints import HINTS, hint
from pyrun.container.launch import operation_error
from pyrun.plan.operations import OPERATIONS


def failed(operation: str = "bind_mount", pointer: str = "", words: str = "words", number: int = 0) -> bytes:
    """Returns a message as report.c writes it."""
    return b"\0".join(
        part.encode("utf-8", "surrogateescape") for part in ("failed", "3", str(number), operation, pointer, words)
    )


def test_line() -> None:
    error = operation_error(failed("bind_mount", "/mounts/7", "bind source /x", errno.EACCES))
    assert str(error) == "config.json: /mounts/7: bind source /x: permission denied"
    assert (error.operation, error.pointer, error.errno) == ("bind_mount", "/mounts/7", errno.EACCES)


def test_line_without_a_place() -> None:
    """What no property of config.json asked for."""
    error = operation_error(failed("new_session", "", "start a session", errno.EPERM))
    assert str(error) == "start a session: operation not permitted"
    assert (error.source, error.pointer) == (None, None)


def test_line_without_an_error_number() -> None:
    """The words say it all: there is no reason of the kernel's."""
    error = operation_error(failed("find_program", "/process/args/0", 'exec: "x": executable file not found in $PATH'))
    assert str(error) == 'config.json: /process/args/0: exec: "x": executable file not found in $PATH'
    assert error.errno is None


def test_line_with_a_remedy() -> None:
    error = operation_error(failed("bind_root", "/root/path", "open /x", errno.ENOENT))
    assert str(error) == (
        "config.json: /root/path: open /x: no such file or directory; make the directory or correct root.path"
    )


def test_line_without_an_operation() -> None:
    """The plan itself could not be read."""
    error = operation_error(failed("", "", "plan is damaged or of another version of pyrun", errno.EINVAL))
    assert str(error) == "plan is damaged or of another version of pyrun: invalid argument"


def test_words_of_a_hostile_config() -> None:
    """Words may hold what separates, and bytes that are no text."""
    message = failed("bind_mount", "/mounts/0", "bind source /a: b; c\nd", errno.ENOENT) + b"\0e\xff\xfe"
    error = operation_error(message)
    assert str(error).startswith("config.json: /mounts/0: bind source /a: b; c\nd\0e\ufffd\ufffd: no such file")


@given(st.binary(max_size=900))
def test_message_that_was_cut_off(words: bytes) -> None:
    """Anywhere in the words, as report.c does it, even within a character."""
    error = operation_error(failed(words="") + words)
    assert str(error) == words.decode("utf-8", "replace")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOKEY, 133, 4095])
def test_reason_begins_with_a_small_letter(number: int) -> None:
    """As Go has it, in whose programs engines look for these words."""
    reason = str(operation_error(failed(words="", number=number))).removeprefix(": ")
    assert reason.lower() == os.strerror(number).lower()
    assert reason[0].islower()


@pytest.mark.parametrize(("operation", "number"), HINTS, ids=str)
def test_hint(operation: str, number: int) -> None:
    """It belongs to an operation that there is and an error that there is, and continues a line.

    map_ids is a part of clone_init; 0 stands for a reason in the words of another program.
    """
    assert operation in {*OPERATIONS, "map_ids"}
    assert number in {*errno.errorcode, 0}
    words = hint(operation, number)
    assert words is not None
    assert words == words.strip(" .;:") and "\n" not in words and words[0].islower()
    assert str(operation_error(failed(operation, "", "words", number))).endswith(f"; {words}")


def test_no_hint_for_other_errors_of_an_operation() -> None:
    assert hint("bind_root", errno.EIO) is None
    assert hint("no_operation", errno.ENOENT) is None
    assert hint("", errno.EINVAL) is None
