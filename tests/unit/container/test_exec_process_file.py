# SPDX-License-Identifier: Apache-2.0
"""The process object of an exec from a process file: `exec --process FILE`."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pyrun.container.exec import ExecOptions
from pyrun.container.exec_process import process_for
from pyrun_spec.errors import SpecError
from support import configs

LEAST = {"args": ["pwd"], "cwd": "/"}

OF_CONTAINER = {
    "apparmorProfile": "profile",
    "selinuxLabel": "label",
    "oomScoreAdj": 100,
    "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
    "scheduler": {"policy": "SCHED_BATCH"},
    "ioPriority": {"class": "IOPRIO_CLASS_BE"},
    "execCPUAffinity": {"initial": "0"},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the process file is."""
    return tmp_path / "process.json"


def given(path: Path, document: object, config: configs.Config | None = None, **options: Any) -> dict[str, Any]:
    """Returns the process object for a file with this text, or with this object as JSON."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return process_for(config or configs.default(), ExecOptions(process_file=str(path), **options))


def refusal(path: Path | str, config: configs.Config | None = None) -> str:
    """Returns what the one line of error says after the path."""
    with pytest.raises(SpecError) as caught:
        process_for(config or configs.default(), ExecOptions(process_file=str(path)))
    line = str(caught.value)
    assert line.isprintable(), line
    assert line.startswith(f"{path}: "), line
    return line.removeprefix(f"{path}: ")


def of_container() -> configs.Config:
    """Returns a config whose process has all that the process of an exec takes over."""
    config = configs.default()
    config["process"]["user"] = {"uid": 5, "gid": 7, "additionalGids": [33], "umask": 0o77}
    config["process"].update(OF_CONTAINER)
    return config


def test_it_stands_alone(path: Path) -> None:
    """The other options say nothing then, however wrong they are: so it is with runc."""
    process = {"args": ["pwd"], "cwd": "/tmp", "capabilities": {}, "noNewPrivileges": False}
    found = given(
        path,
        process,
        args=["false"],
        user="nobody",
        additional_gids=["x"],
        env=["x"],
        cwd="x",
        capabilities=["x"],
        no_new_privileges=True,
        terminal=True,
    )
    assert {name: found[name] for name in process} == process
    assert not found.keys() & {"env", "user", "terminal"}


def test_what_it_leaves_out_is_the_container_s(path: Path) -> None:
    config = of_container()
    assert given(path, LEAST, config) == {
        **LEAST,
        "user": {"umask": 0o77},
        "capabilities": config["process"]["capabilities"],
        **OF_CONTAINER,
    }


def test_what_it_has_comes_before_the_container_s(path: Path) -> None:
    config = of_container()
    process = {
        **LEAST,
        "user": {"uid": 1, "umask": 0},
        "capabilities": {"bounding": ["CAP_KILL"]},
        "apparmorProfile": "unconfined",
        "selinuxLabel": "other",
        "oomScoreAdj": 0,
        "rlimits": [],
        "scheduler": {"policy": "SCHED_IDLE"},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE"},
        "execCPUAffinity": {},
    }
    assert given(path, process, config) == process


def test_empty_profile_and_label_are_absent(path: Path) -> None:
    found = given(path, {**LEAST, "apparmorProfile": "", "selinuxLabel": ""}, of_container())
    assert (found["apparmorProfile"], found["selinuxLabel"]) == ("profile", "label")


def test_null_is_absent(path: Path) -> None:
    found = given(path, {**LEAST, "env": None, "user": None, "capabilities": None})
    assert found["capabilities"] == configs.default()["process"]["capabilities"]
    assert not found.keys() & {"env", "user"}


def test_unknown_properties_are_ignored(path: Path) -> None:
    found = given(path, {**LEAST, "commandLine": "x", "user": {"username": "x"}})
    assert found["args"] == ["pwd"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("{", "line 1"),
        ('{"args": ["pwd"], "cwd": "/",}', "comma"),
        ('{"args": ["pwd"], "cwd": "/"} x', "line 1"),
        ('{"args": ["pwd"], "cwd": "/", "cwd": "/tmp"}', "twice"),
        ('{"args": ["pwd"], "cwd": NaN}', "NaN"),
        ("null", "expected an object"),
        ("[]", "expected an object"),
        ('"pwd"', "expected an object"),
    ],
)
def test_not_json(path: Path, text: str, word: str) -> None:
    path.write_text(text)
    assert word in refusal(path)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"args": "pwd"}, "/args"),
        ({"args": []}, "/args"),
        ({"args": [""]}, "/args/0"),
        ({"args": ["pwd", 1]}, "/args/1"),
        ({"args": ["a\0b"]}, "/args/0"),
        ({"args": None}, "/args"),
        ({"cwd": "tmp"}, "/cwd"),
        ({"cwd": ""}, "/cwd"),
        ({"cwd": None}, "/cwd"),
        ({"terminal": "yes"}, "/terminal"),
        ({"env": ["A"]}, "/env/0"),
        ({"env": {"A": "1"}}, "/env"),
        ({"user": "root"}, "/user"),
        ({"user": {"uid": -1}}, "/user/uid"),
        ({"user": {"uid": 4294967295}}, "/user/uid"),
        ({"user": {"uid": "1"}}, "/user/uid"),
        ({"user": {"additionalGids": [1, "2"]}}, "/user/additionalGids/1"),
        ({"capabilities": ["CAP_KILL"]}, "/capabilities"),
        ({"capabilities": {"bounding": ["KILL"]}}, "/capabilities/bounding/0"),
        ({"capabilities": {"effective": ["CAP_KILL"]}}, "/capabilities/effective/0"),
        ({"rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}, "/rlimits/0/soft"),
        ({"rlimits": [{"type": "RLIMIT_CORES", "soft": 1, "hard": 1}]}, "/rlimits/0/type"),
        ({"scheduler": {"policy": "SCHED_FIFO"}}, "/scheduler/priority"),
        ({"oomScoreAdj": 1001}, "/oomScoreAdj"),
    ],
)
def test_error_names_the_place(path: Path, change: dict[str, Any], pointer: str) -> None:
    path.write_text(json.dumps({**LEAST, **change}))
    assert refusal(path).startswith(f"{pointer}: ")


def test_ids_that_the_user_namespace_does_not_map(path: Path) -> None:
    path.write_text(json.dumps({**LEAST, "user": {"uid": 65536}}))
    line = refusal(path, configs.with_user_namespace(configs.default()))
    assert line.startswith("/user/uid: 65536 is not in /linux/uidMappings")


def test_user_of_the_container_does_not_count(path: Path) -> None:
    config = configs.with_user_namespace(configs.default())
    config["process"]["user"] = {"uid": 70000, "gid": 70000}
    assert "user" not in given(path, LEAST, config)


def test_missing(path: Path) -> None:
    assert refusal(path) == "can't be opened: no such file or directory"


@pytest.mark.parametrize(("path", "kind"), [("/", "a directory"), ("/dev/null", "a character device")])
def test_not_a_file(path: str, kind: str) -> None:
    assert refusal(path) == f"is {kind}, not a file"


def test_pipe(path: Path) -> None:
    """As a shell passes one for --process <(COMMAND)."""
    os.mkfifo(path)
    text = json.dumps({**LEAST, "env": [f"A={'x' * 100000}"]})
    writer = threading.Thread(target=lambda: path.write_text(text))
    writer.start()
    process = process_for(configs.default(), ExecOptions(process_file=str(path)))
    writer.join()
    assert process["args"] == ["pwd"]


def test_large(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert "larger than 16 MiB" in refusal(path)
