# SPDX-License-Identifier: Apache-2.0
"""Annotations ``org.systemd.property.NAME``: properties of the container's unit, written as text.

The text is GVariant's (docs.gtk.org/glib/gvariant-text-format.html): ``true``, ``42``, ``uint64 5``, ``'words'``,
``['a', 'b']``, ``@a(ss) [('/dev/null', 'rw')]``, ``b'bytes'``. Without a type a number is an int32, or a double if it
has a point. Values that are variants or dictionaries, which no property of a scope has, are not understood.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Variant = tuple[str, Any]
    Property = tuple[str, Variant]

PREFIX = "org.systemd.property."
OF_THE_MANAGER = frozenset(("PIDs", "PIDFDs", "Slice"))
"""What places a unit, and the processes in it, is for nobody else to say."""

_KEYWORDS = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
_RANGES = {
    "y": (0, 0xFF),
    "n": (-0x8000, 0x7FFF),
    "q": (0, 0xFFFF),
    "i": (-0x8000_0000, 0x7FFF_FFFF),
    "u": (0, 0xFFFF_FFFF),
    "x": (-0x8000_0000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF),
    "t": (0, 0xFFFF_FFFF_FFFF_FFFF),
}
_TEXTS = "sog"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*")|(?P<type>@[^\s]+)|(?P<word>[-+.\w]+)"""
    r"""|(?P<mark>[\[\](),]))""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|\n|.)", re.DOTALL)
_MICROSECONDS = 1_000_000
_DEEPEST = 32
_LONGEST_SIGNATURE = 255  # D-Bus Specification, "Valid Signatures"


class AnnotationError(ValueError):
    """An annotation that is no property.

    Attributes:
        key: the annotation's name.
        message: what is wrong, and what to write instead.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


def properties_of(annotations: dict[str, str]) -> list[Property]:
    """Return the properties that annotations ask for.

    A name that ends with ``Sec``, as the manual has them, becomes one with ``USec``, as D-Bus has them: the number is
    of seconds.

    Raises:
        AnnotationError: a name or a value is not one of a property.
    """
    return [_property(key, value) for key, value in annotations.items() if key.startswith(PREFIX)]


def parse(text: str) -> Variant:
    """Return the D-Bus signature and the value of a GVariant in text form.

    Raises:
        ValueError: it is none, or of a kind that is not understood.
    """
    reader = _Reader(text)
    found = reader.value(None)
    if reader.peek():
        raise ValueError(f"{reader.peek()} comes after the value")
    return found


def _property(key: str, text: str) -> Property:
    name = key.removeprefix(PREFIX)
    if not (len(name) > 2 and name.isascii() and name.isalpha()):
        raise AnnotationError(key, "the name of a property has letters only, as TimeoutStopSec")
    if name in OF_THE_MANAGER:
        raise AnnotationError(key, "this is what linux.cgroupsPath is for: remove the annotation")
    try:
        variant = parse(text)
        if name.endswith("Sec") and name[-4:-3].islower():
            return f"{name[:-3]}USec", _in_microseconds(variant)
        return name, variant
    except (ValueError, OverflowError) as error:
        words = f"\"{text}\" is no value ({error}): write it as GVariant does: true, uint64 5, 'words'"
        raise AnnotationError(key, words) from None


def _in_microseconds(variant: Variant) -> Variant:
    signature, seconds = variant
    if signature not in _RANGES and signature != "d":
        raise ValueError("a number of seconds is needed")
    return "t", _integer("t", int(seconds * _MICROSECONDS))


def _integer(signature: str, number: int) -> int:
    low, high = _RANGES[signature]
    if not low <= number <= high:
        raise ValueError(f"{number} is out of the range of its type")
    return number


