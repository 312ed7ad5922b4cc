# SPDX-License-Identifier: Apache-2.0
"""What verbs hand to their modules and what they print, compared with runc's form."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun import jsontext
from pyrun.container.create import CreationOptions
from pyrun.container.exec import ExecOptions

from .conftest import CommandLine, Stub

STATE: dict[str, Any] = {
    "owner": "root",
    "id": "c1",
    "ociVersion": "1.3.0",
    "pid": 4711,
    "status": "running",
    "bundle": "/one",
    "rootfs": "/one/rootfs",
    "created": "2026-01-02T03:04:05.678901234Z",
    "annotations": {"b": "2", "a": 'x "y"\n'},
}
STOPPED: dict[str, Any] = {
    **STATE,
    "id": "a-container-name",
    "pid": 0,
    "status": "stopped",
    "annotations": {},
}


def test_state(command_line: CommandLine, stub: Stub) -> None:
    stub(
        "pyrun.container.state",
        container_state=lambda root, container_id: {**STATE, "id": f"{root}:{container_id}"},
    )
    ended = command_line("--root", "/r", "state", "c")
    assert (ended.status, ended.errors) == (0, "")
    assert ended.output == (
        "{\n"
        '  "ociVersion": "1.3.0",\n'
        '  "id": "/r:c",\n'
        '  "pid": 4711,\n'
        '  "status": "running",\n'
        '  "bundle": "/one",\n'
        '  "rootfs": "/one/rootfs",\n'
        '  "created": "2026-01-02T03:04:05.678901234Z",\n'
        '  "annotations": {\n'
        '    "b": "2",\n'
        '    "a": "x \\"y\\"\\n"\n'
        "  },\n"
        '  "owner": ""\n'
        "}\n"
    )


def test_state_without_annotations(command_line: CommandLine, stub: Stub) -> None:
    for state in (STOPPED, {key: value for key, value in STATE.items() if key != "annotations"}):
        stub("pyrun.container.state", container_state=lambda root, container_id, state=state: state)
        assert "annotations" not in json.loads(command_line("state", "c").output)


@pytest.mark.parametrize("words", [["list"], ["list", "--format", "table"]])
def test_list_as_a_table(command_line: CommandLine, stub: Stub, words: list[str]) -> None:
    stub("pyrun.container.list", list_states=lambda root: [STATE, STOPPED])
    ended = command_line(*words)
    assert (ended.status, ended.errors) == (0, "")
    assert ended.output == (
        "ID                 PID         STATUS      BUNDLE      CREATED                          OWNER\n"
        "c1                 4711        running     /one        2026-01-02T03:04:05.678901234Z   root\n"
        "a-container-name   0           stopped     /one        2026-01-02T03:04:05.678901234Z   root\n"
    )


def test_list_of_nothing(command_line: CommandLine, stub: Stub) -> None:
    stub("pyrun.container.list", list_states=lambda root: [])
    assert command_line("list").output == ("ID          PID         STATUS      BUNDLE      CREATED     OWNER\n")
    assert command_line("list", "-f", "json").output == "null\n"
    assert command_line("list", "-q").output == ""


def test_list_as_json(command_line: CommandLine, stub: Stub) -> None:
    stub("pyrun.container.list", list_states=lambda root: [STATE, STOPPED])
    (line,) = command_line("list", "-f", "json").output.splitlines()
    first, second = json.loads(line)
    assert first == STATE
    assert list(first) == [
        "ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner",
    ]  # fmt: skip
    assert "annotations" not in second


@pytest.mark.parametrize("options", [["-q"], ["--quiet", "--format", "json"]])
def test_list_of_ids(command_line: CommandLine, stub: Stub, options: list[str]) -> None:
    stub("pyrun.container.list", list_states=lambda root: [STATE, STOPPED])
    assert command_line("list", *options).output == "c1\na-container-name\n"


class Recorder:
    """Stands for a verb's function and keeps what it was called with."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls.append((arguments, options))
        return self.result


def as_dictionary(options: CreationOptions | ExecOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__slots__}


