# SPDX-License-Identifier: Apache-2.0
"""Finds what is wrong with a text that is not JSON, after the fast scanner has refused it.

The text is read a second time, token by token and without recursion, to know line, column and JSON pointer.
"""

from __future__ import annotations

import json
import re
import sys

from pyrun_spec.errors import SpecError, join_pointer, quote, shorten

# The characters of a string in runs between escapes, so that matching takes linear time.
CHARACTERS = r"""[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"""
TOKEN = re.compile(
    rf"""[ \t\n\r]*(?:
        (?P<mark>[{{}}\[\]:,])
      | (?P<string>"{CHARACTERS}")
      | (?P<scalar>(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![-+.\w]))
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
WHITESPACE = re.compile(r"[ \t\n\r]*")
STRING_START = re.compile(f'"{CHARACTERS}')
WORD = re.compile(r"[-+.\w]+")
INTEGER = re.compile(r"-?([0-9]+)\Z")
OCTAL = re.compile(r"0[0-7]{1,11}\Z")

# Far more than the interpreter's scanner takes in most versions; keeps this reader small for a hostile text.
DEEPEST = 10_000

# What may come next, in words, and the tokens that are this.
VALUE = "a value"
FIRST_ITEM = 'a value or "]"'
FIRST_NAME = 'a name in double quotes or "}"'
NAME = "a name in double quotes"
COLON = '":"'
AFTER_ITEM = '"," or "]"'
AFTER_MEMBER = '"," or "}"'
END = "the end"
ACCEPTED = {
    VALUE: {"{", "[", "string", "scalar"},
    FIRST_ITEM: {"{", "[", "string", "scalar", "]"},
    FIRST_NAME: {"string", "}"},
    NAME: {"string"},
    COLON: {":"},
    AFTER_ITEM: {",", "]"},
    AFTER_MEMBER: {",", "}"},
    END: {"end"},
}

# Words of other languages for what JSON has.
TRANSLATIONS = {"True": "true", "False": "false", "None": "null", "nil": "null", "undefined": "null"}


class _Fault(Exception):
    """What is wrong at a position of the text; `pointer` is the member's, if it is about a member."""

    def __init__(self, position: int, message: str, pointer: str | None = None) -> None:
        super().__init__(message)
        self.position = position
        self.message = message
        self.pointer = pointer


def syntax_error(text: bytes, source: str) -> SpecError:
    """Returns the first error of a text that `parse_json` refused.

    Args:
        text: the text as it was read.
        source: the name of the file, for the error.
    """
    try:
        string = _decoded(text)
    except UnicodeDecodeError as error:
        before = text[: error.start].decode()
        return SpecError(
            f"{_place(before)}: byte 0x{text[error.start]:02x} at offset {error.start} is not UTF-8",
            source=source,
        )
    except _Fault as fault:
        return SpecError(fault.message, source=source)
    try:
        depth = _Reader(string).read()
    except _Fault as fault:
        place = _place(string[: fault.position])
        return SpecError(f"{place}: {fault.message}", source=source, pointer=fault.pointer)
    return SpecError(f"objects and arrays are nested {depth} deep, which is too much", source=source)


def _place(before: str) -> str:
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _decoded(text: bytes) -> str:
    if not text.strip():
        raise _Fault(0, "is empty: an object is expected")
    if text.startswith(b"\xef\xbb\xbf"):
        raise _Fault(0, "starts with a byte order mark (save it as UTF-8 without one)")
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in text[:4]:
        raise _Fault(0, "is UTF-16 or UTF-32 (save it as UTF-8)")
    return text.decode()


class _Container:
    """An object or array that is being read, and which member or item of it."""

    __slots__ = ("current", "is_object", "names")

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object
        self.names: set[str] = set()
        self.current: str | int = 0


class _Reader:
    """Reads a text to its first error."""

    def __init__(self, string: str) -> None:
        self.string = string
        self.position = 0
        self.expected = VALUE
        self.containers: list[_Container] = []
        self.depth = 0

    def read(self) -> int:
        """Returns how deeply the text is nested; raises _Fault for the first error."""
        while token := TOKEN.match(self.string, self.position):
            kind = token.lastgroup or ""
            written, start = token[kind], token.start(kind)
            mark = written if kind == "mark" else kind
            if mark not in ACCEPTED[self.expected]:
                raise _Fault(start, self.misplaced(mark, written))
            if mark == "end":
                return self.depth
            self.accept(mark, written, start)
            self.position = token.end()
        start = WHITESPACE.match(self.string, self.position).end()  # type: ignore[union-attr]
        raise self.unreadable(start)

    def accept(self, mark: str, written: str, start: int) -> None:
        """Goes on to what may follow a token."""
        if mark in ("{", "["):
            if len(self.containers) == DEEPEST:
                raise _Fault(start, f"objects and arrays are nested more than {DEEPEST} deep")
            self.containers.append(_Container(is_object=mark == "{"))
            self.depth = max(self.depth, len(self.containers))
            self.expected = FIRST_NAME if mark == "{" else FIRST_ITEM
        elif mark == ",":
            self.next_member(self.containers[-1])
        elif mark == ":":
            self.expected = VALUE
        elif mark == "string" and self.expected in (FIRST_NAME, NAME):
            self.name(self.containers[-1], json.loads(written), start)
        else:
            if mark in ("}", "]"):
                self.containers.pop()
            elif mark == "scalar":
                _check_digits(written, start)
            self.expected = self.after_value()

    def next_member(self, container: _Container) -> None:
        self.expected = NAME if container.is_object else VALUE
        if isinstance(container.current, int):
            container.current += 1

    def name(self, container: _Container, name: str, start: int) -> None:
        container.current = name
        if name in container.names:
            raise _Fault(start, f"{quote(name)} is given twice (remove one)", self.pointer())
        container.names.add(name)
        self.expected = COLON

    def pointer(self) -> str:
        pointer = ""
        for container in self.containers:
            pointer = join_pointer(pointer, container.current)
        return pointer

    def after_value(self) -> str:
        if not self.containers:
            return END
        return AFTER_MEMBER if self.containers[-1].is_object else AFTER_ITEM

    def misplaced(self, mark: str, written: str) -> str:
        """Returns what is wrong with a token that is not expected."""
        shown = quote(json.loads(written)) if mark == "string" else quote(written)
        if mark == "end":
            return f"the text ends where {self.expected} is expected"
        if self.expected == END:
            return f"{shown} follows the end of the document"
        if (self.expected == NAME and mark == "}") or (self.expected == VALUE and mark == "]"):
            return f'a comma too many before "{mark}"'
        if self.expected in (AFTER_ITEM, AFTER_MEMBER) and mark in ACCEPTED[VALUE]:
            return f"a comma is missing before {shown}"
        return f"expected {self.expected}, found {shown}"

    def unreadable(self, start: int) -> _Fault:
        """Returns what is wrong where no token is."""
        character = self.string[start]
        if character == '"':
            return self.broken_string(start)
        if character == "'":
            return _Fault(start, "strings are written in double quotes")
        if character in "/#":
            return _Fault(start, "comments are not part of JSON")
        word = WORD.match(self.string, start)
        if word is None:
            return _Fault(start, f"expected {self.expected}, found {quote(character)}")
        return _Fault(start, self.foreign_word(shorten(word[0])))

    def broken_string(self, start: int) -> _Fault:
        end = STRING_START.match(self.string, start).end()  # type: ignore[union-attr]
        if end == len(self.string):
            return _Fault(start, "this string does not end")
        character = self.string[end]
        if self.string.startswith("\\u", end):
            return _Fault(end, "\\u needs four hexadecimal digits")
        if character == "\\":
            escape = quote(self.string[end : end + 2])
            return _Fault(end, f"{escape} is not an escape of JSON (a backslash is \\\\)")
        escape = json.dumps(character)[1:-1]
        return _Fault(end, f"the control character 0x{ord(character):02x} inside a string (write {escape})")

    def foreign_word(self, word: str) -> str:
        if word in TRANSLATIONS:
            return f"{word} is not part of JSON (write {TRANSLATIONS[word]})"
        if OCTAL.match(word):
            return f"{word} is not a number of JSON (octal {word} is {int(word, 8)})"
        if word[0] in "+-.0123456789" or word in ("NaN", "Infinity"):
            return f"{word} is not a number of JSON"
        return f"expected {self.expected}, found {quote(word)}"


def _check_digits(written: str, start: int) -> None:
    integer = INTEGER.match(written)
    limit = sys.get_int_max_str_digits()
    if integer and 0 < limit < len(integer[1]):
        raise _Fault(start, f"a number of {len(integer[1])} digits is too large")
