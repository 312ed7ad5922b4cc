# SPDX-License-Identifier: Apache-2.0
"""linux.personality, as personality(2) and uname(2) show it to the program."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support import attributes, configs
from support.attributes import Attributes
from support.configs import Config
from support.execs import process_file
from support.runtime import Container, MakeBundle, Runtime

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 is older than this property")

MACHINE = os.uname().machine
MACHINE_OF_32_BITS = {"x86_64": "i686", "aarch64": "armv8l"}[MACHINE]
ADDR_NO_RANDOMIZE = 0x0040000

Observe = Callable[[Config], Attributes]


def with_personality(config: Config, personality: object) -> Config:
    config["linux"]["personality"] = personality
    return config


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
@pytest.mark.parametrize(
    ("domain", "expected"), [("LINUX", ["0", MACHINE]), ("LINUX32", ["8", MACHINE_OF_32_BITS])], ids=str
)
def test_domain(observed: Observe, domain: str, expected: list[str], user_namespace: bool) -> None:
    config = with_personality(attributes.default(), {"domain": domain, "flags": []})
    if user_namespace:
        configs.with_user_namespace(config)
    assert observed(config)["personality"] == expected


@pytest.mark.parametrize(("given", "expected"), [(None, ADDR_NO_RANDOMIZE), ({"domain": "LINUX"}, 0)])
def test_personality_of_the_caller(
    runtime: Runtime, make_bundle: MakeBundle, attributes_program: str, given: object, expected: int
) -> None:
    """It is left alone where the config says nothing, as by runc."""
    config = attributes.default()
    bundle = make_bundle(with_personality(config, given) if given else config)
    attributes.install(attributes_program, bundle)
    runtime.wrapper = ("setarch", "--addr-no-randomize")
    found = attributes.parse(runtime.run("test", bundle).succeeded().output)
    assert found["personality"] == [str(expected), MACHINE]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_before_the_filter(observed: Observe, no_new_privileges: bool) -> None:
    """Profiles of engines allow few personalities."""
    config = with_personality(attributes.default(), {"domain": "LINUX32"})
    config["process"]["noNewPrivileges"] = no_new_privileges
    argument = {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_KILL_PROCESS", "args": [argument]}],
    }
    assert observed(config)["personality"] == ["8", MACHINE_OF_32_BITS]


def test_exec(sleeper_with_attributes: Callable[[Config], Container], scratch: str) -> None:
    """It is the container's, so a process file has no say."""
    container = sleeper_with_attributes(with_personality(configs.default(), {"domain": "LINUX32"}))
    expected = ["8", MACHINE_OF_32_BITS]
    assert attributes.parse(container.exec(f"/{attributes.PATH}").succeeded().output)["personality"] == expected
    options = ["--process", process_file(scratch, f"/{attributes.PATH}")]
    assert attributes.parse(container.exec(options=options).succeeded().output)["personality"] == expected


@pytest.mark.parametrize(
    ("personality", "words"),
    [
        ({}, ["/linux/personality"]),
        ({"domain": "LINUX64"}, ["/linux/personality/domain: "]),
        ({"domain": 8}, ["/linux/personality/domain: "]),
        ({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}, ["/linux/personality/flags", "remove"]),
        ({"domain": "LINUX", "flags": "x"}, ["/linux/personality/flags: "]),
    ],
    ids=str,
)
def test_bad_value(runtime: Runtime, make_bundle: MakeBundle, personality: object, words: list[str]) -> None:
    bundle = make_bundle(with_personality(configs.default(), personality))
    runtime.run("test", bundle).failed("config.json: ", *words)
