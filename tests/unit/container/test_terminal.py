# SPDX-License-Identifier: Apache-2.0
"""A terminal in the foreground: relaying, raw mode, jobs, and what is left when pyrun is killed."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.process import descriptors
from support.snapshot import process_table
from support.terminal import Session
from support.waiting import wait_for_exit, wait_until

FOREGROUND = (sys.executable, os.path.join(os.path.dirname(__file__), "foreground.py"), "terminal")
FLOOD = "trap 'exit 3' INT; echo ready; while :; do echo 0123456789; done"


@pytest.fixture
def null() -> Iterator[int]:
    """A descriptor of /dev/null."""
    descriptor = os.open("/dev/null", os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def foreground(script: str, **keywords: object) -> Session:
    """Runs a shell's script on a terminal of its own, shown on a new one."""
    return Session([*FOREGROUND, "sh", "-c", script], dict(os.environ), **keywords)  # type: ignore[arg-type]


def bash(script: str) -> Session:
    """Runs a script in a bash with job control, in which $RUN followed by a shell's script is the foreground."""
    run = " ".join([*FOREGROUND, "sh", "-c"])
    return Session(["bash", "-c", f"set -m; {script}"], {**os.environ, "RUN": run})


def guardian(session: Session) -> int:
    """Returns the pid of the process that restores the terminal."""
    pid = session.pid()

    def found() -> list[int]:
        table = process_table().items()
        return [child for child, (parent, _, name) in table if parent == pid and name == "pyrun: terminal"]

    return wait_until(found, "there is a guardian")[0]


def shell_of(session: Session) -> int:
    """Returns the pid of the shell that carries out the script."""
    pid = session.pid()
    return next(child for child, (parent, _, name) in process_table().items() if parent == pid and name == "sh")


