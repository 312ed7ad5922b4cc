# SPDX-License-Identifier: Apache-2.0
"""Which modules exec loads with the options that engines use: none of those that the hot path can't afford."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.test_hot_path import EXEC, FORBIDDEN, OWN, SPECIFICATION, load
from support.execs import process_file
from support.runtime import Container

__all__ = ["load"]  # a fixture

pytestmark = pytest.mark.pyrun_only("modules of Python")

# What finds out whether a user namespace maps an id, and whether a process file is good.
CHECKS = SPECIFICATION | {"pyrun_spec.process_file"}


@pytest.mark.parametrize(
    "options",
    [
        ["--env", "A=1", "--cwd", "/tmp", "--no-new-privs", "--cap", "CAP_CHOWN"],
        ["--user", "1:2", "--additional-gids", "3"],
        ["--process", "{process_file}"],
        ["--cgroup", "/", "--ignore-paused"],
    ],
)
def test_modules(load: Callable[..., set[str]], sleeper: Container, scratch: str, options: list[str]) -> None:
    path = process_file(scratch, "true")
    modules = load("exec", *[word.format(process_file=path) for word in options], sleeper.id, "true")
    assert not sorted(name for name in modules if name.partition(".")[0] in FORBIDDEN)
    own = {name for name in modules if name.partition(".")[0] in ("pyrun", "pyrun_spec", "pyrun_cgroups")}
    assert own <= EXEC | OWN["exec"] | CHECKS
