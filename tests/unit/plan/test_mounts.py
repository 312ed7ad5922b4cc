# SPDX-License-Identifier: Apache-2.0
"""Mounts: which operation each becomes, with which arguments, and what is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyrun.errors import PyrunError
from pyrun.plan.mount_options import COPY_UP, IVERSION, NO_SLOT, NOIVERSION, SILENT
from pyrun.plan.mounts import REMEMBERED, destination

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


def test_parameters_and_superblock_flags() -> None:
    made = mounted({"type": "tmpfs", "options": ["size=1k", "nosuid", "mode=755", "sync"]}, "mount_filesystem")
    assert (made["parameters"], made["attributes"]) == (["size=1k", "mode=755", "sync"], NOSUID)


def test_readonly_tmpfs_waits_for_what_is_made_in_it() -> None:
    mount = {"type": "tmpfs", "options": ["ro"]}
    assert mounted(mount, "mount_filesystem")["attributes"] == 0
    assert mounted(mount, "readonly_mount") == {"path": "/d"}


def test_readonly_file_system_is_readonly_in_superblock_and_mount() -> None:
    for option in ("ro", "rro"):
        made = mounted({"type": "sysfs", "options": [option]}, "mount_filesystem")
        assert (made["parameters"], made["attributes"]) == (["ro"], RDONLY)


@pytest.mark.parametrize("kind", ["debugfs", "devtmpfs", "tracefs"])
def test_readonly_mount_of_a_file_system_of_the_host_is_readonly_alone(kind: str) -> None:
    """As Linux 6.1 has it, the host's own mounts would be read-only as well."""
    made = mounted({"type": kind, "options": ["ro", "silent"]}, "mount_filesystem")
    assert (made["parameters"], made["attributes"], made["flags"]) == ([], RDONLY, 0)


def test_recursive_attributes_of_a_bind() -> None:
    bind = mounted({"options": ["rbind", "ro", "rnoexec", "rdev", "rnoatime"]}, "bind_mount")
    assert (bind["set"], bind["clear"]) == (RDONLY, 0)
    assert (bind["recursive_set"], bind["recursive_clear"]) == (NOEXEC | NOATIME, NODEV | ATIME)


@pytest.mark.parametrize(
    ("options", "attributes"),
    [(["rnosuid"], NOSUID), (["nosuid", "rsuid"], 0), (["rsuid", "nosuid"], 0), (["noatime", "rrelatime"], 0)],
)
def test_recursive_attributes_of_a_new_file_system(options: list[str], attributes: int) -> None:
    assert mounted({"type": "sysfs", "options": options}, "mount_filesystem")["attributes"] == attributes


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (["tmpcopyup"], COPY_UP),
        (["silent", "iversion"], SILENT | IVERSION),
        (["silent", "loud"], 0),
        (["iversion", "noiversion"], NOIVERSION),
    ],
)
def test_flags_of_a_new_file_system(options: list[str], flags: int) -> None:
    assert mounted({"type": "tmpfs", "options": options}, "mount_filesystem")["flags"] == flags


def remounted(*options: str, kind: str = "ramfs", **before: Any) -> dict[str, Argument]:
    """Returns the arguments of a remount of what ``before`` has mounted, or of a new file system."""
    first = {"destination": "/d", "source": "/s", "type": "ramfs", **before}
    config = minimal_config(mounts=[first, {"destination": "/d", "type": kind, "options": ["remount", *options]}])
    config["linux"]["namespaces"] = [{"type": "mount"}, {"type": "ipc"}]
    return arguments_of(compile_for_test(config), "remount")[-1]


def test_remount_reconfigures_the_file_system_and_the_mount() -> None:
    change = remounted("ro", "nosuid", "size=1k", "rslave")
    assert (change["parameters"], change["set"], change["clear"]) == (["ro", "size=1k"], RDONLY | NOSUID, 0)
    assert change["propagation"] == [1 << 19 | 1 << 63]
    assert remounted("rw")["parameters"] == ["rw"]


@pytest.mark.parametrize("option", ["bind", "rbind"])
def test_remount_of_a_bind_leaves_the_file_system_alone(option: str) -> None:
    change = remounted(option, "ro", "sync", "silent", kind="none")
    assert (change["parameters"], change["set"]) == ([], RDONLY)
    assert change["flags"] == REMEMBERED