def processor_seconds(pid: int) -> float:
    """Returns how long a process has kept a processor busy."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_idle(pid: int, seconds: float = 0.5) -> None:
    """Fails if a process does not mostly wait for something."""
    before = processor_seconds(pid)
    time.sleep(seconds)
    assert processor_seconds(pid) - before < seconds / 4


def test_keys_reach_the_program_and_output_the_screen() -> None:
    with foreground("stty size; read line; echo got $line; exit 3") as session:
        session.expect("33 101\r\n")
        session.write("some words\r")
        session.expect("some words\r\ngot some words\r\n")
        assert session.wait() == 3


def test_every_byte_passes_both_ways() -> None:
    everything = bytes(range(256)) * 4
    with foreground("stty raw -echo; echo ready; exec cat") as session:
        session.expect("ready\n")
        session.write(everything)
        assert session.expect(everything) == everything
        os.kill(session.pid(), signal.SIGTERM)
        session.wait()


def test_raw_mode_ends_with_the_program() -> None:
    with foreground("read x; exit 3") as session:
        session.wait_until_raw()
        session.write("\r")
        assert session.wait() == 3
        assert session.attributes() == session.before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"])
def test_raw_mode_ends_with_a_signal(name: str) -> None:
    with foreground("echo ready; exec sleep 1000") as session:
        session.expect("ready")
        os.kill(session.pid(), signal.Signals[name])
        assert session.wait() == 128 + signal.Signals[name]
        assert session.attributes() == session.before


def test_raw_mode_ends_when_pyrun_is_killed() -> None:
    with foreground("echo ready; exec sleep 1000") as session:
        session.expect("ready")
        watcher = guardian(session)
        os.kill(session.pid(), signal.SIGKILL)
        wait_for_exit(watcher)
        assert session.wait() == 128 + signal.SIGKILL
        assert session.attributes() == session.before


def test_program_is_hung_up_when_pyrun_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with foreground(f"trap 'echo hup >{mark}; exit' HUP; echo ready; while :; do sleep 0.01; done") as session:
        session.expect("ready")
        os.kill(session.pid(), signal.SIGKILL)
        session.wait()
        wait_until(mark.exists, "the program got SIGHUP")


def test_guardian_leaves_alone_what_another_program_has_set() -> None:
    with foreground("echo ready; exec sleep 1000") as session:
        session.expect("ready")
        watcher = guardian(session)
        others = termios.tcgetattr(session.descriptor)
        others[3] |= termios.ISIG
        termios.tcsetattr(session.descriptor, termios.TCSANOW, others)
        os.kill(session.pid(), signal.SIGKILL)
        wait_for_exit(watcher)
        assert session.attributes() == others


def test_guardian_holds_nothing_and_is_out_of_reach() -> None:
    with foreground("echo ready; exec sleep 1000") as session:
        session.expect("ready")
        watcher = guardian(session)
        wait_until(lambda: len(descriptors(watcher)) == 1, "the guardian has closed all but the terminal")
        assert list(descriptors(watcher)) == [0]
        assert os.readlink(f"/proc/{watcher}/cwd") == "/"
        assert os.getsid(watcher) == os.getpgid(watcher) == watcher
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            os.kill(watcher, number)
        os.kill(session.pid(), signal.SIGKILL)
        wait_for_exit(watcher)
        assert session.attributes() == session.before


def test_guardian_ends_with_the_program() -> None:
    with foreground("echo ready; read x") as session:
        session.expect("ready")
        watcher = guardian(session)
        session.write("\r")
        session.wait()
        assert watcher not in process_table()


def test_killed_guardian_is_not_missed() -> None:
    with foreground("echo ready; read x; exit 3") as session:
        session.expect("ready")
        watcher = guardian(session)
        os.kill(watcher, signal.SIGKILL)
        wait_until(lambda: watcher not in process_table(), "the guardian is reaped")
        session.write("\r")
        assert session.wait() == 3
        assert session.attributes() == session.before


def test_much_output_arrives_whole_and_in_order() -> None:
    with foreground("seq 1 200000; exit 3") as session:
        lines = session.read_to_end(60).decode().split("\r\n")
        assert lines == [*(str(number) for number in range(1, 200001)), ""]
        assert session.wait() == 3


def test_last_words_of_a_program_that_ends_at_once() -> None:
    for _ in range(20):
        with foreground("exec echo last words") as session:
            assert session.read_to_end() == b"last words\r\n"
            assert session.wait() == 0


def test_output_that_nobody_takes_holds_up_no_key() -> None:
    with foreground(FLOOD) as session:
        session.expect("ready")
        program = shell_of(session)
        time.sleep(0.3)  # until every buffer is full
        os.write(session.descriptor, b"\x03")
        wait_until(lambda: program not in process_table(), "the program got the interrupt")
        assert session.wait() == 3


def test_signal_ends_the_wait_for_somebody_to_take_the_output() -> None:
    with foreground(FLOOD) as session:
        session.expect("ready")
        pid, program = session.pid(), shell_of(session)
        time.sleep(0.3)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: program not in process_table(), "the program has ended")
        time.sleep(0.2)
        assert pid in process_table(), "the output was not waited for"
        os.kill(pid, signal.SIGTERM)
        wait_for_exit(pid)
        assert session.attributes() == session.before
        assert session.wait() == 128 + signal.SIGTERM


def test_keys_that_nobody_reads_hold_up_no_output() -> None:
    with foreground("stty raw -echo; echo ready; sleep 0.5; echo output; exec sleep 1000") as session:
        session.expect("ready")
        try:
            session.write(bytes(1 << 20), seconds=0.3)
        except TimeoutError:
            pass
        session.expect("output")
        os.kill(session.pid(), signal.SIGTERM)
        session.wait()


def test_large_paste() -> None:
    lines = [f"line {number} {'x' * 60}" for number in range(5000)]
    with foreground("stty -echo; echo ready; cat; exit 3") as session:
        session.expect("ready\r\n")
        session.write("\n".join([*lines, "\x04"]), seconds=60)
        assert session.read_to_end(60).decode().split("\r\n") == [*lines, ""]
        assert session.wait() == 3


def test_window_size_follows() -> None:
    with foreground("trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done") as session:
        session.expect("ready")
        for rows, columns in [(50, 200), (10, 20), (24, 80)]:
            session.resize(rows, columns)
            session.expect(f"{rows} {columns}\r\n")
        os.kill(session.pid(), signal.SIGTERM)
        session.wait()


def test_terminal_without_a_size() -> None:
    with foreground("stty size", rows=0, columns=0) as session:
        session.expect("0 0\r\n")
        assert session.wait() == 0


def test_program_that_closes_its_terminal_for_a_while() -> None:
    script = (
        "exec </dev/null >/dev/null 2>&1; sleep 0.5; echo again >/dev/tty; sleep 0.2; echo and again >/dev/tty; exit 3"
    )
    with foreground(script) as session:
        assert_idle(session.pid())
        session.expect("again\r\n")
        session.expect("and again\r\n")
        assert session.wait() == 3


def test_hang_up(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with foreground(f"trap 'echo hup >{mark}; exit 3' HUP; echo ready; while :; do sleep 0.01; done") as session:
        session.expect("ready")
        pid, watcher = session.pid(), guardian(session)
        session.close()
        wait_for_exit(pid)
        assert watcher not in process_table()
        assert mark.exists()


def test_hang_up_of_a_program_that_ignores_it() -> None:
    with foreground("trap '' HUP; echo ready; while read x; do :; done; exec sleep 1000") as session:
        session.expect("ready")
        pid, watcher = session.pid(), guardian(session)
        session.close()
        wait_for_exit(watcher)
        wait_until(
            lambda: "sleep" in [name for parent, _, name in process_table().values() if parent == pid], "end of input"
        )
        assert_idle(pid)
        os.kill(pid, signal.SIGTERM)
        wait_for_exit(pid)


def test_output_that_is_closed() -> None:
    reader, writer = os.pipe()
    with foreground("echo one; while :; do echo more; sleep 0.01; done", stdout=writer) as session:
        os.close(writer)
        assert os.read(reader, 4) == b"one\n"
        os.close(reader)
        assert session.wait() == 128 + signal.SIGHUP
        assert session.attributes() == session.before


def test_output_into_a_file(tmp_path: Path) -> None:
    with open(tmp_path / "output", "wb") as file, foreground("echo one; echo two", stdout=file.fileno()) as session:
        assert session.wait() == 0
    assert (tmp_path / "output").read_bytes() == b"one\ntwo\n"


def test_output_that_does_not_block() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with foreground("seq 1 100000", stdout=writer) as session, open(reader, "rb") as output:
        os.close(writer)
        time.sleep(0.3)
        assert output.read().split() == [str(number).encode() for number in range(1, 100001)]
        assert session.wait() == 0


def test_input_from_a_pipe() -> None:
    reader, writer = os.pipe()
    with foreground("read x; echo got $x; read y; exit 3", stdin=reader) as session:
        os.close(reader)
        os.write(writer, b"one\n")
        session.expect("got one\r\n")
        assert session.attributes() == session.before
        os.write(writer, b"two\n")
        assert session.wait() == 3
    os.close(writer)


def test_input_that_ends_is_not_the_end_of_the_program(null: int) -> None:
    with foreground(
        "echo ready; trap 'echo interrupted; exit 3' INT; while :; do sleep 0.01; done", stdin=null
    ) as session:
        session.expect("ready")
        assert_idle(session.pid())
        session.write("\x03")  # the caller's terminal still has its own keys
        session.expect("interrupted")
        assert session.wait() == 3


def test_terminal_that_no_standard_stream_is(tmp_path: Path, null: int) -> None:
    with open(tmp_path / "output", "wb") as file:
        with foreground("stty size", stdin=null, stdout=file.fileno(), stderr=file.fileno()) as session:
            assert session.wait() == 0
    assert (tmp_path / "output").read_bytes() == b"33 101\n"


def test_no_terminal_at_all(tmp_path: Path, null: int) -> None:
    with open(tmp_path / "output", "w+b") as file:
        command = ["setsid", "--wait", *FOREGROUND, "true"]
        with Session(command, dict(os.environ), stdin=null, stdout=file.fileno(), stderr=file.fileno()) as session:
            assert session.wait() == 1
        file.seek(0)
        assert file.read().startswith(b"there is no terminal to show the container's on; call pyrun from one")


def test_job_in_the_background_leaves_the_terminal_alone() -> None:
    with bash(
        '$RUN "echo ready; read x; echo got \\$x; exit 3" & sleep 0.7; echo turn; fg >/dev/null; echo status $?'
    ) as session:
        session.expect("ready")
        assert session.attributes() == session.before
        session.expect("turn")
        session.wait_until_raw()
        session.write("words\r")
        session.expect("got words\r\n")
        session.expect("status 3\r\n")
        assert session.attributes() == session.before


def test_stopped_job_takes_the_terminal_again() -> None:
    with bash(
        '$RUN "echo ready; read x; echo got \\$x; exit 3"; echo given back; read y; fg >/dev/null; echo status $?'
    ) as session:
        session.expect("ready")
        session.wait_until_raw()
        os.killpg(os.tcgetpgrp(session.descriptor), signal.SIGSTOP)
        session.expect("given back")
        # What a shell with line editing does.
        termios.tcsetattr(session.descriptor, termios.TCSANOW, session.before)
        session.resize(40, 140)
        session.write("\r")
        session.wait_until_raw()
        session.write("words\r")
        session.expect("got words\r\n")
        session.expect("status 3\r\n")
        assert session.attributes() == session.before
