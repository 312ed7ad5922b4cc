# SPDX-License-Identifier: Apache-2.0
"""Hooks that fail: one line says which and why, nothing of the container stays, and poststop hooks run."""

from __future__ import annotations

import json
import os
import signal

import pytest

from support import configs
from support.hooks import AT_CREATE, KINDS, Hook, Notes, hooks_of
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.waiting import wait_until

AT_START = ("startContainer", "poststart")
LATER = pytest.mark.pyrun_only("runc 1.1.5 runs poststart hooks on create, and does not wait for startContainer hooks")
SECONDS = 10


@pytest.fixture
def container(make_container: MakeContainer) -> Container:
    return make_container(configs.default("/bin/sleep", "1000"))


@pytest.fixture
def notes(scratch: str, container: Container) -> Notes:
    made = Notes(scratch, container.bundle.config)
    container.bundle.config["hooks"] = hooks_of(made)
    return made


def failing(notes: Notes, kind: str, how: str) -> tuple[Hook, list[str]]:
    """Returns a hook that fails, and words of the error."""
    return {
        "missing": ({"path": "/missing/hook"}, ["no such file or directory"]),
        "not executable": ({"path": "/etc/passwd"}, ["permission denied"]),
        "a directory": ({"path": "/etc"}, ["permission denied"]),
        "not a program": ({"path": f"{notes.place(kind)}/order"}, ["exec format error"]),
        "its status": (notes.shell(kind, "echo a word; echo the reason >&2; exit 3"), ["exit status 3", "the reason"]),
        "a signal": (notes.shell(kind, "kill -9 $$"), ["killed"]),
    }[how]


WAYS = ["missing", "not executable", "a directory", "not a program", "its status", "a signal"]


def put_between(notes: Notes, container: Container, kind: str, hook: Hook) -> None:
    """Gives the container a hook that is to fail, between two that tell that they ran."""
    container.bundle.config["hooks"][kind] = [notes.tell(kind), hook, notes.tell(kind)]


