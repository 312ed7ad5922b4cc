# SPDX-License-Identifier: Apache-2.0
"""What the verb `state` says: keys and types as runc's, which engines parse."""

from __future__ import annotations

import json
import os
import re

import pytest

from support import configs
from support.runtime import MakeBundle, MakeContainer, Runtime

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def test_keys_types_and_values(make_container: MakeContainer) -> None:
    container = make_container().created()
    state = container.state()
    assert list(state) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]
    assert re.fullmatch(r"1\.\d+\.\d+(-[a-z0-9.]+)?", state["ociVersion"])
    assert state["id"] == container.id
    assert type(state["pid"]) is int and os.path.exists(f"/proc/{state['pid']}")
    assert state["status"] == "created"
    assert state["bundle"] == container.bundle.path
    assert state["rootfs"] == container.bundle.rootfs
    assert TIME.fullmatch(state["created"])
    assert state["owner"] == ""


def test_annotations_are_shown(make_container: MakeContainer) -> None:
    config = configs.default()
    config["annotations"] = {"org.example.key": "value", "ünï": 'cödé \U0001f600 " \\ \n'}
    state = make_container(config).created().state()
    assert state["annotations"] == config["annotations"]


def test_stopped_container_has_pid_zero(make_container: MakeContainer) -> None:
    container = make_container().created()
    created = container.state()
    container.start().succeeded()
    container.wait_for_end()
    stopped = container.state()
    assert stopped.pop("status") == "stopped" and stopped.pop("pid") == 0
    assert created.pop("status") == "created" and created.pop("pid") != 0
    assert stopped == created


def test_layout_of_the_text(make_container: MakeContainer) -> None:
    container = make_container().created()
    text = container.runtime.call("state", container.id).succeeded().output
    assert text.rstrip("\n") == json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def test_keys_are_those_of_runc(make_container: MakeContainer, case: str, make_bundle: MakeBundle) -> None:
    config = configs.default()
    config["annotations"] = {"a": "b"}
    ours = make_container(config).created().state()
    control = Runtime("/usr/sbin/runc", case)
    container = control.container("control", make_bundle(config)).created()
    theirs = container.state()
    container.delete("--force").succeeded()
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in theirs.items()}


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete"])
def test_unknown_container(runtime: Runtime, verb: str) -> None:
    runtime.call(verb, "missing").failed("container does not exist")
