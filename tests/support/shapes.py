# SPDX-License-Identifier: Apache-2.0
"""The shape of a JSON document: which places it has, in which order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

# What the statistics of `events` have beyond those of runc 1.1.5: keys of newer versions, and pyrun's own.
NEWER_STATISTICS = {"cpu/psi", "memory/psi", "memory/usage/max", "blkio/psi", "cgroup2"}


def places(value: Any, whole: Collection[str] = (), path: str = "") -> list[str]:
    """Returns the places in a document, such as "cpu/usage" or "list/0"; nothing of what is below those in `whole`."""
    if path in whole or not isinstance(value, dict | list):
        return [path]
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *[place for name, entry in entries for place in places(entry, whole, f"{path}/{name}".lstrip("/"))]]
