# SPDX-License-Identifier: Apache-2.0
"""linux.memoryPolicy, as get_mempolicy(2) shows it to the program; machines with one node are enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from support import attributes, configs
from support.attributes import Attributes
from support.configs import Config
from support.execs import process_file
from support.runtime import Container, MakeBundle, Runtime

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 is older than this property")

Observe = Callable[[Config], Attributes]

# Each with the mode that the kernel has then: an empty MPOL_PREFERRED is MPOL_LOCAL (set_mempolicy(2)).
MODES: list[tuple[dict[str, Any], int, list[str]]] = [
    ({"mode": "MPOL_DEFAULT"}, 0, []),
    ({"mode": "MPOL_DEFAULT", "nodes": ""}, 0, []),
    ({"mode": "MPOL_PREFERRED", "nodes": "0"}, 1, ["0"]),
    ({"mode": "MPOL_PREFERRED", "nodes": ""}, 4, []),
    ({"mode": "MPOL_BIND", "nodes": "0"}, 2, ["0"]),
    ({"mode": "MPOL_BIND", "nodes": "0-0,0, 0"}, 2, ["0"]),
    ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, 3, ["0"]),
    ({"mode": "MPOL_LOCAL"}, 4, []),
    ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, 5, ["0"]),
]
STATIC, RELATIVE, BALANCING = 1 << 15, 1 << 14, 1 << 13
FLAGS = [
    ("MPOL_F_STATIC_NODES", STATIC),
    ("MPOL_F_RELATIVE_NODES", RELATIVE),
    ("MPOL_F_NUMA_BALANCING", BALANCING),
]


def with_policy(config: Config, policy: object) -> Config:
    config["linux"]["memoryPolicy"] = policy
    return config


@pytest.mark.parametrize(("policy", "mode", "nodes"), MODES, ids=lambda value: str(value))
def test_mode(observed: Observe, policy: dict[str, Any], mode: int, nodes: list[str]) -> None:
    found = observed(with_policy(attributes.default(), policy))
    assert (found["memory"], found["nodes"]) == ([str(mode)], nodes)


def test_weighted_interleave(runtime: Runtime, make_bundle: MakeBundle, attributes_program: str) -> None:
    """Linux has it since 6.9."""
    policy = {"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}
    bundle = make_bundle(with_policy(attributes.default(), policy))
    attributes.install(attributes_program, bundle)
    result = runtime.run("test", bundle)
    release = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])
    if release >= (6, 9):
        assert attributes.parse(result.succeeded().output)["memory"] == ["6"]
    else:
        result.failed("/linux/memoryPolicy: ", "invalid argument", "the kernel has no such mode")


@pytest.mark.parametrize(("flag", "bit"), FLAGS)
def test_flag(observed: Observe, flag: str, bit: int) -> None:
    policy = {"mode": "MPOL_BIND", "nodes": "0", "flags": [flag, flag]}
    assert observed(with_policy(attributes.default(), policy))["memory"] == [str(2 | bit)]


def test_memory_of_the_program_itself(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """execve(2) keeps the policy, so it holds for the program's own memory."""
    config = configs.default("/bin/head", "-n1", "/proc/self/numa_maps")
    policy = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    output = runtime.run("test", make_bundle(with_policy(config, policy))).succeeded().output
    assert output.split()[1] == "bind=static:0"


def test_user_namespace_and_seccomp(observed: Observe) -> None:
    """It takes no privilege, and no permission of the filter."""
    config = configs.with_user_namespace(with_policy(attributes.default(), {"mode": "MPOL_BIND", "nodes": "0"}))
    config["process"]["noNewPrivileges"] = False
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["set_mempolicy"], "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    assert observed(config)["memory"] == ["2"]


def test_exec(sleeper_with_attributes: Callable[[Config], Container], scratch: str) -> None:
    """It is the container's, so a process file has no say."""
    container = sleeper_with_attributes(with_policy(configs.default(), {"mode": "MPOL_INTERLEAVE", "nodes": "0"}))
    assert attributes.parse(container.exec(f"/{attributes.PATH}").succeeded().output)["memory"] == ["3"]
    options = ["--process", process_file(scratch, f"/{attributes.PATH}")]
    assert attributes.parse(container.exec(options=options).succeeded().output)["memory"] == ["3"]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"nodes": "0"}, ["/linux/memoryPolicy"]),
        ({"mode": "BIND", "nodes": "0"}, ["/linux/memoryPolicy/mode: "]),
        ({"mode": "MPOL_BIND"}, ["/linux/memoryPolicy"]),
        ({"mode": "MPOL_BIND", "nodes": 0}, ["/linux/memoryPolicy/nodes: "]),
        ({"mode": "MPOL_BIND", "nodes": "0-9876543210"}, ["/linux/memoryPolicy/nodes: "]),
        ({"mode": "MPOL_BIND", "nodes": "x"}, ["/linux/memoryPolicy/nodes: "]),
        ({"mode": "MPOL_DEFAULT", "nodes": "0"}, ["/linux/memoryPolicy/nodes: "]),
        ({"mode": "MPOL_LOCAL", "nodes": "0"}, ["/linux/memoryPolicy/nodes: "]),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["badflag"]}, ["/linux/memoryPolicy/flags/0: "]),
        (
            {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]},
            ["/linux/memoryPolicy/flags"],
        ),
        ({"mode": "MPOL_BIND", "nodes": "1000"}, ["/linux/memoryPolicy: ", "invalid argument; none of the nodes"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_value(runtime: Runtime, make_bundle: MakeBundle, policy: object, words: list[str]) -> None:
    bundle = make_bundle(with_policy(configs.default(), policy))
    bundle.may_change.add("rootfs/dev")
    runtime.run("test", bundle).failed("config.json: ", *words)
