# SPDX-License-Identifier: Apache-2.0
"""Reads a bundle's config.json, parses it and checks it: the first step of `create`.

On this path a document is only found good or bad. What is wrong with a bad one is found out by `syntax.py`
(JSON), `explain.py` (schema) and `rules.py` (what a schema can't say); the first two are loaded only then.
"""

from __future__ import annotations

import errno
import os

from pyrun_spec.errors import SpecError, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Pairs = list[tuple[str, object]]
    Scanner = Callable[[str, int], tuple[object, int]]

CONFIG = "config.json"
SIZE_LIMIT = 16 * 1024 * 1024  # bytes

JSON_WHITESPACE = " \t\n\r"

# inode(7)
S_IFMT = 0o170000
S_IFREG = 0o100000
FILE_TYPES = {
    0o010000: "a fifo",
    0o020000: "a character device",
    0o040000: "a directory",
    0o060000: "a block device",
}


def load_config(bundle: str) -> dict[str, Any]:
    """Returns the checked configuration of a bundle.

    Members that are null are dropped: encoders written in Go write null for what is absent.

    Args:
        bundle: the directory that holds config.json.

    Raises:
        SpecError: for the first thing that is wrong with the file or with what is in it.
    """
    return checked_config(read_config(bundle), bundle)


def checked_config(text: bytes, bundle: str) -> dict[str, Any]:
    """Returns the checked configuration that a text is, as `load_config` does for the text of a bundle's file."""
    # Not at the top, for whoever only parses JSON: these two take longer to import than all else here.
    from pyrun_spec.check import check_config
    from pyrun_spec.rules import check_rules

    config = parsed_config(text)
    if not check_config(config):
        from pyrun_spec.validate import errors_of

        raise _refusal([(found.pointer, found.message) for found in errors_of(config)], bundle)
    findings: list[tuple[str, str]] = []
    check_rules(config, lambda pointer, message: findings.append((pointer, message)))
    if findings:
        raise _refusal(findings, bundle)
    return config


def parsed_config(text: bytes) -> dict[str, Any]:
    """Returns the configuration that a text is, without the members that are null; for one that was checked before.

    Raises:
        SpecError: it is not JSON.
    """
    config: dict[str, Any] = parse_json(text, CONFIG, drop_null=True)
    return config


def _refusal(findings: list[tuple[str, str]], bundle: str) -> SpecError:
    pointer, message = findings[0]
    return SpecError(message, source=CONFIG, pointer=pointer, more=len(findings) - 1, bundle=bundle)


def read_config(bundle: str) -> bytes:
    """Returns what is in the config.json of a bundle, which has to be a regular file or a link to one.

    Raises:
        SpecError: if it is missing, something else than a file, larger than SIZE_LIMIT, or can't be read.
    """
    path = os.path.join(bundle, CONFIG)
    try:
        # O_NONBLOCK: a fifo without a writer must not keep the open waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise SpecError(_why_not_opened(bundle, path, error), source=CONFIG) from None
    try:
        status = os.fstat(descriptor)
        kind = status.st_mode & S_IFMT
        if kind != S_IFREG:
            raise SpecError(f"is {FILE_TYPES[kind]}, not a regular file", source=CONFIG)
        return read_all(descriptor, status.st_size, CONFIG)
    except OSError as error:
        raise SpecError(f"can't be read: {error.strerror}", source=CONFIG) from None
    finally:
        os.close(descriptor)


def _why_not_opened(bundle: str, path: str, error: OSError) -> str:
    if error.errno == errno.ENOTDIR:
        return f"the bundle {quote(bundle)} is not a directory"
    if error.errno == errno.ENOENT and not os.path.isdir(bundle):
        return f"can't be opened in the bundle {quote(bundle)}: no such file or directory"
    if error.errno == errno.ENOENT and os.path.islink(path):
        return f"is a link to {quote(os.readlink(path))}, which does not exist"
    if error.errno == errno.ENOENT:
        return f"not found in the bundle {quote(bundle)} (to make one: pyrun spec --bundle {quote(bundle)})"
    if error.errno == errno.ENXIO:
        return "is a socket, not a regular file"
    return f"can't be opened: {error.strerror}"


def read_all(descriptor: int, expected_size: int, source: str) -> bytes:
    """Returns what is in an open file.

    Args:
        descriptor: of the file.
        expected_size: bytes that are probably in it.
        source: the name of the file, for errors.

    Raises:
        SpecError: it is larger than SIZE_LIMIT.
        OSError: it can't be read.
    """
    # One byte more than expected and than allowed, so that the end is found and a file above the limit shows.
    step = max(expected_size, 65536) + 1
    rest = SIZE_LIMIT + 1
    parts = []
    while rest and (part := os.read(descriptor, min(step, rest))):
        parts.append(part)
        rest -= len(part)
    if not rest:
        raise SpecError(f"is larger than {SIZE_LIMIT // 1024 // 1024} MiB", source=source)
    return b"".join(parts)


def parse_json(text: bytes, source: str, *, drop_null: bool = False) -> Any:
    """Returns the value of a JSON text (RFC 8259).

    Stricter than Python's `json`: only UTF-8, no byte order mark, no NaN or Infinity, no member given twice.

    Args:
        text: the text as it was read.
        source: the name of the file, for errors.
        drop_null: whether members of objects that are null are left out.

    Raises:
        SpecError: for the first error, with line and column.
    """
    hook = _present_members if drop_null and b"null" in text else _members
    try:
        string = text.decode().strip(JSON_WHITESPACE)
        value, end = _scanner(hook)(string, 0)
        if end == len(string):
            return value
    except (ValueError, StopIteration, RecursionError, SystemError):
        pass  # SystemError: the C scanner can't raise an error of the json package where that is not loaded
    from pyrun_spec.syntax import syntax_error

    raise syntax_error(text, source)


class _Context:
    """What `_json.make_scanner` reads of a decoder."""

    strict = True
    object_hook = None
    parse_float = float
    parse_int = int

    def __init__(self, object_pairs_hook: Callable[[Pairs], dict[str, object]]) -> None:
        self.object_pairs_hook = object_pairs_hook

    def parse_constant(self, name: str) -> object:
        raise ValueError(name)  # NaN, Infinity, -Infinity


def _scanner(object_pairs_hook: Callable[[Pairs], dict[str, object]]) -> Scanner:
    """Returns a function that scans one value of a string from an index on.

    The C scanner of the interpreter is private, so another interpreter may lack it or ask for another
    context; then the json package serves, which costs some milliseconds to import.
    """
    context = _Context(object_pairs_hook)
    try:
        from _json import make_scanner

        scanner: Scanner = make_scanner(context)  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError):
        from json import JSONDecoder

        decoder = JSONDecoder(object_pairs_hook=object_pairs_hook, parse_constant=context.parse_constant)
        scanner = decoder.raw_decode
    return scanner


def _members(pairs: Pairs) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _present_members(pairs: Pairs) -> dict[str, object]:
    members = _members(pairs)
    if None in members.values():
        return {name: member for name, member in members.items() if member is not None}
    return members
