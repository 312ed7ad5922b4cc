# SPDX-License-Identifier: Apache-2.0
"""The applet table as it is found in a busybox."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pyrun_rootfs.busybox import applet_names


def test_the_host_busybox_has_the_applets_it_lists() -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    assert applet_names(Path(busybox).read_bytes()) == sorted(listed)


def test_the_longest_sorted_table_with_a_shell_is_taken() -> None:
    usage = b"\0echo\0sh\0cat\0"
    table = b"\0[\0ash\0dpkg-deb\0sh\0sha1sum\0zcat\0"
    assert applet_names(usage + b"\xff\x01" + table + b"\0/bin/sh\0" + usage) == [
        *("[", "ash", "dpkg-deb", "sh", "sha1sum", "zcat")
    ]


@pytest.mark.parametrize("image", [b"", b"sh", b"\0ash\0cat\0", b"\x7fELF\0/bin/sh\0"])
def test_without_a_shell_there_is_no_table(image: bytes) -> None:
    assert applet_names(image) == []


@pytest.mark.parametrize("image", [b"\0sh\0", b"\0cat\0sh\0", b"\0sh\0zcat", b"\0sh\0\0"])
def test_a_table_may_touch_either_end(image: bytes) -> None:
    assert "sh" in applet_names(image)
