# SPDX-License-Identifier: Apache-2.0
"""Id mappings of mounts: which mapping is opened, who applies it, and to what."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun.caller import Caller
from pyrun.errors import PyrunError
from pyrun.plan.describe import as_text
from pyrun.plan.mount_mappings import separate_layers
from pyrun.plan.mount_options import NO_SLOT, RECURSIVE

from .configs import arguments_of, compile_for_test, minimal_config, names_of

ONE = [{"containerID": 0, "hostID": 1000, "size": 10}]
OTHER = [{"containerID": 0, "hostID": 2000, "size": 10}]
TEXT, OTHER_TEXT = "0 1000 10\n", "0 2000 10\n"
USER = Caller(2000, 2000, is_host_root=False, uid_mapper="/bin/newuidmap", gid_mapper="/bin/newgidmap")


def own(mapping: list[dict[str, int]] = ONE) -> dict[str, Any]:
    return {"uidMappings": mapping, "gidMappings": mapping}


def bind(*options: str, **more: Any) -> dict[str, Any]:
    return {"destination": "/d", "source": "/s", "options": ["bind", *options], **more}


def tmpfs(*options: str, **more: Any) -> dict[str, Any]:
    return {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": list(options), **more}


def with_mounts(*mounts: dict[str, Any], user: str | None = None) -> dict[str, Any]:
    """Returns a config; `user` is the path of its user namespace, or "" for a new one."""
    config = minimal_config(mounts=list(mounts))
    if user is not None:
        config["linux"]["namespaces"].append({"type": "user", **({"path": user} if user else {})})
        if not user:
            config["linux"].update(own([{"containerID": 0, "hostID": 5000, "size": 10}]))
    return config


def test_nothing_is_opened_for_mounts_that_are_not_mapped() -> None:
    plan = compile_for_test(with_mounts(bind(), tmpfs()))
    assert not {"open_id_mapping", "open_bind_source", "open_filesystem"} & set(names_of(plan))
    assert arguments_of(plan, "bind_mount")[0]["mapping"] == NO_SLOT
    assert arguments_of(plan, "mount_filesystem")[0]["mapping"] == NO_SLOT


def test_equal_mappings_are_opened_once() -> None:
    plan = compile_for_test(with_mounts(bind(**own()), tmpfs(**own(OTHER)), bind("ridmap", **own()), tmpfs()))
    assert [each["uid_map"] for each in arguments_of(plan, "open_id_mapping")] == [TEXT, OTHER_TEXT]
    assert [each["mapping"] for each in arguments_of(plan, "bind_mount")] == [0, 0 | RECURSIVE]
    assert [each["mapping"] for each in arguments_of(plan, "mount_filesystem")] == [1, NO_SLOT]


def test_users_and_groups_by_mappings_of_their_own() -> None:
    (opened,) = arguments_of(
        compile_for_test(with_mounts(bind(uidMappings=ONE, gidMappings=[*ONE, *OTHER]))), "open_id_mapping"
    )
    assert opened == {"uid_map": TEXT, "gid_map": TEXT + OTHER_TEXT, "path": ""}


def test_new_user_namespace() -> None:
    """The outer stage opens what is mapped, and all binds, in the order of the config."""
    plan = compile_for_test(with_mounts(tmpfs(), tmpfs("idmap"), bind(), bind("idmap", **own()), user=""))
    assert [each["uid_map"] for each in arguments_of(plan, "open_id_mapping")] == ["0 5000 10\n", TEXT]
    assert [each["mapping"] for each in arguments_of(plan, "open_filesystem")] == [0]
    assert [each["mapping"] for each in arguments_of(plan, "open_bind_source")] == [NO_SLOT, 1]
    filesystems, binds = arguments_of(plan, "mount_filesystem"), arguments_of(plan, "bind_mount")
    assert [(each["slot"], each["mapping"]) for each in filesystems] == [(NO_SLOT, NO_SLOT), (0, NO_SLOT)]
    assert [(each["slot"], each["mapping"]) for each in binds] == [(1, NO_SLOT), (2, NO_SLOT)]
    assert "open_bind_sources_early" not in names_of(plan)


def test_joined_user_namespace() -> None:
    """Only what is mapped is opened outside, before the user namespace is joined."""
    plan = compile_for_test(with_mounts(bind(), bind("idmap"), tmpfs("idmap", **own()), user="/proc/7/ns/user"))
    assert [(each["uid_map"], each["path"]) for each in arguments_of(plan, "open_id_mapping")] == [
        ("", "/proc/7/ns/user"),
        (TEXT, ""),
    ]
    assert [each["slot"] for each in arguments_of(plan, "bind_mount")] == [NO_SLOT, 0]
    assert [each["slot"] for each in arguments_of(plan, "mount_filesystem")] == [1]
    names = names_of(plan)
    order = ["open_id_mapping", "open_namespace", "open_bind_sources_early", "join_namespaces", "clone_init"]
    assert [name for name in dict.fromkeys(names) if name in order] == order


def test_joined_user_namespace_without_mappings_opens_nothing_early() -> None:
    assert "open_bind_sources_early" not in names_of(compile_for_test(with_mounts(bind(), user="/proc/7/ns/user")))


def test_file_system_of_an_ordinary_user_is_mapped_by_birth() -> None:
    plan = compile_for_test(with_mounts(tmpfs("idmap"), user=""), caller=USER)
    assert arguments_of(plan, "mount_filesystem")[0]["slot"] == NO_SLOT
    assert "open_id_mapping" not in names_of(plan)


@pytest.mark.parametrize(
    ("mount", "place", "words"),
    [
        (bind("idmap"), "options/1", "only root"),
        (tmpfs("idmap", **own()), "uidMappings", "only root"),
    ],
)
def test_ordinary_users_cannot_map(mount: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(PyrunError) as caught:
        compile_for_test(with_mounts(mount, user=""), caller=USER)
    assert caught.value.pointer == f"/mounts/0/{place}"
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ["proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts"])
def test_file_systems_that_nothing_maps(kind: str) -> None:
    with pytest.raises(PyrunError, match=f"the filesystem {kind} can't be id-mapped; remove"):
        compile_for_test(with_mounts({**tmpfs("idmap", **own()), "type": kind}))


def test_layers_of_an_overlay() -> None:
    parameters = [
        "lowerdir=/a:b\\:c::/d::/e",
        "upperdir=up",
        "workdir=/w",
        "lowerdir+=/f:g",
        "metacopy=on",
        "userxattr",
    ]
    assert separate_layers(parameters, "/bundle") == [
        "lowerdir+=/a",
        "lowerdir+=/bundle/b:c",
        "datadir+=/d",
        "datadir+=/e",
        "upperdir=/bundle/up",
        "workdir=/w",
        "lowerdir+=/f:g",
        "metacopy=on",
        "userxattr",
    ]


@pytest.mark.parametrize("user", [None, ""])
def test_overlay_is_given_its_layers_one_by_one(user: str | None) -> None:
    mount = {**tmpfs("idmap", "lowerdir=/a:/b", **own()), "type": "overlay"}
    plan = compile_for_test(with_mounts(mount, user=user))
    (made,) = arguments_of(plan, "mount_filesystem" if user is None else "open_filesystem")
    assert made["parameters"] == ["lowerdir+=/a", "lowerdir+=/b"]


def test_overlay_that_is_not_mapped_stays_as_it_is() -> None:
    plan = compile_for_test(with_mounts({**tmpfs("lowerdir=/a:/b"), "type": "overlay"}))
    assert arguments_of(plan, "mount_filesystem")[0]["parameters"] == ["lowerdir=/a:/b"]


def test_ids_in_options_are_those_of_the_file_system() -> None:
    """Not of the user namespace: the host's root mounts it."""
    compile_for_test(with_mounts(tmpfs("idmap", "uid=77"), user=""))
    with pytest.raises(PyrunError, match="77 is not in /linux/uidMappings"):
        compile_for_test(with_mounts(tmpfs("uid=77"), user=""))


def test_in_words() -> None:
    text = as_text(compile_for_test(with_mounts(bind("idmap", **own()), bind("ridmap", **own(OTHER)), bind())))
    assert [line.split("mapping=")[1].split()[0] for line in text.splitlines() if "mapping=" in line] == [
        "0",
        "1+below",
    ]
