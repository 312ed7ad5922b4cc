# SPDX-License-Identifier: Apache-2.0
"""linux.resources with a controller that this host may have in cgroup v2: huge pages stand for the others.

All controllers, and what the limits do, are tested in tests/vm/cgroups.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.machine import COVERED
from support.runtime import MakeContainer, Run, runtime_under_test
from support.users import USER, MakeUsersContainer, UsersRuntime, delegated_cgroup
from support.world import CGROUPS, controllers

MEBIBYTE = 1 << 20
LIMIT = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}]}
OTHERS: dict[str, dict[str, Any]] = {
    "memory": {"memory": {"limit": 1 << 30}},
    "pids": {"pids": {"limit": 100}},
    "cpu": {"cpu": {"quota": 50000, "period": 100000}},
    "cpuset": {"cpu": {"cpus": "0"}},
    "io": {"blockIO": {"weight": 500}},
    "rdma": {"rdma": {"mlx5_0": {"hcaHandles": 3}}},
    "misc": {"unified": {"misc.max": "sev 5"}},
}
"""By controller, what asks for a limit of it."""


@pytest.fixture
def _huge_pages(case: str) -> None:
    """Skips where cgroup v2 does not have the controller."""
    if "hugetlb" not in controllers():
        pytest.skip(f"needs the controller hugetlb in cgroup v2: {COVERED}")


huge_pages = pytest.mark.usefixtures("_huge_pages")


def limited(resources: dict[str, Any], *args: str, path: str = "/limited") -> Config:
    config = configs.default(*args or ("/bin/sleep", "1000"))
    config["linux"]["cgroupsPath"] = path
    config["linux"]["resources"] = resources
    return config


def value(path: str) -> str:
    with open(f"{CGROUPS}/{path}", encoding="ascii") as file:
        return file.read().strip()


@huge_pages
@pytest.mark.parametrize(("limit", "expected"), [(4 * MEBIBYTE, str(4 * MEBIBYTE)), (0, "0"), (2**64 - 1, "max")])
def test_limit(make_container: MakeContainer, limit: int, expected: str) -> None:
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": limit}, {"pageSize": "1GB", "limit": 1 << 30}]}
    container = make_container(limited(resources)).created()
    assert value("limited/hugetlb.2MB.max") == expected
    assert value("limited/hugetlb.1GB.max") == str(1 << 30)
    if container.runtime.name != "runc":  # runc 1.1.5 does not limit reservations
        assert value("limited/hugetlb.2MB.rsvd.max") == expected


@huge_pages
def test_limit_is_there_when_the_program_begins(run: Run) -> None:
    assert run(limited(LIMIT, "/bin/cat", "/sys/fs/cgroup/hugetlb.2MB.max")) == f"{4 * MEBIBYTE}\n"


@huge_pages
@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
def test_controllers_are_passed_down_to_the_container(make_container: MakeContainer) -> None:
    make_container(limited(LIMIT, path="/above/higher/own")).created()
    assert value("above/higher/own/hugetlb.2MB.max") == str(4 * MEBIBYTE)
    assert "hugetlb" in value("above/higher/cgroup.subtree_control")
    assert value("above/higher/own/cgroup.subtree_control") == ""


@huge_pages
def test_controllers_are_there_without_a_limit(make_container: MakeContainer) -> None:
    """Whoever wants statistics, or limits later on, finds the files."""
    make_container(limited({})).created()
    assert set(controllers()) <= set(value("limited/cgroup.controllers").split())


@huge_pages
def test_unified(make_container: MakeContainer) -> None:
    unified = {"hugetlb.2MB.max": f"{2 * MEBIBYTE}\n", "hugetlb.1GB.rsvd.max": "0", "cgroup.max.descendants": "3"}
    make_container(limited({"unified": unified, **LIMIT})).created()
    assert value("limited/hugetlb.2MB.max") == str(2 * MEBIBYTE)
    assert value("limited/hugetlb.1GB.rsvd.max") == "0"
    assert value("limited/cgroup.max.descendants") == "3"


@huge_pages
@pytest.mark.pyrun_only("runc 1.1.5 writes all lines at once")
def test_unified_line_by_line(make_container: MakeContainer) -> None:
    unified = {"hugetlb.2MB.max": f"{8 * MEBIBYTE}\n\n{6 * MEBIBYTE}\n"}
    make_container(limited({"unified": unified})).created()
    assert value("limited/hugetlb.2MB.max") == str(6 * MEBIBYTE)


@huge_pages
@pytest.mark.pyrun_only("runc 1.1.5 does not know limits of reservations")
def test_limit_that_is_lifted_in_a_cgroup_that_was_used_before(make_container: MakeContainer) -> None:
    os.mkdir(f"{CGROUPS}/limited")
    try:
        make_container(limited(LIMIT)).created().delete("--force").succeeded()
        assert value("limited/hugetlb.2MB.max") == str(4 * MEBIBYTE)
        unlimited = {"hugepageLimits": [{"pageSize": "2MB", "limit": 2**64 - 1}]}
        make_container(limited(unlimited)).created().delete("--force").succeeded()
        assert value("limited/hugetlb.2MB.max") == value("limited/hugetlb.2MB.rsvd.max") == "max"
    finally:
        os.rmdir(f"{CGROUPS}/limited")


REFUSED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    (
        {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]},
        ("/linux/resources/hugepageLimits/0/limit", "hugetlb.3MB.max", "no such file", "/sys/kernel/mm/hugepages"),
    ),
    (
        {"unified": {"hugetlb.2MB.max": "many"}},
        ("/linux/resources/unified/hugetlb.2MB.max", '"many"', "invalid argument"),
    ),
    (
        {"unified": {"hugetlb.2MB.max": "max\nmany"}},
        ("/linux/resources/unified/hugetlb.2MB.max", '"many"', "invalid argument"),
    ),
    (
        {"unified": {"hugetlb.2MB.limit_in_bytes": "0"}},
        ("/linux/resources/unified/hugetlb.2MB.limit_in_bytes", "no such file"),
    ),
    (
        {"unified": {"cgroup.max.depth": "-1"}},
        ("/linux/resources/unified/cgroup.max.depth", "numerical result out of range"),
    ),
    ({"unified": {"cgroup.unknown": "1"}}, ("/linux/resources/unified/cgroup.unknown", "no such file")),
    ({"unified": {"cgroup.max.descendants": "9" * 5000}}, ("/linux/resources/unified/cgroup.max.descendants",)),
    ({"unified": {"../hugetlb.2MB.max": "0"}}, ("/linux/resources/unified/..~1hugetlb.2MB.max", "a file")),
    ({"unified": {"cgroup.procs": "1"}}, ("/linux/resources/unified/cgroup.procs", "remove it")),
]


@huge_pages
@pytest.mark.pyrun_only("runc 1.1.5 names neither property nor remedy, and leaves cgroups behind")
@pytest.mark.parametrize(
    ("resources", "words"), REFUSED, ids=[words[0].removeprefix("/linux/") for _, words in REFUSED]
)
def test_refused(make_container: MakeContainer, resources: dict[str, Any], words: tuple[str, ...]) -> None:
    container = make_container(limited(resources, path="/above/own"))
    line = container.create().failed(*words)
    assert len(line) < 500
    assert not os.path.exists(f"{CGROUPS}/above")
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 names neither property nor remedy")
@pytest.mark.parametrize("controller", OTHERS)
def test_controller_that_is_not_there(make_container: MakeContainer, controller: str) -> None:
    container = make_container(limited(OTHERS[controller]))
    if controller in controllers():
        pytest.skip(f"cgroup v2 has the controller {controller} here")
    container.create().failed("/linux/resources/", f"{controller}.", f"controller {controller}", "remove the limit")
    assert not os.path.exists(f"{CGROUPS}/limited")
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 ignores what only cgroup v1 can do")
@pytest.mark.parametrize(
    ("resources", "pointer"),
    [
        ({"memory": {"disableOOMKiller": True}}, "memory/disableOOMKiller"),
        ({"cpu": {"realtimeRuntime": 950000, "realtimePeriod": 1000000}}, "cpu/realtimeRuntime"),
        ({"blockIO": {"leafWeight": 10}}, "blockIO/leafWeight"),
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 10}]}},
            "blockIO/weightDevice/0/leafWeight",
        ),
        ({"network": {"classID": 1048577}}, "network/classID"),
        ({"network": {"priorities": [{"name": "lo", "priority": 5}]}}, "network/priorities/0/priority"),
    ],
    ids=str,
)
def test_what_only_version_1_can_do(make_container: MakeContainer, resources: dict[str, Any], pointer: str) -> None:
    make_container(limited(resources)).create().failed(f"/linux/resources/{pointer}", "cgroup v2", "remove it")


@pytest.mark.pyrun_only("runc 1.1.5 writes what lifts a limit too, into files that are not there")
def test_what_limits_nothing_needs_no_controller(make_container: MakeContainer) -> None:
    resources = {
        "memory": {"limit": -1, "swap": -1, "reservation": -1, "kernel": -1, "kernelTCP": -1, "swappiness": 0},
        "cpu": {"shares": 0, "quota": -1, "period": 100000, "burst": 0, "idle": 0, "realtimeRuntime": 0, "cpus": ""},
        "pids": {"limit": -1},
        "blockIO": {"weight": 0, "leafWeight": 0, "throttleReadBpsDevice": []},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 2**64 - 1}],
        "network": {"classID": 0, "priorities": [{"name": "lo", "priority": 0}]},
        "rdma": {},
        "unified": {},
    }
    container = make_container(limited(resources)).created()
    assert container.status == "created"


@huge_pages
@pytest.mark.pyrun_only("runc 1.1.5 says that the file is not there")
def test_parent_with_processes_of_its_own(make_container: MakeContainer) -> None:
    os.mkdir(f"{CGROUPS}/busy")
    words = ["sh", "-c", f'echo 0 >"{CGROUPS}/busy/cgroup.procs" && echo in && exec sleep 1000']
    with subprocess.Popen(words, stdout=subprocess.PIPE) as occupant:
        assert occupant.stdout is not None and occupant.stdout.readline() == b"in\n"
        try:
            make_container(limited(LIMIT, path="/busy/own")).create().failed(
                "/linux/resources/hugepageLimits/0/limit",
                "hugetlb.2MB.max",
                f"cgroup {CGROUPS}/busy does not pass on: it has processes of its own",
                "choose another linux.cgroupsPath",
            )
            assert not os.path.exists(f"{CGROUPS}/busy/own")
            # Without a limit it does not matter.
            container = make_container(limited({}, path="/busy/own")).created()
            assert value("busy/own/cgroup.controllers") == ""
            container.delete("--force").succeeded()
        finally:
            occupant.kill()
    os.rmdir(f"{CGROUPS}/busy")


@pytest.fixture
def delegated(users_runtime: UsersRuntime, case: str) -> Iterator[UsersRuntime]:
    """The runtime in a cgroup that belongs to the user, without controllers."""
    if "hugetlb" in value("cgroup.subtree_control").split():
        with open(f"{CGROUPS}/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write("-hugetlb")
    before = delegated_cgroup(f"{CGROUPS}/delegated", USER)
    inside = UsersRuntime(runtime_under_test(), case, USER, before=before)
    yield inside
    for container in inside.containers:
        if container.exists():
            container.delete("--force").succeeded()
    os.rmdir(f"{CGROUPS}/delegated/leaf")
    os.rmdir(f"{CGROUPS}/delegated")


@huge_pages
def test_controller_that_is_delegated_to_a_user(
    make_users_container: MakeUsersContainer, delegated: UsersRuntime
) -> None:
    with open(f"{CGROUPS}/cgroup.subtree_control", "w", encoding="ascii") as file:
        file.write("+hugetlb")
    container = delegated.container("limited", make_users_container("/bin/sleep", "1000").bundle)
    container.bundle.config["linux"]["resources"] = LIMIT
    container.created()
    assert value("delegated/limited/hugetlb.2MB.max") == str(4 * MEBIBYTE)


@huge_pages
@pytest.mark.pyrun_only("runc has only the words of an engine's developer")
def test_controller_that_is_not_delegated_to_a_user(
    make_users_container: MakeUsersContainer, delegated: UsersRuntime
) -> None:
    container = delegated.container("limited", make_users_container("/bin/sleep", "1000").bundle)
    container.bundle.config["linux"]["resources"] = LIMIT
    container.create().failed("/linux/resources/hugepageLimits/0/limit", "hugetlb.2MB.max", "is not yours")
    assert not os.path.exists(f"{CGROUPS}/delegated/limited")


@huge_pages
@pytest.mark.pyrun_only("runc has only the words of an engine's developer")
def test_limit_for_a_user_without_a_cgroup(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["linux"]["resources"] = LIMIT
    container.create().failed("/linux/resources/hugepageLimits/0/limit", "delegated to you")
    assert users_runtime.remains() == []


@huge_pages
@pytest.mark.pyrun_only("the plan is pyrun's own")
def test_limits_are_set_before_anything_of_the_container_exists(make_container: MakeContainer) -> None:
    container = make_container(limited(LIMIT))
    container.bundle.seal()
    plan = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "pyrun"), "plan", container.bundle.path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    operations = [line.split()[0] for line in plan.splitlines() if line.startswith("  ")]
    writes = [index for index, name in enumerate(operations) if name == "write_cgroup_file"]
    assert len(writes) == 2
    assert operations.index("make_cgroup") < min(writes) and max(writes) < operations.index("clone_init")
