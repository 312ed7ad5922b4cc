# SPDX-License-Identifier: Apache-2.0
"""Who is given the container's cgroup, and when nobody is (runtime-spec config-linux, Cgroup ownership)."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun.caller import Caller

from .configs import arguments_of, compile_for_test, minimal_config, names_of

VIEW = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}
MAPPINGS = [{"containerID": 0, "hostID": 1000, "size": 5}, {"containerID": 5, "hostID": 9000, "size": 5}]


def with_view(uid: int = 0, *, namespace: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    config = minimal_config(mounts=[{**VIEW, **changes}])
    config["process"]["user"]["uid"] = uid
    config["linux"]["namespaces"].append({"type": "cgroup"} if namespace is None else namespace)
    return config


def given(config: dict[str, Any], **changes: Any) -> list[Any]:
    return [tuple(each.values()) for each in arguments_of(compile_for_test(config, **changes), "delegate_cgroup")]


def test_without_a_user_namespace_it_is_the_user_itself() -> None:
    assert given(with_view(7)) == [(7, "")]


@pytest.mark.parametrize(("uid", "owner"), [(0, 1000), (4, 1004), (5, 9000), (9, 9004)])
def test_new_user_namespace(uid: int, owner: int) -> None:
    config = with_view(uid)
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"].update(uidMappings=MAPPINGS, gidMappings=MAPPINGS)
    assert given(config) == [(owner, "")]


def test_joined_user_namespace_is_asked_by_pyrun_init() -> None:
    config = with_view(7)
    config["linux"]["namespaces"].append({"type": "user", "path": "/proc/9/ns/user"})
    assert given(config) == [(7, "/proc/9/ns/user")]


def test_it_comes_after_the_limits_and_before_anything_runs() -> None:
    names = names_of(compile_for_test(with_view(7)))
    assert names.index("attach_device_filter") < names.index("delegate_cgroup") < names.index("clone_init")


@pytest.mark.parametrize(
    "config",
    [
        with_view(options=["ro"]),
        with_view(options=["rw", "rro"]),
        with_view(options=["rbind"]),
        with_view(source="cgroup2"),
        with_view(destination="/sys/fs/cgroup/unified"),
        with_view(namespace={"type": "cgroup", "path": "/proc/9/ns/cgroup"}),
        with_view(namespace={"type": "uts"}),
    ],
)
def test_nobody(config: dict[str, Any]) -> None:
    assert given(config) == []


def test_ordinary_user_owns_it_already() -> None:
    caller = Caller(2000, 2000, is_host_root=False, uid_mapper="/bin/newuidmap", gid_mapper="/bin/newgidmap")
    assert given(with_view(7), caller=caller) == []


def test_no_cgroup() -> None:
    assert given(with_view(7), cgroup_mount=None, cgroup_denied=True) == []
