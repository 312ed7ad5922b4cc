# SPDX-License-Identifier: Apache-2.0
"""The device filter of a cgroup: OCI device rules compiled to an eBPF program.

cgroup v2 has no device controller with files; the kernel asks a program of type
``BPF_PROG_TYPE_CGROUP_DEVICE`` instead (Documentation/admin-guide/cgroup-v2.rst, "Device controller").
It gets ``struct bpf_cgroup_dev_ctx`` (linux/bpf.h): the requested access in the upper and the device's
type in the lower 16 bits of the first word, then major and minor; it returns 1 to allow.

Meaning of a list of rules (runtime-spec config-linux.md, "Allowed Device list"):

- Each of the three permissions (read, write, mknod) of a device is decided by itself: by the last rule
  that matches the device and names the permission, and by "deny" when there is none. A rule with part of
  the permissions leaves the others as earlier rules had them.
- A request for several permissions (``O_RDWR``) is granted when every one of them is.
- An absent type, ``a``, and an absent or negative number match everything. They narrow nothing else:
  ``a 7:* r`` is what it says.

For the lists that engines write this is what runc and crun do. Where they differ from it, and from each
other, is in corners that cgroup v1 could not express: runc takes any ``a`` rule for "everything, all
permissions", refuses to deny what a wider rule allows, and ignores a denial wider than what was allowed
(libcontainer/cgroups/devices); crun wants all requested permissions from one rule (src/libcrun/ebpf.c).
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    # Device type, major and minor number; _ANY is a wildcard.
    _Key = tuple[int, int, int]
    # Whether its rules allow, and for each what it matches the permissions that it decides, or _FINAL.
    _Run = tuple[bool, dict[_Key, int]]
    # Opcode, destination register, offset or verdict to jump to, immediate value.
    _Instruction = tuple[int, int, int | str, int]


class DeviceRuleError(ValueError):
    """A device rule that means nothing, or a list too long for the kernel.

    Attributes:
        pointer: JSON pointer of the place below the list of rules.
        message: what is wrong and what to write instead.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message)
        self.pointer = pointer
        self.message = message


