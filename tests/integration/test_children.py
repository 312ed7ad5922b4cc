# SPDX-License-Identifier: Apache-2.0
"""`run` in the foreground as a supervisor: it forwards signals, adopts and reaps orphans, returns the status."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from support import configs
from support.configs import Config
from support.process import status
from support.runtime import Call, MakeBundle, MakeContainer, Runtime
from support.waiting import wait_until

OF_RUNC = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 20, 21, 22, 24, 25, 26, 29, 30, 31]
OF_PYRUN = [27, 28, *range(34, 65)]
NOT_FORWARDED = [signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG]
# Nothing that this executes is a child: a child's end would be a signal too.
TRAPS = """
    mkfifo /dev/shm/endless && exec 3<>/dev/shm/endless
    for n in {numbers}; do trap "echo got $n" $n; done
    echo ready; while :; do read line <&3; done
"""
ORPHANS = "for n in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'exit 9' &) ; done; echo ready; {then}"

StartRun = Callable[..., Call]


@pytest.fixture
def start_run(runtime: Runtime, make_bundle: MakeBundle) -> StartRun:
    """A function that starts `run` with a configuration and waits until its program is ready."""

    def start(config: Config, *options: str) -> Call:
        container = runtime.container("test", make_bundle(config))
        container.bundle.seal()
        call = runtime.start("run", *options, "--bundle", container.bundle.path, "test")
        call.wait_for_output("ready")
        return call

    return start


def on_the_host(script: str) -> Config:
    """Returns a configuration with the host's PID namespace."""
    return configs.without_namespace(configs.shell(script), "pid")


def children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


def zombies(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            found += [pid] if status(pid)["State"].startswith("Z") else []
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def members() -> list[int]:
    with open("/sys/fs/cgroup/test/cgroup.procs", encoding="ascii") as file:
        return [int(line) for line in file]


def end(call: Call, runtime: Runtime) -> None:
    """Kills all processes of the container, so that also runc leaves none, and waits for `run`."""
    runtime.call("kill", "--all", "test", "KILL").succeeded()
    assert call.wait().status == 137


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(OF_RUNC, id="as-runc"),
        pytest.param(OF_PYRUN, id="further", marks=pytest.mark.pyrun_only("runc keeps these to itself")),
    ],
)
def test_every_signal_is_forwarded(start_run: StartRun, runtime: Runtime, numbers: list[int]) -> None:
    call = start_run(configs.shell(TRAPS.format(numbers=" ".join(map(str, numbers)))))
    said = "ready\n"
    for number in numbers:
        call.process.send_signal(number)
        said += f"got {number}\n"
        call.wait_for_output(said)
    assert call.output == said
    end(call, runtime)


@pytest.mark.pyrun_only("runc forwards SIGPIPE and SIGURG, which its own language's runtime sends itself")
def test_signals_about_the_runtime_itself_are_not_forwarded(start_run: StartRun, runtime: Runtime) -> None:
    numbers = " ".join(str(int(number)) for number in [*NOT_FORWARDED, signal.SIGTERM])
    call = start_run(configs.shell(TRAPS.format(numbers=numbers)))
    for number in [*NOT_FORWARDED, signal.SIGTERM]:
        call.process.send_signal(number)
    call.wait_for_output(f"got {int(signal.SIGTERM)}\n")
    assert call.output == f"ready\ngot {int(signal.SIGTERM)}\n"
    end(call, runtime)


def test_signal_that_ends_the_program_ends_run(start_run: StartRun) -> None:
    call = start_run(on_the_host("echo ready; while read line </dev/zero; do :; done; exec sleep 1000"))
    call.process.send_signal(signal.SIGTERM)
    assert call.wait().status == 128 + signal.SIGTERM


