# SPDX-License-Identifier: Apache-2.0
"""The verb `ps`: which processes it lists, and in which form."""

from __future__ import annotations

import json
import os

import pytest

from support import configs
from support.execs import set_frozen
from support.runtime import Container, MakeContainer, Runtime
from support.waiting import wait_for_exit, wait_until

THREE = "sleep 1000 & sleep 1001 & echo ready; wait"


@pytest.fixture
def three(make_container: MakeContainer) -> Container:
    """A container of three processes; their pids are the host's below."""
    container = make_container(configs.shell(THREE)).started()
    container.wait_for_output("ready")
    return container


def members(container: Container) -> list[int]:
    with open(f"/sys/fs/cgroup/{container.id}/cgroup.procs", encoding="ascii") as file:
        return sorted(int(line) for line in file)


def end_all(container: Container) -> None:
    """Kills the processes of a container, which runc leaves behind when it is deleted."""
    killed = members(container)
    container.runtime.call("kill", "--all", container.id, "KILL").succeeded()
    for pid in killed:
        wait_for_exit(pid)


def table(container: Container, *words: str) -> list[list[str]]:
    output = container.runtime.call("ps", container.id, *words).succeeded().output
    assert output.endswith("\n")
    return [line.split() for line in output.splitlines()]


def pids(container: Container) -> object:
    return json.loads(container.runtime.call("ps", "--format", "json", container.id).succeeded().output)


def test_table_is_that_of_ps(three: Container) -> None:
    titles, *rows = table(three)
    assert titles == "UID PID PPID C STIME TTY TIME CMD".split()
    assert sorted(int(row[1]) for row in rows) == members(three)
    assert {" ".join(row[7:]) for row in rows} == {f"/bin/sh -c {THREE}", "sleep 1000", "sleep 1001"}


@pytest.mark.parametrize(
    ("words", "titles", "column"),
    [
        (["-o", "pid,comm"], ["PID", "COMMAND"], 0),
        (["-eo", "ppid,pid,comm"], ["PPID", "PID", "COMMAND"], 1),
        (["aux"], "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND".split(), 1),
        (["ax", "-o", "pid"], ["PID"], 0),
    ],
)
def test_words_after_the_container_are_options_of_ps(
    three: Container, words: list[str], titles: list[str], column: int
) -> None:
    first, *rows = table(three, *(["-e"] if words[0] == "-o" else []), *words)
    assert first == titles
    assert sorted(int(row[column]) for row in rows) == members(three)


def test_what_ps_does_not_choose_is_not_listed(three: Container) -> None:
    titles, *rows = table(three, "-o", "pid,args", "-C", "sleep")
    assert titles == ["PID", "COMMAND"]
    assert sorted(row[1:] for row in rows) == [["sleep", "1000"], ["sleep", "1001"]]


@pytest.mark.parametrize("option", ["-f=json", "--format=json"])
def test_json(three: Container, option: str) -> None:
    output = three.runtime.call("ps", option, three.id).succeeded().output
    assert output == json.dumps(members(three), separators=(",", ":")) + "\n"


def test_json_takes_no_notice_of_options_of_ps(three: Container) -> None:
    output = three.runtime.call("ps", "-f", "json", three.id, "-o", "comm").succeeded().output
    assert json.loads(output) == members(three)


def test_container_without_a_pid_namespace(make_container: MakeContainer) -> None:
    container = make_container(configs.without_namespace(configs.shell(THREE), "pid")).started()
    container.wait_for_output("ready")
    assert pids(container) == members(container)
    assert len(table(container)) == 4
    end_all(container)


def test_created_container(make_container: MakeContainer) -> None:
    container = make_container().created()
    assert pids(container) == [container.pid]
    assert [row[1] for row in table(container)] == ["PID", str(container.pid)]


def test_stopped_container(make_container: MakeContainer) -> None:
    container = make_container().started()
    container.wait_for_end()
    assert container.runtime.call("ps", "-f", "json", container.id).succeeded().output == "null\n"
    assert [row[0] for row in table(container)] == ["UID"]


def test_paused_container(three: Container) -> None:
    everyone = members(three)
    set_frozen(three, True)
    assert three.status == "paused"
    assert pids(three) == everyone
    assert sorted(int(row[1]) for row in table(three)[1:]) == everyone
    set_frozen(three, False)


def test_process_that_exec_added(three: Container) -> None:
    exec_ = three.runtime.start("exec", three.id, "/bin/sh", "-c", "echo executed; exec sleep 1002")
    exec_.wait_for_output("executed")
    rows = table(three, "-eo", "pid,args")
    assert len(rows) == 5
    (pid,) = (int(row[0]) for row in rows if row[1:] == ["sleep", "1002"])
    os.kill(pid, 9)
    assert exec_.wait().status == 137


def test_processes_in_cgroups_below(three: Container) -> None:
    inner = f"/sys/fs/cgroup/{three.id}/a/b"
    everyone = members(three)
    moved = everyone[-1]
    os.makedirs(inner)
    with open(f"{inner}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(moved))
    assert moved not in members(three)
    assert pids(three) == everyone
    assert sorted(int(row[1]) for row in table(three)[1:]) == everyone


def test_processes_that_outlived_the_init(make_container: MakeContainer) -> None:
    config = configs.shell("sleep 1000 & sleep 1001 & echo ready")
    container = make_container(configs.without_namespace(config, "pid")).started()
    wait_until(lambda: container.status == "stopped", "the init has ended")
    assert len(members(container)) == 2
    assert pids(container) == members(container)
    assert [row[7:] for row in table(container)[1:]] == [["sleep", "1000"], ["sleep", "1001"]]
    end_all(container)


@pytest.mark.parametrize("words", [["-eo", "comm"], ["-eo", "pid="], ["-eo", "ppid,comm"], ["--no-headers"]])
def test_table_without_pids(three: Container, words: list[str]) -> None:
    three.runtime.call("ps", three.id, *words).failed("couldn't find PID field in ps output")


def test_pids_behind_words(three: Container) -> None:
    three.runtime.call("ps", three.id, "-eo", "args,pid").failed("unable to parse pid")


@pytest.mark.parametrize("words", [["--frob"], ["-o", "frob"], ["-f", "json"], ["--", "aux"]])
def test_options_that_ps_refuses(three: Container, words: list[str]) -> None:
    three.runtime.call("ps", three.id, *words).failed("error: ")


@pytest.mark.parametrize("option", ["-f=yaml", "--format=Table"])
def test_unknown_format(three: Container, option: str) -> None:
    three.runtime.call("ps", option, three.id).failed("option")


@pytest.mark.parametrize("options", [[], ["-f", "json"]])
def test_missing_container(runtime: Runtime, options: list[str]) -> None:
    runtime.call("ps", *options, "missing").failed("container does not exist")


def test_container_is_missing_from_the_command_line(runtime: Runtime) -> None:
    runtime.call("ps").failed()


def test_host_without_ps(three: Container, scratch: str) -> None:
    three.runtime.environment["PATH"] = scratch
    three.runtime.call("ps", three.id).failed("ps", "PATH")
    assert pids(three) == members(three)
