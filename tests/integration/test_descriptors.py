# SPDX-License-Identifier: Apache-2.0
"""Descriptors of the caller: those of socket activation and --preserve-fds are the container's, no other is."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from support import actor, configs, process
from support.actor import acting
from support.configs import Config
from support.execs import members
from support.runtime import Container, MakeContainer, Result, Runtime, runtime_under_test
from support.waiting import PATIENCE, wait_for_exit, wait_until

# Gives each descriptor its number (NUMBER=INHERITED), sets variables, $$ standing for its own pid, and executes.
CALLER = """
import fcntl, os, sys
end = sys.argv.index("--")
given = [word.split("=") for word in sys.argv[1:end] if word[0].isdigit()]
held = {int(number): fcntl.fcntl(int(inherited), fcntl.F_DUPFD_CLOEXEC, 100) for number, inherited in given}
os.closerange(3, 100)
for number, descriptor in held.items():
    os.dup2(descriptor, number)
for word in sys.argv[1:end]:
    if not word[0].isdigit():
        name, value = word.split("=")
        os.environ[name] = value.replace("$$", str(os.getpid()))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""
Identities = dict[int, tuple[int, int]]


class Caller:
    """Who calls the runtime, with descriptors and variables of its own."""

    def __init__(self, case: str, scratch: str) -> None:
        self._case = case
        self._scratch = scratch
        self._files: dict[int, int] = {}

    def open(self, *numbers: int) -> None:
        """Opens a file with a number in it for each of these numbers."""
        for number in numbers:
            path = os.path.join(self._scratch, f"file{number}")
            with open(path, "w", encoding="ascii") as file:
                file.write(f"{number}\n")
            self.give(number, os.open(path, os.O_RDWR))

    def give(self, number: int, descriptor: int) -> None:
        """Takes over a descriptor, to pass it on as `number`."""
        self._files[number] = descriptor

    def identities(self, *numbers: int) -> Identities:
        """Returns what `identities` finds in a process that has just these."""
        return {number: identity(self._files[number]) for number in numbers}

    def content(self, number: int) -> str:
        """Returns what is in a file."""
        return os.pread(self._files[number], 100, 0).decode()

    def call(self, *words: str, options: Sequence[str] = (), **variables: str) -> Result:
        """Calls the runtime."""
        given = [f"{number}={descriptor}" for number, descriptor in self._files.items()]
        given += [f"{name}={value}" for name, value in variables.items()]
        wrapper = (sys.executable, "-I", "-c", CALLER, *given, "--")
        runtime = Runtime(runtime_under_test(), self._case, wrapper=wrapper)
        return runtime.call(*words, options=options, pass_fds=tuple(self._files.values()))

    def create(self, container: Container, *options: str, **variables: str) -> Result:
        """Creates a container."""
        container.bundle.seal()
        return self.call("create", *options, "--bundle", container.bundle.path, container.id, **variables)

    def start(self, container: Container, *options: str, **variables: str) -> int:
        """Creates a container, and starts it without being there any more; returns its pid."""
        self.create(container, *options, **variables).succeeded()
        container.start().succeeded()
        pid = container.pid
        # runc's start returns a moment before.
        program = container.bundle.config["process"]["args"][0]
        wait_until(lambda: command(pid).startswith(program), "the program is executed")
        return pid

    def close(self) -> None:
        """Closes the descriptors here."""
        for descriptor in self._files.values():
            os.close(descriptor)


@pytest.fixture
def caller(case: str, scratch: str) -> Iterator[Caller]:
    """A caller without descriptors beside the standard ones, to begin with."""
    made = Caller(case, scratch)
    yield made
    made.close()


@pytest.fixture
def container(make_container: MakeContainer) -> Container:
    """A container whose program sleeps, not yet created."""
    return make_container(sleeping())


def sleeping() -> Config:
    return configs.default("/bin/sleep", "1000")


def identities(pid: int | str) -> Identities:
    """Maps the open descriptors of a process to device and inode, without those of the standard streams."""
    directory = f"/proc/{pid}/fd"
    numbers = [int(name) for name in os.listdir(directory) if int(name) > 2]
    return {number: identity(os.path.join(directory, str(number))) for number in numbers}


def identity(path: str | int) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


@pytest.mark.parametrize("count", [0, 1, 5])
def test_preserved(caller: Caller, container: Container, count: int) -> None:
    caller.open(*range(3, 9))
    pid = caller.start(container, "--preserve-fds", str(count))
    assert identities(pid) == caller.identities(*range(3, 3 + count))
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


