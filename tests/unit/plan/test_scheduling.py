# SPDX-License-Identifier: Apache-2.0
"""Scheduling, memory policy and personality in a plan: who sets them, and when."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun.errors import PyrunError
from pyrun.plan import Problems
from pyrun.plan.describe import as_text
from pyrun.plan.exec import compile_exec
from pyrun.plan.number_lists import mask_of
from pyrun.plan.operations import Plan
from pyrun.plan.process import BITS

from .configs import arguments_of, compile_for_test, minimal_config, names_of, request_for_test

FIFO = {"policy": "SCHED_FIFO", "priority": 9}
DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 2000, "deadline": 3000}
RESET = ["SCHED_FLAG_RESET_ON_FORK"]
NICE = BITS["CAP_SYS_NICE"]


def config_with(process: dict[str, Any], **linux: Any) -> dict[str, Any]:
    config = minimal_config()
    config["process"] |= process
    config["linux"] |= linux
    return config


def in_user_namespace(config: dict[str, Any]) -> dict[str, Any]:
    mappings = [{"containerID": 0, "hostID": 1000, "size": 10}]
    config["linux"] |= {"uidMappings": mappings, "gidMappings": mappings}
    config["linux"]["namespaces"].append({"type": "user"})
    return config


def exec_plan(config: dict[str, Any]) -> Plan:
    problems = Problems()
    plan = compile_exec(config, request_for_test(), problems, cgroup="/box", replaceable=True)
    assert problems.found == []
    return plan


def places(plan: Plan, operation: str) -> list[int]:
    return [place for place, name in enumerate(names_of(plan)) if name == operation]


def permitted(plan: Plan) -> list[int]:
    return [int(str(each["permitted"])) & NICE for each in arguments_of(plan, "set_capabilities")]


def test_plain_plan_has_nothing_of_it() -> None:
    own = {"set_scheduler", "set_io_priority", "set_affinity", "set_memory_policy", "set_personality", "set_label"}
    assert own.isdisjoint(names_of(compile_for_test(minimal_config())))
    assert own.isdisjoint(names_of(exec_plan(minimal_config())))


def test_process_with_privileges_of_the_host_is_scheduled_last() -> None:
    """Behind the descent, with the one capability for it, which is gone when the process waits."""
    plan = compile_for_test(config_with({"scheduler": FIFO, "ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 1}}))
    names = names_of(plan)
    (scheduler,), (priority,) = places(plan, "set_scheduler"), places(plan, "set_io_priority")
    assert names.index("set_identity") < scheduler < priority < names.index("wait_at_gate")
    assert names[priority + 1] == "set_capabilities"
    assert permitted(plan) == [NICE, 0]


@pytest.mark.parametrize("of_exec", [False, True])
def test_process_without_them_inherits(of_exec: bool) -> None:
    config = in_user_namespace(config_with({"scheduler": {**FIFO, "flags": RESET}}))
    plan = exec_plan(config) if of_exec else compile_for_test(config)
    clone = names_of(plan).index("clone_entrant" if of_exec else "clone_init")
    before, after = places(plan, "set_scheduler")
    assert before < clone < after
    assert [each["flags"] for each in arguments_of(plan, "set_scheduler")] == [0, 1]
    assert permitted(plan) == [0]


def test_what_takes_no_privilege_is_not_inherited() -> None:
    """The container is not made when nothing else runs."""
    config = in_user_namespace(
        config_with(
            {"scheduler": {"policy": "SCHED_IDLE"}, "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}}
        )
    )
    plan = compile_for_test(config)
    clone = names_of(plan).index("clone_init")
    assert min(places(plan, "set_scheduler") + places(plan, "set_io_priority")) > clone


def test_deadline_of_exec_comes_behind_the_last_clone() -> None:
    plan = exec_plan(config_with({"scheduler": DEADLINE}))
    (place,) = places(plan, "set_scheduler")
    assert names_of(plan).index("go_on_inside") < place < names_of(plan).index("await_go")
    assert permitted(plan) == [NICE, 0]


@pytest.mark.parametrize(("flags", "refused"), [([], True), (RESET, False)])
def test_deadline_and_start_hooks(flags: list[str], refused: bool) -> None:
    config = config_with({"scheduler": {**DEADLINE, "flags": flags}})
    config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    if refused:
        with pytest.raises(PyrunError) as caught:
            compile_for_test(config)
        assert caught.value.pointer == "/process/scheduler/policy"
    else:
        compile_for_test(config)


def test_processors_of_exec() -> None:
    """The first ones outside of the container's cgroup, the last ones in it."""
    plan = exec_plan(config_with({"execCPUAffinity": {"initial": "1", "final": "0-2,70"}}))
    before, after = places(plan, "set_affinity")
    assert before < names_of(plan).index("clone_entrant") < after
    assert places(plan, "reset_affinity") == []
    masks = [each["processors"] for each in arguments_of(plan, "set_affinity")]
    assert masks == [b"\2" + bytes(7), b"\7" + bytes(7) + b"\x40" + bytes(7)]


def test_processors_of_exec_without_the_last_ones() -> None:
    plan = exec_plan(config_with({"execCPUAffinity": {"initial": "1", "final": " ,"}}))
    assert len(places(plan, "set_affinity")) == len(places(plan, "reset_affinity")) == 1


def test_processors_say_nothing_about_the_first_process() -> None:
    assert places(compile_for_test(config_with({"execCPUAffinity": {"final": "1"}})), "set_affinity") == []


def test_masks() -> None:
    assert mask_of("") == mask_of(" , ") == b""
    assert mask_of("63") == bytes(7) + b"\x80"
    assert len(mask_of("64")) == 16
    assert len(mask_of("0-8191")) == 1024


def test_plan_for_people() -> None:
    config = config_with(
        {"scheduler": {"policy": "SCHED_OTHER", "nice": -3, "flags": RESET}},
        memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
        personality={"domain": "LINUX32"},
    )
    text = as_text(compile_for_test(config))
    assert "policy=SCHED_OTHER flags=SCHED_FLAG_RESET_ON_FORK nice=-3" in text
    assert "mode=MPOL_BIND|MPOL_F_STATIC_NODES" in text
    assert "persona=LINUX32" in text


def test_stages_of_operations_of_several() -> None:
    """What the outer stage can do stands under the init when the init does it."""
    lines = as_text(compile_for_test(config_with({"scheduler": FIFO}))).splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert headings == ["outer stage", "init", "start"]


def test_personality_with_a_flag() -> None:
    with pytest.raises(PyrunError) as caught:
        compile_for_test(config_with({}, personality={"domain": "LINUX", "flags": ["X"]}))
    assert caught.value.pointer == "/linux/personality/flags"


def test_unknown_capability() -> None:
    sets = {"bounding": ["CAP_KILL", "CAP_NEW"], "permitted": ["CAP_NEW", "CAP_OTHER"]}
    plan = compile_for_test(config_with({"capabilities": sets}))
    assert arguments_of(plan, "limit_bounding_set") == [{"kept": BITS["CAP_KILL"]}]
    (warning,) = arguments_of(plan, "log_warning")
    assert str(warning["words"]).startswith("CAP_NEW, CAP_OTHER: ")
