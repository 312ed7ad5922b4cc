# SPDX-License-Identifier: Apache-2.0
"""Lists of processors and of memory nodes as the kernel takes them: one bit each."""

from __future__ import annotations

from pyrun_spec.rare_rules import numbers_of_list

WORD = 64  # bits: the kernel reads whole words


def mask_of(text: str) -> bytes:
    """Return the mask of a list such as "0-3,7" (cpuset(7), "List format"); nothing for a list without a number."""
    numbers = numbers_of_list(text)
    if not numbers:
        return b""
    words = numbers[-1] // WORD + 1
    return sum(1 << number for number in numbers).to_bytes(words * WORD // 8, "little")