def reached(kind: str) -> list[str]:
    """Returns which hooks run when the second of a kind fails, with poststop at the end."""
    return [*KINDS[: KINDS.index(kind) + 1], "poststop"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", AT_CREATE)
def test_of_create(container: Container, notes: Notes, kind: str, how: str) -> None:
    hook, words = failing(notes, kind, how)
    put_between(notes, container, kind, hook)
    line = container.create().failed(*words)
    if container.runtime.name == "pyrun":
        assert f"config.json: /hooks/{kind}/1: hook {hook['path']}" in line
    assert not container.exists()
    assert notes.order() == reached(kind)


@LATER
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", AT_START)
def test_of_start(container: Container, notes: Notes, kind: str, how: str) -> None:
    hook, words = failing(notes, kind, how)
    put_between(notes, container, kind, hook)
    container.created()
    pid = container.pid
    container.start().failed(f"config.json: /hooks/{kind}/1: hook {hook['path']}", *words)
    assert not container.exists()
    assert not os.path.exists(f"/proc/{pid}/cwd")
    assert notes.order() == reached(kind)


@LATER
@pytest.mark.parametrize("kind", [*AT_CREATE, *AT_START])
@pytest.mark.parametrize("options", [[], ["--detach"]], ids=["foreground", "detached"])
def test_of_run(scratch: str, runtime: Runtime, make_bundle: MakeBundle, kind: str, options: list[str]) -> None:
    bundle = make_bundle(configs.shell("echo program; exec sleep 1000"))
    notes = Notes(scratch, bundle.config)
    bundle.config["hooks"] = hooks_of(notes)
    bundle.config["hooks"][kind].append(notes.shell(kind, "echo reason >&2; exit 4"))
    result = runtime.run("test", bundle, *options)
    result.failed(f"/hooks/{kind}/1: hook /bin/sh failed: exit status 4: reason")
    assert notes.order() == reached(kind)
    if kind != "poststart":
        assert result.output == ""


def test_of_run_under_either_runtime(scratch: str, runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.default("/bin/true"))
    notes = Notes(scratch, bundle.config)
    bundle.config["hooks"]["startContainer"] = [notes.shell("startContainer", "exit 4")]
    result = runtime.run("test", bundle)
    assert result.status == 1
    assert "exit status 4" in result.errors


def test_of_delete_is_only_a_warning(container: Container, notes: Notes) -> None:
    put_between(notes, container, "poststop", notes.shell("poststop", "exit 3"))
    container.started()
    notes.wait_for("startContainer")
    container.stop()
    container.delete().succeeded()
    assert not container.exists()
    assert notes.order()[-1] == "poststop"


@pytest.mark.pyrun_only("runc 1.1.5 runs no further hook after one that failed")
@pytest.mark.parametrize("how", WAYS)
def test_of_delete_does_not_keep_others_from_running(
    scratch: str, container: Container, notes: Notes, how: str
) -> None:
    hook, words = failing(notes, "poststop", how)
    put_between(notes, container, "poststop", hook)
    container.created()
    log = os.path.join(scratch, "log")
    options = ["--log", log, "--log-format", "json"]
    result = container.runtime.call("delete", "--force", container.id, options=options).succeeded()
    assert (result.output, result.errors) == ("", "")
    assert notes.order() == [*AT_CREATE, "poststop", "poststop"]
    with open(log, encoding="utf-8") as file:
        (line,) = (json.loads(line) for line in file)
    assert line["level"] == "warning"
    assert line["msg"].startswith(f"/hooks/poststop/1: hook {hook['path']}")
    assert all(word in line["msg"] for word in words)


@pytest.mark.parametrize("change", ["mount", "program"])
def test_poststop_when_create_fails_for_another_reason(container: Container, notes: Notes, change: str) -> None:
    """What createRuntime hooks have set up can be taken down again."""
    if change == "mount":
        container.bundle.config["mounts"].append(configs.bind("/missing", "/var"))
    else:
        container.bundle.config["process"]["args"] = ["/missing"]
    container.create().failed("no such file or directory")
    assert notes.order() == [*(AT_CREATE if change == "program" else ()), "poststop"]
    assert notes.state("poststop")["status"] == "stopped"


def test_no_hook_of_a_config_that_is_refused(container: Container, notes: Notes) -> None:
    container.bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_MISSING", "soft": 1, "hard": 1}]
    assert container.create().status == 1
    assert [kind for kind in notes.order() if kind != "poststop"] == []


# The words.


@pytest.mark.pyrun_only("runc shows all of the output")
@pytest.mark.parametrize("kind", ["prestart", "createContainer"])
def test_end_of_the_output_is_shown(container: Container, notes: Notes, kind: str) -> None:
    script = (
        'i=0; while [ $i -lt 1000 ]; do echo "line $i of many"; i=$((i+1)); done; printf "\\tlast  words\\n\\n"; exit 1'
    )
    container.bundle.config["hooks"][kind] = [notes.shell(kind, script)]
    line = container.create().failed("exit status 1: line 9", "line 999 of many")
    assert line.endswith(("last words", "last  words"))
    assert len(line) < 450


@pytest.mark.pyrun_only("the line is pyrun's")
@pytest.mark.parametrize("kind", ["prestart", "createContainer"])
@pytest.mark.parametrize("output", [r"\033[31mred\n", r"\377\376\n", r"a\000b\n", r"%s%n\n", r"\n\n", ""])
def test_output_that_is_no_text(container: Container, notes: Notes, kind: str, output: str) -> None:
    container.bundle.config["hooks"][kind] = [notes.shell(kind, f"printf '%b' '{output}'; exit 1")]
    line = container.create().failed("exit status 1")
    assert line.isprintable()
    assert "\033" not in line


# Hooks that hang.


@pytest.mark.parametrize("kind", ["prestart", "createContainer"])
def test_timeout(container: Container, notes: Notes, kind: str) -> None:
    put_between(notes, container, kind, notes.shell(kind, "exec sleep 1000", timeout=1))
    container.create().failed("timeout of 1")
    assert not container.exists()
    assert notes.order() == reached(kind)


@LATER
@pytest.mark.parametrize("kind", AT_START)
def test_timeout_ends_grandchildren(container: Container, notes: Notes, kind: str) -> None:
    script = "echo hanging; sleep 1000 >/dev/null 2>&1 & sh -c 'sleep 1000; :' & sleep 1000; :"
    put_between(notes, container, kind, notes.shell(kind, script, timeout=1))
    container.created()
    container.start().failed(f"/hooks/{kind}/1: hook /bin/sh ran past its timeout of 1 s: hanging")
    assert not container.exists()
    assert notes.order() == reached(kind)


def hang(notes: Notes, kind: str) -> Hook:
    """Returns a hook that tells that it runs, and never ends."""
    return notes.shell(kind, f"echo {kind} >>order; sleep 1000; :")


@LATER
@pytest.mark.parametrize("kind", [*AT_CREATE, *AT_START])
def test_forced_delete_ends_a_hook_that_hangs(container: Container, notes: Notes, kind: str) -> None:
    container.bundle.config["hooks"][kind] = [hang(notes, kind)]
    container.bundle.seal()
    if kind in AT_START:
        container.created()
        call = container.runtime.start("start", container.id)
    else:
        call = container.runtime.start("create", "--bundle", container.bundle.path, container.id)
    notes.wait_for(kind)
    assert call.process.poll() is None
    container.delete("--force").succeeded()
    assert not container.exists()
    result = call.wait(SECONDS)
    assert result.status == 1
    assert result.error_line
    assert notes.order() == reached(kind)


@LATER
@pytest.mark.parametrize("kind", ["prestart", "poststart", "poststop"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_foreground_run_whose_hook_hangs(
    scratch: str, runtime: Runtime, make_bundle: MakeBundle, kind: str, number: signal.Signals
) -> None:
    """It blocks all signals, because they are for the container."""
    bundle = make_bundle(configs.default(*(["/bin/true"] if kind == "poststop" else ["/bin/sleep", "1000"])))
    notes = Notes(scratch, bundle.config)
    bundle.config["hooks"][kind] = [hang(notes, kind)]
    bundle.seal()
    call = runtime.start("run", "--bundle", bundle.path, "test")
    notes.wait_for(kind)
    call.process.send_signal(number)
    result = call.wait(SECONDS)
    assert result.status != 0
    assert "interrupted" in result.error_line


@pytest.mark.pyrun_only("runc 1.1.5 does not know a container that is being created")
def test_state_while_a_hook_hangs(container: Container, notes: Notes) -> None:
    container.bundle.config["hooks"]["createContainer"] = [hang(notes, "createContainer")]
    container.bundle.seal()
    call = container.runtime.start("create", "--bundle", container.bundle.path, container.id)
    notes.wait_for("createContainer")
    assert container.status == "creating"
    container.delete().failed("not stopped: creating")
    container.delete("--force").succeeded()
    call.wait(SECONDS)


# Hooks that are not as one would like them.


@pytest.mark.parametrize("kind", [*AT_CREATE, "poststop"])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(": >ran", id="reads nothing"),
        pytest.param("exec <&-; sleep 0.1; : >ran", id="closes standard input"),
        pytest.param("exec >&- 2>&-; : >ran", id="closes its output"),
        pytest.param("head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; : >ran", id="writes megabytes"),
        pytest.param("trap '' TERM HUP INT; : >ran", id="ignores signals"),
    ],
)
def test_odd_hook(container: Container, notes: Notes, kind: str, script: str) -> None:
    config = container.bundle.config
    # More than fits into a pipe.
    config["annotations"] = {"org.example.long": "x" * 200_000}
    if container.runtime.name != "pyrun":
        config["annotations"]["org.example.long"] = "x" * 100
    config["hooks"] = {kind: [notes.shell(kind, script)]}
    container.created()
    container.delete("--force").succeeded()
    assert notes.exists("ran")


@pytest.mark.pyrun_only("runc waits until all have closed the hook's output")
@pytest.mark.parametrize("kind", [*AT_CREATE, "startContainer", "poststart", "poststop"])
def test_hook_that_leaves_a_daemon_behind(container: Container, notes: Notes, kind: str) -> None:
    """Nobody waits for it, though it has the hook's input and output."""
    container.bundle.config["hooks"] = {kind: [notes.shell(kind, "sleep 1000 & echo $! >daemon; exit 0")]}
    container.started()
    container.delete("--force").succeeded()
    if not kind.endswith("Container"):
        os.kill(int(notes.read("daemon")), signal.SIGKILL)


@pytest.mark.parametrize("kind", ["startContainer", "createContainer"])
def test_image_cannot_choose_what_a_hook_of_the_runtime_is(container: Container, notes: Notes, kind: str) -> None:
    """A createContainer hook's path is one of the host, a startContainer hook's one of the image."""
    text = "#!/bin/sh\necho {} >{}/chosen\n"
    container.bundle.write("opt/hook", text.format("image", notes.place(kind)), 0o755)
    container.bundle.config["hooks"] = {kind: [{"path": "/opt/hook"}]}
    if kind == "createContainer":
        assert container.create().status == 1
    else:
        container.started()
        wait_until(lambda: notes.exists("chosen"), "the hook ran")
        assert notes.read("chosen") == "image\n"
