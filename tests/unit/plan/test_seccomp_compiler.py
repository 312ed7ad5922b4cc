# SPDX-License-Identifier: Apache-2.0
"""Compiled seccomp filters do what profiles say, run by an interpreter here."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pyseccomp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun.errors import PyrunError
from pyrun.plan.seccomp import compile_filter

from .seccomp_profiles import LATEST, Profile, condition, docker_profile, profile_of, rule

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers of system calls below are those of x86_64"
)

X86_64, X86, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
X32_BIT = 0x40000000
CALLS = {"read": 0, "write": 1, "openat": 257, "clone3": 435, "fchmodat2": 452}
NEVER = 500
"""A number that no system call has."""

ALLOW, LOG, TRAP, KILL_PROCESS, KILL_THREAD = 0x7FFF0000, 0x7FFC0000, 0x00030000, 0x80000000, 0
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def interpret(program: bytes, number: int, arguments: tuple[int, ...] = (), architecture: int = X86_64) -> int:
    """Runs a filter on a system call as the kernel does, and returns what it returns."""
    data = number.to_bytes(4, sys.byteorder) + architecture.to_bytes(4, sys.byteorder) + bytes(8)
    data += b"".join(argument.to_bytes(8, sys.byteorder) for argument in arguments) + bytes(8 * (6 - len(arguments)))
    accumulator = 0
    position = 0
    while True:
        word = program[8 * position : 8 * position + 8]
        assert len(word) == 8, "ran off the program's end"
        code, if_true, if_false = int.from_bytes(word[:2], sys.byteorder), word[2], word[3]
        value = int.from_bytes(word[4:], sys.byteorder)
        position += 1
        if code == 0x20:
            accumulator = int.from_bytes(data[value : value + 4], sys.byteorder)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            position += value
        elif code == 0x15:
            position += if_true if accumulator == value else if_false
        elif code == 0x25:
            position += if_true if accumulator > value else if_false
        elif code == 0x35:
            position += if_true if accumulator >= value else if_false
        elif code == 0x45:
            position += if_true if accumulator & value else if_false
        elif code == 0x06:
            return value
        else:
            pytest.fail(f"unexpected opcode {code:#x}")


def program_of(profile: Profile) -> bytes:
    """Compiles without a cache."""
    return compile_filter(profile, None)[1]


@pytest.mark.parametrize(
    ("action", "number", "expected"),
    [
        ("KILL", None, KILL_THREAD),
        ("KILL_THREAD", None, KILL_THREAD),
        ("KILL_PROCESS", None, KILL_PROCESS),
        ("TRAP", None, TRAP),
        ("ERRNO", None, EPERM),
        ("ERRNO", 0, 0x00050000),
        ("ERRNO", 38, ENOSYS),
        ("ERRNO", 4094, 0x00050FFE),
        ("TRACE", None, 0x7FF00001),
        ("TRACE", 65535, 0x7FF0FFFF),
        ("LOG", None, LOG),
        ("ALLOW", None, ALLOW),
    ],
)
def test_actions_of_rules_and_default(action: str, number: int | None, expected: int) -> None:
    numbers = {} if number is None else {"errnoRet": number}
    program = program_of(
        profile_of(rule("read", action=f"SCMP_ACT_{action}", **numbers), rule("fchmodat2", action="SCMP_ACT_TRAP"))
    )
    assert interpret(program, CALLS["read"]) == expected
    assert interpret(program, CALLS["write"]) == EPERM

    other = "SCMP_ACT_TRAP" if action != "TRAP" else "SCMP_ACT_LOG"
    numbers = {} if number is None else {"defaultErrnoRet": number}
    program = program_of(
        {"defaultAction": f"SCMP_ACT_{action}", "syscalls": [rule("fchmodat2", action=other)], **numbers}
    )
    assert interpret(program, CALLS["read"]) == expected
    assert interpret(program, CALLS["fchmodat2"]) == (TRAP if other == "SCMP_ACT_TRAP" else LOG)


OPERATORS: dict[str, Callable[[int, int, int], bool]] = {
    "NE": lambda argument, value, _: argument != value,
    "LT": lambda argument, value, _: argument < value,
    "LE": lambda argument, value, _: argument <= value,
    "EQ": lambda argument, value, _: argument == value,
    "GE": lambda argument, value, _: argument >= value,
    "GT": lambda argument, value, _: argument > value,
    "MASKED_EQ": lambda argument, value, value_two: argument & value == value_two & value,
}
WORDS = st.one_of(
    st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 2**63, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)


@given(st.sampled_from(sorted(OPERATORS)), st.integers(0, 5), WORDS, WORDS, st.data())
def test_conditions(operator: str, index: int, value: int, value_two: int, data: st.DataObject) -> None:
    near = st.sampled_from([value, max(value - 1, 0), min(value + 1, 2**64 - 1), value ^ 1 << 32, value_two])
    argument = data.draw(st.one_of(near, WORDS))
    program = program_of(profile_of(rule("read", args=[condition(index, operator, value, value_two)]), LATEST))
    arguments = tuple(argument if position == index else 77 for position in range(6))
    expected = OPERATORS[operator](argument, value, value_two)
    assert interpret(program, CALLS["read"], arguments) == (ALLOW if expected else EPERM)


def test_conditions_on_several_arguments_must_all_hold() -> None:
    program = program_of(profile_of(rule("read", args=[condition(0, "EQ", 3), condition(2, "LE", 100)]), LATEST))
    assert interpret(program, CALLS["read"], (3, 0, 100)) == ALLOW
    assert interpret(program, CALLS["read"], (3, 0, 101)) == EPERM
    assert interpret(program, CALLS["read"], (4, 0, 100)) == EPERM


def test_conditions_on_one_argument_are_alternatives() -> None:
    """Then every condition of the rule stands alone, as for runc."""
    program = program_of(
        profile_of(rule("read", args=[condition(0, "EQ", 3), condition(0, "EQ", 4), condition(1, "EQ", 9)]), LATEST)
    )
    for arguments in ((3, 0), (4, 0), (0, 9)):
        assert interpret(program, CALLS["read"], arguments) == ALLOW
    assert interpret(program, CALLS["read"], (5, 0)) == EPERM


def test_missing_second_value_is_zero() -> None:
    conditions = [{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0x7E020000}]
    program = program_of(profile_of(rule("read", args=conditions), LATEST))
    assert interpret(program, CALLS["read"], (0x11,)) == ALLOW
    assert interpret(program, CALLS["read"], (0x10000000,)) == EPERM


def test_rule_like_the_default_is_left_out() -> None:
    with_rule = profile_of(rule("read", action="SCMP_ACT_ERRNO", errnoRet=1), LATEST)
    assert program_of(with_rule) == program_of(profile_of(LATEST))
    other_number = profile_of(rule("read", action="SCMP_ACT_ERRNO", errnoRet=2), LATEST)
    assert interpret(program_of(other_number), CALLS["read"]) == 0x00050002


@pytest.mark.parametrize("name", ["no_such_call", "", "read\0write", "le\u00e9re", "\ud800"])
def test_unknown_calls_are_passed_over(name: str) -> None:
    assert program_of(profile_of(rule(name, "write"), LATEST)) == program_of(profile_of(rule("write"), LATEST))


def test_native_architecture_is_always_covered() -> None:
    for architectures in (
        [],
        ["SCMP_ARCH_X86_64"],
        ["SCMP_ARCH_X86"],
        ["SCMP_ARCH_AARCH64", "SCMP_ARCH_X86"],
    ):
        program = program_of(profile_of(rule("read"), LATEST, architectures=architectures))
        assert interpret(program, CALLS["read"]) == ALLOW
        assert interpret(program, CALLS["write"]) == EPERM


def test_other_architectures_only_if_listed() -> None:
    rules = (rule("read", "socketcall"), LATEST)
    native = program_of(profile_of(*rules))
    assert interpret(native, 3, architecture=X86) == KILL_THREAD
    assert interpret(native, X32_BIT | CALLS["read"]) == KILL_THREAD
    three = program_of(
        profile_of(*rules, architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"])
    )
    assert interpret(three, 3, architecture=X86) == ALLOW
    assert interpret(three, 102, architecture=X86) == ALLOW
    assert interpret(three, 4, architecture=X86) == EPERM
    assert interpret(three, X32_BIT | CALLS["read"]) == ALLOW
    assert interpret(three, X32_BIT | CALLS["write"]) == EPERM
    assert interpret(three, 63, architecture=AARCH64) == ALLOW
    assert interpret(three, 64, architecture=AARCH64) == EPERM


def test_calls_newer_than_the_profile_do_not_exist() -> None:
    architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]
    program = program_of(profile_of(rule("read"), rule("clone3"), architectures=architectures))
    for architecture, bit in ((X86_64, 0), (X86_64, X32_BIT), (X86, 0), (AARCH64, 0)):
        assert interpret(program, bit | CALLS["clone3"], architecture=architecture) == ALLOW
        assert interpret(program, bit | CALLS["clone3"] - 1, architecture=architecture) == EPERM
        assert interpret(program, bit | CALLS["clone3"] + 1, architecture=architecture) == ENOSYS
        assert interpret(program, bit | NEVER, architecture=architecture) == ENOSYS


def test_newer_calls_of_an_architecture_that_is_not_listed_stay_forbidden() -> None:
    program = program_of(profile_of(rule("read"), rule("clone3")))
    assert interpret(program, NEVER) == ENOSYS
    assert interpret(program, NEVER, architecture=X86) == KILL_THREAD
    assert interpret(program, X32_BIT | NEVER) == KILL_THREAD


@pytest.mark.parametrize(
    ("default", "expected"),
    [("SCMP_ACT_ALLOW", ALLOW), ("SCMP_ACT_LOG", LOG), ("SCMP_ACT_TRACE", 0x7FF00001)],
)
def test_newer_calls_get_a_default_that_lets_them_pass(default: str, expected: int) -> None:
    profile = {"defaultAction": default, "syscalls": [rule("read", action="SCMP_ACT_TRAP")]}
    assert interpret(program_of(profile), NEVER) == expected


@pytest.mark.parametrize("default", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_newer_calls_do_not_kill(default: str) -> None:
    assert interpret(program_of({"defaultAction": default, "syscalls": [LATEST]}), NEVER) == ENOSYS


@pytest.mark.parametrize("members", [{}, {"syscalls": []}, {"syscalls": [rule("no_such_call")]}])
def test_profile_without_rules(members: Profile) -> None:
    program = program_of({"defaultAction": "SCMP_ACT_ERRNO", **members})
    assert interpret(program, CALLS["read"]) == EPERM
    assert interpret(program_of({"defaultAction": "SCMP_ACT_ALLOW", **members}), CALLS["read"]) == ALLOW


def test_filter_around_pyrun_changes_nothing() -> None:
    """libseccomp would ask the kernel what it can do; in a container the answer may be a filter's."""
    profile = profile_of(rule("read", action="SCMP_ACT_KILL_PROCESS"), rule("fchmodat2", action="SCMP_ACT_LOG"))
    compiling = (
        "import json, sys; from pyrun.plan.seccomp import compile_filter\n"
        "print(compile_filter(json.loads(sys.argv[1]), None)[1].hex())"
    )
    confining = (
        "import os, pyseccomp, sys; outer = pyseccomp.SyscallFilter(pyseccomp.ALLOW)\n"
        "outer.add_rule(pyseccomp.ERRNO(1), 'seccomp'); outer.load()\n"
        "os.execv(sys.executable, [sys.executable, '-c', *sys.argv[1:]])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", confining, compiling, json.dumps(profile)], capture_output=True, text=True
    )
    assert ran.stderr == ""
    assert bytes.fromhex(ran.stdout) == program_of(profile)


