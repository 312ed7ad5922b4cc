# SPDX-License-Identifier: Apache-2.0
"""The exception of this package."""

from __future__ import annotations


class RootfsError(Exception):
    """A root filesystem that cannot be made: one line that names the file and what is wrong with it."""
