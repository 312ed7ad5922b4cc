# SPDX-License-Identifier: Apache-2.0
"""Where the state of an ordinary user's containers is."""

from __future__ import annotations

import os

import pytest

from pyrun.cli.reader import Settings
from pyrun.errors import PyrunError


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> str:
    """A runtime directory of an ordinary user's, who calls."""
    user = os.stat(tmp_path).st_uid or 1000
    os.chown(tmp_path, user, -1)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return str(tmp_path)


def refusal() -> str:
    with pytest.raises(PyrunError) as caught:
        Settings().state_root()
    return str(caught.value)


def test_default(directory: str) -> None:
    assert Settings().state_root() == f"{directory}/pyrun"
    os.mkdir(f"{directory}/pyrun")
    os.chown(f"{directory}/pyrun", os.geteuid(), -1)
    assert Settings().state_root() == f"{directory}/pyrun"


def test_given(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    settings = Settings()
    settings.root = "/elsewhere"
    assert settings.state_root() == "/elsewhere"


@pytest.mark.parametrize("value", [None, ""])
def test_not_set(directory: str, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    assert refusal() == "XDG_RUNTIME_DIR is not set, the directory for users other than root; set it, or use --root"


def test_missing(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{directory}/missing")
    assert f"XDG_RUNTIME_DIR is {directory}/missing: no such file or directory" in refusal()


def test_of_another_user(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert f"{directory} belongs to user {owner}" in refusal()


@pytest.mark.parametrize("make", ["link", "file"])
def test_no_directory(directory: str, make: str) -> None:
    root = f"{directory}/pyrun"
    if make == "link":
        os.symlink(directory, root)
    else:
        open(root, "w", encoding="ascii").close()
    os.chown(root, os.geteuid(), -1, follow_symlinks=False)
    assert f"{root}: not a directory" in refusal()
