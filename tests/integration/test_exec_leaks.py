# SPDX-License-Identifier: Apache-2.0
"""exec: nothing of its caller is in the container, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import pytest

from support import configs, process
from support.execs import cgroup_of, members, reap_orphans, the_other, wait_until_alone
from support.machine import COVERED
from support.runtime import Container, MakeBundle, MakeContainer, Runtime, runtime_under_test
from support.snapshot import differences, take_snapshot
from support.waiting import wait_for_exit

DESCRIPTORS = range(3, 30)

# Opens what its first argument names at each of the numbers, and executes the rest of its arguments.
LEAKING = f"""
import os, sys
leaked = os.open(sys.argv[1], os.O_RDONLY)
for number in {list(DESCRIPTORS)}:
    os.dup2(leaked, number)
    os.set_inheritable(number, True)
os.execv(sys.argv[2], sys.argv[2:])
"""

EXECS_IN_A_ROW = 1000
EXECS_AT_ONCE = 50

CalledBy = Callable[[Sequence[str]], Container]


@pytest.fixture
def called_by(sleeper: Container) -> CalledBy:
    """A function that lets a command, which executes its arguments, call the runtime from now on."""

    def call(wrapper: Sequence[str]) -> Container:
        sleeper.runtime.wrapper = tuple(wrapper)
        return sleeper

    return call


@pytest.mark.parametrize("leaked", ["/", "/etc/passwd", "/proc/self/exe"])
@pytest.mark.parametrize("detach", [False, True], ids=["", "detached"])
def test_descriptors(called_by: CalledBy, leaked: str, detach: bool) -> None:
    """Of every process in the container, only the standard ones are open."""
    container = called_by((sys.executable, "-I", "-S", "-c", LEAKING, leaked))
    call = container.start_exec("sh", "-c", "echo ready; exec sleep 1000", options=["--detach"] if detach else [])
    call.wait_for_output("ready")
    pid = the_other(container)
    assert sorted(process.descriptors(pid)) == [0, 1, 2]
    assert sorted(process.descriptors(container.pid)) == [0, 1, 2]
    os.kill(pid, signal.SIGKILL)
    call.wait()
    wait_for_exit(pid)


def test_working_directory(sleeper: Container, scratch: str) -> None:
    """Neither a directory of the host nor one that is deleted matters."""
    assert sleeper.exec("pwd", directory=scratch).succeeded().output == "/\n"
    gone = os.path.join(scratch, "gone")
    os.mkdir(gone)
    sleeper.runtime.wrapper = ("sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh")
    result = sleeper.exec("pwd")
    sleeper.runtime.wrapper = ()
    assert result.succeeded().output == "/\n"


def test_environment(called_by: CalledBy) -> None:
    container = called_by(("env", "LEAKED=1", "LD_PRELOAD=", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"))
    output = container.exec("env").succeeded().output
    assert sorted(output.split()) == ["HOME=/root", configs.PATH, "TERM=xterm"]


@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's processors")
def test_processors(called_by: CalledBy) -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("needs two processors")
    container = called_by(("taskset", "--cpu-list", str(min(allowed))))
    container.runtime.wrapper, narrow = (), container.runtime.wrapper
    expected = container.exec("grep", "Cpus_allowed:", "/proc/self/status").succeeded().output
    container.runtime.wrapper = narrow
    assert container.exec("grep", "Cpus_allowed:", "/proc/self/status").succeeded().output == expected
    assert int(expected.split()[1].replace(",", ""), 16).bit_count() >= len(allowed)


@pytest.mark.skipif(not os.path.exists("/proc/keys"), reason=f"this kernel has no keyrings: {COVERED}")
@pytest.mark.parametrize("own", [True, False])
def test_session_keyring(runtime: Runtime, make_bundle: MakeBundle, own: bool) -> None:
    """It is the container's, by its name, unless create was asked to leave the keyring alone."""
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["maskedPaths"] = []
    container = runtime.container(f"keyring-exec-{os.getpid()}-{own}", make_bundle(config))
    container.started(*([] if own else ["--no-new-keyring"]))
    rows = container.exec("cat", "/proc/keys").succeeded().output.splitlines()
    own_rows = [row for row in rows if f"_ses.{container.id}" in row]
    assert len(own_rows) == (1 if own else 0), rows


@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's mask")
def test_file_mode_mask(called_by: CalledBy) -> None:
    container = called_by(("sh", "-c", 'umask 077; exec "$@"', "sh"))
    assert container.exec("sh", "-c", "umask").succeeded().output == "0022\n"


@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's mask of signals")
def test_signals(called_by: CalledBy) -> None:
    """None is blocked or ignored."""
    container = called_by(("env", "--ignore-signal", "--block-signal", "--block-signal=PIPE"))
    lines = container.exec("grep", "-E", "SigBlk|SigIgn", "/proc/self/status").succeeded().output.splitlines()
    assert [int(line.split()[1], 16) for line in lines] == [0, 0]


