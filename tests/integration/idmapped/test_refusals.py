# SPDX-License-Identifier: Apache-2.0
"""What can't be mapped, and mappings that are wrong: one line that says what to do."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from support import configs, kernel
from support.filesystems import map_mount, user_namespace
from support.idmapping import FIRST, bind, ids, mappings, new, program
from support.runtime import MakeContainer
from support.waiting import wait_until

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
@pytest.mark.parametrize("kind", ["proc", "sysfs", "mqueue", "devpts", "cgroup"])
def test_file_systems_of_namespaces(make_container: MakeContainer, kind: str, mapped: bool) -> None:
    config = program("true", new(kind, kind, "idmap", **mappings()))
    if mapped:
        configs.with_user_namespace(config)
    make_container(config).create().failed("/mounts/7/uidMappings", kind, "can't be id-mapped", "remove")


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_new_file_system_that_the_kernel_cannot_map(make_container: MakeContainer, mapped: bool) -> None:
    config = program("true", new("ramfs", "ramfs", "idmap", **mappings()))
    if mapped:
        configs.with_user_namespace(config)
    make_container(config).create().failed("/mounts/7", "the filesystem ramfs can't be id-mapped", "remove")


@pytest.mark.parametrize("namespace", ["", "new", "joined"])
def test_bind_of_what_the_kernel_cannot_map(make_container: MakeContainer, namespace: str) -> None:
    with user_namespace(FIRST) as path:
        config = program("true", bind("/proc/sys", "idmap", **mappings()))
        if namespace == "new":
            configs.with_user_namespace(config)
        elif namespace == "joined":
            configs.with_namespace(config, "user", path)
        make_container(config).create().failed("/mounts/7", "/proc/sys", "the filesystem proc can't be id-mapped")


def test_tree_with_what_the_kernel_cannot_map(make_container: MakeContainer, source: str) -> None:
    """With idmap only the top is mapped, so that it does not matter what is below."""
    below = os.path.join(source, "below")
    os.mkdir(below)
    kernel.mount("proc", below, "proc")
    try:
        mount = {**bind(source, **mappings()), "options": ["rbind", "ridmap"]}
        failing = make_container(program("true", mount))
        failing.create().failed("/mounts/7", f"{below}: the filesystem proc can't be id-mapped")
        mount["options"] = ["rbind", "idmap"]
        make_container(program("true", mount)).created().delete("--force").succeeded()
    finally:
        kernel.unmount(below)


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_source_that_is_mapped_already(make_container: MakeContainer, source: str, scratch: str, mapped: bool) -> None:
    point = os.path.join(scratch, "mapped")
    os.mkdir(point)
    map_mount(source, point)
    config = program("true", bind(point, "idmap", **mappings()))
    if mapped:
        configs.with_user_namespace(config)
    try:
        make_container(config).create().failed("/mounts/7", point, "id-mapped already")
    finally:
        kernel.unmount(point)


def test_user_namespace_without_mappings(make_container: MakeContainer, source: str) -> None:
    with subprocess.Popen(["unshare", "--user", "sleep", "1000"], stdin=subprocess.DEVNULL) as holder:
        path = f"/proc/{holder.pid}/ns/user"
        try:
            wait_until(lambda: os.readlink(path) != os.readlink("/proc/self/ns/user"), "unshare has made its namespace")
            config = configs.with_namespace(program("true", bind(source, "idmap")), "user", path)
            make_container(config).create().failed("/mounts/7/options/1", "the user namespace maps no ids")
        finally:
            holder.kill()


def test_hosts_user_namespace(make_container: MakeContainer, source: str) -> None:
    config = configs.with_namespace(program("true", bind(source, "idmap")), "user", f"/proc/{os.getpid()}/ns/user")
    make_container(config).create().failed("/mounts/7/options/1", "must be another than the host's")


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no mappings of groups": ({"uidMappings": ids()}, "/mounts/7/uidMappings", "gidMappings"),
    "no mappings of users": ({"gidMappings": ids()}, "/mounts/7/gidMappings", "uidMappings"),
    "no user namespace": ({}, "/mounts/7/options/1", "user namespace"),
    "empty mappings": ({"uidMappings": [], "gidMappings": []}, "/mounts/7/options/1", "user namespace"),
    "no ids": (mappings(0, 0, 0), "/mounts/7/uidMappings/0/size", "no ID is mapped"),
    "beyond the last id": (mappings(0, 4294967290, 100), "/mounts/7/uidMappings/0/hostID", "exceeds"),
    "overlapping": (
        {"uidMappings": [*ids(0, 5, 9), *ids(3, 50, 9)], "gidMappings": ids()},
        "/mounts/7/uidMappings/1/containerID",
        "overlaps",
    ),
    "negative": (mappings(-1), "/mounts/7/uidMappings/0/containerID", "-1"),
    "a word": (mappings("0"), "/mounts/7/uidMappings/0/containerID", "integer"),  # type: ignore[arg-type]
    "too many": (
        {"uidMappings": [each for n in range(341) for each in ids(2 * n, 2 * n, 1)], "gidMappings": ids()},
        "/mounts/7/uidMappings",
        "341",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_mappings(make_container: MakeContainer, source: str, wrong: str) -> None:
    more, pointer, words = WRONG[wrong]
    make_container(program("true", bind(source, "idmap", **more))).create().failed(pointer, words)


def test_remount_takes_no_mapping(make_container: MakeContainer) -> None:
    config = program("true", new("tmpfs", "tmpfs"), new("tmpfs", "tmpfs", "remount", "idmap", **mappings()))
    make_container(config).create().failed("/mounts/8/uidMappings", "remount")
