# SPDX-License-Identifier: Apache-2.0
"""The verb update, with what every host has: huge pages and counts of cgroups for limits, device rules, resctrl.

All controllers are in tests/vm/cgroups/test_update.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from pyrun_cgroups.bpf import attached_device_filters
from support import configs
from support.machine import COVERED
from support.resctrl import Resctrl
from support.runtime import Container, MakeContainer, Result
from support.users import MakeUsersContainer, UsersRuntime, delegated_cgroup
from support.waiting import wait_until
from support.world import CGROUPS

MEBIBYTE = 1 << 20
DEPTH, DESCENDANTS = "cgroup.max.depth", "cgroup.max.descendants"
LIMITS = {"unified": {DEPTH: "5", DESCENDANTS: "7"}}
DENY_ALL = {"allow": False, "access": "rwm"}
FUSE = {"type": "c", "major": 10, "minor": 229}
OTHER = {"allow": True, "access": "rwm", **FUSE}

Resources = dict[str, Any]

of_pyrun = pytest.mark.pyrun_only("runc 1.1.5 names no place, changes half of it, and leaves device rules alone")


@pytest.fixture
def container(make_container: MakeContainer) -> Container:
    """A created container with limits."""
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = "/limited"
    config["linux"]["resources"] = {**LIMITS, "devices": [DENY_ALL]}
    return make_container(config).created()


def update(container: Container, resources: Resources | None = None, *options: str) -> Result:
    """Updates by standard input, if there are resources, and options."""
    if resources is None:
        return container.runtime.call("update", *options, container.id)
    path = os.path.join(os.path.dirname(container.bundle.path), "resources.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(resources, file)
    with open(path, "rb") as file:
        return container.runtime.call("update", "--resources", "-", *options, container.id, stdin=file)


def value(name: str) -> str:
    with open(f"{CGROUPS}/limited/{name}", encoding="ascii") as file:
        return file.read().strip()


def values() -> tuple[str, str]:
    return value(DEPTH), value(DESCENDANTS)


def known(container: Container) -> Resources:
    """The resources that pyrun keeps for the container."""
    with open(f"{container.runtime.root}/{container.id}/config.json", encoding="utf-8") as file:
        resources: Resources = json.load(file)["linux"]["resources"]
    return resources


def test_what_is_asked_for_changes_and_the_rest_stays(container: Container) -> None:
    update(container, {"unified": {DEPTH: "6"}}).succeeded()
    assert values() == ("6", "7")
    container.start().succeeded()
    update(container, {"unified": {DESCENDANTS: "8"}}).succeeded()
    assert values() == ("6", "8")


@of_pyrun
def test_what_was_asked_for_is_kept(container: Container) -> None:
    update(container, {"unified": {DEPTH: "6"}}).succeeded()
    update(container, {"pids": {"limit": -1}}).succeeded()
    assert known(container) == {
        "unified": {DEPTH: "6", DESCENDANTS: "7"},
        "devices": [DENY_ALL],
        "pids": {"limit": -1},
    }
    container.start().succeeded()
    assert container.exec("/bin/echo", "still").succeeded().output == "still\n"


def test_paused_container(container: Container) -> None:
    container.start().succeeded()
    with open(f"{CGROUPS}/limited/cgroup.freeze", "w", encoding="ascii") as file:
        file.write("1")
    wait_until(lambda: container.status == "paused", "the container is paused")
    update(container, {"unified": {DEPTH: "6"}}).succeeded()
    assert values() == ("6", "7")
    assert container.status == "paused"


def test_huge_pages(container: Container) -> None:
    if "hugetlb" not in value("cgroup.controllers"):
        pytest.skip(f"needs the controller hugetlb in cgroup v2: {COVERED}")
    limits = [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}]
    if container.runtime.name == "runc":
        pytest.skip("runc updates no limits of huge pages")
    update(container, {"hugepageLimits": limits}).succeeded()
    assert value("hugetlb.2MB.max") == value("hugetlb.2MB.rsvd.max") == str(4 * MEBIBYTE)
    refused = {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}, {"pageSize": "3MB", "limit": 0}]}
    update(container, refused).failed("standard input: /hugepageLimits/1/limit", "hugetlb.3MB.max", "no such file")
    assert value("hugetlb.2MB.max") == value("hugetlb.2MB.rsvd.max") == str(4 * MEBIBYTE)


REFUSED: list[tuple[Resources, tuple[str, ...]]] = [
    ({"unified": {DESCENDANTS: "many"}}, (f"/unified/{DESCENDANTS}", f'"many" to {DESCENDANTS}', "invalid argument")),
    ({"unified": {DESCENDANTS: "-1"}}, (f"/unified/{DESCENDANTS}", "numerical result out of range")),
    ({"unified": {"cgroup.unknown": "1"}}, ("/unified/cgroup.unknown", "no such file")),
    ({"unified": {"a/b.c": "1"}}, ("/unified/a~1b.c", "file")),
    ({"unified": {"cgroup.procs": "1"}}, ("/unified/cgroup.procs", "remove it")),
    ({"unified": {"nothing.max": "1"}}, ("/unified/nothing.max", "needs controller nothing", "remove the limit")),
    ({"cpu": {"idle": 7}}, ("/cpu/idle", "neither 0")),
    ({"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]}, ("/hugepageLimits/0/pageSize",)),
    ({"memory": {"limit": "1"}}, ("/memory/limit", "64-bit integer")),
    ({"memory": {"swap": 5}}, ("/memory/swap", "add memory.limit")),
    ({"devices": [OTHER, {"allow": True, "type": "c", "major": 2**40, "access": "r"}]}, ("/devices/1/major",)),
    ({"devices": [{"allow": True, "type": "x"}]}, ("/devices/0/type",)),
    ({"network": {"classID": 5}}, ("/network/classID", "remove it")),
]


@of_pyrun
def test_refused(container: Container) -> None:
    """Nothing changes then: neither limits, nor the device filter, nor what is known."""

    def everything() -> Any:
        kept = sorted(os.listdir(f"{container.runtime.root}/{container.id}"))
        return values(), known(container), attached_device_filters(f"{CGROUPS}/limited"), kept

    before = everything()
    for resources, words in REFUSED:
        rules = resources.get("devices", [DENY_ALL, OTHER])
        whole = {**resources, "unified": {DEPTH: "3", **resources.get("unified", {})}, "devices": rules}
        update(container, whole).failed("standard input: ", *words)
        assert everything() == before


@of_pyrun
def test_wrong_options(container: Container) -> None:
    update(container, None, "--memory", "5x").failed("--memory: ", 'invalid size: "5x"')
    update(container, None, "--cpu-period=-5").failed("--cpu-period: ", "whole number")
    update(container, None, "--memory-swap", "5m").failed("--memory-swap: ", "add memory.limit")
    update(container, None, "--cpu-rt-runtime", "5").failed("--cpu-rt-runtime: ", "remove it")
    update(container, None, "--blkio-weight", "5").failed("--blkio-weight: ", "not between 10 and 1000")
    update(container, None, "--resources", "/nowhere").failed("/nowhere: can't be opened: no such file")
    update(container, None, "--l3-cache-schema", "L3:0=f").failed("--l3-cache-schema: ", "resctrl")


def test_nothing_to_update(container: Container) -> None:
    update(container).succeeded()
    update(container, {}).succeeded()
    update(container, {"memory": {"limit": 0}, "cpu": {"shares": 0, "cpus": ""}}).succeeded()
    assert values() == ("5", "7")


def test_stopped_and_missing_container(container: Container) -> None:
    container.start().succeeded()
    container.stop()
    update(container, {"unified": {DEPTH: "6"}}).failed("container not running")
    container.delete().succeeded()
    update(container, {"unified": {DEPTH: "6"}}).failed("container does not exist")


@of_pyrun
def test_container_without_a_cgroup_of_its_own(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/sleep", "1000").created()
    update(container, {"memory": {"limit": -1}}).succeeded()
    update(container, LIMITS).failed(f"/unified/{DEPTH}", "the container has none of its own")


@of_pyrun
def test_container_of_a_user(make_users_container: MakeUsersContainer, case: str) -> None:
    """By its owner, and by root."""
    from support.runtime import Runtime, runtime_under_test
    from support.users import USER

    inside = UsersRuntime(runtime_under_test(), case, USER, before=delegated_cgroup(f"{CGROUPS}/delegated", USER))
    container = inside.container("limited", make_users_container("/bin/sleep", "1000").bundle)
    container.created()
    path = f"{CGROUPS}/delegated/limited/{DEPTH}"
    try:
        for value_, caller in (("5", inside), ("6", Runtime(runtime_under_test(), case))):
            caller.root = inside.root
            resources = os.path.join(os.path.dirname(container.bundle.path), f"resources{value_}.json")
            with open(resources, "w", encoding="utf-8") as file:
                json.dump({"unified": {DEPTH: value_}, "devices": [OTHER]}, file)
            os.chmod(resources, 0o644)
            caller.call("update", "-r", resources, "limited").succeeded()
            with open(path, encoding="ascii") as file:
                assert file.read() == f"{value_}\n"
    finally:
        container.delete("--force").succeeded()
        os.rmdir(f"{CGROUPS}/delegated/leaf")
        os.rmdir(f"{CGROUPS}/delegated")


@of_pyrun
def test_device_rules_are_replaced(make_container: MakeContainer) -> None:
    config = configs.shell("until (: </dev/other) 2>/dev/null; do :; done; echo opened; exec sleep 1000")
    config["linux"]["cgroupsPath"] = "/limited"
    config["linux"]["devices"] = [{"path": "/dev/other", **FUSE}]
    config["linux"]["resources"] = {"devices": [DENY_ALL]}
    container = make_container(config).started()
    assert container.exec("/bin/cat", "/dev/other").status == 1
    assert container.output == ""
    update(container, {"devices": [DENY_ALL, {"allow": True, "access": "r", **FUSE}]}).succeeded()
    container.wait_for_output("opened\n")
    update(container, {"devices": [DENY_ALL]}).succeeded()
    assert "not permitted" in container.exec("/bin/cat", "/dev/other").errors


@of_pyrun
def test_devices_while_a_process_opens_them(make_container: MakeContainer) -> None:
    """It never sees a denial of what is allowed, nor gets what is denied, however often the rules are exchanged."""
    config = configs.shell(
        "echo begun; while :; do : </dev/null || echo denied; (: </dev/other) 2>/dev/null && echo opened; done"
    )
    config["linux"]["cgroupsPath"] = "/limited"
    config["linux"]["devices"] = [{"path": "/dev/other", **FUSE}]
    config["linux"]["resources"] = {"devices": [DENY_ALL]}
    container = make_container(config).started()
    container.wait_for_output("begun\n")
    program = attached_device_filters(f"{CGROUPS}/limited")
    for index in range(6):
        other = {"allow": True, "type": "c", "major": 11, "minor": index, "access": "rw"}
        update(container, {"devices": [DENY_ALL, other]}).succeeded()
        previous, program = program, attached_device_filters(f"{CGROUPS}/limited")
        assert len(program) == 1 and program != previous
    assert container.output == "begun\n"
    assert container.errors == ""


@of_pyrun
def test_same_device_rules_keep_the_filter(container: Container) -> None:
    """It may be one that somebody has put in place of pyrun's, as for a graphics card."""
    before = attached_device_filters(f"{CGROUPS}/limited")
    update(container, {"devices": [DENY_ALL], "unified": {DEPTH: "6"}}).succeeded()
    update(container, {"devices": []}).succeeded()
    assert attached_device_filters(f"{CGROUPS}/limited") == before
    assert values() == ("6", "7")


