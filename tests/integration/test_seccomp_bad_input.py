# SPDX-License-Identifier: Apache-2.0
"""Values of linux.seccomp that mean nothing: one line that names the place, and nothing is made."""

from __future__ import annotations

from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Runtime

pytestmark = pytest.mark.pyrun_only("runc ignores, cuts off or fails later")

WAIT = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
CONDITION = {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}


def rules(**members: Any) -> dict[str, Any]:
    """Returns a profile with a rule that has other members than a good one."""
    return {"syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", **members}]}


def conditions(**members: Any) -> dict[str, Any]:
    """Returns a profile with a condition that has other members than a good one."""
    return rules(args=[{**CONDITION, **members}])


NOTIFYING = rules(action="SCMP_ACT_NOTIFY")

# Members of a profile, the place of the mistake below /linux/seccomp, and words of the error.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "default action is no text": ({"defaultAction": 5}, "/defaultAction", ""),
    "default action is missing": ({"defaultAction": None}, "/defaultAction", "missing"),
    "default action that is none": ({"defaultAction": "SCMP_ACT_ALLOWED"}, "/defaultAction", '"SCMP_ACT_ALLOW"'),
    "default action NOTIFY": ({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/a"}, "/defaultAction", "default"),
    "errno of ALLOW": ({"defaultErrnoRet": 1}, "/defaultErrnoRet", "SCMP_ACT_ALLOW"),
    "errno too large": ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}, "/defaultErrnoRet", "409"),
    "errno that libseccomp refuses": (
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4095},
        "/defaultErrnoRet",
        "4094",
    ),
    "errno below 0": ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1}, "/defaultErrnoRet", ""),
    "flags are no list": ({"flags": WAIT}, "/flags", "array"),
    "flag that is none": ({"flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}, "/flags/0", "NEW_LISTENER"),
    "flag without an agent": ({"flags": [WAIT]}, "/flags/0", "SCMP_ACT_NOTIFY"),
    "architecture that is none": ({"architectures": ["SCMP_ARCH_Z80"]}, "/architectures/0", "SCMP_ARCH_Z80"),
    "architecture of the other byte order": ({"architectures": ["SCMP_ARCH_S390X"]}, "/architectures/0", "remove it"),
    "path is no text": ({**NOTIFYING, "listenerPath": 1}, "/listenerPath", "string"),
    "path is missing": (NOTIFYING, "/syscalls/0/action", "listenerPath"),
    "path is empty": ({**NOTIFYING, "listenerPath": ""}, "/syscalls/0/action", "listenerPath"),
    "metadata is no text": ({**NOTIFYING, "listenerPath": "/a", "listenerMetadata": {}}, "/listenerMetadata", "string"),
    "metadata without a path": ({"listenerMetadata": "x"}, "/listenerMetadata", "listenerPath"),
    "rules are no list": ({"syscalls": {}}, "/syscalls", "array"),
    "no names": (rules(names=[]), "/syscalls/0/names", "empty"),
    "name is no text": (rules(names=[5]), "/syscalls/0/names/0", ""),
    "action that is none": (rules(action="SCMP_ACT_DENY"), "/syscalls/0/action", "SCMP_ACT_DENY"),
    "errno of a rule that allows": (rules(action="SCMP_ACT_ALLOW", errnoRet=1), "/syscalls/0/errnoRet", "remove it"),
    "errno of TRACE too large": (rules(action="SCMP_ACT_TRACE", errnoRet=65536), "/syscalls/0/errnoRet", "65535"),
    "index above 5": (conditions(index=6), "/syscalls/0/args/0/index", ""),
    "index is no number": (conditions(index="0"), "/syscalls/0/args/0/index", ""),
    "value below 0": (conditions(value=-1), "/syscalls/0/args/0/value", ""),
    "value of more than 64 bits": (conditions(value=2**64), "/syscalls/0/args/0/value", ""),
    "second value of more than 64 bits": (conditions(valueTwo=2**64), "/syscalls/0/args/0/valueTwo", ""),
    "operator that is none": (conditions(op="SCMP_CMP_NEAR"), "/syscalls/0/args/0/op", "SCMP_CMP_NEAR"),
}


def profiled(members: dict[str, Any]) -> Config:
    """Returns a configuration whose profile has these members beside the default action; None takes one out."""
    config = configs.default("/bin/true")
    profile = {"defaultAction": "SCMP_ACT_ALLOW", **members}
    config["linux"]["seccomp"] = {name: value for name, value in profile.items() if value is not None}
    return config


@pytest.mark.parametrize("name", WRONG)
def test_refused(make_container: MakeContainer, name: str) -> None:
    members, pointer, words = WRONG[name]
    container = make_container(profiled(members))
    container.create().failed(f"config.json: /linux/seccomp{pointer}: ", words)
    assert not container.exists()


def test_all_are_listed_by_validate(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(profiled({**NOTIFYING, "defaultErrnoRet": 1, "listenerMetadata": "x"}))
    bundle.seal()
    result = runtime.call("validate", bundle.path)
    assert result.status == 1
    for pointer in ("/linux/seccomp/defaultErrnoRet", "/linux/seccomp/listenerMetadata", "/linux/seccomp/syscalls/0"):
        assert pointer in result.output + result.errors
