# SPDX-License-Identifier: Apache-2.0
"""The verb ``spec``: a whole config.json or none, and never over another."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pyrun.cli.spec import write_config
from pyrun.errors import PyrunError

from .conftest import CommandLine, Stub

CONFIG = {"ociVersion": "1.3.0", "process": {"args": ["sh"]}}


@pytest.fixture(autouse=True)
def default(stub: Stub) -> None:
    def default_config(*, rootless: bool) -> dict[str, Any]:
        return {**CONFIG, "rootless": rootless}

    stub("pyrun_spec.defaults", default_config=default_config)


def test_in_the_current_directory(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command_line("spec")
    assert (ended.status, ended.output, ended.errors) == (0, "", "")
    assert os.listdir(tmp_path) == ["config.json"]
    text = (tmp_path / "config.json").read_text()
    assert json.loads(text) == {**CONFIG, "rootless": False}
    assert text.startswith('{\n\t"ociVersion": "1.3.0",\n\t"process": {\n\t\t"args": [') and text.endswith("}\n")


def test_in_a_bundle(command_line: CommandLine, tmp_path: Path) -> None:
    assert command_line("spec", "--rootless", "-b", str(tmp_path)).status == 0
    assert json.loads((tmp_path / "config.json").read_text())["rootless"] is True


def test_mode_obeys_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o026)
    try:
        write_config(str(tmp_path), CONFIG)
        assert os.umask(0o026) == 0o026
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o640


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_config_exists(command_line: CommandLine, tmp_path: Path, make: Any) -> None:
    path = tmp_path / "config.json"
    make(path)
    before = path.lstat()
    ended = command_line("spec", "--bundle", str(tmp_path))
    assert ended.status == 1
    assert ended.errors == "pyrun: File config.json exists. Remove it first\n"
    assert path.lstat() == before
    assert os.listdir(tmp_path) == ["config.json"]


def test_config_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("theirs")
    monkeypatch.setattr(os.path, "lexists", lambda path, seen=os.path.lexists: seen(path) and "/.config" in path)
    with pytest.raises(PyrunError, match="exists. Remove it first"):
        write_config(str(tmp_path), CONFIG)
    assert os.listdir(tmp_path) == ["config.json"]
    assert (tmp_path / "config.json").read_text() == "theirs"


def test_bundle_is_missing(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line("spec", "--bundle", str(tmp_path / "missing"))
    assert ended.status == 1
    assert ended.errors == f"pyrun: {tmp_path}/missing/config.json: no such file or directory\n"


def test_full_disk_leaves_nothing(command_line: CommandLine, tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the write stops in the middle."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*/config\.json'"):
            write_config(str(tmp_path), CONFIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_filesystem_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: str, target: str) -> NoReturn:
        raise OSError(errno.EPERM, "no hard links", source)

    monkeypatch.setattr(os, "link", link)
    write_config(str(tmp_path), CONFIG)
    assert os.listdir(tmp_path) == ["config.json"]
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIG
