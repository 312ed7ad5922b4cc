# SPDX-License-Identifier: Apache-2.0
"""exec: another process in a container: its arguments, streams, environment, directory, and the process file."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from support import configs, process
from support.execs import process_file, the_other, wait_until_alone
from support.runtime import Container, MakeContainer
from support.waiting import PATIENCE


def test_arguments_arrive_as_they_are_given(sleeper: Container) -> None:
    """Whatever comes after the id is the program's."""
    words = ["", " ", "a b", "$HOME", "*", "\n", "\\", "ä", "--", "-d", "--cwd", "/missing", "-t"]
    script = 'for word; do printf "%s|" "$word"; done'
    assert sleeper.exec("sh", "-c", script, "sh", *words).succeeded().output == "|".join([*words, ""])


@pytest.mark.pyrun_only("runc replaces what is not UTF-8")
def test_bytes_that_are_no_text(sleeper: Container) -> None:
    options = ["--env", "A=\udcfe"]
    assert sleeper.exec("sh", "-c", "echo $0 $A", "\udcff", options=options).succeeded().output == "\udcff \udcfe\n"


def test_many_arguments(sleeper: Container) -> None:
    words = ["x" * 1000] * 1000
    assert sleeper.exec("sh", "-c", "echo $#", "sh", *words).succeeded().output == "1000\n"


def test_double_dash_ends_the_options(sleeper: Container) -> None:
    assert sleeper.exec("echo", "--", "-t", options=["--"]).succeeded().output == "-- -t\n"


def test_forms_of_an_option(sleeper: Container) -> None:
    for form in ("--env A=1", "-e A=1", "--env=A=1", "-e=A=1", "-env A=1"):
        assert "A=1\n" in sleeper.exec("env", options=form.split()).succeeded().output, form


def test_streams(sleeper: Container) -> None:
    reader, writer = os.pipe()
    data = b"x" * 200_000
    call = sleeper.start_exec("sh", "-c", "wc -c; echo out; echo err >&2", stdin=reader)
    os.close(reader)
    with open(writer, "wb") as file:
        file.write(data)
    result = call.wait().succeeded()
    assert result.output.split() == [str(len(data)), "out"]
    assert result.errors == "err\n"


@pytest.mark.pyrun_only("runc copies the streams through pipes")
def test_streams_are_the_callers_own(sleeper: Container, scratch: str) -> None:
    path = os.path.join(scratch, "input")
    with open(path, "w+", encoding="ascii") as file:
        file.write("one\ntwo\n")
        file.seek(0)
        call = sleeper.start_exec("sh", "-c", "read line; echo $line; exec sleep 1000", stdin=file.fileno())
        call.wait_for_output("one\n")
        pid = the_other(sleeper)
        assert process.descriptors(pid)[0] == path
        os.kill(pid, signal.SIGKILL)
        call.wait()


def test_output_that_nobody_reads_any_more(sleeper: Container) -> None:
    command = sleeper.runtime.command("exec", sleeper.id, "yes")
    environment, null = sleeper.runtime.environment, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=null, stdin=null, env=environment) as call:
        assert call.stdout is not None and call.stdout.read(4) == b"y\ny\n"
        call.stdout.close()
        assert call.wait(PATIENCE * 30) in (1, 128 + signal.SIGPIPE)
    wait_until_alone(sleeper)


def test_environment(sleeper: Container) -> None:
    """That of the config, then the variables of the command line, of which the last counts; none of the caller's."""
    sleeper.runtime.environment["LEAKED"] = "1"
    options = ["-e", "A=1", "-e", "B=b=\n", "-e", "A=2", "-e", "TERM="]
    output = sleeper.exec("env", options=options).succeeded().output
    assert sorted(output.splitlines()) == ["", "A=2", "B=b=", "HOME=/root", configs.PATH, "TERM="]


def test_program_is_found_by_the_path_of_the_container(make_container: MakeContainer) -> None:
    config = configs.default("/bin/sleep", "1000")
    config["process"]["env"] = ["PATH=/opt/own:/bin"]
    container = make_container(config)
    container.bundle.write("opt/own/program", "#!/bin/sh\necho own\n", 0o755)
    container.bundle.write("opt/other/program", "#!/bin/sh\necho other\n", 0o755)
    container.started()
    assert container.exec("program").succeeded().output == "own\n"
    assert container.exec("program", options=["--env", "PATH=/opt/other:/bin"]).succeeded().output == "other\n"
    container.exec("program", options=["--env", "PATH=/bin"]).failed("$PATH", status=255)
    assert container.exec("./program", options=["--cwd", "/opt/other"]).succeeded().output == "other\n"


def test_working_directory(make_container: MakeContainer) -> None:
    config = configs.default("/bin/sleep", "1000")
    config["process"]["cwd"] = "/etc"
    container = make_container(config).started()
    assert container.exec("pwd", directory="/usr").succeeded().output == "/etc\n"
    assert container.exec("pwd", options=["--cwd", "/tmp"]).succeeded().output == "/tmp\n"


def test_process_file(sleeper: Container, scratch: str) -> None:
    script = "pwd; id -u; id -G; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; ulimit -n; env"
    path = process_file(
        scratch,
        *("sh", "-c", script),
        cwd="/tmp",
        env=[configs.PATH, "A=1"],
        user={"uid": 5, "gid": 6, "additionalGids": [7]},
        capabilities={"bounding": ["CAP_CHOWN"]},
        noNewPrivileges=True,
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}],
    )
    lines = sleeper.exec(options=["--process", path]).succeeded().output.splitlines()
    assert lines[:3] == ["/tmp", "5", "6 7"]
    assert [line.split()[-1] for line in lines[3:6]] == ["0000000000000001", "1", "100"]
    assert "A=1" in lines and "TERM=xterm" not in lines


def test_process_file_stands_alone(sleeper: Container, scratch: str) -> None:
    path = process_file(scratch, "sh", "-c", "echo $0; pwd; id -u; env; grep NoNewPrivs /proc/self/status")
    options = ["--user", "5", "--cwd", "/tmp", "-e", "A=1", "--cap", "CAP_CHOWN", "--no-new-privs", "-p", path]
    lines = sleeper.exec("false", options=options).succeeded().output.splitlines()
    assert lines[:3] == ["sh", "/", "0"]
    assert "A=1" not in lines
    assert lines[-1].split() == ["NoNewPrivs:", "0"]


def test_process_file_by_a_relative_path(sleeper: Container, scratch: str) -> None:
    process_file(scratch, "echo", "ran")
    result = sleeper.exec(options=["--process", "process.json"], directory=scratch)
    assert result.succeeded().output == "ran\n"


def test_process_file_from_a_pipe(sleeper: Container) -> None:
    """As a shell passes one for --process <(COMMAND)."""
    reader, writer = os.pipe()
    call = sleeper.start_exec(options=["--process", f"/dev/fd/{reader}"], pass_fds=[reader])
    os.close(reader)
    with open(writer, "w", encoding="ascii") as file:
        json.dump({"args": ["/bin/echo", "ran"], "cwd": "/", "env": [f"A={'x' * 100_000}"]}, file)
    assert call.wait().succeeded().output == "ran\n"


def test_capabilities_of_the_container_hold_for_a_process_file_without(sleeper: Container, scratch: str) -> None:
    path = process_file(scratch, "grep", "CapBnd", "/proc/self/status")
    mask = sleeper.exec(options=["--process", path]).succeeded().output.split()[1]
    assert set(process.capability_names(mask)) == set(sleeper.bundle.config["process"]["capabilities"]["bounding"])


@pytest.mark.pyrun_only("runc reads config.json again")
@pytest.mark.parametrize("change", ["removed", "edited", "broken"])
def test_config_that_changed_after_create(make_container: MakeContainer, change: str) -> None:
    """What create saw counts: the container was made of that."""
    config = configs.default("/bin/sleep", "1000")
    config["process"]["env"].append("A=old")
    container = make_container(config)
    container.bundle.may_change.add("config.json")
    container.started()
    path = os.path.join(container.bundle.path, "config.json")
    os.unlink(path)
    if change != "removed":
        edited = {**config, "process": {**config["process"], "env": ["A=new"], "user": {"uid": 7, "gid": 7}}}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(edited if change == "edited" else [], file)
    assert container.exec("sh", "-c", "echo $A; id -u").succeeded().output == "old\n0\n"
