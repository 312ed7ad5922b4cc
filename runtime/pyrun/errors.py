# SPDX-License-Identifier: Apache-2.0
"""The one exception that pyrun raises for what its user can mend."""

from __future__ import annotations

import os

LONGEST_PLACE = 400  # characters; names of members of config.json may be of any length


class PyrunError(Exception):
    """A failure in one line: what is wrong, where, and what to do about it.

    Attributes:
        message: the words for a person, without the place.
        source: the file the place is in (``config.json``), or None.
        pointer: JSON pointer (RFC 6901) of the property in ``source``, or None.
        operation: name of the plan operation that failed, or None.
        errno: the kernel's error number, or None.
        more: how many further errors the same input has.
        bundle: the bundle that ``pyrun validate`` would list them for, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        pointer: str | None = None,
        operation: str | None = None,
        errno: int | None = None,
        more: int = 0,
        bundle: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.source = source
        self.pointer = pointer
        self.operation = operation
        self.errno = errno
        self.more = more
        self.bundle = bundle

    def __str__(self) -> str:
        place = "".join(f"{_shown(part)}: " for part in (self.source, self.pointer) if part)
        rest = f" (and {self.more} more: pyrun validate {self.bundle or '.'})" if self.more else ""
        return f"{place}{self.message}{rest}"


def _shown(place: str) -> str:
    return place if len(place) <= LONGEST_PLACE else place[:LONGEST_PLACE] + "..."


def error_words(errno: int) -> str:
    """Return the kernel's words for an error number, with a small first letter, as engines know them from Go."""
    words = os.strerror(errno)
    return words[:1].lower() + words[1:]