class _Reader:
    """Reads values from the words of a text."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        self._depth = 0
        end = len(text.rstrip())
        position = 0
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"{text[position : position + 20].strip()} is not understood")
            self._tokens.append(match.group().strip())
            position = match.end()
        self._tokens.reverse()

    def peek(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def value(self, wanted: str | None) -> Variant:
        """Read one value; ``wanted`` is the signature that it is known to have."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        found = self._value(wanted)
        self._depth -= 1
        return found

    def _value(self, wanted: str | None) -> Variant:
        if not self._tokens:
            raise ValueError("something is missing")
        token = self._tokens.pop()
        if token in _KEYWORDS:
            return self.value(_agreed(wanted, _KEYWORDS[token]))
        if token.startswith("@"):
            return self.value(_agreed(wanted, _whole_type(token[1:])))
        if token == "[":
            return self._array(wanted)
        return self._structure(wanted) if token == "(" else _simple(token, wanted)

    def _array(self, wanted: str | None) -> Variant:
        if wanted is not None and not wanted.startswith("a"):
            raise ValueError("an array is not what its type says")
        element = None if wanted is None else wanted[1:]
        values = []
        for _ in self._until("]"):
            element, value = self.value(element)
            values.append(value)
        if element is None:
            raise ValueError("the type of an empty array is unknown: write @as []")
        return f"a{element}", bytes(values) if element == "y" else values

    def _structure(self, wanted: str | None) -> Variant:
        fields = None if wanted is None else _fields(wanted)
        signatures, values = [], []
        for number in self._until(")"):
            if fields is not None and number >= len(fields):
                raise ValueError("there are more fields than its type has")
            signature, value = self.value(None if fields is None else fields[number])
            signatures.append(signature)
            values.append(value)
        if not values or (fields is not None and len(values) < len(fields)):
            raise ValueError("fields are missing")
        return f"({''.join(signatures)})", tuple(values)

    def _until(self, end: str) -> Any:
        """Count the elements up to a closing bracket, and read the commas between them."""
        number = 0
        while self.peek() != end:
            yield number
            number += 1
            if self.peek() == ",":
                self._tokens.pop()
            elif self.peek() != end:
                raise ValueError(f"{end} is missing")
        self._tokens.pop()


def _agreed(wanted: str | None, found: str) -> str:
    if wanted not in (None, found):
        raise ValueError(f"it is of type {found}, not {wanted}")
    return found


def _fields(signature: str) -> list[str]:
    """Return the signatures of a structure's fields."""
    if not (signature.startswith("(") and signature.endswith(")")):
        raise ValueError("a structure is not what its type says")
    fields, begin = [], 1
    while begin < len(signature) - 1:
        end = _end_of_type(signature, begin)
        fields.append(signature[begin:end])
        begin = end
    return fields


def _whole_type(signature: str) -> str:
    if len(signature) > _LONGEST_SIGNATURE or _end_of_type(signature, 0) != len(signature):
        raise ValueError(f"@{signature[:_LONGEST_SIGNATURE]} is not one type")
    return signature


def _end_of_type(signature: str, begin: int) -> int:
    """Return where the type that begins somewhere in a signature ends."""
    first = signature[begin : begin + 1]
    if first == "a":
        return _end_of_type(signature, begin + 1)
    if first == "(":
        end = _end_of_type(signature, begin + 1)
        while signature[end : end + 1] != ")":
            end = _end_of_type(signature, end)
        return end + 1
    if first not in _KEYWORDS.values():
        raise ValueError(f"{signature} is not the signature of a type")
    return begin + 1


def _simple(token: str, wanted: str | None) -> Variant:
    if token in ("true", "false"):
        return _agreed(wanted, "b"), token == "true"
    if token[:1] in ("'", '"'):
        signature = wanted or "s"
        if signature not in _TEXTS:
            raise ValueError(f"{token} is not of type {signature}")
        return signature, _unescaped(token[1:-1])
    if token[:2] in ("b'", 'b"'):
        return _agreed(wanted, "ay"), _unescaped(token[2:-1]).encode("utf-8", "surrogateescape") + b"\0"
    return _numeric(token, wanted)


def _numeric(token: str, wanted: str | None) -> Variant:
    lower = token.lower()
    hexadecimal = lower.lstrip("+-").startswith("0x")
    signature = wanted or ("d" if not hexadecimal and ("." in token or "e" in lower) else "i")
    if signature == "d":
        return "d", float(token)
    if signature not in _RANGES or "_" in token:
        raise ValueError(f"{token} is not understood")
    octal = lower.lstrip("+-").startswith("0") and lower.lstrip("+-").isdigit()
    try:
        number = int(token, 8 if octal else 0)
    except ValueError:
        raise ValueError(f"{token} is not understood") from None
    return signature, _integer(signature, number)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "uU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0].isdigit() and code[0] in "01234567":
        return chr(int(code, 8))
    return "" if code == "\n" else _ESCAPES.get(code, code)