def test_two_at_once(container: Container) -> None:
    """Each update is whole: after both, the values are those of one of them."""
    container.start().succeeded()
    calls = []
    for number in ("11", "12", "13", "14"):
        path = os.path.join(os.path.dirname(container.bundle.path), f"resources{number}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"unified": {DEPTH: number, DESCENDANTS: number}}, file)
        calls.append(container.runtime.start("update", "-r", path, container.id))
    for call in calls:
        call.wait().succeeded()
    depth, descendants = values()
    assert depth == descendants
    assert depth in ("11", "12", "13", "14")


@of_pyrun
def test_delete_during_update(container: Container) -> None:
    path = os.path.join(os.path.dirname(container.bundle.path), "resources.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(LIMITS, file)
    calls = [container.runtime.start("update", "-r", path, container.id) for _ in range(3)]
    container.delete("--force").succeeded()
    for call in calls:
        ended = call.wait()
        assert ended.status == 0 or "container does not exist" in ended.errors or "not running" in ended.errors
    assert not os.path.exists(f"{CGROUPS}/limited")


@of_pyrun
def test_schemata_of_a_class(resctrl: Resctrl, make_container: MakeContainer) -> None:
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["intelRdt"] = {"l3CacheSchema": "L3:0=f;1=f", "memBwSchema": "MB:0=50;1=50"}
    container = make_container(config).created()
    group = resctrl.groups[container.id]
    update(container, None, "--l3-cache-schema", "L3:0=3").succeeded()
    assert (group.schemata["L3"], group.schemata["MB"]) == ({"0": 3, "1": 15}, {"0": 50, "1": 50})
    update(container, {}, "--mem-bw-schema", "MB:1=70").succeeded()
    assert group.schemata["MB"] == {"0": 50, "1": 70}
    both = ("--l3-cache-schema", "L3:0=7", "--mem-bw-schema", "MB:0=500")
    update(container, None, *both).failed("--mem-bw-schema: ", "out of range")
    assert (group.schemata["L3"], group.schemata["MB"]) == ({"0": 3, "1": 15}, {"0": 50, "1": 70})


@of_pyrun
def test_class_for_a_container_that_had_none(resctrl: Resctrl, make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    update(container, None, "--l3-cache-schema", "L3:0=500000").failed("--l3-cache-schema: ", "out of range")
    assert not resctrl.groups
    update(container, None, "--l3-cache-schema", "L3:0=3").succeeded()
    assert resctrl.groups[container.id].schemata["L3"]["0"] == 3
    assert container.pid in resctrl.groups[container.id].tasks
    container.delete("--force").succeeded()
    assert not resctrl.groups


def test_update_is_a_verb_with_help() -> None:
    pyrun = os.path.join(os.path.dirname(sys.executable), "pyrun")
    shown = subprocess.run([pyrun, "update", "--help"], check=True, capture_output=True, text=True).stdout
    assert "--cpu-burst MICROSECONDS" in shown and "-r, --resources FILE" in shown
