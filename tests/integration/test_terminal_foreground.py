# SPDX-License-Identifier: Apache-2.0
"""A container's terminal shown on the caller's: `run` of a configuration with a terminal, and `exec --tty`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support import configs
from support.execs import members
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.snapshot import process_table
from support.terminal import COLUMNS, ROWS, Session, exec_on_terminal, run_on_terminal, with_terminal
from support.waiting import PATIENCE, wait_for_exit, wait_until


class Foreground:
    """Starts a shell's script with a terminal, which is shown on a new one, in one of two ways."""

    def __init__(self, verb: str, make_container: MakeContainer) -> None:
        self.verb = verb
        self._make_container = make_container
        self.container: Container | None = None

    def __call__(self, script: str, **keywords: Any) -> Session:
        """Starts the script; keywords are those of `Session`."""
        if self.verb == "run":
            self.container = self._make_container(with_terminal(configs.shell(script)))
            return run_on_terminal(self.container, **keywords)
        if self.container is None:
            self.container = self._make_container(configs.default("/bin/sleep", "1000")).started()
        return exec_on_terminal(self.container, "sh", "-c", script, **keywords)

    def program(self) -> int:
        """Returns the pid of the shell that carries out the script."""
        assert self.container is not None
        inside, table = members(self.container), process_table()
        shells = [pid for pid in inside & table.keys() if table[pid][2] == "sh"]
        return next(pid for pid in shells if table[pid][0] not in inside)  # not its child that will execute sleep


@pytest.fixture(params=["run", "exec"])
def foreground(request: pytest.FixtureRequest, make_container: MakeContainer) -> Foreground:
    """Each of the verbs in turn."""
    return Foreground(request.param, make_container)


