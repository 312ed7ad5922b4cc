# SPDX-License-Identifier: Apache-2.0
"""What changes in a plan when an ordinary user calls, or a user namespace's root."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun.caller import Caller
from pyrun.errors import PyrunError

from .configs import arguments_of, compile_for_test, minimal_config, names_of

USER = Caller(1000, 1001, is_host_root=False, uid_mapper="/bin/newuidmap", gid_mapper="/bin/newgidmap")
ROOT_INSIDE = Caller(is_host_root=False)


def with_user_namespace(**namespace: str) -> dict[str, Any]:
    config = minimal_config()
    config["linux"]["namespaces"].append({"type": "user", **namespace})
    return config


def config_of(users: list[tuple[int, int, int]], groups: list[tuple[int, int, int]]) -> dict[str, Any]:
    config = with_user_namespace()
    for key, rows in (("uidMappings", users), ("gidMappings", groups)):
        config["linux"][key] = [{"containerID": row[0], "hostID": row[1], "size": row[2]} for row in rows]
    return config


OWN_USER, OWN_GROUP = [(0, 1000, 1)], [(0, 1001, 1)]


def mappers(config: dict[str, Any], caller: Caller) -> tuple[Any, Any]:
    (clone,) = arguments_of(compile_for_test(config, caller=caller, cgroup_denied=True), "clone_init")
    return clone["uid_mapper"], clone["gid_mapper"]


@pytest.mark.parametrize(
    ("users", "groups", "expected"),
    [
        (OWN_USER, OWN_GROUP, ("", "")),
        ([(5, 1000, 1)], [(7, 1001, 1)], ("", "")),
        ([(0, 1000, 2)], OWN_GROUP, ("/bin/newuidmap", "")),
        (OWN_USER, [(0, 1000, 1)], ("", "/bin/newgidmap")),
        ([(0, 1001, 1)], OWN_GROUP, ("/bin/newuidmap", "")),
        ([(0, 1000, 1), (1, 100000, 10)], [(0, 1001, 1), (1, 100000, 10)], ("/bin/newuidmap", "/bin/newgidmap")),
    ],
)
def test_who_writes_the_maps(
    users: list[tuple[int, int, int]], groups: list[tuple[int, int, int]], expected: tuple[str, str]
) -> None:
    assert mappers(config_of(users, groups), USER) == expected
    assert mappers(config_of(users, groups), Caller()) == ("", "")
    assert mappers(config_of(users, groups), ROOT_INSIDE) == ("", "")


def test_joined_user_namespace_has_its_maps_already() -> None:
    config = with_user_namespace(path="/proc/1/ns/user")
    assert mappers(config, USER) == ("", "")


def test_without_a_cgroup() -> None:
    plan = compile_for_test(config_of(OWN_USER, OWN_GROUP), caller=USER, cgroup_denied=True)
    assert not {"make_cgroup", "attach_device_filter", "enter_cgroup"} & set(names_of(plan))


def test_without_a_cgroup_to_enter() -> None:
    config = with_user_namespace(path="/proc/1/ns/user")
    assert "enter_cgroup" not in names_of(compile_for_test(config, caller=USER, cgroup_denied=True))
    assert "enter_cgroup" in names_of(compile_for_test(config, caller=USER))


@pytest.mark.parametrize("caller", [USER, ROOT_INSIDE])
def test_cgroup_without_a_device_filter(caller: Caller) -> None:
    names = names_of(compile_for_test(config_of(OWN_USER, OWN_GROUP), caller=caller))
    assert "make_cgroup" in names
    assert "attach_device_filter" not in names


def test_host_root_who_does_without_a_cgroup_keeps_the_device_filter_where_there_is_one() -> None:
    assert "attach_device_filter" in names_of(compile_for_test(minimal_config()))


def test_cgroup_that_is_asked_for_is_made_whoever_calls() -> None:
    config = config_of(OWN_USER, OWN_GROUP)
    config["linux"]["cgroupsPath"] = "/own"
    (made,) = arguments_of(compile_for_test(config, caller=USER, cgroup_denied=True), "make_cgroup")
    assert made["path"] == "/own"


def test_host_without_cgroups() -> None:
    config = config_of(OWN_USER, OWN_GROUP)
    compile_for_test(config, caller=USER, cgroup_denied=True, cgroup_mount=None)
    with pytest.raises(PyrunError, match="no cgroup2 mount"):
        compile_for_test(config, caller=USER, cgroup_mount=None)


@pytest.mark.parametrize(
    ("groups", "caller", "accepted"),
    [
        (OWN_GROUP, USER, False),
        ([(0, 1001, 1), (1, 100000, 10)], USER, True),
        (OWN_GROUP, Caller(), True),
        (OWN_GROUP, ROOT_INSIDE, True),
    ],
)
def test_additional_groups(groups: list[tuple[int, int, int]], caller: Caller, accepted: bool) -> None:
    config = config_of(OWN_USER, groups)
    config["process"]["user"]["additionalGids"] = [0]
    if accepted:
        compile_for_test(config, caller=caller)
        return
    with pytest.raises(PyrunError, match="cannot set any additional groups") as caught:
        compile_for_test(config, caller=caller)
    assert caught.value.pointer == "/process/user/additionalGids"


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("gid=5", "gidMappings"),
        ("uid=1", "uidMappings"),
        ("gid=0", None),
        ("gid=five", None),
        ("gid=", None),
        ("uid", None),
    ],
)
def test_options_with_ids(option: str, key: str | None) -> None:
    config = config_of(OWN_USER, OWN_GROUP)
    config["mounts"] = [{"destination": "/tmp", "type": "tmpfs", "options": ["nosuid", option]}]
    if key is None:
        compile_for_test(config)
        return
    with pytest.raises(PyrunError, match=f"is not in /linux/{key}") as caught:
        compile_for_test(config)
    assert caught.value.pointer == "/mounts/0/options/1"


def test_options_with_ids_without_a_new_user_namespace() -> None:
    config = minimal_config()
    config["mounts"] = [{"destination": "/tmp", "type": "tmpfs", "options": ["gid=5"]}]
    compile_for_test(config)


@pytest.mark.parametrize(
    ("user_namespace", "mount", "readonly"),
    [
        (True, {"destination": "/sys", "options": ["rbind", "ro"]}, True),
        (True, {"destination": "/./sys/", "options": ["ro", "rbind"]}, True),
        (True, {"destination": "/sys", "options": ["rbind"]}, False),
        (True, {"destination": "/sys", "options": ["bind", "ro"]}, False),
        (True, {"destination": "/mnt", "options": ["rbind", "ro"]}, False),
        (False, {"destination": "/sys", "options": ["rbind", "ro"]}, False),
    ],
)
def test_hosts_sysfs_is_readonly_with_all_below(user_namespace: bool, mount: dict[str, Any], readonly: bool) -> None:
    """CVE-2023-25809."""
    config = config_of(OWN_USER, OWN_GROUP) if user_namespace else minimal_config()
    config["mounts"] = [{"source": "/sys", **mount}]
    (bound,) = arguments_of(compile_for_test(config), "bind_mount")
    assert bool(bound["recursive_set"]) is readonly
