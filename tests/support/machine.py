# SPDX-License-Identifier: Apache-2.0
"""What a skipped test says where this host lacks something that the virtual machine has."""

from __future__ import annotations

COVERED = "make test-all runs this in the virtual machine"
