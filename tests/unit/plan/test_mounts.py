# SPDX-License-Identifier: Apache-2.0
"""Mount options: what becomes an attribute, a propagation, a parameter, and what is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyrun.errors import PyrunError
from pyrun.plan.mounts import ATTRIBUTES, NO_SLOT, destination

from .configs import arguments_of, compile_for_test, minimal_config

if TYPE_CHECKING:
    from pyrun.plan.operations import Argument

RDONLY, NOSUID, NODEV, NOEXEC, NOATIME, STRICTATIME, ATIME = 1, 2, 4, 8, 0x10, 0x20, 0x70


def mounted(mount: dict[str, Any], operation: str, **linux: Any) -> dict[str, Argument]:
    config = minimal_config(mounts=[{"destination": "/d", "source": "/s", **mount}])
    config["linux"].update(linux)
    return arguments_of(compile_for_test(config), operation)[-1]


@pytest.mark.parametrize(
    ("options", "attributes", "cleared"),
    [
        ([], 0, 0),
        (["ro", "nosuid", "nodev", "noexec"], RDONLY | NOSUID | NODEV | NOEXEC, 0),
        (["ro", "rw"], 0, RDONLY),
        (["rw", "ro"], RDONLY, RDONLY),
        (["noatime"], NOATIME, ATIME),
        (["noatime", "strictatime"], STRICTATIME, ATIME),
        (["strictatime", "relatime"], 0, ATIME),
        (["defaults"], 0, 0),
    ],
)
def test_attributes_of_a_bind(options: list[str], attributes: int, cleared: int) -> None:
    bind = mounted({"options": ["bind", *options]}, "bind_mount")
    assert (bind["set"], bind["clear"], bind["recursive"], bind["slot"]) == (attributes, cleared, 0, NO_SLOT)


def test_options_decide_that_it_is_a_bind_not_the_type() -> None:
    assert mounted({"type": "tmpfs", "options": ["rbind"]}, "bind_mount")["recursive"] == 1


def test_access_time_never_stays_half_set() -> None:
    for option, (attributes, cleared) in ATTRIBUTES.items():
        if attributes & ATIME:
            assert cleared == ATIME, option


def test_parameters_and_superblock_flags() -> None:
    made = mounted({"type": "tmpfs", "options": ["size=1k", "nosuid", "mode=755", "sync"]}, "mount_filesystem")
    assert (made["parameters"], made["attributes"]) == (["size=1k", "mode=755", "sync"], NOSUID)


def test_readonly_tmpfs_waits_for_what_is_made_in_it() -> None:
    mount = {"type": "tmpfs", "options": ["ro"]}
    assert mounted(mount, "mount_filesystem")["attributes"] == 0
    assert mounted(mount, "readonly_mount") == {"path": "/d"}


def test_readonly_file_system_is_readonly_in_superblock_and_mount() -> None:
    made = mounted({"type": "sysfs", "options": ["ro"]}, "mount_filesystem")
    assert (made["parameters"], made["attributes"]) == (["ro"], RDONLY)


@pytest.mark.parametrize(
    ("option", "flags"),
    [("rslave", 1 << 19 | 1 << 63), ("private", 1 << 18), ("rshared", 1 << 20 | 1 << 63), ("unbindable", 1 << 17)],
)
def test_propagation(option: str, flags: int) -> None:
    assert mounted({"options": ["bind", option]}, "bind_mount")["propagation"] == [flags]


def test_cgroup_mount_is_new_in_a_new_namespace_and_a_bind_otherwise() -> None:
    mount = {"type": "cgroup", "options": ["ro"]}
    bind = mounted(mount, "bind_mount")
    assert (bind["source"], bind["set"]) == ("/sys/fs/cgroup", RDONLY)
    namespaces = [{"type": "mount"}, {"type": "cgroup"}]
    assert mounted(mount, "mount_filesystem", namespaces=namespaces)["type"] == "cgroup2"


def test_sources_in_a_user_namespace_are_opened_outside() -> None:
    mappings = [{"containerID": 0, "hostID": 1, "size": 1}]
    settings = {
        "namespaces": [{"type": "mount"}, {"type": "user"}],
        "uidMappings": mappings,
        "gidMappings": mappings,
    }
    opened = mounted({"options": ["rbind"]}, "open_bind_source", **settings)
    bind = mounted({"options": ["rbind"]}, "bind_mount", **settings)
    assert opened == {"source": "/s", "recursive": 1}
    assert bind["slot"] == 0


def test_relative_source_counts_from_the_bundle() -> None:
    assert mounted({"source": "data", "options": ["bind"]}, "bind_mount")["source"] == "/bundle/data"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("/a/b", "/a/b"), ("a", "/a"), ("/a/../../b/./c//d/", "/b/c/d"), ("/", "/"), ("../x", "/x")],
)
def test_destinations(given: str, expected: str) -> None:
    assert destination({"destination": given}) == expected


@pytest.mark.parametrize(
    ("mount", "pointer", "words"),
    [
        ({"options": ["bind", "rbindd"]}, "/mounts/0/options/1", 'did you mean "rbind"'),
        ({"options": ["bind", "size=1"]}, "/mounts/0/options/1", "not an option of a bind mount"),
        ({"type": "bind"}, "/mounts/0/options", "needs the option bind or rbind"),
        ({"options": []}, "/mounts/0/type", "needs a type"),
        ({"source": "", "options": ["bind"]}, "/mounts/0/source", "needs a source"),
        ({"type": "tmpfs", "options": ["remount"]}, "/mounts/0/options/0", "not supported"),
    ],
)
def test_errors(mount: dict[str, Any], pointer: str, words: str) -> None:
    with pytest.raises(PyrunError) as caught:
        mounted(mount, "bind_mount")
    assert caught.value.pointer == pointer
    assert words in caught.value.message
