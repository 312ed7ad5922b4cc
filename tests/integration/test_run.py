# SPDX-License-Identifier: Apache-2.0
"""The verb `run`: exit status, signals, standard streams, and its options."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from support import configs
from support.runtime import MakeBundle, Runtime
from support.waiting import PATIENCE, wait_for_exit

FORWARDED = ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "CONT", "ALRM", "IO"]
WINCH = pytest.param("WINCH", marks=pytest.mark.pyrun_only("runc keeps SIGWINCH to resize a terminal"))


@pytest.mark.parametrize("status", [0, 1, 2, 42, 125, 255])
def test_exit_status(runtime: Runtime, make_bundle: MakeBundle, status: int) -> None:
    result = runtime.run("test", make_bundle(configs.shell(f"exit {status}")))
    assert (result.status, result.output, result.errors) == (status, "", "")
    assert os.listdir(str(runtime.root)) == []


@pytest.mark.parametrize("name", ["KILL", "SEGV", "ABRT", "BUS"])
def test_exit_status_of_a_killed_program(runtime: Runtime, make_bundle: MakeBundle, name: str) -> None:
    # The first process of a pid namespace is immune to most signals from within: this one has no such namespace.
    config = configs.without_namespace(configs.shell(f"kill -{name} $$"), "pid")
    result = runtime.run("test", make_bundle(config))
    assert result.status == 128 + signal.Signals[f"SIG{name}"]


@pytest.mark.parametrize("name", [*FORWARDED, WINCH])
def test_signal_reaches_the_program(runtime: Runtime, make_bundle: MakeBundle, name: str) -> None:
    script = f"trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.01; done"
    bundle = make_bundle(configs.shell(script))
    bundle.seal()
    call = runtime.start("run", "--bundle", bundle.path, "test")
    call.wait_for_output("ready")
    call.process.send_signal(signal.Signals[f"SIG{name}"])
    result = call.wait()
    assert (result.status, result.output) == (7, f"ready\ngot {name}\n")


def test_many_signals_reach_the_program(runtime: Runtime, make_bundle: MakeBundle) -> None:
    script = "trap 'echo got' USR1; trap 'exit 0' TERM; echo ready; while :; do sleep 0.005; done"
    bundle = make_bundle(configs.shell(script))
    bundle.seal()
    call = runtime.start("run", "--bundle", bundle.path, "test")
    call.wait_for_output("ready")
    for count in range(1, 11):
        call.process.send_signal(signal.SIGUSR1)
        call.wait_for_output("got\n" * count)
    call.process.send_signal(signal.SIGTERM)
    assert call.wait().status == 0


def test_standard_streams_are_kept_apart(runtime: Runtime, make_bundle: MakeBundle) -> None:
    result = runtime.run("test", make_bundle(configs.shell("echo out; echo err >&2")))
    assert (result.output, result.errors) == ("out\n", "err\n")


def test_standard_input_is_passed_through(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    text = "first line\nsecond line without end"
    path = os.path.join(scratch, "input")
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    with open(path, "rb") as stream:
        result = runtime.run("test", make_bundle(configs.default("/bin/cat")), stdin=stream)
    assert result.output == text


def test_much_data_through_pipes(runtime: Runtime, make_bundle: MakeBundle) -> None:
    data = bytes(range(256)) * 40960  # 10 MiB, far more than a pipe holds
    bundle = make_bundle(configs.default("/bin/cat"))
    bundle.seal()
    command = runtime.command("run", "--bundle", bundle.path, "test")
    result = subprocess.run(
        command, input=data, capture_output=True, env=runtime.environment, timeout=PATIENCE * 60, check=True
    )
    assert result.stdout == data
    assert result.stderr == b""


@pytest.mark.pyrun_only("runc copies the streams of a container in the foreground through pipes of its own")
def test_standard_streams_are_the_very_descriptors(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    path = os.path.join(scratch, "stream")
    with open(path, "w+b") as stream:
        stream.write(b"input\n")
        stream.seek(0)
        bundle = make_bundle(configs.shell("read line; for n in 0 1 2; do stat -Lc %i /proc/self/fd/$n; done"))
        bundle.seal()
        command = runtime.command("run", "--bundle", bundle.path, "test")
        subprocess.run(command, stdin=stream, stdout=stream, stderr=stream, env=runtime.environment, check=True)
        stream.seek(0)
        assert stream.read().decode().split() == ["input", *[str(os.fstat(stream.fileno()).st_ino)] * 3]


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_closed_standard_stream(runtime: Runtime, make_bundle: MakeBundle, descriptor: int) -> None:
    bundle = make_bundle(configs.shell("exit 3"))
    bundle.seal()
    command = runtime.command("run", "--bundle", bundle.path, "test")
    redirection = "<&-" if descriptor == 0 else f"{descriptor}>&-"
    result = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command], env=runtime.environment, timeout=PATIENCE * 30
    )
    assert result.returncode == 3


def test_closed_standard_input_is_end_of_file(runtime: Runtime, make_bundle: MakeBundle) -> None:
    result = runtime.run("test", make_bundle(configs.shell("cat; echo end")), stdin=subprocess.DEVNULL)
    assert result.output == "end\n"


def test_detach(runtime: Runtime, make_bundle: MakeBundle) -> None:
    container = runtime.container("test", make_bundle(configs.shell("echo ready; exec sleep 1000")))
    container.bundle.seal()
    call = runtime.start("run", "--detach", "--bundle", container.bundle.path, "test")
    assert call.wait().status == 0
    call.wait_for_output("ready")
    assert container.status == "running"
    container.stop()
    container.delete().succeeded()


def test_detached_container_that_ends_stays_until_deleted(runtime: Runtime, make_bundle: MakeBundle) -> None:
    container = runtime.container("test", make_bundle())
    container.bundle.seal()
    runtime.call("run", "-d", "-b", container.bundle.path, "test").succeeded()
    container.wait_for_end()
    assert container.status == "stopped"


@pytest.mark.parametrize("verb", ["create", "run"])
def test_pid_file(runtime: Runtime, make_bundle: MakeBundle, scratch: str, verb: str) -> None:
    container = runtime.container("test", make_bundle(configs.default("/bin/sleep", "1000")))
    container.bundle.seal()
    path = os.path.join(scratch, "pid")
    options = ["--detach"] if verb == "run" else []
    runtime.call(verb, *options, "--pid-file", path, "--bundle", container.bundle.path, "test").succeeded()
    with open(path, encoding="ascii") as file:
        assert file.read() == str(container.pid)
    assert [name for name in os.listdir(scratch) if "pid" in name] == ["pid"]


def test_relative_pid_file_is_below_the_working_directory(
    runtime: Runtime, make_bundle: MakeBundle, scratch: str
) -> None:
    bundle = make_bundle()
    bundle.seal()
    runtime.call("run", "--pid-file", "here", "--bundle", bundle.path, "test", directory=scratch).succeeded()
    with open(os.path.join(scratch, "here"), encoding="ascii") as file:
        assert int(file.read()) > 1


def test_keep(runtime: Runtime, make_bundle: MakeBundle) -> None:
    container = runtime.container("test", make_bundle(configs.shell("exit 5")))
    assert runtime.run("test", container.bundle, "--keep").status == 5
    assert container.status == "stopped"
    assert os.path.isdir("/sys/fs/cgroup/test")
    container.delete().succeeded()
    assert not os.path.isdir("/sys/fs/cgroup/test")


def test_children_of_the_program_die_with_it(runtime: Runtime, make_bundle: MakeBundle) -> None:
    result = runtime.run("test", make_bundle(configs.shell("sleep 1000 & sleep 1000 & exit 4")))
    assert result.status == 4


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroup behind")
def test_children_die_without_a_pid_namespace_too(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.shell("sleep 1000 & sleep 1000 & exit 4")
    result = runtime.run("test", make_bundle(configs.without_namespace(config, "pid")))
    assert result.status == 4


def test_zombies_of_a_shared_pid_namespace_do_not_end_run(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.shell("(sleep 0.01 &); (true &); sleep 0.1; exit 6")
    assert runtime.run("test", make_bundle(configs.without_namespace(config, "pid"))).status == 6


def test_container_can_be_deleted_when_run_was_killed(runtime: Runtime, make_bundle: MakeBundle) -> None:
    container = runtime.container("test", make_bundle(configs.shell("echo ready; exec sleep 1000")))
    container.bundle.seal()
    call = runtime.start("run", "--bundle", container.bundle.path, "test")
    call.wait_for_output("ready")
    call.process.kill()
    call.process.wait()
    pid = container.pid
    container.delete("--force").succeeded()
    wait_for_exit(pid)
