# SPDX-License-Identifier: Apache-2.0
"""Who calls pyrun, and the programs that map ids for an ordinary user."""

from __future__ import annotations

import os

import pytest

from pyrun.caller import is_in_initial_user_namespace, this_caller


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1001)


def make_program(directory: str, name: str, mode: int = 0o755) -> str:
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    open(path, "w", encoding="ascii").close()
    os.chmod(path, mode)
    return path


def test_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    caller = this_caller()
    assert (caller.user, caller.group, caller.uid_mapper, caller.gid_mapper) == (0, 0, "", "")
    assert caller.is_host_root == is_in_initial_user_namespace()


def test_ordinary_user(monkeypatch: pytest.MonkeyPatch, ordinary: None, tmp_path: os.PathLike[str]) -> None:
    first, second = os.path.join(tmp_path, "first"), os.path.join(tmp_path, "second")
    users, groups = make_program(first, "newuidmap"), make_program(second, "newgidmap")
    make_program(first, "newgidmap", 0o644)
    make_program(second, "newuidmap")
    monkeypatch.setenv("PATH", f"{first}:{second}")
    caller = this_caller()
    assert (caller.user, caller.group, caller.is_host_root) == (1000, 1001, False)
    assert (caller.uid_mapper, caller.gid_mapper) == (users, groups)


@pytest.mark.parametrize("path", ["/nonexistent", "", "bin:.:"])
def test_programs_that_are_not_found(
    monkeypatch: pytest.MonkeyPatch, ordinary: None, tmp_path: os.PathLike[str], path: str
) -> None:
    """A relative directory of PATH may be anybody's; without any, the error names the usual place."""
    monkeypatch.chdir(tmp_path)
    for directory in ("bin", "."):
        make_program(directory, "newuidmap")
    monkeypatch.setenv("PATH", path)
    assert this_caller().uid_mapper == "/usr/bin/newuidmap"
