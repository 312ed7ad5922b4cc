# SPDX-License-Identifier: Apache-2.0
"""exec with bad input: one line of error, runc's exit status, and no process that stays.

What the command line has for users and groups is in test_exec_users, cgroups in test_exec_cgroups.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from support import configs
from support.execs import process_file, wait_until_alone
from support.runtime import Container, MakeContainer

LEAST = {"args": ["/bin/true"], "cwd": "/"}


def test_command_line(sleeper: Container) -> None:
    """What is wrong before the container comes into it has status 1."""
    for words in (
        ["--frobnicate", sleeper.id, "true"],
        ["-x", sleeper.id, "true"],
        ["--cwd"],
        ["--detach=perhaps", sleeper.id, "true"],
        ["--preserve-fds", "x", sleeper.id, "true"],
        ["--preserve-fds=1.5", sleeper.id, "true"],
        [],
    ):
        sleeper.runtime.call("exec", *words).failed(status=1)


def test_malformed_id(sleeper: Container) -> None:
    for container_id in (".", "..", "a/b", "../test0", "a b", "ä", "@seccomp"):
        sleeper.runtime.call("exec", container_id, "true").failed("ID", status=255)


def test_no_program(sleeper: Container) -> None:
    for words in ([], [""], ["", "x"]):
        sleeper.exec(*words).failed(status=255)
    wait_until_alone(sleeper)


def test_malformed_variable(sleeper: Container) -> None:
    for text in ("A", "=", "=1"):
        sleeper.exec("true", options=["-e", "A=1", "-e", text]).failed(text, status=255)
    wait_until_alone(sleeper)


@pytest.fixture
def furnished(make_container: MakeContainer) -> Container:
    """A container with a file, and links that lead nowhere or out of an ordinary root."""
    container = make_container(configs.default("/bin/sleep", "1000"))
    container.bundle.write("etc/plain", "x")
    for name, target in {"loop": "loop", "dangling": "missing", "descriptor": "/proc/self/fd/0"}.items():
        os.symlink(target, os.path.join(container.bundle.rootfs, "etc", name))
    return container.started()


DIRECTORIES = {
    "tmp": "absolute",
    "./tmp": "absolute",
    "/missing": "no such file or directory",
    "/etc/plain": "not a directory",
    "/etc/plain/": "not a directory",
    "/etc/loop": "/etc/loop",
    "/etc/dangling": "no such file or directory",
    "/etc/descriptor": "/etc/descriptor",
    "/proc/self/fd/0": "/proc/self/fd/0",
    "/" + "x" * 300: "name too long",
    "/" + "x/" * 2500: "name too long",
}


@pytest.mark.parametrize("by", ["option", "process file"])
def test_working_directory(furnished: Container, scratch: str, by: str) -> None:
    for path, words in DIRECTORIES.items():
        if by == "option":
            result = furnished.exec("true", options=["--cwd", path])
        else:
            result = furnished.exec(options=["--process", process_file(scratch, "/bin/true", cwd=path)])
        assert result.status == 255, (path, result)
        result.failed(words, status=255)
    wait_until_alone(furnished)


TEXTS = [
    b"",
    b"{",
    b"args: [true]\n",
    b"[]",
    b'"/bin/true"',
    b'{"args": ["/bin/true"], "cwd": "/"',
    b"\0" * 100,
]
# What runc 1.1.5 does not look at.
TEXTS_OF_PYRUN = [
    b"null",
    b'{"args": ["/bin/true"], "cwd": "/"} x',
    b'{"args": ["/bin/false"], "args": ["/bin/true"], "cwd": "/"}',
    b'{"args": ["/bin/true", "\xe4"], "cwd": "/"}',
]


def test_process_file_that_is_not_json(sleeper: Container, scratch: str) -> None:
    path = os.path.join(scratch, "file")
    is_pyrun = sleeper.runtime.name == "pyrun"
    for text in [*TEXTS, *(TEXTS_OF_PYRUN if is_pyrun else [])]:
        with open(path, "wb") as file:
            file.write(text)
        result = sleeper.exec(options=["--process", path])
        assert result.status == 255, (text, result)
        result.failed(path if is_pyrun else "", status=255)
    wait_until_alone(sleeper)


MEMBERS: list[tuple[dict[str, Any], str]] = [
    ({"args": []}, "/args"),
    ({"args": None}, "/args"),
    ({"args": "/bin/true"}, "/args"),
    ({"args": [""]}, "/args/0"),
    ({"cwd": None}, "/cwd"),
    ({"cwd": ""}, "/cwd"),
    ({"cwd": "tmp"}, "/cwd"),
    ({"env": ["A"]}, "/env/0"),
    ({"env": ["=1"]}, "/env/0"),
    ({"env": "A=1"}, "/env"),
    ({"user": "root"}, "/user"),
    ({"user": {"uid": -1}}, "/user/uid"),
    ({"user": {"uid": 4294967295}}, "/user/uid"),
    ({"user": {"uid": 4294967296}}, "/user/uid"),
    ({"user": {"uid": "1"}}, "/user/uid"),
    ({"user": {"gid": 4294967295}}, "/user/gid"),
    ({"user": {"additionalGids": [-1]}}, "/user/additionalGids/0"),
    ({"capabilities": {"effective": ["CAP_KILL"]}}, "/capabilities/effective/0"),
    ({"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}, "/rlimits/0/type"),
    ({"rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}, "/rlimits/0/soft"),
    ({"terminal": "no"}, "/terminal"),
]
MEMBERS_OF_PYRUN: list[tuple[dict[str, Any], str]] = [
    ({"capabilities": {"bounding": ["KILL"]}}, "/capabilities/bounding/0"),
    ({"oomScoreAdj": 1001}, "/oomScoreAdj"),
]


def test_process_file_with_a_bad_member(sleeper: Container, scratch: str) -> None:
    path = os.path.join(scratch, "file")
    is_pyrun = sleeper.runtime.name == "pyrun"
    for change, pointer in [*MEMBERS, *(MEMBERS_OF_PYRUN if is_pyrun else [])]:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**LEAST, **change}, file)
        result = sleeper.exec(options=["--process", path])
        assert result.status == 255, (change, result)
        result.failed(f"{path}: {pointer}: " if is_pyrun else "", status=255)
    wait_until_alone(sleeper)


def test_path_that_is_no_process_file(sleeper: Container) -> None:
    paths = {"/missing/file": "no such file or directory", "/tmp": "directory", "/etc/passwd/x": "not a directory"}
    if sleeper.runtime.name == "pyrun":
        paths |= {"/dev/null": "a character device", "/dev/zero": "a character device"}
    for path, words in paths.items():
        sleeper.exec(options=["--process", path]).failed(path, words, status=255)


@pytest.mark.parametrize(
    ("option", "value"), [("--apparmor", "missing-profile"), ("--process-label", "system_u:system_r:x_t:s0")]
)
def test_label_of_a_security_module_that_is_not_there(sleeper: Container, option: str, value: str) -> None:
    """Never ignored. Where the module is, the name is one that it does not know."""
    sleeper.exec("true", options=[option, value]).failed(status=255)
    wait_until_alone(sleeper)


def test_environment_that_is_too_large(sleeper: Container) -> None:
    """execve(2): more than a quarter of the stack's limit, or one string of more than 128 KiB."""
    options = ["--env", "A=" + "x" * 131_000]
    assert sleeper.exec("sh", "-c", "echo ${#A}", options=options).succeeded().output == "131000\n"
    path = os.path.join(sleeper.bundle.path, "process.json")
    sleeper.bundle.may_change.add("process.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({**LEAST, "env": ["A=" + "x" * 140_000]}, file)
    result = sleeper.exec(options=["--process", path])
    if sleeper.runtime.name == "pyrun":
        result.failed("list too long", status=255)
    assert result.status != 0
    wait_until_alone(sleeper)
