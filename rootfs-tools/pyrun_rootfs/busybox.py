# SPDX-License-Identifier: Apache-2.0
"""Which applets a busybox has, read from the file."""

from __future__ import annotations

import re

_NAME = re.compile(rb"[a-z0-9\[][a-z0-9\[_.+-]*")
_SHELL = b"\0sh\0"


def applet_names(image: bytes) -> list[str]:
    """Names of the applets of the busybox whose file contents are ``image``, sorted; [] if it has no shell.

    busybox finds its applets by binary search in a table of names, NUL-terminated and sorted by byte: of the
    places where "sh" stands among its neighbours in order, that table is the longest.
    """
    table: list[bytes] = []
    place = image.find(_SHELL)
    while place >= 0:
        table = max(table, _names_around(image, place + 1), key=len)
        place = image.find(_SHELL, place + 1)
    return [name.decode("ascii") for name in table]


def _names_around(image: bytes, start: int) -> list[bytes]:
    names = [b"sh"]
    end = start
    while True:
        begin = image.rfind(b"\0", 0, end - 1) + 1
        name = image[begin : end - 1]
        if not _NAME.fullmatch(name) or name >= names[0]:
            break
        names.insert(0, name)
        end = begin
    begin = start + len(b"sh\0")
    while True:
        end = image.find(b"\0", begin)
        name = image[begin:end]
        if end < 0 or not _NAME.fullmatch(name) or name <= names[-1]:
            return names
        names.append(name)
        begin = end + 1
