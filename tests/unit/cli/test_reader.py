# SPDX-License-Identifier: Apache-2.0
"""How the fast reader understands a command line, and which ones it leaves to click."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyrun.caller import is_in_initial_user_namespace
from pyrun.cli.reader import Settings, read
from pyrun.cli.tables import GLOBAL_OPTIONS, VERBS

CREATE: dict[str, Any] = {
    "bundle": None,
    "console_socket": None,
    "pidfd_socket": None,
    "pid_file": None,
    "no_pivot": False,
    "no_new_keyring": False,
    "preserve_fds": 0,
}
RUN: dict[str, Any] = {
    **CREATE,
    "container_id": "c",
    "detach": False,
    "keep": False,
    "no_subreaper": False,
    "tty": False,
}
EXEC: dict[str, Any] = {
    "container_id": "c",
    "args": [],
    "console_socket": None,
    "pidfd_socket": None,
    "cwd": None,
    "env": [],
    "tty": False,
    "user": None,
    "additional_gids": [],
    "process": None,
    "detach": False,
    "pid_file": None,
    "process_label": None,
    "apparmor": None,
    "no_new_privs": False,
    "cap": [],
    "preserve_fds": 0,
    "cgroup": None,
    "ignore_paused": False,
}
PS: dict[str, Any] = {"container_id": "c", "ps_options": [], "format": "table"}


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
            "create --console-socket=s --pidfd-socket p --preserve-fds 3 c",
            "create",
            {**CREATE, "container_id": "c", "console_socket": "s", "pidfd_socket": "p", "preserve_fds": 3},
        ),
        (
            "run -d --keep --no-pivot --no-new-keyring --pid-file p c",
            "run",
            {**RUN, "pid_file": "p", "no_pivot": True, "no_new_keyring": True, "detach": True, "keep": True},
        ),
        ("run c -t --no-subreaper", "run", {**RUN, "no_subreaper": True, "tty": True}),
        ("exec c ls", "exec", {**EXEC, "args": ["ls"]}),
        ("exec c", "exec", EXEC),
        ("exec c ls -l --help -e A=1", "exec", {**EXEC, "args": ["ls", "-l", "--help", "-e", "A=1"]}),
        ("exec c -- ls", "exec", {**EXEC, "args": ["--", "ls"]}),
        ("exec -- c ls", "exec", {**EXEC, "args": ["ls"]}),
        ("exec -- -c ls", "exec", {**EXEC, "container_id": "-c", "args": ["ls"]}),
        ("exec -e A=1 --env B=2 -e=C=3,D=4 c", "exec", {**EXEC, "env": ["A=1", "B=2", "C=3,D=4"]}),
        ("exec -g 1 --additional-gids=2 c", "exec", {**EXEC, "additional_gids": ["1", "2"]}),
        ("exec --cap CAP_KILL -c CAP_CHOWN c", "exec", {**EXEC, "cap": ["CAP_KILL", "CAP_CHOWN"]}),
        ("exec -t=false -d -p f c --frob", "exec", {**EXEC, "detach": True, "process": "f", "args": ["--frob"]}),
        (
            "exec -tty -u 1:2 --cwd / --no-new-privs --ignore-paused --cgroup g c sh",
            "exec",
            {
                **EXEC,
                "args": ["sh"],
                "tty": True,
                "user": "1:2",
                "cwd": "/",
                "no_new_privs": True,
                "ignore_paused": True,
                "cgroup": "g",
            },
        ),
        ("ps c", "ps", PS),
        ("ps -f json c", "ps", {**PS, "format": "json"}),
        ("ps c -f json -h", "ps", {**PS, "ps_options": ["-f", "json", "-h"]}),
        ("ps c -- aux", "ps", {**PS, "ps_options": ["--", "aux"]}),
        ("spec --rootless", "spec", {"bundle": None, "rootless": True}),
        ("plan dir --json", "plan", {"bundle": "dir", "json": True}),
        ("validate dir", "validate", {"bundle": "dir"}),
    ],
)
def test_well_formed(line: str, verb: str, values: dict[str, Any]) -> None:
    assert read(line.split(), Settings()) == (verb, values)


def test_words_that_are_passed_on_may_be_empty() -> None:
    assert read(["exec", "c", "", "x", ""], Settings()) == ("exec", {**EXEC, "args": ["", "x", ""]})


def test_lists_of_two_readings_are_not_the_same() -> None:
    _, first = read(["exec", "c"], Settings()) or ("", {})
    first["env"].append("A=1")
    assert read(["exec", "c"], Settings()) == ("exec", EXEC)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("7", 7), ("010", 8), ("0_7", 7), ("00", 0), ("0x1F", 31), ("0b11", 3), ("0o17", 15), ("1_000", 1000)],
)
def test_numbers_as_go_reads_them(text: str, number: int) -> None:
    _, values = read(["create", "--preserve-fds", text, "c"], Settings()) or ("", {})
    assert values["preserve_fds"] == number


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "+1", " 1", "1 ", "1.0", "1e3", "08", "_1", "1_", "1__0", "0x", "٣", "2147483648", "9" * 5000],
)
def test_other_numbers_are_left_to_click(text: str) -> None:
    assert read(["create", f"--preserve-fds={text}", "c"], Settings()) is None


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
        ["create", "--preserve-fds", "x", "c"],
        ["create", "--tty", "c"],
        ["exec"],
        ["exec", "-t"],
        ["exec", "", "ls"],
        ["exec", "--", "", "ls"],
        ["exec", "--frob", "c", "ls"],
        ["exec", "-td", "c", "ls"],
        ["exec", "-h", "c", "ls"],
        ["exec", "-e", "", "c", "ls"],
        ["ps"],
        ["ps", "-f", "yaml", "c"],
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


def test_default_state_root_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_in_initial_user_namespace():
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
