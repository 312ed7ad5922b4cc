# SPDX-License-Identifier: Apache-2.0
"""Every action, operator, architecture and flag of linux.seccomp, by what becomes of the system calls of a program."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyseccomp
import pytest

from support import strace
from support.audit import Audit
from support.caller import calling, compile_caller, install, known_calls, number
from support.configs import Config
from support.machine import COVERED
from support.runtime import MakeBundle, Runtime
from support.world import World

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the calls of other ABIs are those of x86-64")

Profile = dict[str, Any]
CallAll = Callable[..., list[str]]

# Has no arguments, so that any can be given to it, and nothing else here makes it.
CALL = "getppid"
NATIVE, X86, X32 = (number(CALL, each) for each in (pyseccomp.Arch.NATIVE, pyseccomp.Arch.X86, pyseccomp.Arch.X32))
ARCHITECTURE = 0xC000003E
NO_FLAGS = pytest.mark.pyrun_only("runc 1.1.5 supports no flags")


@pytest.fixture(scope="module")
def caller(world: World) -> str:
    """The program that makes calls."""
    with world.entered():
        return compile_caller(world.directory)


@pytest.fixture
def call_all(runtime: Runtime, make_bundle: MakeBundle, caller: str) -> CallAll:
    """A function that makes calls below a profile, and returns what became of them."""

    def call(profile: Profile, *words: str) -> list[str]:
        bundle = make_bundle(filtered(profile, *words))
        install(caller, bundle)
        return runtime.run("test", bundle).succeeded().output.splitlines()

    return call


def filtered(profile: Profile, *words: str) -> Config:
    config = calling(*words)
    config["linux"]["seccomp"] = profile
    return config


def rule(action: str, *names: str, **more: Any) -> Profile:
    return {"names": list(names or [CALL]), "action": f"SCMP_ACT_{action}", **more}


def as_rule(action: str, errno: int | None) -> Profile:
    """Returns a profile whose only rule has an action."""
    numbers = {} if errno is None else {"errnoRet": errno}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule(action, **numbers)]}


def as_default(action: str, errno: int | None) -> Profile:
    """Returns a profile whose default, for one call only, is an action."""
    numbers = {} if errno is None else {"defaultErrnoRet": errno}
    others = [name for name in known_calls() if name != CALL]
    return {"defaultAction": f"SCMP_ACT_{action}", "syscalls": [rule("ALLOW", *others)], **numbers}


ACTIONS: dict[str, tuple[str, int | None, dict[str, str]]] = {
    "KILL": ("KILL", None, {"native": "signal 31", "thread": "lives", "trap": "signal 31"}),
    "KILL_THREAD": ("KILL_THREAD", None, {"native": "signal 31", "thread": "lives", "trap": "signal 31"}),
    "KILL_PROCESS": ("KILL_PROCESS", None, {"native": "signal 31", "thread": "signal 31", "trap": "signal 31"}),
    "TRAP": ("TRAP", None, {"native": "signal 31", "trap": f"trap {NATIVE} {ARCHITECTURE:#x}"}),
    "ERRNO": ("ERRNO", None, {"native": "error 1", "thread": "lives"}),
    "ERRNO 0": ("ERRNO", 0, {"native": "value 0"}),
    "ERRNO 4094": ("ERRNO", 4094, {"native": "error 4094"}),
    "TRACE": ("TRACE", None, {"native": "error 38", "trace": "event 1"}),
    "TRACE 40000": ("TRACE", 40000, {"native": "error 38", "trace": "event 40000"}),
    "LOG": ("LOG", None, {"say": "said"}),
    "ALLOW": ("ALLOW", None, {"say": "said"}),
}


@pytest.mark.parametrize("place", [as_rule, as_default], ids=["rule", "default"])
@pytest.mark.parametrize("name", ACTIONS)
def test_actions(request: pytest.FixtureRequest, call_all: CallAll, place: Callable[..., Profile], name: str) -> None:
    action, errno, expected = ACTIONS[name]
    assert call_all(place(action, errno), *(f"{kind}:{NATIVE}" for kind in expected)) == list(expected.values())


def test_action_allow_of_what_is_denied_else(call_all: CallAll) -> None:
    profile = as_default("ERRNO", 77)
    profile["syscalls"].append(rule("ALLOW", CALL, args=[{"index": 3, "value": 5, "op": "SCMP_CMP_EQ"}]))
    assert call_all(profile, f"native:{NATIVE}", f"say:{NATIVE}:0:0:0:5") == ["error 77", "said"]


@pytest.fixture(scope="module")
def audit() -> Iterator[Audit]:
    """What the kernel logs; not in the private copy of the host, which has another network namespace."""
    try:
        heard = Audit()
    except OSError as error:
        pytest.skip(f"audit records can't be read here ({error.strerror}): {COVERED}")
    yield heard
    heard.close()


@pytest.mark.parametrize(
    ("action", "flags", "returned"),
    [
        ("LOG", [], 0x7FFC0000),
        ("ERRNO", [], None),
        pytest.param("ERRNO", ["SECCOMP_FILTER_FLAG_LOG"], 0x00050000, marks=NO_FLAGS),
    ],
)
def test_logged(
    runtime: Runtime, make_bundle: MakeBundle, caller: str, audit: Audit, action: str, flags: list[str], returned: int
) -> None:
    with open("/proc/sys/kernel/seccomp/actions_logged", encoding="ascii") as file:
        if action.lower() not in file.read().split():
            pytest.skip("kernel.seccomp.actions_logged leaves this action out")
    profile = as_rule(action, None) | ({"flags": flags} if flags else {})
    bundle = make_bundle(filtered(profile, f"native:{NATIVE}"))
    name = f"logged-{os.getpid()}"  # other tests have calls logged too
    install(caller, bundle, f"bin/{name}")
    bundle.config["process"]["args"][0] = f"/bin/{name}"
    runtime.run("test", bundle).succeeded()
    record = audit.seccomp_record_of(name, 5 if returned else 0.3)
    assert (record and (record.number, record.returned)) == (returned and (NATIVE, returned))


BIG = 0x1_2345_6789
OPERATORS: dict[str, Callable[[int, int, int], bool]] = {
    "NE": lambda argument, value, _: argument != value,
    "LT": lambda argument, value, _: argument < value,
    "LE": lambda argument, value, _: argument <= value,
    "EQ": lambda argument, value, _: argument == value,
    "GE": lambda argument, value, _: argument >= value,
    "GT": lambda argument, value, _: argument > value,
    "MASKED_EQ": lambda argument, value, value_two: argument & value == value_two,
}
ARGUMENTS = [0, BIG & 0xFFFFFFFF, BIG - 1, BIG, BIG + 1, BIG ^ 1 << 32, BIG | 1 << 63, 2**64 - 1]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("value", "value_two"), [(BIG, BIG), (0xFFFF_FFFF_0000_0000, 0x1_0000_0000)])
def test_operators(call_all: CallAll, operator: str, value: int, value_two: int) -> None:
    """On all 64 bits, of each of the six arguments."""
    index = list(OPERATORS).index(operator) % 6
    condition = {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": value_two}
    words = [f"native:{NATIVE}" + ":7" * index + f":{argument}" + ":7" * (5 - index) for argument in ARGUMENTS]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("ERRNO", errnoRet=77, args=[condition])]}
    found = [line == "error 77" for line in call_all(profile, *words)]
    assert found == [OPERATORS[operator](argument, value, value_two) for argument in ARGUMENTS]


def test_value_two_is_zero_when_missing(call_all: CallAll) -> None:
    condition = {"index": 5, "op": "SCMP_CMP_MASKED_EQ", "value": 0xF0}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("ERRNO", args=[condition])]}
    words = [f"native:{NATIVE}:0:0:0:0:0:{argument}" for argument in (0x0F, 0x10)]
    assert [line == "error 1" for line in call_all(profile, *words)] == [True, False]


def test_conditions(call_all: CallAll) -> None:
    """On several arguments all must hold; on one they are alternatives."""
    both = [{"index": index, "op": "SCMP_CMP_EQ", "value": 9} for index in (0, 1)]
    either = [{"index": 2, "op": "SCMP_CMP_EQ", "value": value} for value in (3, 4)]
    rules = [rule("ERRNO", errnoRet=77, args=both), rule("ERRNO", errnoRet=78, args=either)]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    words = [f"native:{NATIVE}:{arguments}" for arguments in ("9:9:0", "9:0:0", "0:0:3", "0:0:4", "0:0:5")]
    found = [line if line.startswith("error") else "value" for line in call_all(profile, *words)]
    assert found == ["error 77", "value", "error 78", "error 78", "value"]


@pytest.mark.parametrize(
    ("architectures", "expected"),
    [
        (None, ["error 77", "signal 31", "signal 31"]),
        (["X86_64"], ["error 77", "signal 31", "signal 31"]),
        (["X86"], ["error 77", "error 77", "signal 31"]),
        (["X86_64", "X32"], ["error 77", "signal 31", "error 77"]),
        (["X86_64", "X86", "X32"], ["error 77", "error 77", "error 77"]),
        (["AARCH64", "X32", "X86"], ["error 77", "error 77", "error 77"]),
    ],
)
def test_architectures(call_all: CallAll, architectures: list[str] | None, expected: list[str]) -> None:
    """Calls of an architecture that is not listed are killed."""
    profile: Profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("ERRNO", errnoRet=77)]}
    if architectures is not None:
        profile["architectures"] = [f"SCMP_ARCH_{name}" for name in architectures]
    assert call_all(profile, f"native:{NATIVE}", f"i386:{X86}", f"x32:{X32}") == expected


def test_calls_newer_than_the_profile(call_all: CallAll) -> None:
    """They fail as on a kernel that does not have them, on each architecture."""
    profile = as_default("ERRNO", 77)
    profile["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    words = [f"{kind}:{call}" for kind, call in (("native", NATIVE), ("i386", X86), ("x32", X32))]
    newer = [f"{kind}:9999" for kind in ("native", "i386", "x32")]
    assert call_all(profile, *words, *newer) == ["error 77"] * 3 + ["error 38"] * 3


FLAGS = {name: f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "SPEC_ALLOW")}


@NO_FLAGS
@pytest.mark.parametrize(
    ("listed", "passed"),
    [
        (None, {"SPEC_ALLOW"}),
        ([], set()),
        *((([name]), {name}) for name in FLAGS),
        (list(FLAGS), set(FLAGS)),
    ],
)
def test_flags(
    runtime: Runtime, case: str, make_bundle: MakeBundle, caller: str, listed: list[str] | None, passed: set[str]
) -> None:
    profile = as_rule("ERRNO", None)
    if listed is not None:
        profile["flags"] = [FLAGS[name] for name in listed]
    bundle = make_bundle(filtered(profile, f"native:{NATIVE}"))
    install(caller, bundle)
    result = strace.traced(runtime, case, follow=True).run("test", bundle).succeeded()
    assert result.output == "error 1\n"
    (loaded,) = (call.text for process in strace.read_trace(case) for call in process if call.name == "seccomp")
    assert set(re.findall(r"FILTER_FLAG_(\w+)", loaded)) == passed
