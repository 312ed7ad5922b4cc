# SPDX-License-Identifier: Apache-2.0
"""How ``kill`` understands the name of a signal."""

from __future__ import annotations

import signal

import pytest

from pyrun.cli.handlers import signal_number
from pyrun.errors import PyrunError

NAMES = {name: int(value) for name, value in signal.Signals.__members__.items()}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_of_the_kernel(name: str) -> None:
    for spelling in (name, name.lower(), name[3:], name[3:].lower(), name.capitalize()):
        assert signal_number(spelling) == NAMES[name]


def test_every_number() -> None:
    assert [signal_number(str(number)) for number in range(1, 65)] == list(range(1, 65))
    assert signal_number("09") == 9


def test_real_time_signals() -> None:
    low, high = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
    for offset in range(high - low + 1):
        assert signal_number(f"SIGRTMIN+{offset}") == low + offset
        assert signal_number(f"rtmax-{offset}") == high - offset


@pytest.mark.parametrize(
    "name",
    [
        *[
            "",
            "SIG",
            "FOO",
            "0",
            "65",
            "99",
            "-1",
            "+9",
            " 9",
            "9 ",
            "9x",
            "1" * 5000,
            "KILL\n",
            "SIGSIGTERM",
        ],
        *["_BLOCK", "SIG_DFL", "٣", "kıll", "RTMIN+", "RTMIN-1", "RTMIN+31", "RTMIN+99", "RTMIN+x"],
        *["RTMIN+1+1", "RTMAX+1", "RTMAX-31"],
    ],
)
def test_unknown(name: str) -> None:
    with pytest.raises(PyrunError) as caught:
        signal_number(name)
    assert str(caught.value) == f'unknown signal "{name}"'
