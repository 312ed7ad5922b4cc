# SPDX-License-Identifier: Apache-2.0
"""Hooks in the runtime's namespaces: how they are run, and in which words they fail. None of it needs root."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pyrun.cli import log
from pyrun.container import hooks, launch
from pyrun.container.hooks import run_hooks, run_hooks_and_warn
from pyrun.errors import PyrunError
from pyrun.state import CREATING, STOPPED, StateDirectory, hook_state

Known = dict[str, Any]


@pytest.fixture
def known(tmp_path: Path) -> Known:
    """What state.json holds of a container."""
    return {"ociVersion": "1.3.0", "id": "name", "bundle": str(tmp_path), "annotations": {}, "cgroup": None}


@pytest.fixture
def state(known: Known) -> dict[str, Any]:
    return hook_state(known, CREATING, 7)


def shell(script: str, **properties: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **properties}


def failure(state: dict[str, Any], *which: dict[str, Any]) -> str:
    """Returns the line of the error; the last hook must be the one that fails."""
    with pytest.raises(PyrunError) as raised:
        run_hooks([*which, shell("touch not-reached")], "prestart", state)
    assert not os.path.exists(os.path.join(state["bundle"], "not-reached"))
    assert (raised.value.source, raised.value.pointer) == ("config.json", f"/hooks/prestart/{len(which) - 1}")
    return raised.value.message


def test_state(known: Known) -> None:
    known["annotations"] = {"a": "b"}
    assert list(hook_state(known, CREATING, 7).items()) == [
        ("ociVersion", "1.3.0"),
        ("id", "name"),
        ("status", "creating"),
        ("pid", 7),
        ("bundle", known["bundle"]),
        ("annotations", {"a": "b"}),
    ]


def test_state_without_pid_and_annotations(known: Known) -> None:
    assert list(hook_state(known, STOPPED)) == ["ociVersion", "id", "status", "bundle"]


def test_success(state: dict[str, Any], tmp_path: Path) -> None:
    run_hooks([shell("cat >first"), shell("pwd >second"), {"path": "/bin/true", "timeout": 5}], "prestart", state)
    assert json.loads((tmp_path / "first").read_text()) == state
    assert (tmp_path / "second").read_text() == f"{tmp_path}\n"


def test_no_hooks(state: dict[str, Any]) -> None:
    run_hooks([], "prestart", state)


def test_own_directory_stays(state: dict[str, Any]) -> None:
    before = os.getcwd()
    run_hooks([{"path": "/bin/true"}], "prestart", state)
    assert os.getcwd() == before


def test_bundle_that_is_gone(state: dict[str, Any], tmp_path: Path) -> None:
    state["bundle"] = "/missing/bundle"
    run_hooks([shell(f"pwd >{tmp_path}/directory")], "poststop", state)
    assert (tmp_path / "directory").read_text().strip() == os.getcwd()


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (shell("exit 3"), "hook /bin/sh failed: exit status 3"),
        (shell("echo first; echo second >&2; exit 1"), "hook /bin/sh failed: exit status 1: first second"),
        (shell("echo words; kill -TERM $$"), "hook /bin/sh was killed by signal 15: words"),
        (shell("exit 255"), "hook /bin/sh failed: exit status 255"),
        ({"path": "/missing"}, "hook /missing: no such file or directory; correct its path"),
        ({"path": "/etc/passwd"}, "hook /etc/passwd: permission denied; make it an executable file"),
        ({"path": "/bin/sh/x"}, "hook /bin/sh/x: not a directory"),
    ],
)
def test_failure(state: dict[str, Any], hook: dict[str, Any], words: str) -> None:
    message = failure(state, {"path": "/bin/true"}, hook)
    assert message == words or message.startswith(f"{words}, or")


def test_file_that_is_no_program(state: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("echo no script\n")
    (tmp_path / "text").chmod(0o755)
    assert "exec format error; it is for another machine" in failure(state, {"path": str(tmp_path / "text")})


def test_missing_interpreter(state: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/missing/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    assert "the interpreter that its first line names" in failure(state, {"path": str(tmp_path / "script")})


def test_timeout(state: dict[str, Any], tmp_path: Path) -> None:
    script = "echo hanging; sh -c 'echo $$ >child; exec sleep 1000'; :"
    begin = time.monotonic()
    assert failure(state, shell(script, timeout=1)) == "hook /bin/sh ran past its timeout of 1 s: hanging"
    assert time.monotonic() - begin >= 1
    _wait_for_end(int((tmp_path / "child").read_text()))


def _wait_for_end(pid: int) -> None:
    """Waits until an orphan has ended; whoever adopted it may be slow to reap it."""
    for _ in range(1000):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} lives on")


@pytest.mark.parametrize("size", [0, 1, 299, 300, 301, 5000])
def test_end_of_the_output(state: dict[str, Any], size: int) -> None:
    message = failure(state, shell(f"head -c {size} /dev/zero | tr '\\0' x; exit 1"))
    shown = message.removeprefix("hook /bin/sh failed: exit status 1").removeprefix(": ")
    assert shown == "x" * min(size, hooks.OUTPUT_SHOWN)


def test_no_half_line_of_the_output(state: dict[str, Any]) -> None:
    message = failure(state, shell("head -c 5000 /dev/zero | tr '\\0' x; echo; echo '  the  reason '; exit 1"))
    assert message == "hook /bin/sh failed: exit status 1: the reason"


def test_output_that_is_no_text(state: dict[str, Any]) -> None:
    message = failure(state, shell("printf '\\377\\376 \\303'; exit 1"))
    assert message.endswith("exit status 1: \ufffd\ufffd \ufffd")


def test_environment(state: dict[str, Any], tmp_path: Path) -> None:
    entries = ["A=1", "B=x=y", "A=2", "C=", "without a value", "=without a name", "D=ä"]
    run_hooks([{"path": "/bin/cp", "args": ["cp", "/proc/self/environ", "copy"], "env": entries}], "prestart", state)
    assert (tmp_path / "copy").read_bytes().split(b"\0") == [
        b"A=2",
        b"B=x=y",
        b"C=",
        b"without a value=",
        "D=ä".encode(),
        b"",
    ]


def test_environment_of_the_caller(state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the interpreter's, to which it may have added something."""
    monkeypatch.setenv("ADDED_LATER", "1")
    run_hooks([{"path": "/bin/cp", "args": ["cp", "/proc/self/environ", "copy"]}], "prestart", state)
    with open("/proc/self/environ", "rb") as file:
        own = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if entry)
    copied = dict(entry.split(b"=", 1) for entry in (tmp_path / "copy").read_bytes().split(b"\0") if entry)
    assert copied == own