@pytest.mark.pyrun_only("runc's init has descriptors of its own while it waits")
def test_at_the_gate(caller: Caller, container: Container) -> None:
    """Beside what is preserved, the init has the gate alone."""
    caller.open(*range(3, 9))
    caller.create(container, "--preserve-fds", "2").succeeded()
    found = identities(container.pid)
    others = [process.descriptors(container.pid)[number] for number in found if number > 4]
    assert {number: found[number] for number in (3, 4)} == caller.identities(3, 4)
    assert len(others) == 1 and others[0].startswith("socket:")


def in_a_user_namespace(config: Config) -> Config:
    return configs.with_user_namespace(config)


def in_a_joined_pid_namespace(config: Config) -> Config:
    return configs.with_namespace(config, "pid", f"/proc/{os.getpid()}/ns/pid")


@pytest.mark.parametrize("change", [dict, in_a_user_namespace, in_a_joined_pid_namespace])
def test_preserved_by_run(caller: Caller, make_container: MakeContainer, change: Callable[[Config], Config]) -> None:
    """What the caller lets the container have works there, for reading and writing, and outlives another execve."""
    caller.open(3, 4)
    container = make_container(change(configs.shell("exec sh -c 'cat <&3; echo written >&4'")))
    container.bundle.seal()
    result = caller.call("run", "--preserve-fds", "2", "--bundle", container.bundle.path, container.id)
    assert (result.status, result.output) == (0, "3\n")
    assert caller.content(4) == "written\n"


CLOSED = [((3, 5), 3, 4), ((), 1, 3), ((3, 4), 100, 5), ((3,), 10**9, 4)]


@pytest.mark.pyrun_only("runc 1.1.5 preserves one of its own descriptors, of the host's cgroups")
@pytest.mark.parametrize(("there", "count", "missing"), CLOSED)
def test_descriptor_that_is_not_open(
    caller: Caller, container: Container, there: tuple[int, ...], count: int, missing: int
) -> None:
    caller.open(*there)
    caller.create(container, "--preserve-fds", str(count)).failed(
        f"descriptor {missing} is not open", f"--preserve-fds {count}"
    )
    assert not container.exists()


def test_many_descriptors_that_are_not_open(caller: Caller, container: Container) -> None:
    caller.open(3)
    assert caller.create(container, "--preserve-fds", "1000").status == 1


@pytest.mark.pyrun_only("runc 1.1.5 preserves one of its own descriptors, of the host's cgroups")
def test_log_is_not_taken_for_a_descriptor_of_the_caller(caller: Caller, container: Container, scratch: str) -> None:
    container.bundle.seal()
    log = os.path.join(scratch, "log")
    words = ["create", "--preserve-fds", "1", "--bundle", container.bundle.path, container.id]
    assert caller.call(*words, options=["--log", log]).status == 1
    with open(log, encoding="utf-8") as file:
        assert "descriptor 3 is not open" in file.read()


@pytest.mark.parametrize(
    "number",
    ["x", "99999999999999999999", "1.5", pytest.param("-1", marks=pytest.mark.pyrun_only("runc takes it for 0"))],
)
def test_number_that_is_none(caller: Caller, container: Container, number: str) -> None:
    assert caller.create(container, "--preserve-fds", number).status == 1
    assert not container.exists()


ACTIVATED = {"LISTEN_PID": "$$"}


def environment(pid: int) -> dict[str, str]:
    """Returns the variables of socket activation that a process was executed with."""
    with open(f"/proc/{pid}/environ", encoding="ascii") as file:
        entries = [entry.partition("=") for entry in file.read().split("\0")]
    return {name: value for name, _, value in entries if name.startswith("LISTEN_")}


def test_socket_activation(caller: Caller, container: Container) -> None:
    caller.open(*range(3, 7))
    pid = caller.start(container, **ACTIVATED, LISTEN_FDS="2")
    assert identities(pid) == caller.identities(3, 4)
    assert environment(pid) == {"LISTEN_FDS": "2", "LISTEN_PID": "1"}


def test_socket_activation_and_preserved(caller: Caller, container: Container) -> None:
    caller.open(*range(3, 8))
    pid = caller.start(container, "--preserve-fds", "1", **ACTIVATED, LISTEN_FDS="2")
    assert identities(pid) == caller.identities(3, 4, 5)
    assert environment(pid) == {"LISTEN_FDS": "2", "LISTEN_PID": "1"}