def test_docker_profile() -> None:
    program = program_of(docker_profile())
    assert interpret(program, CALLS["read"]) == ALLOW
    assert interpret(program, 165) == EPERM  # mount
    assert interpret(program, 56, (0x11,)) == ALLOW  # clone without new namespaces
    assert interpret(program, 56, (0x10000000,)) == EPERM  # CLONE_NEWUSER
    assert interpret(program, 135, (8,)) == ALLOW  # personality
    assert interpret(program, 135, (9,)) == EPERM
    assert interpret(program, 21, architecture=X86) == EPERM  # mount
    assert interpret(program, 3, architecture=X86) == ALLOW


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, 4),
        ([], 0),
        (["SECCOMP_FILTER_FLAG_TSYNC"], 1),
        (["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 6),
    ],
)
def test_flags(flags: list[str] | None, expected: int, tmp_path: Any) -> None:
    """Without a list they are SPEC_ALLOW, with an empty list none."""
    members = {} if flags is None else {"flags": flags}
    for _ in ("compiled", "cached"):
        assert compile_filter(profile_of(LATEST, **members), str(tmp_path))[0] == expected


NEW_LISTENER = 8


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, 4),
        ([], 0),
        (["SECCOMP_FILTER_FLAG_TSYNC"], 0),
        (["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"], 2),
        (["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], 32),
    ],
)
def test_flags_of_a_filter_that_notifies(flags: list[str] | None, expected: int, tmp_path: Any) -> None:
    """Not TSYNC, which would filter the thread that hands the listener over."""
    members = {} if flags is None else {"flags": flags}
    profile = profile_of(rule("read", action="SCMP_ACT_NOTIFY"), LATEST, listenerPath="/agent", **members)
    for _ in ("compiled", "cached"):
        compiled, program = compile_filter(profile, str(tmp_path))
        assert compiled == expected | NEW_LISTENER
        assert interpret(program, CALLS["read"]) == 0x7FC00000