def test_nothing_is_left_open(state: dict[str, Any]) -> None:
    before = os.listdir("/proc/self/fd")
    run_hooks([shell("cat >/dev/null")], "prestart", state)
    for hook in ({"path": "/missing"}, shell("exit 1"), shell("exec sleep 100", timeout=1)):
        failure(state, hook)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGTERM, signal.SIGCHLD])
def test_signals_are_the_defaults(state: dict[str, Any], tmp_path: Path, number: signal.Signals) -> None:
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    handler = signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
    try:
        run_hooks([{"path": "/bin/cp", "args": ["cp", "/proc/self/status", "copy"]}], "prestart", state)
    finally:
        signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
    status = dict(line.split(":\t") for line in (tmp_path / "copy").read_text().splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) & 1 << number - 1 == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_signal_that_is_blocked_ends_a_hook(state: dict[str, Any], tmp_path: Path, number: signal.Signals) -> None:
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    # To this thread alone: others would not block it.
    timer = threading.Timer(0.3, signal.pthread_kill, [threading.get_ident(), number])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_hooks([shell("echo $$ >pid; exec sleep 1000")], "prestart", state)
        assert signal.sigtimedwait([number], 0) is not None
    finally:
        timer.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}/cwd")


def test_signals_that_came_before_end_no_hook(state: dict[str, Any]) -> None:
    """Of two Ctrl-C the container gets the first; the second must not cost it its poststop hooks."""
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        run_hooks([shell("sleep 0.5")], "poststop", state)
        assert signal.sigtimedwait([signal.SIGINT], 0) is not None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def test_record_while_a_hook_runs(state: dict[str, Any], tmp_path: Path) -> None:
    directory = StateDirectory.make(str(tmp_path / "root"), "name")
    path = f"{directory.path}/{hooks.RECORD}"
    script = (
        f"until [ -e {path} ]; do sleep 0.01; done; cp {path} copy; echo $$ >pid; cut -d' ' -f5-6 /proc/$$/stat >of"
    )
    try:
        run_hooks([shell(script)], "prestart", state, directory)
        assert not os.path.exists(path)
        pid = (tmp_path / "pid").read_text().strip()
        assert (tmp_path / "copy").read_text().split()[0] == pid
        # The leader of a group and a session of its own.
        assert (tmp_path / "of").read_text().split() == [pid, pid]
    finally:
        directory.close()


def test_warnings(state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(log, "warning", logged.append)
    run_hooks_and_warn(
        [shell("exit 1"), {"path": "/missing", "env": []}, shell("touch reached"), shell("exit 2")], "poststop", state
    )
    assert (tmp_path / "reached").exists()
    assert [line.partition(":")[0] for line in logged] == [f"/hooks/poststop/{number}" for number in (0, 1, 3)]
    assert logged[0] == "/hooks/poststop/0: hook /bin/sh failed: exit status 1"


def test_warning_when_there_are_no_descriptors(state: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, flags: int) -> int:
        raise OSError(24, "Too many open files")

    logged: list[str] = []
    monkeypatch.setattr(log, "warning", logged.append)
    monkeypatch.setattr(os, "memfd_create", refuse)
    run_hooks_and_warn([{"path": "/bin/true"}], "poststop", state)
    assert logged == ["/hooks/poststop/0: hook /bin/true: too many open files"]


def test_kernel_that_does_not_know_the_flag(state: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.3."""
    create = os.memfd_create

    def refuse(name: str, flags: int) -> int:
        if flags & ~launch.MFD_CLOEXEC:
            raise OSError(22, "Invalid argument")
        return create(name, flags)

    monkeypatch.setattr(os, "memfd_create", refuse)
    run_hooks([shell("cat >/dev/null")], "prestart", state)
