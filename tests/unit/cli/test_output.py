# SPDX-License-Identifier: Apache-2.0
"""What verbs hand to their modules and what they print, compared with runc's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun import jsontext

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


PLAIN = {"pid_file": None, "no_pivot": False, "new_keyring": True}


@pytest.mark.parametrize(
    ("line", "arguments", "options"),
    [
        ("create c", ("/r", "c", "{cwd}"), PLAIN),
        ("create -b /b c", ("/r", "c", "/b"), PLAIN),
        ("create -b b/../d --pid-file p c", ("/r", "c", "{cwd}/d"), {**PLAIN, "pid_file": "{cwd}/p"}),
        (
            "create --no-pivot --no-new-keyring c",
            ("/r", "c", "{cwd}"),
            {**PLAIN, "no_pivot": True, "new_keyring": False},
        ),
        ("start c", ("/r", "c"), {}),
        ("kill c", ("/r", "c", 15), {"all_processes": False}),
        ("kill -a c INT", ("/r", "c", 2), {"all_processes": True}),
        ("delete c", ("/r", "c"), {"force": False}),
        ("delete -f c", ("/r", "c"), {"force": True}),
        ("run c", ("/r", "c", "{cwd}"), {**PLAIN, "detach": False, "keep": False}),
        ("run -d --keep c", ("/r", "c", "{cwd}"), {**PLAIN, "detach": True, "keep": True}),
    ],
)
def test_what_a_verb_is_called_with(
    command_line: CommandLine,
    stub: Stub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    verb = line.split()[0]
    recorder = Recorder(0)
    stub(f"pyrun.container.{verb}", **{verb: recorder})
    ended = command_line("--root", "/r", *line.split())
    assert (ended.status, ended.output, ended.errors) == (0, "", "")

    def resolve(value: Any) -> Any:
        return value.replace("{cwd}", str(tmp_path)) if isinstance(value, str) else value

    expected = tuple(map(resolve, arguments)), {key: resolve(value) for key, value in options.items()}
    assert recorder.calls == [expected]


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
