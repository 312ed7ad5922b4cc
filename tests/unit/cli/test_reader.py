# SPDX-License-Identifier: Apache-2.0
"""How the fast reader understands a command line, and which ones it leaves to click."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyrun.cli.reader import Settings, read
from pyrun.cli.tables import GLOBAL_OPTIONS, VERBS

CREATE = {"bundle": None, "pid_file": None, "no_pivot": False, "no_new_keyring": False}


def settings_of(words: list[str]) -> dict[str, Any]:
    settings = Settings()
    read(words, settings)
    return {name: getattr(settings, name) for name in Settings.__slots__}


@pytest.mark.parametrize(
    ("line", "verb", "values"),
    [
        ("state c", "state", {"container_id": "c"}),
        ("kill c", "kill", {"container_id": "c", "signal": None, "all": False}),
        ("kill -a c KILL", "kill", {"container_id": "c", "signal": "KILL", "all": True}),
        ("kill c --all 9", "kill", {"container_id": "c", "signal": "9", "all": True}),
        ("list", "list", {"format": "table", "quiet": False}),
        ("list -f json -q", "list", {"format": "json", "quiet": True}),
        ("list --f=json", "list", {"format": "json", "quiet": False}),
        ("delete -force c", "delete", {"container_id": "c", "force": True}),
        ("delete --force=true c", "delete", {"container_id": "c", "force": True}),
        ("delete -f=F c", "delete", {"container_id": "c", "force": False}),
        ("delete --force --force=0 c", "delete", {"container_id": "c", "force": False}),
        ("delete -- c", "delete", {"container_id": "c", "force": False}),
        ("delete -- -c", "delete", {"container_id": "-c", "force": False}),
        ("state -", "state", {"container_id": "-"}),
        ("-- state c", "state", {"container_id": "c"}),
        ("create -b dir c", "create", {**CREATE, "container_id": "c", "bundle": "dir"}),
        ("create -b=dir c", "create", {**CREATE, "container_id": "c", "bundle": "dir"}),
        ("create -bundle dir c", "create", {**CREATE, "container_id": "c", "bundle": "dir"}),
        ("create -bundle=dir c", "create", {**CREATE, "container_id": "c", "bundle": "dir"}),
        ("create --bundle dir c", "create", {**CREATE, "container_id": "c", "bundle": "dir"}),
        ("create --bundle=a=b c", "create", {**CREATE, "container_id": "c", "bundle": "a=b"}),
        ("create --bundle a -b b c", "create", {**CREATE, "container_id": "c", "bundle": "b"}),
        ("create --bundle --pid-file c", "create", {**CREATE, "container_id": "c", "bundle": "--pid-file"}),
        ("create --pid-file -- c", "create", {**CREATE, "container_id": "c", "pid_file": "--"}),
        (
            "run -d --keep --no-pivot --no-new-keyring --pid-file p c",
            "run",
            {
                "container_id": "c",
                "bundle": None,
                "pid_file": "p",
                "no_pivot": True,
                "no_new_keyring": True,
                "detach": True,
                "keep": True,
            },
        ),
        ("spec --rootless", "spec", {"bundle": None, "rootless": True}),
        ("plan dir --json", "plan", {"bundle": "dir", "json": True}),
        ("validate dir", "validate", {"bundle": "dir"}),
    ],
)
def test_well_formed(line: str, verb: str, values: dict[str, Any]) -> None:
    assert read(line.split(), Settings()) == (verb, values)


@pytest.mark.parametrize(
    "words",
    [
        [],
        [""],
        ["--"],
        ["frob"],
        ["help"],
        ["--help"],
        ["-h", "state", "c"],
        ["state", "c", "-h"],
        ["--version"],
        ["state", "-v"],
        ["state"],
        ["state", ""],
        ["state", "a", "b"],
        ["kill", "c", "TERM", "x"],
        ["kill", "c", ""],
        ["list", "x"],
        ["--root"],
        ["--root", "", "state", "c"],
        ["--root=", "state", "c"],
        ["state", "c", "--root"],
        ["create", "--bundle=", "c"],
        ["create", "--bundel", "x", "c"],
        ["create", "---bundle", "x", "c"],
        ["create", "-bdir", "c"],
        ["create", "--console-socket", "x", "c"],
        ["list", "-fq"],
        ["list", "--=x"],
        ["list", "--format", "yaml"],
        ["--log-format", "xml", "list"],
        ["--rootless", "maybe", "list"],
        ["--rootless", "--debug", "list"],
        ["delete", "--force=maybe", "c"],
        ["delete", "--force=", "c"],
        ["delete", "--force=yes", "c"],
        ["--force", "delete", "c"],
    ],
)
def test_left_to_click(words: list[str]) -> None:
    assert read(words, Settings()) is None


def test_global_options_before_and_after_the_verb() -> None:
    before = [
        "--root",
        "/r",
        "--log=l",
        "-log-format",
        "json",
        "--debug",
        "--systemd-cgroup",
        "--rootless=true",
    ]
    expected = {
        "root": "/r",
        "log": "l",
        "log_format": "json",
        "debug": True,
        "systemd_cgroup": True,
        "rootless": "true",
    }
    assert settings_of([*before, "state", "c"]) == expected
    assert settings_of(["state", *before, "c"]) == expected
    assert settings_of(["state", "c", *before]) == expected


def test_the_last_global_option_counts() -> None:
    settings = settings_of(["--root=a", "--debug", "--root", "b", "state", "--debug=false", "--root=c", "x"])
    assert (settings["root"], settings["debug"]) == ("c", False)


def test_rootless_of_spec_is_not_the_global_one() -> None:
    assert settings_of(["--rootless=false", "spec", "--rootless"])["rootless"] == "false"


def test_settings_of_a_bad_command_line_are_kept() -> None:
    settings = settings_of(["--log", "l", "--log-format", "json", "create", "--root", "/r", "--frob", "c"])
    assert (settings["log"], settings["log_format"], settings["root"]) == ("l", "json", "/r")


def test_no_two_options_share_a_name() -> None:
    for own in [(), *[verb[3] for verb in VERBS.values()]]:
        long = [option[0] for option in own]
        inherited = [option for option in GLOBAL_OPTIONS if option[0] not in long]
        names = [name for option in (*own, *inherited) for name in option[:2] if name]
        assert len(names) == len(set(names))


def test_default_state_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert Settings().state_root() == "/run/user/7/pyrun"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Settings().state_root() == "/run/pyrun"


def test_default_state_root_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/proc/self/uid_map", "rb") as uid_map:
        if uid_map.read().split() != [b"0", b"0", b"4294967295"]:
            pytest.skip("in a user namespace root is another user; the integration tests cover that")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("USER", raising=False)
    assert Settings().state_root() == "/run/pyrun"


def test_state_root_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    settings.root = "state"
    assert settings.state_root() == os.path.join(tmp_path, "state")
