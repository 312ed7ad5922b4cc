# SPDX-License-Identifier: Apache-2.0
"""Root filesystems for bundles."""

from __future__ import annotations

from pyrun_rootfs.errors import RootfsError
from pyrun_rootfs.from_host import root_filesystem_from_host

__all__ = ["RootfsError", "root_filesystem_from_host"]
