# SPDX-License-Identifier: Apache-2.0
"""Every test here must leave the host as it was, however the runtime was killed."""

from __future__ import annotations

import pytest

from support import strace
from support.remains import Remains
from support.runtime import Runtime


@pytest.fixture(autouse=True)
def _leaves_nothing(host_unchanged: None) -> None:
    """Compares the host before and after each test."""
    if not strace.available():
        pytest.skip("needs strace: apt-get install strace")


@pytest.fixture
def remains(case: str, runtime: Runtime) -> Remains:
    """What is left after each fault, to be looked at in the end: `assert not remains.failures`."""
    return Remains(case, runtime)
