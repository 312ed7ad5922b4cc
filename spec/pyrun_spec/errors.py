# SPDX-License-Identifier: Apache-2.0
"""The exception of this package, and how errors name places and show values."""

from __future__ import annotations

SHOWN_CHARACTERS = 80
LONGEST_PLACE = 400  # characters; names of members may be of any length


class SpecError(Exception):
    """A document of the OCI runtime specification that can't be read or breaks a rule, in one line.

    Attributes:
        message: the words for a person, without the place.
        source: the file the place is in (``config.json``), or None.
        pointer: JSON pointer (RFC 6901) of the property in ``source``, or None.
        more: how many further errors the same document has.
        bundle: the bundle that ``pyrun validate`` would list them for, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        pointer: str | None = None,
        more: int = 0,
        bundle: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.source = source
        self.pointer = pointer
        self.more = more
        self.bundle = bundle

    def __str__(self) -> str:
        place = "".join(f"{shorten(part, LONGEST_PLACE)}: " for part in (self.source, self.pointer) if part)
        rest = f" (and {self.more} more: pyrun validate {self.bundle or '.'})" if self.more else ""
        return f"{place}{self.message}{rest}"


def join_pointer(parent: str, member: str | int) -> str:
    """Returns the JSON pointer of a member of the object or array that `parent` points to (RFC 6901).

    Characters that can't be printed are escaped, so that a pointer is always one line.
    """
    if type(member) is not str:
        return f"{parent}/{member}"
    if not member.isprintable():
        member = repr(member)[1:-1]
    return f"{parent}/{member.replace('~', '~0').replace('/', '~1')}"


def quote(text: str) -> str:
    """Returns `text` in double quotes, on one line and shortened, as error messages show it."""
    text = shorten(text)
    if not text.isprintable():
        text = repr(text)[1:-1]
    return f'"{text}"'


def shorten(text: str, longest: int = SHOWN_CHARACTERS) -> str:
    """Returns `text`, or its beginning if it is longer than `longest` characters."""
    return text if len(text) <= longest else text[:longest] + "..."
