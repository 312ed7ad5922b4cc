# SPDX-License-Identifier: Apache-2.0
"""pyrun between users: what an ordinary user finds that another one has prepared, and what root finds."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator

import pytest

from support import process
from support.runtime import Runtime, runtime_under_test
from support.users import OTHER, USER, MakeUsersContainer, UsersRuntime, map_range, missing_mapper
from support.waiting import wait_until
from support.world import CGROUPS

VERBS = [["list"], ["state", "test"], ["kill", "test"], ["delete", "--force", "test"], ["start", "test"]]


def prepared_by_another(path: str) -> None:
    os.makedirs(path)
    OTHER.owns(path)
    os.chmod(path, 0o777)


@pytest.mark.pyrun_only("runc takes what it is given")
@pytest.mark.parametrize("words", [*VERBS, ["create", "test"], ["run", "test"]], ids=lambda words: words[0])
def test_runtime_directory_of_another_user(users_runtime: UsersRuntime, scratch: str, words: list[str]) -> None:
    """XDG Base Directory Specification: $XDG_RUNTIME_DIR is owned by the user."""
    directory = os.path.join(scratch, "prepared")
    prepared_by_another(directory)
    users_runtime.environment["XDG_RUNTIME_DIR"] = directory
    users_runtime.call(*words).failed(f"{directory} belongs to user {OTHER.number}", "--root")
    assert os.listdir(directory) == []


@pytest.mark.pyrun_only("runc takes what it is given")
@pytest.mark.parametrize("words", [*VERBS, ["create", "test"]], ids=lambda words: words[0])
@pytest.mark.parametrize("kind", ["directory", "link", "link-to-own", "file"])
def test_state_root_of_another_user(users_runtime: UsersRuntime, scratch: str, words: list[str], kind: str) -> None:
    """As in a runtime directory that others may write to."""
    directory, target = os.path.join(scratch, "open"), os.path.join(scratch, "target")
    os.mkdir(directory)
    USER.owns(directory)
    root = os.path.join(directory, "pyrun")
    if kind == "directory":
        prepared_by_another(root)
    elif kind == "file":
        open(root, "w", encoding="ascii").close()
        USER.owns(root)
    else:
        os.mkdir(target)
        os.symlink(target, root)
        (USER if kind == "link-to-own" else OTHER).owns(target, root)
    users_runtime.environment["XDG_RUNTIME_DIR"] = directory
    users_runtime.call(*words).failed(root, "use --root")
    assert not os.path.isdir(target) or os.listdir(target) == []


@pytest.mark.pyrun_only("the words are pyrun's")
@pytest.mark.parametrize(
    ("directory", "words"),
    [
        (None, "XDG_RUNTIME_DIR is not set"),
        ("", "XDG_RUNTIME_DIR is not set"),
        ("/missing", "no such file"),
        ("/", "user 0"),
    ],
)
def test_no_runtime_directory(users_runtime: UsersRuntime, directory: str | None, words: str) -> None:
    if directory is None:
        del users_runtime.environment["XDG_RUNTIME_DIR"]
    else:
        users_runtime.environment["XDG_RUNTIME_DIR"] = directory
    users_runtime.call("list").failed(words, "use --root")


@pytest.fixture
def victim(scratch: str) -> Iterator[int]:
    """A process of root's in a cgroup of its own."""
    cgroup = os.path.join(CGROUPS, "victim")
    os.mkdir(cgroup)
    command = ["sh", "-c", f"echo 0 >{cgroup}/cgroup.procs && exec sleep 1000"]
    with subprocess.Popen(command) as running:
        wait_until(lambda: process.status(running.pid)["Name"] == "sleep", "it is in its cgroup")
        yield running.pid
        running.kill()
    os.rmdir(cgroup)


def victims(name: str) -> str:
    """Returns the content of a file of the victim's cgroup."""
    with open(os.path.join(CGROUPS, "victim", name), encoding="ascii") as file:
        return file.read().strip()


def forge(runtime: UsersRuntime, victim: int, marker: str) -> str:
    """Writes the state of a container, as its owner could, that names others' processes, cgroups and hooks."""
    directory = os.path.join(str(runtime.root), "forged")
    os.makedirs(directory)
    with open(f"/proc/{victim}/stat", encoding="ascii") as file:
        started = file.read().rpartition(")")[2].split()[19]
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"id -u >>{marker}"]}
    state = {
        "version": 1,
        "ociVersion": "1.3.0",
        "id": "forged",
        "bundle": "/",
        "rootfs": "/",
        "annotations": {},
        "cgroup": f"{CGROUPS}/victim",
        "cgroupMount": CGROUPS,
        "cgroupsMade": 1,
        "pidNamespace": "host",
        "keyring": None,
        "hooks": {"poststart": [hook], "poststop": [hook]},
    }
    config = {
        "ociVersion": "1.3.0",
        "root": {"path": "/"},
        "process": {"args": ["sh"], "cwd": "/", "env": [], "user": {"uid": 0, "gid": 0}},
        "linux": {},
    }
    for name, text in {
        "state.json": json.dumps(state),
        "config.json": json.dumps(config),
        "process": f"{victim} {started} 1.000000000\n",
        "hook": f"{victim} {started} 1.000000000\n",
    }.items():
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(text)
    USER.owns(str(runtime.root), directory, *(os.path.join(directory, name) for name in os.listdir(directory)))
    return directory


