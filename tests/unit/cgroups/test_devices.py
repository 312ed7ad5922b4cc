# SPDX-License-Identifier: Apache-2.0
"""The device filter decides as the list of rules says; the program is run by an interpreter here."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrun_cgroups.devices import DEFAULT_RULES, DeviceRuleError, container_rules, device_filter
from support.device_rules import DENY_ALL, Rule, accesses, granted, rule_lists

DOCKER_RULES: list[Rule] = [
    DENY_ALL,
    {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
    {"allow": True, "type": "c", "major": 5, "minor": 1, "access": "rwm"},
    {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
]
BITS = {"m": 1, "r": 2, "w": 4, "?": 8}
"""Permissions in a request; the last one is one that a later kernel might ask for."""
TYPES = {"b": 1, "c": 2}


def interpret(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Runs a device program on a request, on the part of the instruction set that such programs need."""
    request = sum(BITS[letter] for letter in access) << 16 | TYPES[kind]
    context = {0: request, 4: major, 8: minor}
    registers: dict[int, int] = {}
    position = 0
    while True:
        word = program[8 * position : 8 * position + 8]
        assert len(word) == 8, "ran off the program's end"
        opcode = word[0]
        low, high = word[1] & 15, word[1] >> 4
        destination, source = (low, high) if sys.byteorder == "little" else (high, low)
        offset = int.from_bytes(word[2:4], sys.byteorder, signed=True)
        value = int.from_bytes(word[4:8], sys.byteorder)
        position += 1
        assert offset >= 0, "a loop"
        if opcode == 0x61:
            assert source == 1, "loads from elsewhere than the context"
            registers[destination] = context[offset]
        elif opcode == 0xB4:
            registers[destination] = value
        elif opcode == 0x54:
            registers[destination] &= value
        elif opcode == 0x74:
            registers[destination] >>= value
        elif opcode == 0x05:
            position += offset
        elif opcode == 0x16:
            position += offset if registers[destination] == value else 0
        elif opcode == 0x56:
            position += offset if registers[destination] != value else 0
        elif opcode == 0x46:
            position += offset if registers[destination] & value else 0
        elif opcode == 0x95:
            return {0: False, 1: True}[registers[0]]
        else:
            pytest.fail(f"unexpected opcode {opcode:#x}")


def allowed(rules: Iterable[Rule], request: str) -> bool:
    """Returns the filter's verdict on a request written as cgroup v1 would: ``c 1:3 rw``."""
    kind, numbers, access = request.split()
    major, minor = numbers.split(":")
    return interpret(device_filter(rules), kind, int(major), int(minor), access)


def length(rules: Iterable[Rule]) -> int:
    """Returns the number of instructions."""
    return len(device_filter(rules)) // 8


def numbers() -> st.SearchStrategy[int]:
    """Strategy for device numbers, few so that rules and requests meet, and the largest there are."""
    return st.sampled_from([0, 1, 2, 3, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])


@given(rule_lists(numbers()), st.sampled_from("bc"), numbers(), numbers(), accesses())
@example([DENY_ALL, *DEFAULT_RULES], "c", 1, 3, "rw")
@example([{"allow": True, "access": "rw"}, {"allow": True, "access": "m"}], "b", 1, 1, "rwm")
def test_program_decides_as_the_rules_say(
    listed: list[Rule], kind: str, major: int, minor: int, permissions: str
) -> None:
    verdict = interpret(device_filter(listed), kind, major, minor, permissions)
    assert verdict == granted(listed, kind, major, minor, permissions)


