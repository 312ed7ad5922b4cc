# SPDX-License-Identifier: Apache-2.0
"""linux.resources.unified: any file, line by line, but none outside of the cgroup."""

from __future__ import annotations

import pytest

from pyrun_cgroups.unified import writes
from pyrun_cgroups.writes import LimitError, Write


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("memory.high", "1G", ["1G"]),
        ("memory.max", "max", ["max"]),
        ("memory.low", "5\n", ["5"]),
        ("cpuset.cpus", "", ["\n"]),
        ("cpuset.mems", "\n", ["\n"]),
        ("io.max", "8:0 rbps=1\n8:16 wbps=2\n", ["8:0 rbps=1", "8:16 wbps=2"]),
        ("io.max", "8:0 rbps=1\n\n8:16 wbps=2", ["8:0 rbps=1", "8:16 wbps=2"]),
        ("hugetlb.1GB.max", "1073741824", ["1073741824"]),
        ("misc.max", "sev 5", ["sev 5"]),
        ("cgroup.max.descendants", "10", ["10"]),
        ("unknown.file", "x", ["x"]),
        ("memory..", "1", ["1"]),
    ],
)
def test_lines(name: str, value: str, lines: list[str]) -> None:
    found = writes({name: value})
    assert found == [Write(f"/unified/{name}", name, line) for line in lines]
    assert found[0].controller == name.split(".")[0]


def test_order() -> None:
    assert [each.file for each in writes({"memory.max": "2", "memory.high": "1", "pids.max": "3"})] == [
        "memory.max",
        "memory.high",
        "pids.max",
    ]


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("", ""),
        (".", "."),
        ("..", ".."),
        (".max", ".max"),
        ("memory", "memory"),
        ("memory.", "memory."),
        ("../x/memory.max", "..~1x~1memory.max"),
        ("a~b/memory.max", "a~0b~1memory.max"),
        ("/memory.max", "~1memory.max"),
        ("sub/memory.max", "sub~1memory.max"),
        ("memory.max\0", "memory.max\0"),
        ("cgroup.procs", "cgroup.procs"),
        ("cgroup.threads", "cgroup.threads"),
        ("cgroup.kill", "cgroup.kill"),
        ("cgroup.freeze", "cgroup.freeze"),
        ("cgroup.type", "cgroup.type"),
        ("cgroup.subtree_control", "cgroup.subtree_control"),
    ],
)
def test_names(name: str, token: str) -> None:
    with pytest.raises(LimitError) as caught:
        writes({"memory.max": "1", name: "1"})
    assert caught.value.pointer == f"/unified/{token}"


def test_value_that_no_file_takes() -> None:
    with pytest.raises(LimitError, match="NUL"):
        writes({"memory.max": "1\x002"})
