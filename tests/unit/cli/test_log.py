# SPDX-License-Identifier: Apache-2.0
"""The log: which lines go where, in both forms."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from pyrun.cli import log
from pyrun.errors import PyrunError

from .conftest import SECONDS, CommandLine, Stub, run_program

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def failing_verb(stub: Stub) -> None:
    """Makes ``start`` fail with the container id as the message, and ``delete`` succeed."""

    def start(root: str, container_id: str) -> None:
        raise PyrunError(container_id)

    stub("pyrun.container.start", start=start)
    stub("pyrun.container.delete", delete=lambda *arguments, **options: None)


def entry(line: str) -> dict[str, Any]:
    parsed = json.loads(line)
    assert list(parsed) == ["level", "msg", "time"]
    assert re.fullmatch(TIME, parsed.pop("time"))
    return parsed  # type: ignore[no-any-return]


def test_text_on_standard_error(command_line: CommandLine) -> None:
    assert command_line("start", "it failed").errors == "pyrun: it failed\n"


def test_json_on_standard_error_is_for_the_engine(command_line: CommandLine) -> None:
    ended = command_line("--log-format", "json", "start", "it failed")
    assert ended.status == 1
    assert entry(ended.errors) == {"level": "error", "msg": "it failed"}


@pytest.mark.parametrize("message", ["it failed", 'say "x"', "back\\slash", "two\nlines", "ünï", "\x1b[2J", "\udcff"])
def test_text_log(command_line: CommandLine, tmp_path: Path, message: str) -> None:
    path = tmp_path / "log"
    ended = command_line("--log", str(path), "start", message)
    assert ended.status == 1
    assert ended.errors.startswith("pyrun: ") and len(ended.errors.splitlines()) == 1
    (line,) = path.read_text().splitlines()
    assert line.isprintable()
    found = re.fullmatch(rf'time="{TIME}" level=error msg="(.*)"', line)
    assert found is not None
    quoted = found.group(1).replace('\\"', "").replace("\\\\", "")
    assert '"' not in quoted
    assert ("ünï" in quoted) == ("ünï" in message)


@pytest.mark.parametrize("message", ["it failed", 'say "x"', "back\\slash", "two\nlines", "ünï", "\x1b[2J"])
def test_json_log(command_line: CommandLine, tmp_path: Path, message: str) -> None:
    path = tmp_path / "log"
    ended = command_line("--log", str(path), "--log-format=json", "start", message)
    assert ended.status == 1
    assert ended.errors.startswith("pyrun: ") and len(ended.errors.splitlines()) == 1
    (line,) = path.read_text().splitlines()
    assert entry(line) == {"level": "error", "msg": message}


def test_json_log_of_a_name_that_is_not_utf8(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "log"
    command_line("--log", str(path), "--log-format=json", "start", "a\udcffb")
    assert entry(path.read_text()) == {"level": "error", "msg": "a\\udcffb"}


def test_lines_are_appended(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("first\n")
    for name in ("second", "third"):
        command_line("--log", str(path), "start", name)
    first, second, third = path.read_text().splitlines()
    assert first == "first" and "second" in second and "third" in third


def test_log_file_is_made_even_if_there_is_nothing_to_log(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "log"
    mask = os.umask(0o022)
    try:
        assert command_line("--log", str(path), "delete", "c") == command_line("delete", "c")
    finally:
        os.umask(mask)
    assert path.read_text() == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_wrong_command_line_is_logged(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "log"
    command_line("--log", str(path), "--log-format", "json", "create", "--console-sokcet", "x", "c")
    assert "--console-sokcet" in entry(path.read_text())["msg"]


def test_debug_lines(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "log"
    ended = command_line("--debug", "--log", str(path), "--log-format", "json", "delete", "c")
    assert (ended.status, ended.output, ended.errors) == (0, "", "")
    entries = [entry(line) for line in path.read_text().splitlines()]
    assert entries and all(found["level"] == "debug" for found in entries)
    assert "delete" in entries[0]["msg"] and "'c'" in entries[0]["msg"]


def test_debug_lines_without_a_log_file(command_line: CommandLine) -> None:
    ended = command_line("--debug", "delete", "c")
    assert ended.status == 0
    for line in ended.errors.splitlines():
        assert re.fullmatch(rf'time="{TIME}" level=debug msg=".*"', line)


def test_no_debug_lines_unless_asked_for(command_line: CommandLine, stub: Stub) -> None:
    stub("pyrun.container.delete", delete=lambda *arguments, **options: log.debug("deleting"))
    assert "deleting" in command_line("--debug", "delete", "c").errors
    assert command_line("--log", "/dev/null", "delete", "c").errors == ""


WARN = (
    "import types; m = sys.modules['pyrun.container.start'] = types.ModuleType('x');"
    " m.start = lambda *a: __import__('pyrun.cli.log').cli.log.warning('mind this')"
)


def test_warning_is_for_engines_and_debugging(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert run_program(["start", "c"], WARN).stderr == ""
    assert run_program(["--log", str(path), "start", "c"], WARN).stderr == ""
    assert re.fullmatch(rf'time="{TIME}" level=warning msg="mind this"\n', path.read_text())
    lines = run_program(["--debug", "--log-format=json", "start", "c"], WARN).stderr.splitlines()
    assert {"level": "warning", "msg": "mind this"} in [entry(line) for line in lines]


@pytest.mark.parametrize("verb", ["delete", "start"])
def test_log_file_that_cannot_be_opened(command_line: CommandLine, tmp_path: Path, verb: str) -> None:
    for path, reason in [
        (tmp_path / "missing" / "log", "no such file or directory"),
        (tmp_path, "is a directory"),
    ]:
        ended = command_line("--log", str(path), verb, "c")
        assert ended.status == 1
        assert ended.errors == f"pyrun: log file {path}: {reason}\n"


def test_wrong_command_line_matters_more_than_the_log(command_line: CommandLine, tmp_path: Path) -> None:
    ended = command_line("--log", str(tmp_path), "strat")
    assert (ended.status, ended.errors) == (1, 'pyrun: unknown verb "strat" (did you mean "start"?)\n')


def test_fifo(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    received: list[str] = []
    reader = threading.Timer(0.2, lambda: received.append(path.read_text()))
    reader.start()
    assert run_program(["--log", str(path), "strat"]).returncode == 1
    reader.join(SECONDS)
    assert re.fullmatch(rf'time="{TIME}" level=error msg=".*strat.*"\n', received[0])


def test_fifo_that_nobody_reads(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_SECONDS_FOR_A_FIFO_READER", 0.1)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    ended = command_line("--log", str(path), "delete", "c")
    assert ended.status == 1
    assert ended.errors == f"pyrun: log file {path}: no process reads from it\n"
