# SPDX-License-Identifier: Apache-2.0
"""Which ids a container can have: they become names of directories, and words on command lines and in logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun.errors import PyrunError
from pyrun.state import ContainerMissing, StateDirectory, check_id

GOOD = ["a", "Z", "0", "_", "+", "-", "a.b", "...", ".a", "-rf", "a-B_c+1.2", "a" * 255]
BAD = {
    "empty": "",
    "here": ".",
    "above": "..",
    "slash": "a/b",
    "climbing": "../a",
    "absolute": "/a",
    "space": "a b",
    "newline": "a\n",
    "nul": "a\0",
    "comma": "a,b",
    "colon": "a:b",
    "at": "@seccomp",
    "backslash": "a\\b",
    "other letters": "caf\u00e9",
    "other digits": "\u0661",
    "no character": "\udcff",
}


@pytest.mark.parametrize("container_id", GOOD, ids=lambda name: name[:20])
def test_good(container_id: str, tmp_path: Path) -> None:
    check_id(container_id)
    StateDirectory.make(str(tmp_path), container_id).close()
    assert os.listdir(tmp_path) == [container_id]


@pytest.mark.parametrize("container_id", BAD.values(), ids=BAD)
def test_bad(container_id: str, tmp_path: Path) -> None:
    """Refused by whatever takes an id, before a file is touched."""
    root = tmp_path / "root"
    for refuse in (
        lambda: check_id(container_id),
        lambda: StateDirectory(str(root), container_id),
        lambda: StateDirectory.make(str(root), container_id),
    ):
        with pytest.raises(
            PyrunError, match=r'(?s)invalid container ID format: ".*"; use letters, digits and'
        ) as caught:
            refuse()
        assert not isinstance(caught.value, ContainerMissing)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("length", [256, 1024])
def test_too_long(length: int) -> None:
    with pytest.raises(PyrunError, match="longer than 255 characters"):
        check_id("a" * length)


@given(st.text(min_size=1, max_size=20))
def test_accepted_ids_are_names_of_files(container_id: str) -> None:
    try:
        check_id(container_id)
    except PyrunError:
        return
    assert container_id.isascii() and container_id.isprintable()
    assert os.path.normpath(container_id) == container_id == os.path.basename(container_id)
    assert container_id not in (os.curdir, os.pardir)