DEFAULT_RULES: tuple[dict[str, Any], ...] = (
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},  # null
    {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"},  # zero
    {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rwm"},  # full
    {"allow": True, "type": "c", "major": 1, "minor": 8, "access": "rwm"},  # random
    {"allow": True, "type": "c", "major": 1, "minor": 9, "access": "rwm"},  # urandom
    {"allow": True, "type": "c", "major": 5, "minor": 0, "access": "rwm"},  # tty
    {"allow": True, "type": "c", "major": 5, "minor": 2, "access": "rwm"},  # ptmx
    {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rwm"},  # net/tun
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},  # pts/*
)
"""What runc 1.1.5 appends to every container's rules, so that no configuration can take it away."""

_MAKING_ANY_NODE = DEFAULT_RULES[:2]

_ANY = -1
_EVERYTHING = (_ANY, _ANY, _ANY)
_TYPES = {"a": _ANY, "b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
_PERMISSIONS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_MKNOD, _READ, _WRITE
_EVERY_BIT = 7
_FINAL = 0  # instead of permissions: the rule decides all that can still be open
_LARGEST_NUMBER = 0xFFFF_FFFF

# Registers: the verdict, the context, and what is loaded from it.
_VERDICT, _CONTEXT, _TYPE, _OUTSTANDING, _MAJOR, _MINOR = range(6)

# Opcodes (linux/bpf.h, linux/bpf_common.h). All arithmetic and comparison is on 32 bits.
_LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_SET = 0xB4  # BPF_ALU | BPF_MOV | BPF_K
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_SHIFT_RIGHT = 0x74  # BPF_ALU | BPF_RSH | BPF_K
_JUMP = 0x05  # BPF_JMP | BPF_JA
_JUMP_IF_EQUAL = 0x16  # BPF_JMP32 | BPF_JEQ | BPF_K
_JUMP_IF_NOT_EQUAL = 0x56  # BPF_JMP32 | BPF_JNE | BPF_K
_JUMP_IF_ANY_BIT = 0x46  # BPF_JMP32 | BPF_JSET | BPF_K
_EXIT = 0x95  # BPF_JMP | BPF_EXIT

_ALLOW, _DENY = "allow", "deny"

_LOADS: dict[int, tuple[_Instruction, ...]] = {
    _TYPE: ((_LOAD_WORD, _TYPE, 0, 0), (_AND, _TYPE, 0, 0xFFFF)),
    _OUTSTANDING: ((_LOAD_WORD, _OUTSTANDING, 0, 0), (_SHIFT_RIGHT, _OUTSTANDING, 0, 16)),
    _MAJOR: ((_LOAD_WORD, _MAJOR, 4, 0),),
    _MINOR: ((_LOAD_WORD, _MINOR, 8, 0),),
}
"""How each register gets its part of ``struct bpf_cgroup_dev_ctx``."""

_MOST_RULES = 2000
"""How many rules may be left after those without effect are dropped. The verifier opens a branch at every
conditional jump and stops at 8192 of them (BPF_COMPLEXITY_LIMIT_JMP_SEQ); a rule needs at most four, and
twelve instructions, which also keeps every jump within the 16 bits of its offset."""


def container_rules(rules: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return the rules of a container together with those that every container gets.

    As with runc, the permission to make any device node is no exception from what is denied one by one after all was
    allowed: it goes without saying there.

    Args:
        rules: ``linux.resources.devices``, in order.
    """
    allows_all = False
    for rule in rules or ():
        if _is_about_everything(rule):
            allows_all = bool(rule["allow"])
    defaults = DEFAULT_RULES[len(_MAKING_ANY_NODE) :] if allows_all else DEFAULT_RULES
    return [*(rules or ()), *defaults]


def device_filter(rules: Iterable[dict[str, Any]]) -> bytes:
    """Compile OCI device rules to the instructions of a device program.

    Args:
        rules: ``linux.resources.devices``, in order.

    Returns:
        eBPF instructions of 8 bytes each, in this machine's byte order, for ``BPF_PROG_LOAD``.

    Raises:
        DeviceRuleError: a rule has an invalid type, number or permission, or too many rules have an effect.
    """
    runs, otherwise = _reduce([_parse(index, rule) for index, rule in enumerate(rules)])
    if sum(len(run) for _, run in runs) > _MOST_RULES:
        raise DeviceRuleError("", f"more than {_MOST_RULES} device rules have an effect: use wildcards")
    body: list[_Instruction] = []
    for allow, run in runs:
        body += _code_of_run(run, _ALLOW if allow else _DENY)
    return _assemble(body, otherwise)


def _is_about_everything(rule: dict[str, Any]) -> bool:
    return (
        (rule.get("type") or "a") == "a"
        and all(rule.get(name) is None or rule[name] < 0 for name in ("major", "minor"))
        and set("rwm") <= set(rule.get("access") or "")
    )


def _parse(index: int, rule: dict[str, Any]) -> tuple[bool, _Key, int]:
    """Return whether a rule allows, what it matches, and its permission bits."""
    kind = rule.get("type") or "a"
    if kind not in _TYPES:
        raise DeviceRuleError(f"/{index}/type", f'"{kind}" is not a device type for a rule: use a, b or c')
    numbers = []
    for name in ("major", "minor"):
        number = rule.get(name)
        if number is None or number < 0:
            number = _ANY
        elif number > _LARGEST_NUMBER:
            raise DeviceRuleError(f"/{index}/{name}", f"{number} is too large for a device number")
        numbers.append(number)
    bits = 0
    for letter in rule.get("access") or "":
        if letter not in _PERMISSIONS:
            raise DeviceRuleError(f"/{index}/access", f'"{letter}" is not a permission: use r, w and m')
        bits |= _PERMISSIONS[letter]
    if not bits:
        raise DeviceRuleError(f"/{index}/access", "a device rule needs permissions: some of r, w and m")
    return bool(rule["allow"]), (_TYPES[kind], numbers[0], numbers[1]), bits


def _reduce(rules: list[tuple[bool, _Key, int]]) -> tuple[list[_Run], bool]:
    """Bring rules into the order of execution, which is last first, without what has no effect.

    Rules next to each other that all allow, or all deny, mean the same in any order: they are a run.

    Returns:
        The runs; and the verdict on a request that none of them has decided.
    """
    runs: list[_Run] = []
    for allow, key, bits in reversed(rules):
        if not runs or runs[-1][0] != allow:
            runs.append((allow, {}))
        run = runs[-1][1]
        run[key] = run.get(key, 0) | bits

    reduced: list[_Run] = []
    otherwise = False
    decided: dict[_Key, int] = {}
    for allow, run in runs:
        effective: dict[_Key, int] = {}
        for key, bits in run.items():
            covered = decided.get(key, 0)
            for wider in _wider_keys(key):
                covered |= decided.get(wider, 0) | run.get(wider, 0)
            if bits & ~covered:
                effective[key] = _FINAL if bits | covered == _EVERY_BIT else bits & ~covered
        if effective.get(_EVERYTHING) == _FINAL:
            otherwise = allow
            break
        reduced.append((allow, effective))
        for key, bits in run.items():
            decided[key] = decided.get(key, 0) | bits
    while reduced and (reduced[-1][0] == otherwise or not reduced[-1][1]):
        reduced.pop()
    return reduced, otherwise


def _wider_keys(key: _Key) -> list[_Key]:
    """Return the keys with more wildcards that match everything that `key` matches."""
    kind, major, minor = key
    return [
        (k, m, n)
        for k in ((kind,) if kind == _ANY else (kind, _ANY))
        for m in ((major,) if major == _ANY else (major, _ANY))
        for n in ((minor,) if minor == _ANY else (minor, _ANY))
    ][1:]


def _code_of_run(run: dict[_Key, int], verdict: str) -> list[_Instruction]:
    """Return code that tests type, major and minor number once for all rules that share them."""
    types: dict[int, dict[int, dict[int, list[_Instruction]]]] = {}
    for (kind, major, minor), bits in run.items():
        types.setdefault(kind, {}).setdefault(major, {})[minor] = _decision(bits, verdict)
    of_type = {}
    for kind, majors in types.items():
        of_major = {major: _switch(_MINOR, minors) for major, minors in majors.items()}
        of_type[kind] = _switch(_MAJOR, of_major)
    return _switch(_TYPE, of_type)


def _switch(register: int, cases: dict[int, list[_Instruction]]) -> list[_Instruction]:
    """Return code for what depends on the value of a register, and then what does not (the case `_ANY`).

    The register is loaded anew for every switch, and a case skips those after it: else the verifier, which
    remembers the value that a case was entered with, would follow each case through all code behind it.
    """
    length = 0
    reversed_code = []
    for value, body in reversed(cases.items()):
        if value == _ANY:
            continue
        if body[0][0] == _JUMP:
            case = [(_JUMP_IF_EQUAL, register, body[0][2], value)]
        else:
            skip: list[_Instruction] = [(_JUMP, 0, length, 0)] if length else []
            case = [(_JUMP_IF_NOT_EQUAL, register, len(body) + len(skip), value), *body, *skip]
        reversed_code.append(case)
        length += len(case)
    code = [*_LOADS[register]] if length else []
    for case in reversed(reversed_code):
        code += case
    return code + cases.get(_ANY, [])


def _decision(bits: int, verdict: str) -> list[_Instruction]:
    """Return what is done with a request that a rule matches."""
    if bits == _FINAL:
        return [(_JUMP, 0, verdict, 0)]
    if verdict == _DENY:
        return [(_JUMP_IF_ANY_BIT, _OUTSTANDING, _DENY, bits)]
    return [(_AND, _OUTSTANDING, 0, ~bits), (_JUMP_IF_EQUAL, _OUTSTANDING, _ALLOW, 0)]


def _assemble(body: list[_Instruction], otherwise: bool) -> bytes:
    """Add the loads before and the verdicts behind the rules, and resolve jumps to the verdicts.

    A jump to the verdict that is not `otherwise` skips the instruction that sets the latter; dead code, which
    the verifier refuses, comes about nowhere.
    """
    fallthrough, other = (_ALLOW, _DENY) if otherwise else (_DENY, _ALLOW)
    head: list[_Instruction] = []
    if any(instruction[2] == other for instruction in body):
        head += [(_SET, _VERDICT, 0, not otherwise)]
    if any(instruction[1] == _OUTSTANDING for instruction in body):
        head += _LOADS[_OUTSTANDING]
    program = [*head, *body, (_SET, _VERDICT, 0, otherwise), (_EXIT, 0, 0, 0)]
    end = len(program) - 2
    encoded = []
    for position, (opcode, register, target, immediate) in enumerate(program):
        if target == fallthrough:
            target = end - position - 1
        elif target == other:
            target = end - position
        encoded.append(_encode(opcode, register, int(target), immediate))
    return b"".join(encoded)


def _encode(opcode: int, register: int, offset: int, immediate: int) -> bytes:
    """Return one ``struct bpf_insn``, whose register fields are bit-fields in the machine's order."""
    source = _CONTEXT if opcode == _LOAD_WORD else 0
    registers = register | source << 4 if sys.byteorder == "little" else register << 4 | source
    return (
        bytes((opcode, registers))
        + offset.to_bytes(2, sys.byteorder, signed=True)
        + (immediate & 0xFFFF_FFFF).to_bytes(4, sys.byteorder)
    )