@pytest.mark.parametrize(
    "before",
    [
        {"type": "none", "options": ["bind"]},
        {"type": "cgroup2"},
        {"type": "debugfs"},
        {"type": "sysfs"},
        {"destination": "/d/below"},
        {"destination": "/"},
    ],
)
def test_remount_leaves_a_file_system_of_the_host_alone(before: dict[str, Any]) -> None:
    change = remounted("ro", "nosuid", "iversion", **before)
    assert (change["parameters"], change["set"], change["flags"]) == ([], RDONLY | NOSUID, REMEMBERED)


@pytest.mark.parametrize("before", [{"type": "mqueue"}, {"type": "proc"}, {"type": "tmpfs"}])
def test_remount_of_a_file_system_of_the_containers_own(before: dict[str, Any]) -> None:
    assert remounted("ro", **before)["parameters"] == ["ro"]


def test_remounted_tmpfs_is_readonly_only_in_the_end() -> None:
    config = minimal_config(
        mounts=[
            {"destination": "/a", "type": "tmpfs", "options": ["nosuid"]},
            {"destination": "/a", "type": "tmpfs", "options": ["remount", "ro"]},
            {"destination": "/b", "type": "tmpfs", "options": ["ro"]},
            {"destination": "/b", "type": "tmpfs", "options": ["remount", "rw"]},
            {"destination": "/c", "type": "tmpfs", "options": ["ro"]},
            {"destination": "/c", "type": "tmpfs", "options": ["remount", "noexec"]},
        ]
    )
    plan = compile_for_test(config)
    assert [change["set"] for change in arguments_of(plan, "remount")] == [0, 0, NOEXEC]
    assert [each["path"] for each in arguments_of(plan, "readonly_mount")] == ["/a", "/c"]


def test_remount_opens_no_source_outside() -> None:
    mapping = [{"containerID": 0, "hostID": 1, "size": 1}]
    config = minimal_config(mounts=[{"destination": "/a", "type": "none", "options": ["remount", "bind", "ro"]}])
    config["linux"].update(namespaces=[{"type": "mount"}, {"type": "user"}], uidMappings=mapping, gidMappings=mapping)
    plan = compile_for_test(config)
    assert arguments_of(plan, "open_bind_source") == []
    assert arguments_of(plan, "bind_mount") == []


def remembered(options: list[str], **linux: Any) -> bool:
    return bool(int(str(mounted({"options": ["bind", *options]}, "bind_mount", **linux)["flags"])) & REMEMBERED)


def test_mounts_that_are_looked_for_again_are_remembered() -> None:
    assert not remembered(["rslave"])
    assert remembered([], maskedPaths=["/d/x"]) and remembered([], readonlyPaths=["/d"])
    assert not remembered([], maskedPaths=["/dx"])
    assert remembered(["rslave"], rootfsPropagation="rshared")
    assert not remembered([], rootfsPropagation="rshared")
    assert not remembered(["rslave"], rootfsPropagation="shared")


def test_propagation_of_a_mount_outlasts_that_of_the_whole_tree() -> None:
    config = minimal_config(mounts=[{"destination": "/d", "source": "/s", "options": ["rbind", "rprivate"]}])
    config["linux"]["rootfsPropagation"] = "rshared"
    names = [name for name, _, _ in compile_for_test(config).operations]
    assert names.index("propagate_root") < names.index("propagate_mount")
    (again,) = arguments_of(compile_for_test(config), "propagate_mount")
    assert again == {"destination": "/d", "propagation": [1 << 18 | 1 << 63]}


@pytest.mark.parametrize(
    ("option", "parameter"),
    [
        ('context="u:r:t:s0:c1,c2"', "context=u:r:t:s0:c1,c2"),
        ('rootcontext="u:r:t"', "rootcontext=u:r:t"),
        ('context="u:r:t', 'context="u:r:t'),
        ('lowerdir="/a"', 'lowerdir="/a"'),
    ],
)
def test_quotes_of_labels(option: str, parameter: str) -> None:
    """mount(2) understands quotes there, fsconfig(2) does not."""
    assert mounted({"type": "overlay", "options": [option]}, "mount_filesystem")["parameters"] == [parameter]


