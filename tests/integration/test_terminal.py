# SPDX-License-Identifier: Apache-2.0
"""The terminal of a container's process, however the process comes about and whoever has the other side of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.process import descriptors, namespace
from support.runtime import Container, MakeContainer
from support.snapshot import process_table
from support.terminal import COLUMNS, ROWS, Master, Receiver, Session, run_on_terminal, with_terminal
from support.waiting import wait_for_exit, wait_until

CONTAINERS = ["create", "run --detach", "run"]
EXECS = ["exec --detach", "exec"]


def unlike_runc(reason: str) -> list[Any]:
    """Returns all ways; those in the foreground are pyrun's own, for this reason."""
    foreground = [pytest.param(way, marks=pytest.mark.pyrun_only(reason)) for way in ("run", "exec")]
    return ["create", "run --detach", "exec --detach", *foreground]


RAW_OUTPUT = unlike_runc("runc lets the caller's terminal translate line ends")
HANG_UP = unlike_runc("runc goes on when its terminal is gone")
TERMINAL_MAJOR = 136

Change = Callable[[Config], object]


def _nothing(config: Config) -> None:
    pass


def kill(pid: int) -> None:
    """Kills a process that may have ended, waits for its end and reaps it."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for_exit(pid)


class Shower:
    """Starts a shell's script with a terminal, in one of the ways, and gives the terminal's other side."""

    def __init__(self, way: str, make_container: MakeContainer, scratch: str) -> None:
        self.way = way
        self.in_foreground = way in ("run", "exec")
        self.executes = "exec" in way
        self._make_container = make_container
        self._pid_file = os.path.join(scratch, "pid")
        self._socket = os.path.join(scratch, "console")
        self._shown: list[Master] = []
        self._containers: list[Container] = []

    def __call__(self, script: str, change: Change = _nothing, *, user: int = 0, may_change: str = "") -> Master:
        """Starts the script as `user` in a container whose configuration has been changed; exec takes another one.

        The container may change what is below `may_change` in its bundle.
        """
        config = configs.shell("exec sleep 1000" if self.executes else script)
        change(config)
        if not self.executes:
            with_terminal(config)["process"]["user"] = {"uid": user, "gid": user}
        container = self._make_container(config)
        container.bundle.may_change.add(may_change)
        if self.executes:
            self._containers.append(container.started())
            master = self._exec(container, "--user", f"{user}:{user}", container.id, "sh", "-c", script)
        else:
            master = self._run(container)
        self._shown.append(master)
        return master

    def pid(self) -> int:
        """Returns the pid of the process."""
        wait_until(lambda: os.path.exists(self._pid_file), "there is a pid file")
        with open(self._pid_file, encoding="ascii") as file:
            return int(file.read())

    def end(self) -> None:
        """Ends and reaps what has been started: a PID namespace ends only when all in it are reaped."""
        for master in self._shown:
            kill(self.pid())
            master.end()
        for container in self._containers:
            container.stop()

    def _exec(self, container: Container, *words: str) -> Master:
        words = ("exec", "--tty", "--pid-file", self._pid_file, *words)
        if self.way == "exec":
            return Session(container.runtime.command(*words), container.runtime.environment)
        return self._receive(container, words[0], "--detach", *words[1:])

    def _run(self, container: Container) -> Master:
        if self.way == "run":
            return run_on_terminal(container, "--pid-file", self._pid_file)
        container.bundle.seal()
        options = ["--pid-file", self._pid_file, "--bundle", container.bundle.path, container.id]
        master = self._receive(container, *self.way.split(), *options)
        if self.way == "create":
            container.start().succeeded()
        return master

    def _receive(self, container: Container, verb: str, *words: str) -> Master:
        with Receiver(self._socket) as receiver:
            call = container.runtime.start(verb, "--console-socket", receiver.path, *words)
            master = receiver.receive()
            call.wait().succeeded()
            assert receiver.data == b"/dev/ptmx"
        return master


@pytest.fixture(params=[*CONTAINERS, *EXECS])
def show(request: pytest.FixtureRequest, make_container: MakeContainer, scratch: str) -> Iterator[Shower]:
    """Each of the ways in turn."""
    shower = Shower(request.param, make_container, scratch)
    yield shower
    shower.end()


def test_standard_streams_are_one_terminal(show: Shower) -> None:
    master = show("for n in 0 1 2; do test -t $n && readlink /proc/self/fd/$n; done; tty; echo end")
    assert master.expect("end").decode().split() == ["/dev/pts/0"] * 4 + ["end"]


def test_process_leads_a_session_that_the_terminal_controls(show: Shower) -> None:
    master = show("cat /proc/self/stat; echo ready; exec sleep 1000")
    pid, name, state, parent, group, session, terminal, foreground = master.expect("ready").split()[:8]
    assert group == session == foreground == parent
    assert divmod(int(terminal), 256) == (TERMINAL_MAJOR, 0)


def test_terminal_can_be_opened_by_its_names(show: Shower) -> None:
    master = show("echo one >/dev/tty; echo two >$(tty); read line </dev/tty; echo got $line")
    master.expect("one")
    master.expect("two")
    master.write("three\n")
    master.expect("got three")


def test_nothing_else_is_open(show: Shower) -> None:
    show("echo ready; exec sleep 1000").expect("ready")
    wait_until(lambda: name_of(show.pid()) == "sleep", "the shell has become sleep")
    assert descriptors(show.pid()) == dict.fromkeys((0, 1, 2), "/dev/pts/0")


def name_of(pid: int) -> str:
    """Returns the name of a process."""
    return process_table()[pid][2]


@pytest.mark.parametrize("show", CONTAINERS, indirect=True)
def test_console(show: Shower) -> None:
    master = show(
        "stat -c '%t:%T %i %u %g %a' /dev/console $(tty)\n"
        "grep ' /dev/console ' /proc/self/mountinfo\n"
        "echo words >/dev/console"
    )
    console, terminal = master.expect("\r\n").strip(), master.expect("\r\n").strip()
    assert console == terminal
    assert console.startswith(b"88:0 ")
    mount = master.expect("\r\n").decode().split()
    assert mount[3:5] == ["/0", "/dev/console"] and "devpts" in mount
    master.expect("words\r\n")


@pytest.mark.parametrize("show", EXECS, indirect=True)
def test_exec_changes_no_console(show: Shower) -> None:
    master = show("ls /dev/console; echo end")
    assert b"No such file" in master.expect("end")


@pytest.mark.parametrize("user", [0, 1000, 4711])
def test_terminal_belongs_to_the_user(show: Shower, user: int) -> None:
    master = show("stat -c '%u %g %a' $(tty); echo words >$(tty)", user=user)
    master.expect(f"{user} 5 620\r\n")
    master.expect("words\r\n")


def test_terminal_in_a_user_namespace(show: Shower) -> None:
    master = show(
        "stat -c '%u %g %a' $(tty); cat /proc/self/uid_map; echo words >/dev/tty", configs.with_user_namespace
    )
    master.expect("0 5 620\r\n")
    master.expect("100000")
    master.expect("words\r\n")


def test_terminal_of_a_user_in_a_user_namespace(show: Shower) -> None:
    master = show("stat -c '%u %g %a' $(tty); echo words >$(tty)", configs.with_user_namespace, user=1000)
    master.expect("1000 5 620\r\n")
    master.expect("words\r\n")


def test_terminal_in_a_joined_pid_namespace(show: Shower, make_container: MakeContainer) -> None:
    other = make_container(configs.default("/bin/sleep", "1000")).started()
    path = f"/proc/{other.pid}/ns/pid"
    master = show(
        "echo in $(readlink /proc/self/ns/pid); tty; echo words >/dev/tty",
        lambda config: configs.with_namespace(config, "pid", path),
    )
    assert namespace(other.pid, "pid").encode() in master.expect("\r\n")
    master.expect("/dev/pts/0\r\n")
    master.expect("words\r\n")


def test_terminal_in_the_hosts_pid_namespace(show: Shower) -> None:
    master = show("tty; echo words >/dev/tty", lambda config: configs.without_namespace(config, "pid"))
    master.expect("/dev/pts/0\r\n")
    master.expect("words\r\n")


def test_terminal_on_a_writable_root_without_a_dev_of_its_own(show: Shower) -> None:
    """The image's /dev, which is empty, gets devpts, its multiplexer and the console."""

    def change(config: Config) -> None:
        configs.without_mounts(config, "/dev", "/dev/shm", "/dev/mqueue")
        config["root"]["readonly"] = False

    master = show("tty; stat -c %t:%T $(tty)", change, may_change="rootfs/dev")
    master.expect("/dev/pts/0\r\n")
    master.expect("88:0\r\n")