@given(rule_lists(numbers()))
def test_program_has_no_dead_code(listed: list[Rule]) -> None:
    """The verifier refuses a program with an instruction that nothing leads to."""
    program = device_filter(listed)
    reached, todo = set(), [0]
    while todo:
        position = todo.pop()
        if position in reached:
            continue
        reached.add(position)
        opcode = program[8 * position]
        target = position + 1 + int.from_bytes(program[8 * position + 2 : 8 * position + 4], sys.byteorder)
        if opcode in (0x05, 0x16, 0x56, 0x46):
            todo.append(target)
        if opcode not in (0x05, 0x95):
            todo.append(position + 1)
    assert reached == set(range(len(program) // 8))


@given(rule_lists(numbers()))
def test_rules_without_effect_cost_nothing(listed: list[Rule]) -> None:
    assert device_filter([*listed, *listed]) == device_filter(listed)
    assert length([{"allow": True, "access": "rwm"}, DENY_ALL, *listed]) == length(listed)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("c 1:3 rw", True),
        ("c 1:3 rwm", True),
        ("c 5:0 r", True),
        ("c 136:7 rw", True),
        ("c 10:200 w", True),
        ("c 5:1 r", False),
        ("c 10:229 rw", False),
        ("c 1:1 r", False),
        ("b 8:0 r", False),
        ("b 8:0 m", True),
        ("b 8:0 rm", False),
        ("c 1:1 m", True),
        ("b 1:3 r", False),
    ],
)
def test_default_rules(request_: str, expected: bool) -> None:
    """The console (5:1), memory (1:1) and disks stay closed; anyone may make any node."""
    assert allowed([DENY_ALL, *DEFAULT_RULES], request_) is expected


def test_docker_rules_before_the_default_ones() -> None:
    listed = [*DOCKER_RULES, *DEFAULT_RULES]
    assert allowed(listed, "c 5:1 rw")
    assert not allowed(listed, "c 10:229 rw")
    assert allowed(listed, "c 1:3 rw")


ALLOW_ALL: Rule = {"allow": True, "access": "rwm"}
DENY_DISK: Rule = {"allow": False, "type": "b", "major": 8, "minor": 0, "access": "rwm"}
DENY_NULL: Rule = {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"}


@pytest.mark.parametrize(
    ("rules", "request_", "expected"),
    [
        ([ALLOW_ALL, DENY_DISK], "b 8:0 m", False),
        ([ALLOW_ALL, DENY_DISK], "b 8:0 r", False),
        ([ALLOW_ALL, DENY_DISK], "b 8:1 rwm", True),
        ([ALLOW_ALL, DENY_NULL], "c 1:3 rwm", True),
        ([DENY_ALL, ALLOW_ALL, DENY_DISK], "b 8:0 m", False),
        ([{"allow": True, "type": "a", "major": -1, "minor": -1, "access": "mrw"}, DENY_DISK], "b 8:0 m", False),
        ([ALLOW_ALL, DENY_ALL, DENY_DISK], "b 8:0 m", True),
        ([ALLOW_ALL, {"allow": False, "access": "rw"}], "b 8:0 m", True),
        ([{"allow": True, "access": "rw"}, DENY_DISK], "b 8:0 m", True),
        ([{"allow": True, "type": "a", "major": 8, "access": "rwm"}, DENY_DISK], "b 8:0 m", True),
        ([DENY_ALL, DENY_DISK], "b 8:0 m", True),
        ([], "b 8:0 m", True),
        ([], "b 8:0 r", False),
    ],
)
def test_rules_of_a_container(rules: list[Rule], request_: str, expected: bool) -> None:
    """Anyone may make any node, but for what was denied one by one after everything was allowed."""
    assert allowed(container_rules(rules), request_) is expected
    if not rules:
        assert container_rules(None) == container_rules([])


def test_nothing_is_allowed_without_rules() -> None:
    assert not allowed([], "c 1:3 r")


def test_partial_rule_leaves_other_permissions() -> None:
    listed = [
        DENY_ALL,
        {"allow": True, "type": "b", "major": 8, "access": "rw"},
        {"allow": False, "type": "b", "major": 8, "minor": 1, "access": "w"},
    ]
    assert allowed(listed, "b 8:0 rw")
    assert allowed(listed, "b 8:1 r")
    assert not allowed(listed, "b 8:1 w")
    assert not allowed(listed, "b 8:1 rw")
    assert not allowed(listed, "b 8:1 rm")


def test_permissions_of_several_rules_add_up() -> None:
    listed = [
        {"allow": True, "type": "c", "major": 4, "access": "r"},
        {"allow": True, "type": "c", "minor": 4, "access": "w"},
    ]
    assert allowed(listed, "c 4:4 rw")
    assert not allowed(listed, "c 4:5 rw")


def test_denial_within_and_around_what_is_allowed() -> None:
    """Both are beyond cgroup v1, where runc refuses the first and ignores the second."""
    assert not allowed(
        [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "access": "rwm"}],
        "c 1:3 r",
    )
    assert not allowed(
        [
            {"allow": True, "type": "c", "major": 9, "minor": 1, "access": "rwm"},
            {"allow": False, "type": "c", "major": 9, "access": "rwm"},
        ],
        "c 9:1 r",
    )