@pytest.mark.parametrize(
    "variables",
    [{"LISTEN_PID": "1"}, {}, {"LISTEN_PID": ""}, {"LISTEN_PID": "$$x"}],
    ids=["another's", "nobody's", "empty", "no number"],
)
def test_activation_of_another_process(caller: Caller, container: Container, variables: dict[str, str]) -> None:
    caller.open(3, 4)
    pid = caller.start(container, "--preserve-fds", "1", **variables, LISTEN_FDS="2")
    assert identities(pid) == caller.identities(3)
    assert environment(pid) == {}


@pytest.mark.parametrize("count", ["", "0"])
def test_activation_with_nothing(caller: Caller, container: Container, count: str) -> None:
    caller.open(3, 4)
    pid = caller.start(container, **ACTIVATED, LISTEN_FDS=count)
    assert identities(pid) == {}
    assert environment(pid) == {}


@pytest.mark.pyrun_only("runc 1.1.5 ignores what is no number, and fails with a stack trace at a negative one")
@pytest.mark.parametrize("count", ["x", "-1", "99999999999999999999"])
def test_activation_with_a_number_that_is_none(caller: Caller, container: Container, count: str) -> None:
    caller.create(container, **ACTIVATED, LISTEN_FDS=count).failed("LISTEN_FDS", count)
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 passes on one of its own descriptors, of the host's cgroups")
def test_activation_with_a_descriptor_that_is_not_open(caller: Caller, container: Container) -> None:
    caller.open(3, 5)
    caller.create(container, **ACTIVATED, LISTEN_FDS="3").failed("descriptor 4 is not open", "LISTEN_FDS=3")
    assert not container.exists()


def test_activation_counts_more_than_the_config(caller: Caller, make_container: MakeContainer) -> None:
    config = sleeping()
    config["process"]["env"] += ["LISTEN_FDS=7", "LISTEN_PID=7"]
    caller.open(3)
    pid = caller.start(make_container(config), **ACTIVATED, LISTEN_FDS="1")
    assert environment(pid) == {"LISTEN_FDS": "1", "LISTEN_PID": "1"}


def test_variables_of_the_config_alone(caller: Caller, make_container: MakeContainer) -> None:
    config = sleeping()
    config["process"]["env"] += ["LISTEN_FDS=7", "LISTEN_PID=7", "LISTEN_FDNAMES=a"]
    pid = caller.start(make_container(config))
    assert environment(pid) == {"LISTEN_FDS": "7", "LISTEN_PID": "7", "LISTEN_FDNAMES": "a"}


@pytest.mark.pyrun_only("runc 1.1.5 always says 1")
@pytest.mark.parametrize("change", [lambda config: configs.without_namespace(config, "pid"), in_a_joined_pid_namespace])
def test_pid_in_a_shared_pid_namespace(
    caller: Caller, make_container: MakeContainer, change: Callable[[Config], Config]
) -> None:
    """The program compares with its own pid (sd_listen_fds(3)), and would not take the descriptors otherwise."""
    caller.open(3)
    pid = caller.start(make_container(change(sleeping())), **ACTIVATED, LISTEN_FDS="1")
    assert environment(pid) == {"LISTEN_FDS": "1", "LISTEN_PID": str(pid)}


@pytest.mark.pyrun_only("runc 1.1.5 drops the names")
@pytest.mark.parametrize(("names", "passed_on"), [("web:admin", True), ("web", False), ("a:b:c", False), ("", False)])
def test_names(caller: Caller, container: Container, names: str, passed_on: bool) -> None:
    caller.open(3, 4)
    pid = caller.start(container, **ACTIVATED, LISTEN_FDS="2", LISTEN_FDNAMES=names)
    assert environment(pid).get("LISTEN_FDNAMES") == (names if passed_on else None)


