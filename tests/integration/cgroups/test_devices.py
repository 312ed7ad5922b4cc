# SPDX-License-Identifier: Apache-2.0
"""Device filters in the kernel: its verifier takes them, and processes can do what the rules say."""

from __future__ import annotations

import errno
import os
import random
import stat
from typing import Any

import pytest

from integration.cgroups.bpf import attach_device_program, load_device_program
from integration.cgroups.conftest import Act
from pyrun_cgroups import control
from pyrun_cgroups.devices import DEFAULT_RULES, device_filter

Rule = dict[str, Any]

MODES = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}
DENY_ALL: Rule = {"allow": False, "access": "rwm"}


def is_granted(directory: str, kind: str, major: int, minor: int, access: str) -> bool:
    """Tries a request; whatever else than EPERM a driver says to it, the filter has let it pass."""
    path = os.path.join(directory, f"{kind}{major}-{minor}")
    try:
        if access == "m":
            os.mknod(
                path + "-new",
                (stat.S_IFBLK if kind == "b" else stat.S_IFCHR) | 0o600,
                os.makedev(major, minor),
            )
            os.unlink(path + "-new")
        else:
            os.close(os.open(path, MODES[access] | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as error:
        return error.errno != errno.EPERM
    return True


def granted_in_cgroup(cgroup: str, rules: list[Rule], directory: str, requests: list[str]) -> list[str]:
    """Returns those of some requests (``c 1:3 rw``) that are granted in a new cgroup with these rules."""
    parsed = []
    for request in requests:
        kind, numbers, access = request.split()
        major, minor = map(int, numbers.split(":"))
        parsed.append((kind, major, minor, access))
        path = os.path.join(directory, f"{kind}{major}-{minor}")
        if not os.path.exists(path):
            os.mknod(path, (stat.S_IFBLK if kind == "b" else stat.S_IFCHR) | 0o600, os.makedev(major, minor))
    os.mkdir(cgroup)
    program = load_device_program(device_filter(rules))
    attach_device_program(program, cgroup)
    os.close(program)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with open(os.path.join(cgroup, "cgroup.procs"), "w", encoding="ascii") as members:
            members.write("0")
        for request, parts in zip(requests, parsed, strict=True):
            if is_granted(directory, *parts):
                os.write(writer, request.encode() + b"\n")
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="ascii") as output:
        result = output.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    control.remove(cgroup)
    return result


def test_default_rules_let_the_usual_devices_work(act: Act, scratch: str) -> None:
    granted = [
        "c 1:3 rw",
        "c 1:5 r",
        "c 1:7 w",
        "c 1:8 r",
        "c 1:9 r",
        "c 5:0 r",
        "c 10:200 rw",
        "c 1:1 m",
        "b 8:0 m",
    ]
    denied = ["c 1:1 r", "c 5:1 w", "c 10:229 rw", "b 8:0 r", "b 8:0 rw", "b 1:3 r"]

    def body(cgroup: str) -> None:
        assert granted_in_cgroup(cgroup, [DENY_ALL, *DEFAULT_RULES], scratch, granted + denied) == granted

    act(body)


def test_partial_rules(act: Act, scratch: str) -> None:
    rules: list[Rule] = [
        {"allow": True, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "wm"},
        {"allow": False, "type": "c", "major": 1, "minor": 5, "access": "r"},
    ]
    requests = [f"c 1:{minor} {access}" for minor in (3, 5, 7) for access in ("r", "w", "rw", "m")]

    def body(cgroup: str) -> None:
        assert granted_in_cgroup(cgroup, rules, scratch, requests) == [
            "c 1:3 r",
            "c 1:5 w",
            "c 1:5 m",
            "c 1:7 r",
            "c 1:7 w",
            "c 1:7 rw",
            "c 1:7 m",
        ]

    act(body)


def test_no_rules_deny_everything(act: Act, scratch: str) -> None:
    def body(cgroup: str) -> None:
        assert granted_in_cgroup(cgroup, [], scratch, ["c 1:3 r", "c 1:3 m", "b 7:0 w"]) == []

    act(body)


def rules_of_many_runs(count: int) -> list[Rule]:
    """The longest program: each rule has a run, a type, numbers and a part of its own."""
    return [
        {"allow": bool(i % 2), "type": "bc"[i % 2], "major": i, "minor": i, "access": "rwm"[i % 3]}
        for i in range(count)
    ]


def random_rules(count: int) -> list[Rule]:
    """Rules that overlap in all ways, half of them with wildcards."""
    source = random.Random(count)
    return [
        {
            "allow": source.random() < 0.5,
            "type": source.choice("abc"),
            "major": source.choice([-1, *range(40)]),
            "minor": source.choice([-1, *range(1000)]),
            "access": source.choice(["r", "w", "m", "rw", "rm", "rwm"]),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    "rules",
    [
        [DENY_ALL, *DEFAULT_RULES],
        [{"allow": True, "access": "rwm"}, *DEFAULT_RULES],
        rules_of_many_runs(2000),
        random_rules(30),
        random_rules(1000),
        [{"allow": True, "type": "c", "major": i, "access": "rwm"} for i in range(2000)],
        [{"allow": True, "type": "c", "major": i, "minor": i, "access": "rwm"} for i in range(2000)],
        [{"allow": True, "type": "c", "major": i, "minor": j, "access": "rw"} for i in range(500) for j in range(4)],
        [{"allow": False, "type": "c", "major": 1, "minor": i, "access": "w"} for i in range(1999)]
        + [{"allow": True, "type": "c", "major": 1, "access": "r"}],
    ],
    ids=[
        "default",
        "privileged",
        "runs",
        "random",
        "random-many",
        "majors",
        "pairs",
        "minors",
        "minor-denials",
    ],
)
def test_verifier_accepts(rules: list[Rule]) -> None:
    os.close(load_device_program(device_filter(rules)))
