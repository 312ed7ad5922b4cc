# SPDX-License-Identifier: Apache-2.0
"""hooks of config.json in the plan: their place in it, and what they are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrun.plan.describe import as_json, as_text
from pyrun.plan.operations import Plan

from .configs import arguments_of, compile_for_test, minimal_config, names_of

PLAIN = {"path": "/bin/hook"}


def plan_with(**hooks: list[dict[str, Any]]) -> Plan:
    return compile_for_test(minimal_config(hooks=hooks))


def without_hooks() -> list[str]:
    return names_of(compile_for_test(minimal_config()))


@pytest.mark.parametrize("hooks", [None, {}, {"prestart": []}, {"poststart": [PLAIN], "poststop": [PLAIN]}])
def test_nothing_for_pyrun_init(hooks: dict[str, Any] | None) -> None:
    assert names_of(compile_for_test(minimal_config(hooks=hooks))) == without_hooks()


@pytest.mark.parametrize("kind", ["prestart", "createRuntime"])
def test_halt_for_hooks_of_the_runtime(kind: str) -> None:
    names = names_of(plan_with(**{kind: [PLAIN, PLAIN]}))
    assert names.count("await_runtime_hooks") == 1
    assert names.index("await_runtime_hooks") == names.index("pivot_to_root") - 1


def test_create_container_hooks_follow_those_of_the_runtime() -> None:
    names = names_of(plan_with(createContainer=[PLAIN, PLAIN], prestart=[PLAIN]))
    pivot = names.index("pivot_to_root")
    assert names[pivot - 3 : pivot] == ["await_runtime_hooks", "run_hook", "run_hook"]


def test_hooks_come_after_the_mounts() -> None:
    names = names_of(plan_with(createContainer=[PLAIN]))
    last = max(number for number, name in enumerate(names) if name in ("mount_filesystem", "make_device"))
    assert names.index("run_hook") > last


def test_start_container_hooks_have_no_more_privileges_than_the_program() -> None:
    names = names_of(plan_with(startContainer=[PLAIN]))
    assert names.index("set_capabilities") < names.index("run_hook") < names.index("execute_program")
    assert names.index("wait_at_gate") < names.index("run_hook")


def test_arguments() -> None:
    hook = {"path": "/bin/hook", "args": ["zero", "one"], "env": ["A=b"], "timeout": 7}
    (arguments,) = arguments_of(plan_with(createContainer=[hook]), "run_hook")
    assert [arguments[name] for name in ("path", "args", "env", "home", "timeout")] == [
        "/bin/hook",
        ["zero", "one"],
        ["A=b"],
        0,
        7,
    ]


@pytest.mark.parametrize("args", [None, []])
def test_path_is_the_first_argument_when_there_is_none(args: list[str] | None) -> None:
    (arguments,) = arguments_of(plan_with(startContainer=[{**PLAIN, "args": args}]), "run_hook")
    assert arguments["args"] == ["/bin/hook"]
    assert arguments["timeout"] == 0


@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_environment_of_the_process(kind: str) -> None:
    config = minimal_config(hooks={kind: [PLAIN]})
    config["process"]["env"] = ["A=1", "HOME=", "A=2"]
    (arguments,) = arguments_of(compile_for_test(config), "run_hook")
    # To a program of the host the image's environment would be a way in (CVE-2025-23266).
    assert arguments["env"] == (["A=2"] if kind == "startContainer" else [])
    # Where HOME is cannot be known before the root is the container's.
    assert arguments["home"] == (kind == "startContainer")


def test_empty_environment_is_none_of_the_processs() -> None:
    (arguments,) = arguments_of(plan_with(startContainer=[{**PLAIN, "env": []}]), "run_hook")
    assert (arguments["env"], arguments["home"]) == ([], 0)


@pytest.mark.parametrize(("kind", "status"), [("createContainer", "creating"), ("startContainer", "created")])
def test_state_around_the_pid(kind: str, status: str) -> None:
    annotations = {'"pid":': '"pid":1, \u00e4 "', "other": ""}
    config = minimal_config(hooks={kind: [PLAIN]}, annotations=annotations)
    (arguments,) = arguments_of(compile_for_test(config), "run_hook")
    state = json.loads(str(arguments["before_pid"]) + "123" + str(arguments["after_pid"]))
    assert (state["status"], state["pid"], state["annotations"]) == (status, 123, annotations)


def test_each_knows_its_place_in_the_config() -> None:
    plan = plan_with(createContainer=[PLAIN, PLAIN], startContainer=[PLAIN])
    pointers = [pointer for name, pointer, _ in plan.operations if name == "run_hook"]
    assert pointers == ["/hooks/createContainer/0", "/hooks/createContainer/1", "/hooks/startContainer/0"]


def test_description() -> None:
    plan = plan_with(createContainer=[{**PLAIN, "timeout": 5}], startContainer=[PLAIN])
    lines = as_text(plan).splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert headings == ["outer stage", "init", "start"]
    first, second = (number for number, line in enumerate(lines) if line.startswith("  run_hook"))
    assert first < lines.index("start") < second
    assert "timeout=5s" in lines[first]
    stages = [each["stage"] for each in json.loads(as_json(plan)) if each["operation"] == "run_hook"]
    assert stages == ["init", "start"]
