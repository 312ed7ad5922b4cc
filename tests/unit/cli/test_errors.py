# SPDX-License-Identifier: Apache-2.0
"""Every failure is one line on standard error and exit status 1; help is none."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pyrun.cli.tables import VERBS
from pyrun.errors import PyrunError
from pyrun_spec.errors import SpecError

from .conftest import SECONDS, CommandLine, Stub, program, run_program


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["strat"], 'unknown verb "strat" (did you mean "start"?)'),
        (["xyzzy"], 'unknown verb "xyzzy" (see pyrun --help)'),
        (["", "x"], 'unknown verb "" (see pyrun --help)'),
        (["help", "strat"], 'unknown verb "strat" (did you mean "start"?)'),
        (["--rot", "x", "list"], "option --rot is not known (did you mean --root?)"),
        (["-rot=x", "list"], "option -rot is not known (did you mean --root?)"),
        (["create", "--bundel", "x", "c"], "create: option --bundel is not known (did you mean --bundle?)"),
        (["create", "--pidfd=x", "c"], "create: option --pidfd is not known (did you mean --pidfd-socket?)"),
        (["create", "--pidfil=x", "c"], "create: option --pidfil is not known (did you mean --pid-file?)"),
        (
            ["create", "--preserve-fds=x", "c"],
            'create: option --preserve-fds: "x" is not a whole number from 0 to 2147483647',
        ),
        (["exec"], "exec: CONTAINER-ID is missing (usage: pyrun exec [OPTIONS] CONTAINER-ID [COMMAND [ARGUMENT...]])"),
        (
            ["exec", "", "ls"],
            "exec: CONTAINER-ID is an empty string"
            " (usage: pyrun exec [OPTIONS] CONTAINER-ID [COMMAND [ARGUMENT...]])",
        ),
        (["exec", "--tyt", "c", "ls"], "exec: option --tyt is not known (did you mean --tty?)"),
        (["exec", "-td", "c", "ls"], "exec: option -td is not known (see pyrun exec --help)"),
        (["exec", "-e", "", "c", "ls"], "exec: option -e needs a value that is not empty"),
        (["ps"], "ps: CONTAINER-ID is missing (usage: pyrun ps [OPTIONS] CONTAINER-ID [PS-OPTION...])"),
        (["ps", "-f", "yaml", "c"], 'ps: option -f: "yaml" is none of table, json'),
        (["run", "--xyzzy=x", "c"], "run: option --xyzzy is not known (see pyrun run --help)"),
        (["kill", "c", "-9"], "kill: option -9 is not known (see pyrun kill --help)"),
        (["list", "-fq"], "list: option -fq is not known (see pyrun list --help)"),
        (["--root"], "option --root needs a value"),
        (["state", "c", "--root"], "state: option --root needs a value"),
        (["create", "--bundle=", "c"], "create: option --bundle needs a value that is not empty"),
        (["list", "-f", "yaml"], 'list: option -f: "yaml" is none of table, json'),
        (["--log-format=xml", "list"], 'option --log-format: "xml" is none of text, json'),
        (["--rootless=x", "list"], 'option --rootless: "x" is none of true, false, auto'),
        (["delete", "-f=x", "c"], 'delete: option -f: "x" is neither true nor false'),
        (["state"], "state: CONTAINER-ID is missing (usage: pyrun state [OPTIONS] CONTAINER-ID)"),
        (["state", ""], "state: CONTAINER-ID is an empty string (usage: pyrun state [OPTIONS] CONTAINER-ID)"),
        (
            ["kill", "c", ""],
            "kill: SIGNAL is an empty string (usage: pyrun kill [OPTIONS] CONTAINER-ID [SIGNAL])",
        ),
        (["state", "a", "b"], 'state: unexpected argument "b" (usage: pyrun state [OPTIONS] CONTAINER-ID)'),
        (["list", "x\n\x1b[2J"], r'list: unexpected argument "x\n\x1b[2J" (usage: pyrun list [OPTIONS])'),
        (["plan"], "plan: BUNDLE is missing (usage: pyrun plan [OPTIONS] BUNDLE)"),
        (["kill", "c", "FOO"], 'unknown signal "FOO"'),
    ],
)  # fmt: skip
def test_wrong_command_line(command_line: CommandLine, stub: Stub, words: list[str], line: str) -> None:
    stub("pyrun.container.kill", kill=lambda *arguments, **options: None)
    ended = command_line(*words)
    assert (ended.status, ended.output, ended.errors) == (1, "", f"pyrun: {line}\n")


def raising(error: BaseException) -> Any:
    def verb(*arguments: object, **options: object) -> NoReturn:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PyrunError("container does not exist"), "container does not exist"),
        (
            PyrunError("it is wrong", source="config.json", pointer="/a/0", more=2, bundle="/b"),
            "config.json: /a/0: it is wrong (and 2 more: pyrun validate /b)",
        ),
        (
            SpecError("it is wrong", source="config.json", pointer="/a/0"),
            "config.json: /a/0: it is wrong",
        ),
        (OSError(errno.ENOSPC, "x", "/some/file"), "/some/file: no space left on device"),
        (OSError(errno.EACCES, "x", b"/some/\xff"), r"/some/\udcff: permission denied"),
        (OSError(errno.EPERM, "x"), "operation not permitted"),
        (OSError(errno.EREMOTEIO, "x"), "remote I/O error"),
        (BrokenPipeError(errno.EPIPE, "x"), "broken pipe"),
        (PyrunError("a\nb"), r"a\nb"),
        (
            KeyError("x"),
            "internal error: KeyError: 'x' (run with --debug for the traceback)",
        ),
        (
            RecursionError("too deep"),
            "internal error: RecursionError: too deep (run with --debug for the traceback)",
        ),
    ],
)
def test_failing_verb(command_line: CommandLine, stub: Stub, error: BaseException, line: str) -> None:
    stub("pyrun.container.start", start=raising(error))
    ended = command_line("start", "c")
    assert (ended.status, ended.output, ended.errors) == (1, "", f"pyrun: {line}\n")


def test_failing_exec_is_told_from_a_failing_program(command_line: CommandLine, stub: Stub) -> None:
    stub("pyrun.container.exec", ExecOptions=dict, execute=raising(PyrunError("it is wrong")))
    ended = command_line("exec", "c", "ls")
    assert (ended.status, ended.output, ended.errors) == (255, "", "pyrun: it is wrong\n")


def test_exec_without_its_log_did_not_begin(command_line: CommandLine, stub: Stub, tmp_path: Path) -> None:
    stub("pyrun.container.exec", ExecOptions=dict, execute=raising(PyrunError("it is wrong")))
    assert command_line("--log", str(tmp_path / "missing" / "log"), "exec", "c", "ls").status == 1


def test_traceback_of_an_internal_error(command_line: CommandLine, stub: Stub) -> None:
    stub("pyrun.container.start", start=raising(KeyError("x")))
    ended = command_line("--debug", "start", "c")
    assert ended.status == 1
    assert "Traceback (most recent call last)" in ended.errors
    assert ended.errors.splitlines()[-1].startswith("pyrun: internal error: KeyError: 'x'")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["--debug"], ["-h", "state"]])
def test_help_of_the_program(command_line: CommandLine, words: list[str]) -> None:
    ended = command_line(*words)
    assert (ended.status, ended.errors) == (0, "")
    for verb in VERBS:
        assert re.search(rf"^  {verb} +\w", ended.output, re.MULTILINE)
    assert "--systemd-cgroup" in ended.output


@pytest.mark.parametrize(
    "words",
    [["help", "run"], ["run", "--help"], ["run", "-h"], ["run", "-h", "a", "b", "c"], ["run", "a", "-help"]],
)
def test_help_of_a_verb(command_line: CommandLine, words: list[str]) -> None:
    ended = command_line(*words)
    assert (ended.status, ended.errors) == (0, "")
    assert ended.output.startswith("Usage: pyrun run [OPTIONS] CONTAINER-ID\n")
    for option in ("-b, --bundle DIR", "-d, --detach", "--keep", "--pid-file FILE", "--no-pivot"):
        assert option in ended.output
    assert "--systemd-cgroup" not in ended.output


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["state", "--version"]])
def test_version(command_line: CommandLine, words: list[str]) -> None:
    ended = command_line(*words)
    assert (ended.status, ended.errors) == (0, "")
    assert re.match(r"pyrun version \d+\.\d+\.\d+\nspec: 1\.\d+\.\d+\n", ended.output)


LIST = "import types; m = sys.modules['pyrun.container.list'] = types.ModuleType('x'); m.list_states = lambda root: []"
SLEEP = (
    "import types, time; m = sys.modules['pyrun.container.start'] = types.ModuleType('x');"
    " m.start = lambda *a: (print('ready', flush=True), time.sleep(60))"
)


def test_exit_status_of_the_program() -> None:
    ended = run_program(["list"], LIST)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert run_program(["list", "x"], LIST).returncode == 1


@pytest.mark.parametrize("words", [["list"], ["--help"], ["--version"]])
def test_full_standard_output(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ended = run_program(words, LIST, stdout=full)
    assert ended.returncode == 1
    assert "no space left on device" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["list"], ["--help"]])
def test_nobody_reads_standard_output(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = run_program(words, LIST, stdout=writer)
    os.close(writer)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) <= 1 and "Traceback" not in ended.stderr


@pytest.mark.parametrize("words", [["list"], ["strat"]])
def test_closed_standard_descriptors(tmp_path: Path, words: list[str]) -> None:
    """With descriptor 1 or 2 free, the log file would be opened as it and receive what is printed."""
    log = tmp_path / "log"
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    command = program(LIST, ["--debug", "--log", str(log), *words])
    status = subprocess.run([*shell, *command], timeout=SECONDS, check=False).returncode
    assert status == (1 if words == ["strat"] else 0)
    if log.exists():
        assert all(line.startswith("time=") for line in log.read_text().splitlines())


def test_interrupt() -> None:
    with subprocess.Popen(
        program(SLEEP, ["start", "c"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (130, "pyrun: interrupted\n")
