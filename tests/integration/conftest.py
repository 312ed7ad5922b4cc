# SPDX-License-Identifier: Apache-2.0
"""Every test here must leave the host as it was."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _leaves_nothing(host_unchanged: None) -> None:
    """Compares the host before and after each test."""