def labelled(
    kind: str, monkeypatch: pytest.MonkeyPatch, namespaces: tuple[str, ...] = ()
) -> list[tuple[str, dict[str, Argument]]]:
    monkeypatch.setattr("pyrun.plan.mount_label.SELINUX_MOUNT", "/")
    config = minimal_config(mounts=[{"destination": "/d", "type": kind, "options": ["nosuid"]}])
    config["linux"].update(mountLabel="u:r:t:s0:c1,c2", maskedPaths=["/x"])
    config["linux"]["namespaces"] += [{"type": each} for each in namespaces]
    plan = compile_for_test(config)
    names = ("mount_filesystem", "label_mount", "mask_path")
    return [(name, each) for name in names for each in arguments_of(plan, name)]


@pytest.mark.parametrize("kind", ["tmpfs", "devpts", "overlay", "ext4"])
def test_label_of_a_new_file_system(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (_, made), (_, mask) = labelled(kind, monkeypatch)
    assert made["parameters"] == ["context=u:r:t:s0:c1,c2"]
    assert mask == {"path": "/x", "label": "u:r:t:s0:c1,c2"}


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_file_systems_that_take_no_label(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (_, made), _ = labelled(kind, monkeypatch)
    assert made["parameters"] == []


def test_label_of_mqueue_is_set_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, made), (_, label), _ = labelled("mqueue", monkeypatch, ("ipc",))
    assert made["parameters"] == []
    assert label == {"destination": "/d", "label": "u:r:t:s0:c1,c2"}


def test_mqueue_of_the_host_gets_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name, _ in labelled("mqueue", monkeypatch)] == ["mount_filesystem", "mask_path"]


def test_label_without_selinux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrun.plan.mount_label.SELINUX_MOUNT", "/missing")
    with pytest.raises(PyrunError) as caught:
        compile_for_test(minimal_config(linux={"namespaces": [{"type": "mount"}], "mountLabel": "u:r:t:s0"}))
    assert (caught.value.pointer, caught.value.more) == ("/linux/mountLabel", 0)
    assert "has no SELinux" in caught.value.message


@pytest.mark.parametrize(
    ("option", "flags"),
    [("rslave", 1 << 19 | 1 << 63), ("private", 1 << 18), ("rshared", 1 << 20 | 1 << 63)],
)
def test_propagation(option: str, flags: int) -> None:
    assert mounted({"options": ["bind", option]}, "bind_mount")["propagation"] == [flags]


def test_unbindable_comes_after_the_covers() -> None:
    config = minimal_config(mounts=[{"destination": "/d", "source": "/s", "options": ["bind", "slave", "unbindable"]}])
    config["linux"]["maskedPaths"] = ["/d/x"]
    plan = compile_for_test(config)
    assert arguments_of(plan, "bind_mount")[-1]["propagation"] == [1 << 19]
    assert arguments_of(plan, "propagate_mount") == [{"destination": "/d", "propagation": [1 << 19, 1 << 17]}]
    names = [name for name, _, _ in plan.operations]
    assert names.index("mask_path") < names.index("propagate_mount")


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
    assert (opened["source"], opened["recursive"]) == ("/s", 1)
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
        ({"type": "sysfs", "options": ["tmpcopyup"]}, "/mounts/0/options/0", "only a new tmpfs"),
        ({"type": "tmpfs", "options": ["bind", "tmpcopyup"]}, "/mounts/0/options/1", "only a new tmpfs"),
        ({"type": "tmpfs", "options": ["remount", "tmpcopyup"]}, "/mounts/0/options/1", "only a new tmpfs"),
        ({"type": "tmpfs", "options": ["remount", "size=1m"]}, "/mounts/0/options/1", "not the container's own"),
        ({"type": "debugfs", "options": ["ro", "mode=777"]}, "/mounts/0/options/1", "not the container's own"),
        ({"type": "none", "options": ["remount", "sync"]}, "/mounts/0/options/1", "not the container's own"),
    ],
)
def test_errors(mount: dict[str, Any], pointer: str, words: str) -> None:
    with pytest.raises(PyrunError) as caught:
        mounted(mount, "bind_mount")
    assert caught.value.pointer == pointer
    assert words in caught.value.message
