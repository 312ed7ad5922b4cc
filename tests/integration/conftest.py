# SPDX-License-Identifier: Apache-2.0
"""Every test here must leave the host as it was."""

from __future__ import annotations

import pytest

from support import configs
from support.runtime import Container, MakeContainer


@pytest.fixture(autouse=True)
def _leaves_nothing(host_unchanged: None) -> None:
    """Compares the host before and after each test."""


@pytest.fixture
def sleeper(make_container: MakeContainer) -> Container:
    """A running container whose program sleeps."""
    return make_container(configs.default("/bin/sleep", "1000")).started()