def test_size(show: Shower) -> None:
    """The caller's terminal decides in the foreground; without one, nobody has yet."""
    master = show("sleep 0.2; stty size; read x")  # runc sets it a little later
    expected = f"{ROWS} {COLUMNS}\r\n" if show.in_foreground else "stty: standard input"
    master.expect(expected)


@pytest.mark.parametrize("show", CONTAINERS, indirect=True)
def test_size_from_the_configuration(show: Shower) -> None:
    master = show("sleep 0.2; stty size; read x", lambda config: with_terminal(config, 12, 34))
    master.expect("12 34\r\n" if not show.in_foreground else f"{ROWS} {COLUMNS}\r\n")


@pytest.mark.parametrize("show", ["create"], indirect=True)
@pytest.mark.parametrize("size", [(0, 34), (12, 0), (0, 0)])
def test_half_a_size_is_none(show: Shower, size: tuple[int, int]) -> None:
    master = show("stty size; read x", lambda config: with_terminal(config, *size))
    master.expect("stty: standard input")


def test_size_follows(show: Shower) -> None:
    master = show("trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done")
    master.expect("ready")
    for rows, columns in [(50, 200), (10, 20)]:
        master.resize(rows, columns)
        master.expect(f"{rows} {columns}\r\n")


@pytest.mark.parametrize("key, name", [("\x03", "INT"), ("\x1c", "QUIT"), ("\x1a", "TSTP")])
def test_keys_that_are_signals(show: Shower, key: str, name: str) -> None:
    master = show(f"trap 'echo got {name}; exit' {name}; echo ready; while :; do sleep 0.01; done")
    master.expect("ready")
    master.write(key)
    master.expect(f"got {name}\r\n")


