# SPDX-License-Identifier: Apache-2.0
"""Durations as Go reads them."""

from __future__ import annotations

import pytest

from pyrun.cli.durations import seconds_of
from pyrun.errors import PyrunError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("+5s", 5.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("2h45m30.5s", 9930.5),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("250\u03bcs", 0.00025),
        ("1ns", 1e-9),
        ("1s1s", 2.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text, "--interval") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["5", "s", "5x", "5 s", "", "-", "+", ".s", "1.2.3s", "5s3", "1e3s", "\u0665s", "--5s", "m5"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(PyrunError, match=r"--interval: .* is not a duration; write 5s"):
        seconds_of(text, "--interval")


@pytest.mark.parametrize("text", ["0", "0s", "-0", "-5s", "0h0m", "9999999h"])
def test_durations_out_of_range(text: str) -> None:
    with pytest.raises(PyrunError, match="duration interval must be greater than 0"):
        seconds_of(text, "--interval")
