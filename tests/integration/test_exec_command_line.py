# SPDX-License-Identifier: Apache-2.0
"""How `exec` reads its command line: where its own words end, and the command's begin."""

from __future__ import annotations

import json
import os

import pytest

from support import configs
from support.runtime import Container, MakeContainer, Runtime


@pytest.mark.parametrize(
    "options",
    [
        ["--frob"],
        ["-td"],
        ["--tty=maybe"],
        ["--no-new-privs=x"],
        ["--preserve-fds", "x"],
        ["--preserve-fds", "1.5"],
        ["--preserve-fds", "99999999999999999999"],
    ],
)
def test_option_that_is_not_understood(sleeper: Container, options: list[str]) -> None:
    sleeper.runtime.call("exec", *options, sleeper.id, "/bin/true").failed(options[0].lstrip("-").partition("=")[0])


@pytest.mark.parametrize("words", [[], ["--tty"], ["--env", "A=1"], ["--process", "file"]])
def test_container_is_missing_from_the_command_line(runtime: Runtime, words: list[str]) -> None:
    runtime.call("exec", *words).failed()


@pytest.mark.parametrize("options", [[], ["--"], ["--tty=false"], ["--env", "A=1", "--"]])
def test_words_after_the_container_are_the_commands(sleeper: Container, options: list[str]) -> None:
    words = ["-e", "A=1", "--tty", "--", "-", "", "--help", "--frob=x"]
    command = ["/bin/sh", "-c", 'printf "%s|" "$@"', "sh", *words]
    output = sleeper.runtime.call("exec", *options, sleeper.id, *command).succeeded().output
    assert output == "".join(f"{word}|" for word in words)


def test_double_dash_after_the_container_is_the_program(sleeper: Container) -> None:
    sleeper.runtime.call("exec", sleeper.id, "--", "/bin/true").failed("--", status=255)


def test_container_that_looks_like_an_option(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"), "-e")
    container.bundle.seal()
    runtime = container.runtime
    runtime.call("run", "--detach", "--bundle", container.bundle.path, "--", "-e").succeeded()
    assert runtime.call("exec", "--", "-e", "echo", "executed").succeeded().output == "executed\n"
    runtime.call("delete", "--force", "--", "-e").succeeded()


def test_command_beside_a_process_file_is_not_executed(sleeper: Container, scratch: str) -> None:
    path = os.path.join(scratch, "process.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"args": ["/bin/echo", "from the file"], "cwd": "/", "user": {"uid": 0, "gid": 0}}, file)
    result = sleeper.runtime.call("exec", "-p", path, sleeper.id, "/bin/echo", "--frob")
    assert result.succeeded().output == "from the file\n"


@pytest.mark.pyrun_only("runc refuses both names of one option in one command line")
def test_both_names_of_an_option(sleeper: Container) -> None:
    output = sleeper.runtime.call("exec", "-e", "A=1", "--env", "B=2", sleeper.id, "env").succeeded().output
    assert {"A=1", "B=2"} <= set(output.splitlines())


@pytest.mark.pyrun_only("runc takes global options before the verb only")
def test_global_options_before_the_container(sleeper: Container, scratch: str) -> None:
    log = os.path.join(scratch, "log")
    result = sleeper.runtime.call("exec", "--log", log, "--log-format=json", sleeper.id, "/bin/missing")
    result.failed("/bin/missing", status=255)
    with open(log, encoding="utf-8") as file:
        assert json.loads(file.read())["level"] == "error"


def test_log_that_cannot_be_written(sleeper: Container, scratch: str) -> None:
    """The verb has not begun then."""
    log = os.path.join(scratch, "missing", "log")
    result = sleeper.runtime.call("exec", sleeper.id, "/bin/true", options=["--log", log])
    result.failed("no such file or directory")
