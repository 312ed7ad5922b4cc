# SPDX-License-Identifier: Apache-2.0
"""Durations as Go writes them, which runc takes: ``5s``, ``1m30s``, ``1.5h``, ``500ms``."""

from __future__ import annotations

from pyrun.errors import PyrunError

_SECONDS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = frozenset("0123456789.")
_LONGEST_SECONDS = 2**63 / 1e9


def seconds_of(text: str, option: str) -> float:
    """Return a duration that is longer than nothing, in seconds (https://pkg.go.dev/time#ParseDuration).

    Args:
        text: the duration.
        option: the option whose value it is, for the error.

    Raises:
        PyrunError: it is none, or not positive.
    """
    sign, rest = (-1.0, text[1:]) if text[:1] == "-" else (1.0, text.removeprefix("+"))
    seconds, previous = 0.0, ""
    if rest != "0":
        while rest or not previous:
            number = _leading(rest, digits=True)
            unit = _leading(rest[len(number) :], digits=False)
            if unit not in _SECONDS or number.count(".") > 1 or number in ("", "."):
                raise PyrunError(f'{option}: "{text}" is not a duration; write 5s, 500ms or 1m30s')
            seconds += float(number) * _SECONDS[unit]
            previous, rest = unit, rest[len(number) + len(unit) :]
    if not 0 < sign * seconds < _LONGEST_SECONDS:
        raise PyrunError(f"duration {option.lstrip('-')} must be greater than 0, and less than 292 years")
    return seconds


def _leading(text: str, *, digits: bool) -> str:
    """What the text begins with: characters of a number, or others."""
    end = 0
    while end < len(text) and (text[end] in _NUMBER) == digits:
        end += 1
    return text[:end]
