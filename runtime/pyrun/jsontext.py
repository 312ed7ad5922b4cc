# SPDX-License-Identifier: Apache-2.0
"""JSON text without the json package, which costs a hot verb more than its own work."""

from __future__ import annotations

try:
    from _json import encode_basestring_ascii
except ImportError:  # private to CPython, whose C modules may be left out
    encode_basestring_ascii = None  # type: ignore[assignment]

_SHORT_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\f": "\\f",
    "\b": "\\b",
}


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if 0x20 <= code < 0x7F:
        return character
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 | code >> 10:04x}\\u{0xDC00 | code & 0x3FF:04x}"


def quote_without_c(text: str, /) -> str:
    """A string as a JSON literal of ASCII characters only."""
    return '"' + "".join([_escape(character) for character in text]) + '"'


quote = quote_without_c if encode_basestring_ascii is None else encode_basestring_ascii


def encode(value: object, indent: str = "") -> str:
    """A value of dicts, lists, strings, integers, booleans and None as JSON, indented by two spaces.

    Args:
        value: what to write; keys keep their order.
        indent: what the lines after the first begin with.

    Raises:
        TypeError: the value holds something else.
    """
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    deeper = indent + "  "
    if isinstance(value, dict):
        members = [f"{quote(key)}: {encode(member, deeper)}" for key, member in value.items()]
        return _enclose("{", members, "}", indent, deeper)
    if isinstance(value, list):
        return _enclose("[", [encode(member, deeper) for member in value], "]", indent, deeper)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def encode_compactly(value: object) -> str:
    """A value as :func:`encode` takes it, in one line without spaces; arguments and errors as there."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{quote(key)}:{encode_compactly(member)}" for key, member in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([encode_compactly(member) for member in value]) + "]"
    return encode(value)


def _enclose(opening: str, members: list[str], closing: str, indent: str, deeper: str) -> str:
    if not members:
        return opening + closing
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(members) + f"\n{indent}{closing}"