def test_stopped_program_is_no_ended_one(start_run: StartRun, runtime: Runtime) -> None:
    call = start_run(configs.shell("trap 'echo continued; exit 3' CONT; echo ready; while :; do sleep 0.01; done"))
    container = runtime.containers[0]
    pid = container.pid
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: status(pid)["State"].startswith("T"), "the program is stopped")
    assert container.status == "running"
    assert call.process.poll() is None
    call.process.send_signal(signal.SIGCONT)
    result = call.wait()
    assert (result.status, result.output) == (3, "ready\ncontinued\n")


def test_orphans_are_reaped(start_run: StartRun, runtime: Runtime) -> None:
    call = start_run(on_the_host(ORPHANS.format(then="exec sleep 1000")))
    init = runtime.containers[0].pid
    wait_until(lambda: children(call.process.pid) == [init], "no child but the init is left")
    end(call, runtime)


def test_orphans_become_children_of_run(start_run: StartRun, runtime: Runtime) -> None:
    call = start_run(on_the_host("(sleep 1000 &); echo ready; exec sleep 1000"))
    init = runtime.containers[0].pid
    (orphan,) = (pid for pid in members() if pid != init)
    wait_until(lambda: sorted(children(call.process.pid)) == sorted([init, orphan]), "run has adopted the orphan")
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: children(call.process.pid) == [init], "it is reaped")
    end(call, runtime)


def test_no_subreaper(start_run: StartRun, runtime: Runtime) -> None:
    """Orphans go to the next subreaper above, here this test."""
    call = start_run(on_the_host("(sleep 1000 &); echo ready; exec sleep 1000"), "--no-subreaper")
    init = runtime.containers[0].pid
    (orphan,) = (pid for pid in members() if pid != init)
    wait_until(lambda: status(orphan)["PPid"] == str(os.getpid()), "the test has adopted the orphan")
    assert children(call.process.pid) == [init]
    end(call, runtime)
    assert os.waitpid(orphan, 0)[0] == orphan


@pytest.mark.parametrize("options", [[], ["--no-subreaper"]])
def test_status_is_that_of_the_program_not_of_an_orphan(start_run: StartRun, options: list[str]) -> None:
    call = start_run(on_the_host(ORPHANS.format(then="sleep 0.2; exit 5")), *options)
    assert call.wait().status == 5
    for pid in zombies(children(os.getpid())):
        os.waitpid(pid, 0)


def test_zombies_in_a_pid_namespace_are_the_inits(start_run: StartRun, runtime: Runtime) -> None:
    """The program is the first process there: its orphans are its own, whether it reaps them or not."""
    call = start_run(configs.shell("sh -c '(sh -c \"exit 9\" &) ; echo ready; exec sleep 1000'; exit 1"))
    init = runtime.containers[0].pid
    assert children(call.process.pid) == [init]
    end(call, runtime)


@pytest.mark.pyrun_only("runc 1.1.5 leaves them and the cgroup behind")
@pytest.mark.parametrize("options", [[], ["--no-subreaper"], ["--keep"]])
def test_processes_that_outlive_the_program_end_with_run(
    start_run: StartRun, runtime: Runtime, options: list[str]
) -> None:
    call = start_run(on_the_host("sleep 1000 & (sleep 1000 &) ; echo ready; read line </dev/zero & exit 7"), *options)
    assert call.wait().status == 7
    if "--keep" in options:
        wait_until(lambda: not members(), "no process is left in the cgroup")
        runtime.containers[0].delete().succeeded()
    assert not runtime.containers[0].exists()


@pytest.mark.pyrun_only("runc 1.1.5 leaves them and the cgroup behind")
def test_processes_that_outlive_a_detached_program_end_with_delete(make_container: MakeContainer) -> None:
    container = make_container(on_the_host("sleep 1000 & echo ready"))
    container.bundle.seal()
    container.runtime.call("run", "--detach", "--bundle", container.bundle.path, container.id).succeeded()
    wait_until(lambda: container.status == "stopped", "the program has ended")
    container.delete().succeeded()
