# SPDX-License-Identifier: Apache-2.0
"""linux.resources in the plan: the cgroup, its limits, its devices; and limits for which there is no cgroup."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun.caller import Caller
from pyrun.errors import PyrunError
from pyrun.plan import Request
from pyrun.plan.create import find_problems

from .configs import BUNDLE, arguments_of, compile_for_test, minimal_config, names_of

CONTROLLERS = ["cpu", "io", "memory"]


def config_with(resources: dict[str, Any]) -> dict[str, Any]:
    config = minimal_config()
    config["linux"]["resources"] = resources
    return config


def test_every_controller_is_passed_down() -> None:
    (made,) = arguments_of(compile_for_test(minimal_config(), cgroup_controllers=CONTROLLERS), "make_cgroup")
    assert made["controllers"] == CONTROLLERS


def test_limits_are_set_between_the_cgroup_and_the_first_process() -> None:
    config = config_with({"memory": {"limit": 4096}, "blockIO": {"weight": 100}})
    plan = compile_for_test(config, cgroup_controllers=CONTROLLERS)
    assert arguments_of(plan, "write_cgroup_file") == [
        {"files": ["memory.max"], "values": ["4096"], "optional": 0},
        {"files": ["io.bfq.weight", "io.weight"], "values": ["100", "910"], "optional": 0},
    ]
    pointers = [pointer for name, pointer, _ in plan.operations if name == "write_cgroup_file"]
    assert pointers == ["/linux/resources/memory/limit", "/linux/resources/blockIO/weight"]
    names = names_of(plan)
    assert names.index("make_cgroup") < names.index("write_cgroup_file") < names.index("clone_init")


def test_what_lifts_a_limit_is_written_where_there_is_one() -> None:
    config = config_with({"memory": {"limit": -1}, "pids": {"limit": -1}})
    written = arguments_of(compile_for_test(config, cgroup_controllers=CONTROLLERS), "write_cgroup_file")
    assert [(each["files"], each["optional"]) for each in written] == [(["memory.swap.max"], 1), (["memory.max"], 1)]
    assert "write_cgroup_file" not in names_of(compile_for_test(config))


@pytest.mark.parametrize("version", ["1.3.0", "1.10.0"])
def test_no_tasks_is_a_limit_since_version_1_3(version: str) -> None:
    """A limit of 1 is set when the init is born, because the outer stage may have to be there until then."""
    config = {**config_with({"pids": {"limit": 0}}), "ociVersion": version}
    plan = compile_for_test(config, cgroup_controllers=["pids"])
    (written,) = arguments_of(plan, "write_cgroup_file")
    assert written["values"] == ["max"]
    assert [each["value"] for each in arguments_of(plan, "limit_at_birth")] == ["1"]


@pytest.mark.parametrize("version", ["1.0.2-dev", "1.2.1"])
def test_no_tasks_asks_for_nothing_before_version_1_3(version: str) -> None:
    config = {**config_with({"pids": {"limit": 0}}), "ociVersion": version}
    plan = compile_for_test(config, cgroup_controllers=["pids"])
    assert {"write_cgroup_file", "limit_at_birth"}.isdisjoint(names_of(plan))


@pytest.mark.parametrize(
    ("unified", "before", "at_birth"),
    [("max", "max", []), ("5", "5", []), ("1", "max", ["1"]), ("5\n1", "max", ["1"])],
)
def test_last_limit_of_processes_counts(unified: str, before: str, at_birth: list[str]) -> None:
    config = config_with({"pids": {"limit": 7}, "unified": {"pids.max": unified}})
    plan = compile_for_test(config, cgroup_controllers=["pids"])
    assert arguments_of(plan, "write_cgroup_file")[-1]["values"] == [before]
    assert [each["value"] for each in arguments_of(plan, "limit_at_birth")] == at_birth


def test_files_that_every_cgroup_has_need_no_controller() -> None:
    config = config_with({"unified": {"cgroup.max.depth": "1"}})
    assert len(arguments_of(compile_for_test(config), "write_cgroup_file")) == 1


@pytest.mark.parametrize(
    ("resources", "pointer", "controller"),
    [
        ({"pids": {"limit": 5}}, "/pids/limit", "pids"),
        ({"unified": {"pids.max": "max"}}, "/unified/pids.max", "pids"),
        ({"cpu": {"shares": 5, "cpus": "0"}}, "/cpu/cpus", "cpuset"),
    ],
    ids=str,
)
def test_limit_without_its_controller(resources: dict[str, Any], pointer: str, controller: str) -> None:
    words = f"needs controller {controller}, which cgroup v2 does not have here, as .*: remove the limit"
    with pytest.raises(PyrunError, match=words) as caught:
        compile_for_test(config_with(resources), cgroup_controllers=CONTROLLERS)
    assert caught.value.pointer == f"/linux/resources{pointer}"


def test_limits_without_a_cgroup() -> None:
    resources = {"memory": {"limit": 4096, "swap": -1}, "cpu": {"shares": 5}, "pids": {"limit": -1}}
    config = config_with(resources)
    caller = Caller(1000, 1000, is_host_root=False)
    request = Request("box", BUNDLE, cgroup_mount="/sys/fs/cgroup", caller=caller, cgroup_denied=True)
    problems = find_problems(config, request)
    assert [pointer for pointer, _ in problems] == ["/linux/resources/memory/limit", "/linux/resources/cpu/shares"]
    assert all("gets none of its own" in message for _, message in problems)


def test_limits_without_a_mount() -> None:
    problems = find_problems(config_with({"memory": {"limit": 4096}}), Request("box", BUNDLE))
    assert [pointer for pointer, _ in problems] == ["/linux/resources/memory/limit", "/linux/cgroupsPath"]


def test_every_problem_is_found() -> None:
    resources = {
        "memory": {"swap": 4096},
        "pids": {"limit": 1},
        "network": {"classID": 1},
        "devices": [{"allow": True}],
    }
    request = Request("box", BUNDLE, cgroup_mount="/sys/fs/cgroup")
    config = config_with(resources)
    config["linux"]["cgroupsPath"] = "/"
    assert [pointer for pointer, _ in find_problems(config, request)] == [
        "/linux/resources/memory/swap",
        "/linux/resources/network/classID",
        "/linux/cgroupsPath",
    ]