def test_session_and_process_group(sleeper: Container) -> None:
    """Each program leads a session of its own."""
    fields = sleeper.exec("sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat; echo $$").succeeded().output.split()
    assert len(set(fields)) == 1


@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's priority")
@pytest.mark.parametrize("wrapper", [("nice", "-n", "7"), ("chrt", "--batch", "0")], ids=["nice", "batch"])
def test_what_the_container_inherits_exec_inherits_too(called_by: CalledBy, wrapper: Sequence[str]) -> None:
    """Priority and policy are the caller's, as they are for create: only the config could say otherwise."""
    container = called_by(wrapper)
    script = "cut -d' ' -f19,41 /proc/$$/stat"
    expected = {"nice": "7 0\n", "chrt": "0 3\n"}[wrapper[0]]
    assert container.exec("sh", "-c", script).succeeded().output == expected


def test_oom_score_of_the_runtime(make_container: MakeContainer) -> None:
    """The score in the config counts, not what the caller, such as a shim, has."""
    config = configs.default("/bin/sleep", "1000")
    config["process"]["oomScoreAdj"] = 300
    container = make_container(config).started()
    container.runtime.wrapper = ("sh", "-c", 'echo 500 >/proc/self/oom_score_adj; exec "$@"', "sh")
    assert container.exec("cat", "/proc/self/oom_score_adj").succeeded().output == "300\n"


def test_thousand_in_a_row(sleeper: Container, case: str) -> None:
    """They leave no process, descriptor, mount, cgroup or file."""
    before, cgroups = take_snapshot(case), sorted(os.listdir(cgroup_of(sleeper)))
    command = sleeper.runtime.command("exec", sleeper.id, "sh", "-c")
    for number in range(EXECS_IN_A_ROW):
        pid = os.posix_spawn(command[0], [*command, f"exit {number % 256}"], sleeper.runtime.environment)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == number % 256, number
    assert differences(before, take_snapshot(case)) == []
    assert members(sleeper) == {sleeper.pid}
    assert sorted(os.listdir(cgroup_of(sleeper))) == cgroups


def test_fifty_at_once(sleeper: Container, case: str) -> None:
    before = take_snapshot(case)
    calls = [sleeper.start_exec("sh", "-c", f"echo {number}; exit {number}") for number in range(EXECS_AT_ONCE)]
    results = [call.wait(60) for call in calls]
    assert [(result.status, result.output) for result in results] == [
        (number, f"{number}\n") for number in range(EXECS_AT_ONCE)
    ]
    assert members(sleeper) == {sleeper.pid}
    assert differences(before, take_snapshot(case)) == []


def test_fifty_at_once_while_the_container_ends(sleeper: Container) -> None:
    """Each ends: with its program's status, killed with it, or refused."""
    calls = [sleeper.start_exec("sh", "-c", "sleep 0.05; exit 7") for _ in range(EXECS_AT_ONCE)]
    sleeper.exec("true").succeeded()
    sleeper.delete("--force").succeeded()
    assert {call.wait(60).status for call in calls} <= {7, 128 + signal.SIGKILL, 255}
    assert not os.path.exists(cgroup_of(sleeper))


@pytest.mark.parametrize("options", [[], ["--detach"]], ids=["", "detached"])
def test_killed_at_any_time(sleeper: Container, options: list[str]) -> None:
    """The program has been started or has not: nothing of the runtime stays in the container."""
    for number in range(60):
        call = sleeper.start_exec("sleep", "0.02", options=options)
        time.sleep(number * 0.0005)
        call.process.kill()
        call.wait()
    wait_until_alone(sleeper)
    reap_orphans()
    assert sleeper.exec("echo", "ran").succeeded().output == "ran\n"
    sleeper.stop()
    sleeper.delete().succeeded()


def test_caller_in_another_container(case: str, make_container: MakeContainer, make_bundle: MakeBundle) -> None:
    """The cgroup of the caller does not matter, nor one that was killed once: see test_inherited_from_the_caller."""
    other = make_container(configs.default("/bin/sleep", "1000")).started()
    wrapper = ("sh", "-c", f'echo $$ >{cgroup_of(other)}/cgroup.procs && exec "$@"', "sh")
    runtime = Runtime(runtime_under_test(), case)
    container = runtime.container("victim", make_bundle(configs.default("/bin/sleep", "1000"))).started()
    runtime.wrapper = wrapper
    script = "grep ^0: /proc/self/cgroup; echo ready; exec sleep 1000"
    call = container.start_exec("sh", "-c", script)
    call.wait_for_output("ready")
    assert "0::/\n" in call.output
    os.kill(the_other(container), signal.SIGKILL)
    call.wait()
    runtime.wrapper = ()
    container.delete("--force").succeeded()
