# SPDX-License-Identifier: Apache-2.0
"""linux.resources.blockIO in the files of the io controller."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun_cgroups.io import THROTTLES, weight_of, writes
from pyrun_cgroups.writes import LimitError, Write


@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (11, 11), (100, 910), (500, 4950), (1000, 10000)])
def test_weights(weight: int, expected: int) -> None:
    assert weight_of(weight) == expected
    assert writes({"weight": weight}) == [
        Write("/blockIO/weight", "io.bfq.weight", str(weight), instead=("io.weight", str(expected)))
    ]


def test_weights_of_devices() -> None:
    devices = [{"major": 8, "minor": 0, "weight": 500}, {"major": 8, "minor": 16, "weight": 0, "leafWeight": 0}]
    assert writes({"weightDevice": devices}) == [
        Write("/blockIO/weightDevice/0/weight", "io.bfq.weight", "8:0 500", instead=("io.weight", "8:0 4950"))
    ]


@pytest.mark.parametrize(("name", "key"), THROTTLES.items())
def test_throttles(name: str, key: str) -> None:
    devices = [{"major": 8, "minor": 0, "rate": 600}, {"major": 259, "minor": 3, "rate": 2**64 - 1}]
    assert writes({name: devices}) == [
        Write(f"/blockIO/{name}/0/rate", "io.max", f"8:0 {key}=600"),
        Write(f"/blockIO/{name}/1/rate", "io.max", f"259:3 {key}={2**64 - 1}"),
    ]


def test_rate_of_zero_lifts_the_limit() -> None:
    devices = [{"major": 8, "minor": 0, "rate": 0}, {"major": 8, "minor": 16}]
    assert writes({"throttleReadBpsDevice": devices}) == [
        Write("/blockIO/throttleReadBpsDevice/0/rate", "io.max", "8:0 rbps=max", optional=True),
        Write("/blockIO/throttleReadBpsDevice/1/rate", "io.max", "8:16 rbps=max", optional=True),
    ]


@pytest.mark.parametrize(
    "group", [{"weight": 0, "leafWeight": 0}, {"weightDevice": [], "throttleReadBpsDevice": None}], ids=str
)
def test_nothing(group: dict[str, Any]) -> None:
    assert writes(group) == []


@pytest.mark.parametrize(
    ("group", "pointer", "words"),
    [
        ({"weight": 9}, "weight", "between 10 and 1000"),
        ({"weight": 1001}, "weight", "between 10 and 1000"),
        ({"leafWeight": 10}, "leafWeight", "remove it"),
        ({"weightDevice": [{"major": 8, "minor": 0, "weight": 1}]}, "weightDevice/0/weight", "between 10 and 1000"),
        (
            {"weightDevice": [{"major": 8, "minor": 0, "weight": 10}, {"major": 8, "minor": 16, "leafWeight": 10}]},
            "weightDevice/1/leafWeight",
            "remove it",
        ),
    ],
    ids=str,
)
def test_errors(group: dict[str, Any], pointer: str, words: str) -> None:
    with pytest.raises(LimitError, match=words) as caught:
        writes(group)
    assert caught.value.pointer == f"/blockIO/{pointer}"