@pytest.mark.parametrize(
    ("profile", "pointer", "words"),
    [
        ({"defaultAction": "SCMP_ACT_NO"}, "/defaultAction", '"SCMP_ACT_NO" is not a seccomp action'),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1},
            "/defaultErrnoRet",
            "has no error number",
        ),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4095}, "/defaultErrnoRet", "from 0 to 4094"),
        (profile_of(rule("read", action="SCMP_ACT_NO")), "/syscalls/0/action", "is not a seccomp action"),
        (profile_of(rule("read", action="SCMP_ACT_NOTIFY", errnoRet=1)), "/syscalls/0/errnoRet", "has no error number"),
        (profile_of(rule("read", errnoRet=1)), "/syscalls/0/errnoRet", "SCMP_ACT_ALLOW has no error number"),
        (
            profile_of(rule("read", action="SCMP_ACT_TRACE", errnoRet=65536)),
            "/syscalls/0/errnoRet",
            "from 0 to 65535",
        ),
        (profile_of(rule("read", args=[condition(6, "EQ", 1)])), "/syscalls/0/args/0/index", "0 to 5"),
        (profile_of(rule("read", args=[condition(0, "IS", 1)])), "/syscalls/0/args/0/op", "SCMP_CMP_IS"),
        (profile_of(architectures=["SCMP_ARCH_X86", "SCMP_ARCH_Z80"]), "/architectures/1", "SCMP_ARCH_Z80"),
        (profile_of(architectures=["SCMP_ARCH_S390X"]), "/architectures/0", "on this machine: remove it"),
        (profile_of(flags=["SECCOMP_FILTER_FLAG_TSYNC", "NO"]), "/flags/1", '"NO" is not a seccomp flag'),
    ],
)
def test_error_names_its_place(profile: Profile, pointer: str, words: str, tmp_path: Any) -> None:
    with pytest.raises(PyrunError) as caught:
        compile_filter(profile, str(tmp_path))
    assert caught.value.pointer == f"/linux/seccomp{pointer}"
    assert words in caught.value.message
    assert caught.value.source == "config.json"
    assert os.listdir(tmp_path) == []


def test_too_long_a_filter_is_an_error() -> None:
    rules = [
        rule(
            pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number).decode(),
            args=[condition(index, "EQ", number * 1000 + index) for index in range(6)],
        )
        for number in range(175)
    ]
    with pytest.raises(PyrunError, match=r"/linux/seccomp: the filter has \d+ instructions, the kernel takes 4096"):
        program_of(profile_of(*rules))


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (None, "install the Python package pyseccomp"),
        ("raise RuntimeError('Unable to find libseccomp')", "install the package libseccomp2"),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, module: str | None, words: str
) -> None:
    if module is None:
        monkeypatch.setitem(sys.modules, "pyseccomp", None)
    else:
        (tmp_path / "pyseccomp.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "pyseccomp")
    with pytest.raises(PyrunError) as caught:
        program_of(profile_of(LATEST))
    assert caught.value.pointer == "/linux/seccomp"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