Recorded = Callable[[str], tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def recorded(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorded:
    """A function that runs a line, which must succeed, and returns the arguments of the verb's function."""
    monkeypatch.chdir(tmp_path)

    def call(line: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        verb = line.split()[0]
        recorder = Recorder(0)
        module = importlib.import_module(f"pyrun.container.{verb}")
        monkeypatch.setattr(module, {"exec": "execute"}.get(verb, verb), recorder)
        ended = command_line("--root", "/r", *line.split())
        assert (ended.status, ended.output, ended.errors) == (0, "", "")
        ((arguments, keywords),) = recorder.calls
        return arguments, keywords

    return call


@pytest.mark.parametrize(
    ("line", "arguments", "keywords"),
    [
        ("start c", ("/r", "c"), {}),
        ("kill c", ("/r", "c", 15), {"all_processes": False}),
        ("kill -a c INT", ("/r", "c", 2), {"all_processes": True}),
        ("delete c", ("/r", "c"), {"force": False}),
        ("delete -f c", ("/r", "c"), {"force": True}),
    ],
)
def test_what_a_verb_is_called_with(
    recorded: Recorded, line: str, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    assert recorded(line) == (arguments, keywords)


@pytest.mark.parametrize(
    ("line", "bundle", "changed"),
    [
        ("c", "{here}", {}),
        ("-b /b c", "/b", {}),
        ("-b b/../d --pid-file p c", "{here}/d", {"pid_file": "{here}/p"}),
        ("--no-pivot --no-new-keyring c", "{here}", {"no_pivot": True, "new_keyring": False}),
        ("--console-socket s --pidfd-socket=/p c", "{here}", {"console_socket": "{here}/s", "pidfd_socket": "/p"}),
        ("--preserve-fds 3 --rootless true c", "{here}", {"preserve_descriptors": 3, "rootless": "true"}),
    ],
)
@pytest.mark.parametrize("verb", ["create", "run"])
def test_what_a_container_is_made_with(
    recorded: Recorded, tmp_path: Path, verb: str, line: str, bundle: str, changed: dict[str, Any]
) -> None:
    (root, container_id, found, options), keywords = recorded(f"{verb} {line}")
    assert (root, container_id, found) == ("/r", "c", bundle.format(here=tmp_path))
    plain = as_dictionary(CreationOptions())
    assert as_dictionary(options) == {**plain, **filled_in(changed, tmp_path)}
    assert keywords == ({} if verb == "create" else {"detach": False, "keep": False, "subreaper": True})


def test_what_run_alone_is_called_with(recorded: Recorded) -> None:
    (*_, options), keywords = recorded("run -d --keep --no-subreaper -t c")
    assert keywords == {"detach": True, "keep": True, "subreaper": False}
    assert options.terminal is True


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("c ls -l", {"args": ["ls", "-l"]}),
        ("--process f c", {"process_file": "{here}/f"}),
        (
            "-e A=1 -e B=2 --cwd d -u 1:2 -g 3 -g 4 -c CAP_KILL c sh",
            {
                "args": ["sh"],
                "env": ["A=1", "B=2"],
                "cwd": "d",
                "user": "1:2",
                "additional_gids": ["3", "4"],
                "capabilities": ["CAP_KILL"],
            },
        ),
        (
            "--no-new-privs --apparmor a --process-label l -t -d c sh",
            {
                "args": ["sh"],
                "no_new_privileges": True,
                "apparmor": "a",
                "process_label": "l",
                "terminal": True,
                "detach": True,
            },
        ),
        (
            "--pid-file p --console-socket s --pidfd-socket /d --preserve-fds 2 --ignore-paused --cgroup g c sh",
            {
                "args": ["sh"],
                "pid_file": "{here}/p",
                "console_socket": "{here}/s",
                "pidfd_socket": "/d",
                "preserve_descriptors": 2,
                "ignore_paused": True,
                "cgroup": "g",
            },
        ),
    ],
)
def test_what_exec_is_called_with(recorded: Recorded, tmp_path: Path, line: str, changed: dict[str, Any]) -> None:
    (root, container_id, options), keywords = recorded(f"exec {line}")
    assert (root, container_id, keywords) == ("/r", "c", {})
    assert as_dictionary(options) == {**as_dictionary(ExecOptions()), **filled_in(changed, tmp_path)}


def filled_in(values: dict[str, Any], here: Path) -> dict[str, Any]:
    return {key: value.format(here=here) if isinstance(value, str) else value for key, value in values.items()}


@pytest.mark.parametrize(("pids", "printed"), [([4711, 4713], "[4711,4713]\n"), ([], "null\n")])
def test_ps_as_json(command_line: CommandLine, stub: Stub, pids: list[int], printed: str) -> None:
    stub("pyrun.container.ps", pids_of=lambda root, container_id: pids, table_of=None)
    ended = command_line("ps", "-f", "json", "c")
    assert (ended.status, ended.output, ended.errors) == (0, printed, "")


def test_ps_as_a_table(command_line: CommandLine, stub: Stub) -> None:
    stub("pyrun.container.ps", pids_of=None, table_of=lambda root, container_id, words: ["PID", *words])
    assert command_line("ps", "c", "-o", "pid").output == "PID\n-o\npid\n"


@pytest.mark.parametrize("status", [0, 7, 137, 255])
def test_exit_status_of_exec_is_that_of_the_process(command_line: CommandLine, stub: Stub, status: int) -> None:
    stub("pyrun.container.exec", ExecOptions=dict, execute=Recorder(status))
    assert command_line("exec", "c", "ls").status == status


def test_exit_status_of_run_is_that_of_the_container(command_line: CommandLine, stub: Stub) -> None:
    stub("pyrun.container.run", run=Recorder(137))
    assert command_line("run", "c").status == 137


@pytest.mark.parametrize("quote", [jsontext.quote, jsontext.quote_without_c])
@given(text=st.text(st.characters()))
def test_quote(quote: Any, text: str) -> None:
    assert quote(text) == json.dumps(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_encode(value: Any) -> None:
    assert jsontext.encode(value) == json.dumps(value, indent=2)


def test_encode_refuses_other_types() -> None:
    with pytest.raises(TypeError, match="float"):
        jsontext.encode({"a": [1.5]})