@pytest.mark.pyrun_only("the state is pyrun's own")
@pytest.mark.parametrize(
    "words",
    [
        ["kill", "forged", "KILL"],
        ["kill", "--all", "forged", "KILL"],
        ["delete", "--force", "forged"],
        ["exec", "forged", "/bin/sh", "-c", "id -u >>MARKER"],
        ["start", "forged"],
        ["pause", "forged"],
        ["update", "--resources", "LIMITS", "forged"],
    ],
    ids=" ".join,
)
def test_root_does_for_a_user_what_the_user_may(
    users_runtime: UsersRuntime, case: str, scratch: str, victim: int, words: list[str]
) -> None:
    """Root who looks after a user's containers must not be led to kill, remove or execute something for the user."""
    marker, limits = os.path.join(scratch, "marker"), os.path.join(scratch, "limits")
    os.chmod(scratch, 0o777)
    with open(limits, "w", encoding="ascii") as file:
        file.write('{"unified": {"cgroup.max.depth": "5"}}')
    directory = forge(users_runtime, victim, marker)
    roots = Runtime(runtime_under_test(), case)
    roots.root = users_runtime.root
    try:
        roots.call(*[word.replace("MARKER", marker).replace("LIMITS", limits) for word in words])
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    assert victims("cgroup.freeze") == "0", "root's process was stopped"
    assert victims("cgroup.max.depth") == "max", "root's process was limited"
    assert not process.status(victim)["State"].startswith("Z"), "root's process was killed"
    assert victims("cgroup.procs") == str(victim)
    if os.path.exists(marker):
        with open(marker, encoding="ascii") as lines:
            assert set(lines.read().split()) == {str(USER.number)}, "something was executed as root"


@pytest.mark.pyrun_only("the state is pyrun's own")
@pytest.mark.parametrize("name", ["victim\0", "victim\ud800", "../victim"], ids=["NUL", "surrogate", "above"])
def test_root_reads_what_no_pyrun_writes(users_runtime: UsersRuntime, case: str, victim: int, name: str) -> None:
    directory = forge(users_runtime, victim, "/dev/null")
    path = os.path.join(directory, "state.json")
    with open(path, encoding="ascii") as file:
        state = json.load(file)
    with open(path, "w", encoding="ascii") as file:
        json.dump({**state, "cgroup": f"{CGROUPS}/{name}"}, file)
    roots = Runtime(runtime_under_test(), case)
    roots.root = users_runtime.root
    words = (path, "it is not what pyrun writes", "delete --force")
    try:
        listed = roots.call("list").succeeded()
        assert all(word in listed.errors for word in words)
        for verb in (["state"], ["events", "--stats"]):
            roots.call(*verb, "forged").failed(*words)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.pyrun_only("the config is pyrun's own copy")
@pytest.mark.parametrize("linux", [[], "linux", {"intelRdt": []}, {"intelRdt": {"closID": 5}}], ids=str)
def test_root_looks_at_the_statistics_of_a_malformed_container(
    users_runtime: UsersRuntime, case: str, victim: int, linux: object
) -> None:
    directory = forge(users_runtime, victim, "/dev/null")
    with open(os.path.join(directory, "config.json"), "w", encoding="ascii") as file:
        json.dump({"linux": linux}, file)
    roots = Runtime(runtime_under_test(), case)
    roots.root = users_runtime.root
    try:
        shown = roots.call("events", "--stats", "forged").succeeded().output
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    assert json.loads(shown)["data"]["intel_rdt"] == {}


@pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))
def test_setuid_programs_of_others_give_nothing(make_users_container: MakeUsersContainer) -> None:
    """A program of the host's root is one of nobody inside."""
    container = make_users_container("/bin/sh", "-c", "/tmp/id -u; grep Uid /proc/self/status")
    bundle = container.bundle
    map_range(bundle.config, USER)["process"].update(user={"uid": 1000, "gid": 1000}, noNewPrivileges=False)
    shutil.copy(os.path.join(bundle.rootfs, "bin/busybox"), os.path.join(bundle.rootfs, "tmp/id"))
    os.chmod(os.path.join(bundle.rootfs, "tmp/id"), 0o4755)
    assert os.stat(os.path.join(bundle.rootfs, "tmp/id")).st_mode & stat.S_ISUID
    container.started().wait_for_end()
    assert container.output.split() == ["1000", "Uid:", *["1000"] * 4]
