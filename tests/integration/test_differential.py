# SPDX-License-Identifier: Apache-2.0
"""Property by property, a program sees the same of its container under this runtime as under runc.

The configurations are in support/cases.py. Differences that are meant are in DELIBERATE, with the reason in the words
of docs/compatibility.md.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support import configs, kernel, parity
from support.bundle import Bundle
from support.cases import CASES, DROP, REFUSED, Case
from support.configs import Config
from support.runtime import MakeBundle, Runtime
from support.waiting import wait_until

RUNC = shutil.which("runc", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

# Name of the case, section, line of either side, as regular expressions; and the reason.
DELIBERATE = {
    (
        r"/linux/uidMappings.*",
        "dev",
        r"/dev/mqueue .*",
    ): "in a user namespace runc mounts mqueue with a foreign group id",
    (r"/linux/.*cgroup.*", "mountinfo", r"/ /sys/fs/cgroup ro,.* - cgroup2 cgroup2? rw"): (
        "without a cgroup namespace pyrun binds the host's hierarchy, runc mounts it anew"
    ),
    (r"/linux/rootfsPropagation.*", "mountinfo", r"\S+/rootfs / ro,.*"): "the specification says so",
    (r".* tmpcopyup", "root", r"/etc drwxr-x.*"): "the config is more explicit",
    (r".* a tmpfs", "root|more", r".*/tmp.* 5 +6.*|.* 5 +6.*/tmp"): "the config is more explicit",
}
# Configurations that runc takes.
REFUSED_HERE = {
    "/ociVersion: none": "what is not understood is not half-applied",
    "/process/rlimits: twice": "what is not understood is not half-applied",
    "/linux/uidMappings: without a user namespace": "what is not understood is not half-applied",
}
TIME_OF_LS = re.compile(r" [A-Z][a-z]{2} [ \d]\d [ \d]\d:?\d\d ")


class Places:
    """What configurations refer to by words between "@"."""

    def __init__(self, tree: str, namespaces: dict[str, str]) -> None:
        self.tree = tree
        self.namespaces = namespaces

    def filled_in(self, value: Any, bundle: Bundle) -> Any:
        """Returns `value` with paths for words; members to be dropped are left out."""
        if isinstance(value, dict):
            return {name: self.filled_in(member, bundle) for name, member in value.items() if member != DROP}
        if isinstance(value, list):
            return [self.filled_in(member, bundle) for member in value]
        if not isinstance(value, str):
            return value
        text = value.replace("@TREE@", self.tree).replace("@ROOTFS@", bundle.rootfs)
        return self.namespaces.get(text, text)


@contextlib.contextmanager
def tree(path: str) -> Iterator[str]:
    """Makes the directory that cases call @TREE@."""
    for name in ("empty", "below"):
        os.makedirs(os.path.join(path, name))
    below = os.path.join(path, "below")
    with open(os.path.join(path, "file"), "w", encoding="ascii") as file:
        file.write("content\n")
    kernel.mount("tmpfs", below, "tmpfs", 0, "mode=755,size=64k")
    try:
        open(os.path.join(below, "file"), "w", encoding="ascii").close()
        yield path
    finally:
        kernel.unmount(below)


@contextlib.contextmanager
def foreign_namespaces(wanted: bool) -> Iterator[dict[str, str]]:
    """Starts a process in namespaces of its own, if that is wanted, and maps @KIND@ to the file of each."""
    if not wanted:
        yield {}
        return
    command = ["unshare", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork", "--kill-child", "sleep", "1000"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as holder:
        try:
            pid = wait_until(lambda: _only_child(holder.pid), "unshare has executed its program")
            kinds = ("net", "ipc", "uts", "cgroup", "pid")
            yield {f"@{kind}@": f"/proc/{pid}/ns/{kind}" for kind in kinds}
        finally:
            holder.kill()


def _only_child(pid: int) -> int | None:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        listed = file.read().split()
    if not listed:
        return None
    with open(f"/proc/{listed[0]}/comm", encoding="ascii") as name:
        return int(listed[0]) if name.read() == "sleep\n" else None


def changed(changes: dict[str, Any]) -> Config:
    """Returns the default configuration with changes by JSON pointers."""
    config = configs.default("/bin/sh", "-c", "")
    for pointer, value in changes.items():
        *steps, last = pointer.split("/")[1:]
        parent: Any = config
        for step in steps:
            parent = parent[int(step)] if isinstance(parent, list) else parent.setdefault(step, {})
        if isinstance(parent, list):
            change_entry(parent, last, value)
        elif value == DROP:
            parent.pop(last, None)
        else:
            parent[last] = copy.deepcopy(value)
    return config


def change_entry(entries: list[Any], key: str, value: Any) -> None:
    if key.startswith("-"):
        entries.append(copy.deepcopy(value))
        return
    index = int(key) if key.isdigit() else [entry["type"] for entry in entries].index(key)
    entries[index : index + 1] = [] if value == DROP else [copy.deepcopy(value)]


def prepare(bundle: Bundle, case: Case, places: Places) -> None:
    """Gives `bundle` the configuration of a case, which tells of its surroundings."""
    config = changed(case.changes)
    if (config.get("process") or {}).get("args"):
        config["process"]["args"][2] = f"{parity.PROBE}\nsection more\n{case.script}"
    bundle.config = places.filled_in(config, bundle)
    bundle.may_change |= {name for name in [case.leaves] if name}
    if case.uid:
        for directory, _, _ in os.walk(bundle.rootfs):
            os.chown(directory, case.uid, case.uid)


def observe(runtime: Runtime, bundle: Bundle) -> parity.Observation:
    result = runtime.run("differential", bundle)
    assert "=== end" in result.output, f"{runtime.name}: {result.errors}"
    observation = parity.observe(result.output, parity.namespaces_of_this_process())
    observation["exit"] = [str(result.status)]
    observation["more"] = [TIME_OF_LS.sub(" ", line) for line in observation.get("more", [])]
    return observation


def unexpected(name: str, found: dict[tuple[str, str], None]) -> list[str]:
    return [f"{section}: {line}" for section, line in found if not reason_of(name, section, line[1:])]


def reason_of(name: str, section: str, line: str) -> str | None:
    for place, reason in DELIBERATE.items():
        if all(re.fullmatch(pattern, text) for pattern, text in zip(place, (name, section, line), strict=True)):
            return reason
    return None


@pytest.fixture
def places(scratch: str) -> Iterator[Places]:
    with tree(os.path.join(scratch, "tree")) as path:
        yield Places(path, {})


@pytest.fixture
def runc(case: str) -> Runtime:
    assert RUNC is not None, "runc is missing: apt-get install runc"
    return Runtime(RUNC, case)


@pytest.mark.parametrize("name", CASES)
def test_same_surroundings(runc: Runtime, runtime: Runtime, make_bundle: MakeBundle, places: Places, name: str) -> None:
    bundle = make_bundle()
    told = os.path.join(places.tree, "told")
    with foreign_namespaces("/namespaces/*/path" in name) as places.namespaces:
        prepare(bundle, CASES[name], places)
        theirs = observe(runc, bundle)
        if os.path.exists(told):
            os.unlink(told)
        ours = observe(runtime, bundle)
    found = unexpected(name, parity.differences(ours, theirs))
    assert not found, "- with runc, + with this runtime:\n" + "\n".join(found)


def refused() -> list[Any]:
    marks = {name: pytest.mark.pyrun_only(reason) for name, reason in REFUSED_HERE.items()}
    return [pytest.param(name, marks=marks[name]) if name in marks else name for name in REFUSED]


@pytest.mark.parametrize("name", refused())
def test_refused_alike(runc: Runtime, runtime: Runtime, make_bundle: MakeBundle, places: Places, name: str) -> None:
    bundle = make_bundle()
    prepare(bundle, Case(REFUSED[name]), places)
    theirs, ours = (each.run("differential", bundle) for each in (runc, runtime))
    assert theirs.status == (0 if name in REFUSED_HERE else 1)
    assert [ours.status, ours.output] == [1, ""]
    assert ours.error_line


def test_differences_are_documented() -> None:
    path = os.path.join(os.path.dirname(os.path.dirname(configs.DATA)), "docs", "compatibility.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for reason in {*DELIBERATE.values(), *REFUSED_HERE.values()}:
        assert f"| {reason} |" in text


def test_comparison_can_fail(runc: Runtime, runtime: Runtime, make_bundle: MakeBundle, places: Places) -> None:
    first, second = make_bundle(), make_bundle()
    prepare(first, CASES["/process/user/umask: 0"], places)
    prepare(second, CASES["/process/user/umask: 0777"], places)
    found = parity.differences(observe(runtime, second), observe(runc, first))
    assert ("status", "-Umask:\t0000") in found and ("status", "+Umask:\t0777") in found
    assert {section for section, _ in found} >= {"identity", "more"}
