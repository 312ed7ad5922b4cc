# SPDX-License-Identifier: Apache-2.0
"""Labels of AppArmor and SELinux in a plan, on hosts that have them and that have not."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun.errors import PyrunError
from pyrun.plan import Problems, labels
from pyrun.plan.exec import compile_exec
from pyrun.plan.operations import Plan

from .configs import arguments_of, compile_for_test, minimal_config, names_of, request_for_test

LABEL = "system_u:system_r:container_t:s0:c1,c2"


@pytest.fixture(params=[True, False], ids=["", "neither"])
def has_both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the host has both modules, or none."""
    monkeypatch.setattr(labels, "_has_apparmor", lambda: request.param)
    monkeypatch.setattr(labels, "_has_selinux", lambda: request.param)
    return bool(request.param)


def config_with(hooks: bool = False, **process: Any) -> dict[str, Any]:
    config = minimal_config()
    config["process"] |= process
    if hooks:
        hook = [{"path": "/bin/true"}]
        config["hooks"] = {"createContainer": hook, "startContainer": hook}
    return config


def labels_of(plan: Plan) -> list[tuple[object, object]]:
    return [(each["files"], each["label"]) for each in arguments_of(plan, "set_label")]


@pytest.mark.parametrize(
    ("process", "pointer", "expected"),
    [
        ({"apparmorProfile": "p"}, "/process/apparmorProfile", [(["apparmor/exec", "exec"], "exec p")]),
        ({"selinuxLabel": LABEL}, "/process/selinuxLabel", [(["exec"], LABEL)]),
    ],
    ids=["AppArmor", "SELinux"],
)
def test_label(has_both: bool, process: dict[str, Any], pointer: str, expected: list[tuple[object, object]]) -> None:
    """By a procfs that was opened before the image's root came in sight; not for hooks of the runtime's side."""
    config = config_with(hooks=True, **process)
    if not has_both:
        with pytest.raises(PyrunError) as caught:
            compile_for_test(config)
        assert caught.value.pointer == pointer
        return
    plan = compile_for_test(config, keyring=None)
    names = names_of(plan)
    assert labels_of(plan) == expected
    create_hook, start_hook = [place for place, name in enumerate(names) if name == "run_hook"]
    assert names.index("open_own_procfs") < names.index("pivot_to_root")
    assert create_hook < names.index("set_label") < names.index("wait_at_gate") < start_hook


def test_unconfined(has_both: bool) -> None:
    plan = compile_for_test(config_with(apparmorProfile="unconfined"))
    assert labels_of(plan) == ([(["apparmor/exec", "exec"], "exec unconfined")] if has_both else [])


def test_exec_is_labelled_where_the_container_has_no_say(has_both: bool) -> None:
    problems = Problems()
    config = config_with(apparmorProfile="p", selinuxLabel=LABEL)
    plan = compile_exec(config, request_for_test(keyring="k"), problems, cgroup="/box", replaceable=True)
    assert [pointer for pointer, _ in problems.found] == (
        [] if has_both else ["/process/apparmorProfile", "/process/selinuxLabel"]
    )
    names = names_of(plan)
    assert labels_of(plan) == (
        [(["keycreate"], LABEL), (["apparmor/exec", "exec"], "exec p"), (["exec"], LABEL)] if has_both else []
    )
    assert all(place < names.index("clone_entrant") for place, name in enumerate(names) if name == "set_label")


def test_keyring_gets_the_label_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where there is a new one."""
    monkeypatch.setattr(labels, "_has_selinux", lambda: True)
    plan = compile_for_test(config_with(selinuxLabel=LABEL), keyring="k")
    names = names_of(plan)
    assert labels_of(plan) == [(["keycreate"], LABEL), (["exec"], LABEL)]
    assert names.index("open_own_procfs") < names.index("set_label") < names.index("join_session_keyring")
