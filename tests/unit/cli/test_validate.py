# SPDX-License-Identifier: Apache-2.0
"""The verbs ``validate`` and ``plan`` on bundles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyrun_spec.explain import Finding

from .conftest import CommandLine

VALID: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/"},
    "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
}


def bundle(directory: Path, **changes: Any) -> str:
    (directory / "config.json").write_text(json.dumps({**VALID, **changes}))
    return str(directory)


def test_valid(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line("validate", bundle(tmp_path))
    assert (ended.status, ended.output, ended.errors) == (0, "config.json is valid\n", "")


def test_every_error_has_its_line(command_line: CommandLine, tmp_path: Path) -> None:
    changes = {"hostname": 5, "process": {**VALID["process"], "cwd": "relative", "args": "sh"}}
    ended = command_line("validate", bundle(tmp_path, **changes))
    assert (ended.status, ended.errors) == (1, "")
    places = {line.split(": ")[1] for line in ended.output.splitlines()}
    assert places == {"/hostname", "/process/cwd", "/process/args"}
    assert all(line.startswith("config.json: /") for line in ended.output.splitlines())


def test_values_of_the_config_do_not_break_the_line(command_line: CommandLine, tmp_path: Path) -> None:
    mount = {"destination": "/m", "source": "/", "options": ["bind", "a\nb\x1b[2J"]}
    ended = command_line("validate", bundle(tmp_path, mounts=[mount]))
    assert ended.status == 1
    assert ended.output.count("\n") == 1 and ended.output.rstrip("\n").isprintable()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_no_json_object(command_line: CommandLine, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    ended = command_line("validate", str(tmp_path))
    assert (ended.status, ended.errors) == (1, "")
    assert ended.output.startswith("config.json: ") and ended.output.count("\n") == 1


@pytest.mark.parametrize("name", [".", "missing"])
def test_missing_config(command_line: CommandLine, tmp_path: Path, name: str) -> None:
    ended = command_line("validate", str(tmp_path / name))
    assert ended.status == 1
    assert ended.output.startswith("config.json: ") and ended.output.count("\n") == 1


def test_relative_bundle(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert command_line("validate", ".").status == 0


def test_warnings_do_not_make_a_config_invalid(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line("validate", bundle(tmp_path, hostnam="x"))
    assert ended.status == 0
    warning, verdict = ended.output.splitlines()
    assert warning.startswith("config.json: /hostnam: warning: ")
    assert verdict == "config.json is valid"


def test_all_that_only_the_compiler_finds(command_line: CommandLine, tmp_path: Path) -> None:
    linux = {**VALID.get("linux", {}), "personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}}
    ended = command_line("validate", bundle(tmp_path, linux=linux, mounts=[{"destination": "/x", "source": "/y"}]))
    assert (ended.status, ended.errors) == (1, "")
    pointers = [line.split(": ")[1] for line in ended.output.splitlines()]
    assert pointers == ["/mounts/0/type", "/linux/personality/flags"]


def test_the_compiler_is_not_asked_about_an_invalid_config(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrun.cli.examine.validate_config", lambda path: [Finding("/a", "is wrong")])
    linux = {**VALID.get("linux", {}), "personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}}
    assert command_line("validate", bundle(tmp_path, linux=linux)).output == "config.json: /a: is wrong\n"


def test_plan_as_text(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line("plan", bundle(tmp_path, root={"path": "my-root"}))
    assert (ended.status, ended.errors) == (0, "")
    assert f'bind_root              path="{tmp_path}/my-root"  <- /root/path' in ended.output


def test_plan_as_json(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line("plan", bundle(tmp_path), "--json")
    assert (ended.status, ended.errors) == (0, "")
    last = json.loads(ended.output)[-1]
    assert (last["operation"], last["arguments"]["args"]) == ("execute_program", ["sh"])


def test_plan_of_a_bad_bundle(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line("plan", bundle(tmp_path, hostname=5))
    assert (ended.status, ended.output) == (1, "")
    assert ended.errors.startswith("pyrun: config.json: /hostname: ") and ended.errors.count("\n") == 1