def test_keys_that_edit_a_line(show: Shower) -> None:
    master = show("echo ready; cat; echo end")
    master.expect("ready")
    master.write("wrong\x15wrogg\x7f\x7fng\r\x04")
    master.expect("\r\nwrong\r\nend\r\n")


def test_jobs_of_an_interactive_shell(show: Shower) -> None:
    master = show("PS1='prompt ' exec sh -i")
    master.expect("prompt ")
    master.write("sleep 1000\r")
    master.expect("sleep 1000\r\n")
    wait_until(_foreground_is_sleep(show, master), "sleep is in the foreground")
    master.write("\x1a")
    master.expect("Stopped")
    master.write("jobs\r")
    master.expect("sleep 1000")
    master.write("fg\r")
    wait_until(_foreground_is_sleep(show, master), "sleep is in the foreground again")
    master.write("\x03")
    master.expect("prompt ")
    master.write("exit 3\r")
    master.read_to_end()


def _foreground_is_sleep(show: Shower, master: Master) -> Callable[[], bool]:
    def check() -> bool:
        master.read_ahead()
        return name_of(foreground_group(show.pid())) == "sleep"

    return check


def foreground_group(pid: int) -> int:
    """Returns the process group that the terminal of a process listens to."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return int(file.read().rpartition(")")[2].split()[5])


@pytest.mark.parametrize("show", RAW_OUTPUT, indirect=True)
def test_every_byte_passes(show: Shower) -> None:
    everything = bytes(range(256)) * 4
    master = show("stty raw -echo; echo ready; exec cat")
    master.expect("ready")
    master.expect("\n")
    master.write(everything)
    assert master.expect(everything) == everything


@pytest.mark.parametrize("show", HANG_UP, indirect=True)
def test_hang_up(show: Shower, scratch: str) -> None:
    directory = os.path.join(scratch, "shared")
    os.mkdir(directory)
    script = "trap 'echo hup >/tmp/mark; exit' HUP; echo ready; while :; do sleep 0.01; done"
    master = show(script, lambda config: config["mounts"].append(configs.bind(directory, "/tmp")))
    master.expect("ready")
    pid = show.pid()
    master.close()
    wait_for_exit(pid)
    assert os.listdir(directory) == ["mark"]


@pytest.mark.parametrize("show", HANG_UP, indirect=True)
def test_hang_up_is_the_end_of_the_input(show: Shower) -> None:
    """The first process of a PID namespace is immune to SIGHUP."""
    master = show("echo ready; read x")
    master.expect("ready")
    pid = show.pid()
    master.close()
    wait_for_exit(pid)