def test_rule_for_all_types_is_no_wider_than_it_says() -> None:
    listed = [DENY_ALL, {"allow": True, "type": "a", "major": 7, "access": "r"}]
    assert allowed(listed, "b 7:0 r")
    assert allowed(listed, "c 7:0 r")
    assert not allowed(listed, "b 7:0 w")
    assert not allowed(listed, "b 8:0 r")


def test_null_and_negative_numbers_are_wildcards() -> None:
    for wildcard in (None, -1, -2):
        listed = [{"allow": True, "type": "c", "major": wildcard, "minor": wildcard, "access": "r"}]
        assert allowed(listed, "c 200:200 r")


def test_partial_rule_grants_no_permission_that_it_cannot_know() -> None:
    assert not allowed([{"allow": True, "type": "c", "access": "rw"}], "c 1:3 rw?")


def test_default_program_is_short() -> None:
    assert length([]) == 2
    assert length([{"allow": True, "access": "rwm"}, *DEFAULT_RULES]) == 2
    assert length([*DEFAULT_RULES, {"allow": True, "access": "rw"}, {"allow": True, "access": "m"}]) == 2
    assert length([DENY_ALL, *DEFAULT_RULES]) <= 32


@pytest.mark.parametrize(
    ("rule", "pointer", "words"),
    [
        ({"allow": True, "type": "u", "access": "r"}, "/1/type", '"u" is not a device type'),
        ({"allow": True, "type": "p", "access": "r"}, "/1/type", "use a, b or c"),
        ({"allow": True, "type": "c", "major": 2**32, "access": "r"}, "/1/major", "too large"),
        ({"allow": True, "type": "c", "minor": 2**32, "access": "r"}, "/1/minor", "too large"),
        ({"allow": True, "access": "rx"}, "/1/access", '"x" is not a permission'),
        ({"allow": True, "access": ""}, "/1/access", "needs permissions"),
        ({"allow": False}, "/1/access", "needs permissions"),
    ],
)
def test_invalid_rule_names_its_place(rule: Rule, pointer: str, words: str) -> None:
    with pytest.raises(DeviceRuleError) as caught:
        device_filter([DENY_ALL, rule])
    assert caught.value.pointer == pointer
    assert words in caught.value.message
    assert str(caught.value) == f"{pointer}: {caught.value.message}"


def test_thousands_of_rules() -> None:
    listed = [
        {
            "allow": bool(i % 3),
            "type": "bc"[i % 2],
            "major": i // 7,
            "minor": i % 11,
            "access": "rwm"[: 1 + i % 3],
        }
        for i in range(2000)
    ]
    program = device_filter(listed)
    for i in range(0, 2000, 37):
        for permissions in ("r", "rw", "rwm"):
            request = ("bc"[i % 2], i // 7, i % 11, permissions)
            assert interpret(program, *request) == granted(listed, *request)


def test_too_many_rules_are_refused() -> None:
    listed = [{"allow": True, "type": "c", "major": i, "access": "rw"} for i in range(2001)]
    with pytest.raises(DeviceRuleError, match="more than 2000 device rules have an effect: use wildcards"):
        device_filter(listed)
    assert allowed([*listed, {"allow": True, "type": "c", "access": "rw"}], "c 1:1 rw")
