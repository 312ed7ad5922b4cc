# SPDX-License-Identifier: Apache-2.0
"""exec: which containers take one, how its program ends, and who is left when somebody else ends first."""

from __future__ import annotations

import os
import signal

import pytest

from support import configs, process
from support.execs import members, set_frozen, the_other, wait_until_alone
from support.runtime import Container, MakeContainer
from support.snapshot import process_table
from support.waiting import reap, wait_for_exit, wait_until

WAITING = "while :; do sleep 0.01; done"


def test_created_container(make_container: MakeContainer) -> None:
    """It can be entered before its own program runs, and stays as it is."""
    container = make_container(configs.default("/bin/sleep", "1000")).created()
    assert container.exec("sh", "-c", "hostname; pwd").succeeded().output == "container\n/\n"
    assert container.status == "created"
    container.start().succeeded()
    assert container.exec("cat", "/proc/1/comm").succeeded().output == "sleep\n"


def test_stopped_container(sleeper: Container) -> None:
    sleeper.stop()
    for words in (["true"], ["missing"]):
        sleeper.exec(*words).failed("stopped", status=255)
    assert sleeper.status == "stopped"


def test_missing_container(sleeper: Container) -> None:
    sleeper.stop()
    sleeper.delete().succeeded()
    sleeper.exec("true").failed("container does not exist", status=255)
    assert not sleeper.exists()


def test_paused_container(sleeper: Container) -> None:
    """Refused, or on demand the process waits until the container is resumed."""
    set_frozen(sleeper, True)
    try:
        sleeper.exec("true").failed("paused", "--ignore-paused", status=255)
        assert members(sleeper) == {sleeper.pid}
        call = sleeper.start_exec("echo", "ran", options=["--ignore-paused"])
        wait_until(lambda: len(members(sleeper)) > 1, "the process is in the cgroup")
        assert call.output == "" and call.process.poll() is None
    finally:
        set_frozen(sleeper, False)
    assert call.wait().succeeded().output == "ran\n"


def test_status_of_the_program(sleeper: Container) -> None:
    for status in (0, 1, 42, 126, 127, 128, 254, 255):
        result = sleeper.exec("sh", "-c", f"exit {status}")
        assert (result.status, result.output, result.errors) == (status, "", "")


def test_status_of_a_program_that_is_killed(sleeper: Container) -> None:
    for name in ("KILL", "TERM", "HUP", "SEGV", "USR1"):
        number = int(getattr(signal, f"SIG{name}"))
        result = sleeper.exec("sh", "-c", f"kill -{name} $$")
        assert (result.status, result.output, result.errors) == (128 + number, "", "")


PROGRAMS = {
    "missing": "executable file not found in $PATH",
    "/missing": "no such file or directory",
    "./missing": "no such file or directory",
    "/tmp": "permission denied",
    "/etc/plain": "permission denied",
    "/etc/plain/x": "not a directory",
    "/etc/loop": "too many",
}


@pytest.mark.parametrize("options", [[], ["--detach"]], ids=["", "detached"])
def test_program_that_cannot_be_executed(make_container: MakeContainer, options: list[str]) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    container.bundle.write("etc/plain", "x", 0o644)
    os.symlink("loop", os.path.join(container.bundle.rootfs, "etc/loop"))
    container.started()
    for program, words in PROGRAMS.items():
        container.exec(program, options=options).failed(program, words, status=255)
    wait_until_alone(container)