def test_listening_socket_accepts(caller: Caller, make_container: MakeContainer, scratch: str) -> None:
    """A service that is activated by a socket serves in the container, and knows that the socket is for it."""
    container = make_container(acting("accept:3", "wait"))
    actor.install(actor.compile_actor(scratch), container.bundle)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.path.join(scratch, "service"))
        listener.listen()
        caller.give(3, os.dup(listener.fileno()))
    caller.start(container, **ACTIVATED, LISTEN_FDS="1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE * 10)
        client.connect(os.path.join(scratch, "service"))
        assert client.recv(100) == b"1 1\n"


LIST = "for each in /proc/self/fd/*; do readlink $each; done; echo ${LISTEN_FDS-none} ${LISTEN_PID-none}"


def listed(result: Result) -> list[str]:
    """Returns the files that LIST found, without the standard streams and the shell's directory."""
    lines = result.succeeded().output.splitlines()
    return [os.path.basename(line) for line in lines if "/file" in line] + lines[-1:]


def test_exec_preserves(caller: Caller, container: Container) -> None:
    container.started()
    caller.open(3, 4, 5)
    result = caller.call("exec", "--preserve-fds", "2", container.id, "/bin/sh", "-c", LIST)
    assert listed(result) == ["file3", "file4", "none none"]


def test_exec_of_an_activated_caller(caller: Caller, container: Container) -> None:
    """The sockets are a service's, and exec starts none; what is preserved is counted from 3."""
    container.started()
    caller.open(3, 4, 5)
    words = ["exec", "--preserve-fds", "1", container.id, "/bin/sh", "-c", LIST]
    assert listed(caller.call(*words, **ACTIVATED, LISTEN_FDS="2")) == ["file3", "none none"]


@pytest.mark.pyrun_only("runc 1.1.5 preserves one of its own descriptors, of the host's cgroups")
def test_exec_with_a_descriptor_that_is_not_open(caller: Caller, container: Container) -> None:
    container.started()
    caller.open(3, 5)
    result = caller.call("exec", "--preserve-fds", "3", container.id, "/bin/true")
    result.failed("descriptor 4 is not open", "--preserve-fds 3", status=255)


def test_of_every_process(caller: Caller, make_container: MakeContainer) -> None:
    """No process of the container has anything beside what it was given: not the first, none of exec, no child."""
    caller.open(*range(3, 9))
    container = make_container(configs.shell("sleep 1000 & (sleep 1000 & sleep 1000) & wait"))
    caller.start(container, "--preserve-fds", "2")
    caller.call("exec", "--detach", "--preserve-fds", "1", container.id, "/bin/sleep", "1001").succeeded()
    wait_until(lambda: commands(container).count("/bin/sleep 1001") == 1, "exec has executed its program")
    wait_until(lambda: commands(container).count("sleep 1000") == 3, "all processes are there")
    for pid in members(container):
        given = (3,) if command(pid) == "/bin/sleep 1001" else (3, 4)
        assert identities(pid) == caller.identities(*given), command(pid)
    (executed,) = [pid for pid in members(container) if command(pid) == "/bin/sleep 1001"]
    os.kill(executed, signal.SIGKILL)
    wait_for_exit(executed)  # and reap it: the container's PID namespace can't end before


def command(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline", encoding="ascii") as file:
        return file.read().replace("\0", " ").strip()


def commands(container: Container) -> list[str]:
    return [command(pid) for pid in members(container)]


HOOK = """#!/bin/sh
echo "$1" $(ls /proc/self/fd) >>"$2"
"""
OUTSIDE = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


@pytest.mark.pyrun_only("runc 1.1.5 lets its hooks have what it has inherited")
@pytest.mark.parametrize("count", [0, 2])
def test_hooks_get_none(caller: Caller, make_container: MakeContainer, scratch: str, count: int) -> None:
    hook, output = os.path.join(scratch, "hook"), os.path.join(scratch, "output")
    with open(hook, "w", encoding="ascii") as file:
        file.write(HOOK)
    os.chmod(hook, 0o755)
    config = sleeping()
    config["hooks"] = {kind: [{"path": hook, "args": ["hook", kind, output]}] for kind in OUTSIDE}
    config["hooks"]["startContainer"] = [{"path": "/bin/hook", "args": ["hook", "startContainer", "/tmp/output"]}]
    config["root"]["readonly"] = False
    container = make_container(config)
    container.bundle.write("bin/hook", HOOK, 0o755)
    container.bundle.may_change.add("rootfs/tmp")
    caller.open(*range(3, 9))
    caller.create(container, "--preserve-fds", str(count)).succeeded()
    caller.call("start", container.id).succeeded()
    caller.call("delete", "--force", container.id).succeeded()
    # ls itself has a pipe as standard output, and the directory as the next descriptor.
    with open(output, encoding="ascii") as file:
        assert file.read().splitlines() == [f"{kind} 0 1 2 3" for kind in OUTSIDE]
    with open(os.path.join(container.bundle.rootfs, "tmp/output"), encoding="ascii") as file:
        assert file.read() == "startContainer 0 1 2 3\n"
