# SPDX-License-Identifier: Apache-2.0
"""pyrun: an OCI container runtime."""

from __future__ import annotations

__version__ = "0.1.0"