@pytest.mark.pyrun_only("runc writes the error to the streams of the program, which ends with 1")
@pytest.mark.parametrize(("text", "words"), [("x", "exec format error"), ("#!/missing\n", "no such file or directory")])
def test_program_that_the_kernel_refuses(make_container: MakeContainer, text: str, words: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    container.bundle.write("etc/program", text, 0o755)
    container.started()
    container.exec("/etc/program").failed("/etc/program", words, status=255)
    wait_until_alone(container)


def test_signals_reach_the_program(sleeper: Container) -> None:
    for name in ("TERM", "INT", "USR1", "HUP"):
        call = sleeper.start_exec("sh", "-c", f"trap 'exit 3' {name}; echo ready; {WAITING}")
        call.wait_for_output("ready")
        call.process.send_signal(getattr(signal, f"SIG{name}"))
        assert call.wait().status == 3, name


@pytest.fixture
def pid_file(scratch: str) -> str:
    """Where the pid is to be written."""
    return os.path.join(scratch, "pid")


def pid_in(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


@pytest.mark.parametrize("option", ["--detach", "-d"])
def test_detached_program_outlives_the_runtime(sleeper: Container, pid_file: str, option: str) -> None:
    """It becomes a child of the nearest subreaper, which gets its status; its streams are the caller's own."""
    script = f"trap 'exit 7' TERM; echo out; echo err >&2; {WAITING}"
    call = sleeper.start_exec("sh", "-c", script, options=[option, "--pid-file", pid_file])
    assert call.wait().status == 0
    pid = pid_in(pid_file)
    assert pid in members(sleeper)
    assert process.namespace(pid, "pid") == process.namespace(sleeper.pid, "pid")
    assert int(process.status(pid)["PPid"]) == os.getpid()
    call.wait_for_output("out\n")
    wait_until(lambda: call.errors == "err\n", "the program has written its error")
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_detached_program_ends_with_the_container(sleeper: Container, pid_file: str) -> None:
    sleeper.exec("sleep", "1000", options=["--detach", "--pid-file", pid_file]).succeeded()
    sleeper.kill("KILL").succeeded()
    wait_for_exit(pid_in(pid_file))
    sleeper.wait_for_end()
    sleeper.delete().succeeded()


def test_pid_file_of_a_program_that_is_waited_for(sleeper: Container, pid_file: str) -> None:
    call = sleeper.start_exec("sleep", "1000", options=["--pid-file", pid_file])
    wait_until(lambda: os.path.exists(pid_file), "the pid file is there")
    pid = pid_in(pid_file)
    assert pid == the_other(sleeper)
    os.kill(pid, signal.SIGKILL)
    assert call.wait().status == 128 + signal.SIGKILL


def test_pid_file_of_a_program_that_cannot_be_executed(sleeper: Container, pid_file: str) -> None:
    sleeper.exec("missing", options=["--detach", "--pid-file", pid_file]).failed("missing", status=255)
    assert not os.path.exists(pid_file)


@pytest.mark.parametrize("options", [[], ["--detach"]], ids=["", "detached"])
def test_pid_file_that_cannot_be_written(sleeper: Container, options: list[str]) -> None:
    """The process is not left running behind the caller's back."""
    sleeper.exec("sleep", "1000", options=[*options, "--pid-file", "/missing/pid"]).failed("/missing", status=255)
    wait_until_alone(sleeper)


def test_container_ends_first(sleeper: Container) -> None:
    """The kernel kills all of a PID namespace when its first process ends."""
    call = sleeper.start_exec("sh", "-c", "echo ready; exec sleep 1000")
    call.wait_for_output("ready")
    sleeper.kill("KILL").succeeded()
    assert call.wait().status == 128 + signal.SIGKILL
    sleeper.wait_for_end()


def test_container_is_deleted_meanwhile(sleeper: Container) -> None:
    call = sleeper.start_exec("sh", "-c", "echo ready; exec sleep 1000")
    call.wait_for_output("ready")
    sleeper.delete("--force").succeeded()
    assert call.wait().status == 128 + signal.SIGKILL


def test_runtime_ends_first(sleeper: Container) -> None:
    """The program goes on, as one that was detached."""
    call = sleeper.start_exec("sh", "-c", f"trap 'exit 7' TERM; echo ready; {WAITING}")
    call.wait_for_output("ready")
    pid = the_other_shell(sleeper)
    call.process.kill()
    call.wait()
    assert int(process.status(pid)["PPid"]) == os.getpid()
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    wait_until_alone(sleeper)


def the_other_shell(container: Container) -> int:
    """Returns the shell among the processes in a container's cgroup; what it waits for begins as a shell too."""

    def only() -> int:
        table = process_table()
        shells = [pid for pid in members(container) & table.keys() if table[pid][2] == "sh"]
        return shells[0] if len(shells) == 1 else 0

    return wait_until(only, "there is one shell")


def test_what_the_program_leaves_is_the_containers(sleeper: Container) -> None:
    sleeper.exec("sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 &").succeeded()
    assert int(process.status(the_other(sleeper))["PPid"]) == sleeper.pid


def test_no_zombie_is_left(sleeper: Container) -> None:
    for _ in range(3):
        sleeper.exec("true").succeeded()
        sleeper.exec("missing").failed("missing", status=255)
    zombies = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = process.status(entry)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status["State"].startswith("Z") and int(status["PPid"]) in (os.getpid(), sleeper.pid):
            zombies.append(status["Name"])
            reap(int(entry))
    assert zombies == []
