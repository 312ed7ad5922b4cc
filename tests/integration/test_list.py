# SPDX-License-Identifier: Apache-2.0
"""The verb `list`: as a table, as JSON, and ids alone."""

from __future__ import annotations

import json
import os

import pytest

from support import configs
from support.runtime import MakeContainer, Runtime

HEADINGS = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]


def test_nothing(runtime: Runtime) -> None:
    assert runtime.call("list").succeeded().output.split() == HEADINGS
    assert runtime.call("list", "-q").succeeded().output == ""
    assert runtime.call("list", "--format", "json").succeeded().output.strip() == "null"


def test_missing_state_root(runtime: Runtime) -> None:
    os.rmdir(str(runtime.root))
    assert runtime.call("list").succeeded().output.split() == HEADINGS
    assert runtime.call("list", "-q").succeeded().output == ""
    os.makedirs(str(runtime.root), 0o700, exist_ok=True)


def test_table(make_container: MakeContainer) -> None:
    first = make_container(configs.default("/bin/sleep", "1000"), "first").started()
    second = make_container(container_id="second-one").created()
    third = make_container(container_id="third_one").started()
    third.wait_for_end()
    heading, *lines = first.runtime.call("list").succeeded().output.splitlines()
    assert heading.split() == HEADINGS
    rows = [line.split() for line in lines]
    for row, container in zip(rows, (first, second, third), strict=True):
        state = container.state()
        assert row == [
            container.id,
            str(state["pid"]),
            state["status"],
            state["bundle"],
            state["created"],
            "root",
        ]
    # Columns begin where their headings do.
    for line in lines:
        assert line[heading.index("STATUS") - 1] == " " and line[heading.index("STATUS")] != " "


@pytest.mark.parametrize("option", ["--format", "-f"])
def test_json(make_container: MakeContainer, option: str) -> None:
    config = configs.default()
    config["annotations"] = {"key": "value"}
    containers = [make_container(config, "one").created(), make_container(container_id="two").created()]
    listed = json.loads(containers[0].runtime.call("list", option, "json").succeeded().output)
    assert listed == [{**container.state(), "owner": "root"} for container in containers]


@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_ids_alone(make_container: MakeContainer, option: str) -> None:
    containers = [make_container(container_id=name).created() for name in ("b", "a", "c")]
    assert containers[0].runtime.call("list", option).succeeded().output == "a\nb\nc\n"


def test_unknown_format(runtime: Runtime) -> None:
    runtime.call("list", "-f", "yaml").failed()