@pytest.fixture
def null() -> Iterator[int]:
    """A descriptor of /dev/null."""
    descriptor = os.open("/dev/null", os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def check_as_before(session: Session) -> None:
    """Fails if the caller's terminal is not as it was."""
    assert session.attributes() == session.before


@pytest.mark.parametrize("status", [0, 3, 255])
def test_exit_status(foreground: Foreground, status: int) -> None:
    with foreground(f"echo words; exit {status}") as session:
        assert session.read_to_end().strip() == b"words"
        assert session.wait() == status
        check_as_before(session)


def test_terminal_is_raw_as_long_as_the_program_runs(foreground: Foreground) -> None:
    with foreground("echo ready; read x; exit 3") as session:
        session.expect("ready")
        session.wait_until_raw()
        session.write("\r")
        assert session.wait() == 3
        check_as_before(session)


@pytest.mark.parametrize("name", ["TERM", "HUP", "QUIT", "USR1", "TSTP", "CONT"])
def test_signals_are_passed_on(foreground: Foreground, name: str) -> None:
    with foreground(f"trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep 0.01; done") as session:
        session.expect("ready")
        os.kill(session.pid(), signal.Signals[f"SIG{name}"])
        session.expect(f"got {name}")
        assert session.wait() == 3
        check_as_before(session)


@pytest.mark.pyrun_only("runc ends with status 0 and leaves the container running")
def test_interrupt_is_passed_on(foreground: Foreground) -> None:
    with foreground("trap 'echo got INT; exit 3' INT; echo ready; while :; do sleep 0.01; done") as session:
        session.expect("ready")
        os.kill(session.pid(), signal.SIGINT)
        session.expect("got INT")
        assert session.wait() == 3
        check_as_before(session)


def test_end_by_a_signal(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    with exec_on_terminal(container, "sleep", "1000") as session:
        session.wait_until_raw()
        os.kill(session.pid(), signal.SIGTERM)
        assert session.wait() == 128 + signal.SIGTERM
        check_as_before(session)


@pytest.mark.pyrun_only("runc leaves the terminal raw")
def test_terminal_is_restored_when_pyrun_is_killed(foreground: Foreground) -> None:
    with foreground("trap 'exit 3' HUP; echo ready; while :; do sleep 0.01; done") as session:
        session.expect("ready")
        session.wait_until_raw()
        process = foreground.program()
        os.kill(session.pid(), signal.SIGKILL)
        assert session.wait() == 128 + signal.SIGKILL
        wait_until(lambda: session.attributes() == session.before, "the terminal is as before")
        wait_for_exit(process)


def test_program_is_hung_up_when_pyrun_is_killed(foreground: Foreground) -> None:
    with foreground("trap 'exit 3' HUP; echo ready; while :; do sleep 0.01; done") as session:
        session.expect("ready")
        process = foreground.program()
        os.kill(session.pid(), signal.SIGKILL)
        wait_for_exit(process)


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_terminal_when_the_program_cannot_be_started(make_container: MakeContainer, verb: str) -> None:
    if verb == "run":
        session = run_on_terminal(make_container(with_terminal(configs.default("/bin/missing"))))
    else:
        sleeper = make_container(configs.default("/bin/sleep", "1000")).started()
        session = exec_on_terminal(sleeper, "/bin/missing")
    with session:
        assert session.wait() == (1 if verb == "run" else 255)
        assert b"/bin/missing" in session.read_to_end()
        check_as_before(session)


@pytest.mark.pyrun_only("runc's create finds that out")
def test_terminal_when_the_program_cannot_be_executed(make_container: MakeContainer) -> None:
    container = make_container(with_terminal(configs.default("/bin/damaged")))
    container.bundle.write("bin/damaged", "#!/missing\n", mode=0o755)
    with run_on_terminal(container) as session:
        assert session.wait() == 1
        assert b"interpreter" in session.read_to_end()
        check_as_before(session)


def test_no_terminal_to_show_it_on(foreground: Foreground, scratch: str, null: int) -> None:
    """Neither a standard stream nor the session has a terminal: nothing is created."""
    foreground("exit 0").end()
    container = foreground.container
    assert container is not None
    words = (
        ["--bundle", container.bundle.path, "other"] if foreground.verb == "run" else ["--tty", container.id, "true"]
    )
    call = container.runtime.start(foreground.verb, *words)
    line = call.wait().failed(status=1 if foreground.verb == "run" else 255)
    assert "/dev/tty" in line or "there is no terminal to show the container's on; call pyrun from one" in line
    assert not os.path.exists(os.path.join(str(container.runtime.root), "other"))


@pytest.mark.parametrize("foreground", ["run"], indirect=True)
def test_much_output_arrives_whole_and_in_order(foreground: Foreground) -> None:
    with foreground("seq 1 1300000; exit 3") as session:  # about 10 MB
        lines = session.read_to_end(60).decode().split("\r\n")
        assert lines == [*(str(number) for number in range(1, 1300001)), ""]
        assert session.wait() == 3


def test_last_words_of_a_program_that_ends_at_once(foreground: Foreground) -> None:
    for _ in range(10):
        with foreground("exec echo last words") as session:
            assert session.read_to_end().strip() == b"last words"
            assert session.wait() == 0


def test_large_paste(foreground: Foreground) -> None:
    lines = [f"line {number} {'x' * 60}" for number in range(2000)]
    with foreground("stty -echo; echo ready; cat; exit 3") as session:
        session.expect("ready\r\n")
        session.write("\n".join([*lines, "\x04"]), seconds=60)
        assert session.read_to_end(60).decode().split("\r\n") == [*lines, ""]
        assert session.wait() == 3


def test_output_into_a_file(foreground: Foreground, scratch: str) -> None:
    path = os.path.join(scratch, "output")
    with open(path, "wb") as file, foreground("stty size; sleep 0.2; stty size", stdout=file.fileno()) as session:
        assert session.wait() == 0
    with open(path, "rb") as written:
        assert written.read().endswith(f"{ROWS} {COLUMNS}\n".encode())


def test_input_from_elsewhere(foreground: Foreground) -> None:
    reader, writer = os.pipe()
    with foreground("read x; echo got $x; read y; exit 3", stdin=reader) as session:
        os.close(reader)
        os.write(writer, b"one\n")
        session.expect("got one")
        os.write(writer, b"two\n")
        assert session.wait() == 3
    os.close(writer)


@pytest.mark.pyrun_only("runc makes the terminal raw, and nobody reads its keys")
def test_keys_of_a_terminal_that_is_not_the_input(foreground: Foreground, null: int) -> None:
    script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.01; done"
    with foreground(script, stdin=null) as session:
        session.expect("ready")
        check_as_before(session)
        session.write("\x03")
        session.expect("interrupted")
        assert session.wait() == 3


def test_program_that_closes_its_terminal_for_a_while(foreground: Foreground) -> None:
    script = "exec </dev/null >/dev/null 2>&1; sleep 0.3; echo again >/dev/tty; exit 3"
    with foreground(script) as session:
        session.expect("again\r\n")
        assert session.wait() == 3


def test_several_at_once(foreground: Foreground) -> None:
    sessions = [foreground(f"echo ready {number}; read x; echo end {number} $x; exit 3") for number in range(4)]
    try:
        for number, session in enumerate(sessions):
            session.expect(f"ready {number}")
        for session in sessions:
            session.write("words\r")
        for number, session in enumerate(sessions):
            session.expect(f"end {number} words")
            assert session.wait() == 3
            check_as_before(session)
    finally:
        for session in sessions:
            session.end()


@pytest.mark.pyrun_only("runc's run has no such option")
def test_terminal_that_the_configuration_does_not_ask_for(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("test -t 0 && tty; stty size; exit 3"))
    with run_on_terminal(container, "--tty") as session:
        session.expect(f"/dev/pts/0\r\n{ROWS} {COLUMNS}\r\n")
        assert session.wait() == 3


def test_exec_without_a_terminal_in_a_container_with_one(
    runtime: Runtime, make_bundle: MakeBundle, make_container: MakeContainer
) -> None:
    container = make_container(with_terminal(configs.default("/bin/sleep", "1000")))
    with run_on_terminal(container) as session:
        session.wait_until_raw()
        assert container.exec("sh", "-c", "test -t 0 || test -t 1 || echo none").succeeded().output == "none\n"
        container.kill("KILL").succeeded()
        assert session.wait() == 128 + signal.SIGKILL


@pytest.mark.parametrize("size", [{}, {"consoleSize": {"height": 12, "width": 34}}])
def test_terminal_of_a_process_file(make_container: MakeContainer, scratch: str, size: dict[str, object]) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    process = with_terminal(configs.shell("sleep 0.2; stty size; exit 3"))["process"] | size
    path = os.path.join(scratch, "process.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(process, file)
    command = container.runtime.command("exec", "--process", path, container.id)
    with Session(command, container.runtime.environment) as session:
        session.expect(f"{ROWS} {COLUMNS}\r\n")
        assert session.wait() == 3


@pytest.mark.pyrun_only("the processes are pyrun's own")
def test_processes_meanwhile(foreground: Foreground) -> None:
    """One process restores the terminal; it has no other descriptor, and is in nobody's way."""
    with foreground("echo ready; read x") as session:
        session.expect("ready")
        pid = session.pid()

        def names() -> list[str]:
            return [name for parent, _, name in process_table().values() if parent == pid]

        wait_until(lambda: "pyrun: terminal" in names(), "the guardian has its name")
        assert sorted(names()) == ["pyrun: terminal", "sh"]
        session.write("\r")
        session.wait()


@pytest.mark.pyrun_only("a job of a shell with job control")
def test_job_in_the_background(foreground: Foreground, make_container: MakeContainer, runtime: Runtime) -> None:
    """It leaves the terminal to the shell until it is brought to the foreground."""
    container = make_container(with_terminal(configs.shell("echo ready; read x; echo got $x; exit 3")))
    container.bundle.seal()
    command = runtime.command("run", "--bundle", container.bundle.path, container.id)
    script = 'set -m; "$@" & read x; fg >/dev/null; echo status $?'
    with Session(["bash", "-c", script, "bash", *command], runtime.environment) as session:
        session.expect("ready")
        check_as_before(session)
        session.write("\r")
        session.wait_until_raw()
        session.write("words\r")
        session.expect("got words\r\n")
        session.expect("status 3\r\n")
        check_as_before(session)


def test_terminal_of_script(runtime: Runtime, make_container: MakeContainer) -> None:
    """What is recommended where there is no terminal: script(1) makes one."""
    container = make_container(with_terminal(configs.shell("tty; exit 3")))
    container.bundle.seal()
    command = " ".join(runtime.command("run", "--bundle", container.bundle.path, container.id))
    result = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=runtime.environment,
        timeout=PATIENCE * 30,
    )
    assert result.returncode == 3
    assert b"/dev/pts/0\r\n" in result.stdout
