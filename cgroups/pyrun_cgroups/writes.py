# SPDX-License-Identifier: Apache-2.0
"""What the controllers' modules make of ``linux.resources``: values for files of a cgroup, or errors."""

from __future__ import annotations

UNLIMITED_BYTES = 0x7FFF_FFFF_FFFF_F000
"""From this many bytes on the kernel itself makes "max" of a size (PAGE_COUNTER_MAX of 4 KiB pages)."""


class Write:
    """A value for a file of a cgroup, to be written with one write(2).

    Attributes:
        pointer: JSON pointer, below ``linux.resources``, of the property that asks for it.
        file: name of the file in the cgroup's directory.
        value: the text.
        optional: it lifts a limit or sets the default, so nothing is lost where the file is missing.
        instead: another file and the value for that, where the first is missing or refuses with EOPNOTSUPP; or None.
    """

    __slots__ = ("file", "instead", "optional", "pointer", "value")

    def __init__(
        self,
        pointer: str,
        file: str,
        value: str,
        *,
        optional: bool = False,
        instead: tuple[str, str] | None = None,
    ) -> None:
        self.pointer = pointer
        self.file = file
        self.value = value
        self.optional = optional
        self.instead = instead

    @property
    def controller(self) -> str:
        """Name of the controller that has the file; "cgroup" for the files that every cgroup has."""
        return self.file.partition(".")[0]

    def _key(self) -> tuple[object, ...]:
        return (self.pointer, self.file, self.value, self.optional, self.instead)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Write) and self._key() == other._key()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Write{self._key()}"


class LimitError(ValueError):
    """A limit that means nothing, or that cgroup v2 can't set.

    Attributes:
        pointer: JSON pointer below ``linux.resources``.
        message: what is wrong, and what to write instead.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


def escape(token: str) -> str:
    """Return a reference token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")
