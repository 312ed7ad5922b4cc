# SPDX-License-Identifier: Apache-2.0
"""A seccomp profile compiled to a classic BPF program by libseccomp.

A profile means what it means to runc (libcontainer/seccomp): the native architecture is always covered,
system calls unknown to libseccomp are passed over, a rule that does what is done anyway is left out, and
conditions on the same argument are alternatives. As with runc, a call newer than every call that the profile
names fails with ENOSYS instead of the default action, so that programs fall back to older calls.

The result depends on nothing but the profile, the machine and libseccomp.
"""

from __future__ import annotations

import os
import sys

from pyrun.errors import PyrunError
from pyrun.plan.seccomp import notifies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INSTRUCTION_BYTES = 8
_MOST_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# Flags of seccomp(2).
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
_NEW_LISTENER = 8

# Return values of a filter (linux/seccomp.h); those of ERRNO and TRACE carry a number in the lower 16 bits.
_ERRNO, _TRACE, _NOTIFY, _LOG, _ALLOW = 0x0005_0000, 0x7FF0_0000, 0x7FC0_0000, 0x7FFC_0000, 0x7FFF_0000
ACTIONS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x8000_0000,
    "SCMP_ACT_TRAP": 0x0003_0000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_NOTIFY": _NOTIFY,
    "SCMP_ACT_LOG": _LOG,
    "SCMP_ACT_ALLOW": _ALLOW,
}
_LARGEST_DATA = {_ERRNO: 4094, _TRACE: 0xFFFF}  # what libseccomp takes: below MAX_ERRNO; SECCOMP_RET_DATA
_EPERM, _ENOSYS = 1, 38

# enum scmp_compare (seccomp.h).
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

# AUDIT_ARCH_* (linux/audit.h); X32 is libseccomp's own, for the calls of X86_64 with _X32_BIT.
ARCHITECTURES = {
    "SCMP_ARCH_X86": 0x4000_0003,
    "SCMP_ARCH_X86_64": 0xC000_003E,
    "SCMP_ARCH_X32": 0x4000_003E,
    "SCMP_ARCH_ARM": 0x4000_0028,
    "SCMP_ARCH_AARCH64": 0xC000_00B7,
    "SCMP_ARCH_LOONGARCH64": 0xC000_0102,
    "SCMP_ARCH_M68K": 0x0000_0004,
    "SCMP_ARCH_MIPS": 0x0000_0008,
    "SCMP_ARCH_MIPS64": 0x8000_0008,
    "SCMP_ARCH_MIPS64N32": 0xA000_0008,
    "SCMP_ARCH_MIPSEL": 0x4000_0008,
    "SCMP_ARCH_MIPSEL64": 0xC000_0008,
    "SCMP_ARCH_MIPSEL64N32": 0xE000_0008,
    "SCMP_ARCH_PARISC": 0x0000_000F,
    "SCMP_ARCH_PARISC64": 0x8000_000F,
    "SCMP_ARCH_PPC": 0x0000_0014,
    "SCMP_ARCH_PPC64": 0x8000_0015,
    "SCMP_ARCH_PPC64LE": 0xC000_0015,
    "SCMP_ARCH_RISCV64": 0xC000_00F3,
    "SCMP_ARCH_S390": 0x0000_0016,
    "SCMP_ARCH_S390X": 0x8000_0016,
    "SCMP_ARCH_SH": 0x4000_002A,
    "SCMP_ARCH_SHEB": 0x0000_002A,
}
_X32 = ARCHITECTURES["SCMP_ARCH_X32"]
_X86_64 = ARCHITECTURES["SCMP_ARCH_X86_64"]
_X32_BIT = 0x4000_0000
_ARM = ARCHITECTURES["SCMP_ARCH_ARM"]
_FIRST_PRIVATE = 0x0F_0000  # __ARM_NR_BASE: its private calls (set_tls among them) are as old as the architecture

# Opcodes of classic BPF (linux/bpf_common.h), and offsets in struct seccomp_data (linux/seccomp.h).
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_GREATER, _JUMP_IF_NOT_LESS, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_CALL_NUMBER, _ARCHITECTURE = 0, 4

_API_LEVEL = 5
"""All of libseccomp that is used here: the actions LOG, KILL_PROCESS and NOTIFY. Unless the level is set, libseccomp
asks the running kernel, which a filter around pyrun itself may answer for."""

_MANY_RULES = 32


def compile_profile(profile: dict[str, Any]) -> tuple[int, bytes]:
    """Compile a seccomp profile; arguments, result and errors as of :func:`pyrun.plan.seccomp.compile_filter`."""
    flags = _flags(profile)
    default = _action(profile, "defaultAction", "defaultErrnoRet", "")
    library = _import_pyseccomp()
    library.set_api(_API_LEVEL)
    filter_ = library.SyscallFilter(default)
    architectures = _add_architectures(library, filter_, profile.get("architectures") or ())
    rules = profile.get("syscalls") or ()
    if sum(len(rule["names"]) for rule in rules) > _MANY_RULES:
        filter_.set_attr(library.Attr.CTL_OPTIMIZE, 2)  # a binary tree of calls
    for index, rule in enumerate(rules):
        _add_rule(library, filter_, default, rule, f"/syscalls/{index}")
    program = _export(filter_)
    if default not in (_ALLOW, _LOG, _ERRNO | _ENOSYS) and default & 0xFFFF_0000 != _TRACE:
        names = {name for rule in rules for name in rule["names"]}
        program = _refuse_newer_calls(_last_calls(library, architectures, names)) + program
    if len(program) > _MOST_INSTRUCTIONS * _INSTRUCTION_BYTES:
        count = len(program) // _INSTRUCTION_BYTES
        raise _error("", f"the filter has {count} instructions, the kernel takes {_MOST_INSTRUCTIONS}: simplify it")
    return flags, program


def _flags(profile: dict[str, Any]) -> int:
    """Return the flags; without a list it is SPEC_ALLOW, as for runc since 1.2 and crun."""
    listed = profile.get("flags")
    flags = FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] if listed is None else _listed_flags(listed)
    if notifies(profile):
        # The thread that hands the listener over stays unfiltered; the program's execve leaves no other thread anyway.
        flags = flags & ~FLAGS["SECCOMP_FILTER_FLAG_TSYNC"] | _NEW_LISTENER
    return flags


def _listed_flags(listed: list[str]) -> int:
    flags = 0
    for index, flag in enumerate(listed):
        if flag not in FLAGS:
            raise _error(f"/flags/{index}", f'"{flag}" is not a seccomp flag: use one of {", ".join(FLAGS)}')
        flags |= FLAGS[flag]
    return flags


def _action(place: dict[str, Any], name: str, errno_name: str, pointer: str) -> int:
    """Return an action of the profile or of a rule with its number."""
    action, number = place[name], place.get(errno_name)
    if action not in ACTIONS:
        raise _error(f"{pointer}/{name}", f'"{action}" is not a seccomp action: use one of {", ".join(ACTIONS)}')
    value = ACTIONS[action]
    if value not in _LARGEST_DATA:
        if number is not None:
            raise _error(f"{pointer}/{errno_name}", f"{action} has no error number: remove it")
        return value
    if number is None:
        number = _EPERM
    if not 0 <= number <= _LARGEST_DATA[value]:
        raise _error(f"{pointer}/{errno_name}", f"{action} takes numbers from 0 to {_LARGEST_DATA[value]}")
    return value | int(number)


def _import_pyseccomp() -> Any:
    try:
        import pyseccomp
    except ImportError:
        raise _error("", "seccomp filters need pyseccomp: install the Python package pyseccomp") from None
    except (OSError, RuntimeError):
        package = "libseccomp2 (Fedora, SUSE: libseccomp)"
        raise _error("", f"seccomp filters need libseccomp.so.2: install the package {package}") from None
    return pyseccomp


def _add_architectures(library: Any, filter_: Any, names: list[str] | tuple[()]) -> list[int]:
    """Add architectures to the native one, and return all."""
    architectures = [library.system_arch()]
    for index, name in enumerate(names):
        architecture = ARCHITECTURES.get(name)
        if architecture in architectures:
            continue
        try:
            if architecture is None:
                raise OSError
            filter_.add_arch(architecture)
        except OSError:
            message = f'"{name}" is not an architecture that libseccomp can filter on this machine: remove it'
            raise _error(f"/architectures/{index}", message) from None
        architectures.append(architecture)
    return architectures


def _add_rule(library: Any, filter_: Any, default: int, rule: dict[str, Any], pointer: str) -> None:
    action = _action(rule, "action", "errnoRet", pointer)
    conditions = [
        _condition(library, condition, f"{pointer}/args/{index}")
        for index, condition in enumerate(rule.get("args") or ())
    ]
    if action == default:
        return
    alternatives = [conditions]
    if len({condition["index"] for condition in rule.get("args") or ()}) < len(conditions):
        alternatives = [[condition] for condition in conditions]
    for index, name in enumerate(rule["names"]):
        number = _resolve(library, library.Arch.NATIVE, name)
        if number is None:
            continue
        for alternative in alternatives:
            try:
                filter_.add_rule(action, number, *alternative)
            except OSError as error:
                message = f'libseccomp refuses the rule for "{name}": {error.strerror}'
                raise _error(f"{pointer}/names/{index}", message) from error


def _condition(library: Any, condition: dict[str, Any], pointer: str) -> Any:
    operator = condition["op"]
    if operator not in OPERATORS:
        choice = ", ".join(OPERATORS)
        raise _error(f"{pointer}/op", f'"{operator}" is not a seccomp operator: use one of {choice}')
    if not 0 <= condition["index"] <= 5:
        raise _error(f"{pointer}/index", "system calls have arguments 0 to 5")
    return library.Arg(condition["index"], OPERATORS[operator], condition["value"], condition.get("valueTwo") or 0)


def _resolve(library: Any, architecture: int, name: str) -> int | None:
    """Return a call's number, negative if only other architectures have it; None if it is unknown."""
    if not name.isascii() or "\0" in name:
        return None  # a C string would end there and name another call
    number: int = library.resolve_syscall(architecture, name)
    return None if number == -1 else number


def _export(filter_: Any) -> bytes:
    with open(os.memfd_create("seccomp"), "w+b", buffering=0) as file:
        filter_.export_bpf(file)
        file.seek(0)
        return file.read()


def _last_calls(library: Any, architectures: list[int], names: set[str]) -> dict[int, int]:
    """Return the largest number that a name stands for on each architecture that has any of the calls."""
    last = {}
    for architecture in architectures:
        numbers = [_resolve(library, architecture, name) or 0 for name in names]
        if architecture == _ARM:
            numbers = [number for number in numbers if number < _FIRST_PRIVATE]
        if max(numbers, default=0) > 0:
            last[architecture] = max(numbers)
    return last


def _refuse_newer_calls(last: dict[int, int]) -> bytes:
    """Return a program to put in front of a filter: calls above the last one of an architecture get ENOSYS.

    X32 shares the kernel's name for the architecture with X86_64; its calls have one more bit. ARM has private calls
    far above the others.
    """
    program: list[tuple[int, int, int, int]] = []
    for architecture in reversed(last):
        to_filter = len(program) + 1  # from the test before the section's last instruction
        if architecture == _X32:
            continue
        tests = [(_JUMP_IF_GREATER, 0, to_filter, last[architecture])]
        if architecture == _X86_64:
            tests = [
                (_JUMP_IF_NOT_LESS, 1, 0, _X32_BIT),
                (_JUMP_IF_GREATER, 1, to_filter + 1, last[architecture]),
                (_JUMP_IF_GREATER, 0, to_filter, last.get(_X32, 0xFFFF_FFFF)),
            ]
        elif architecture == _ARM:
            tests = [
                (_JUMP_IF_NOT_LESS, to_filter + 1, 0, _FIRST_PRIVATE),
                (_JUMP_IF_GREATER, 0, to_filter, last[architecture]),
            ]
        section = [
            (_LOAD_WORD, 0, 0, _ARCHITECTURE),
            (_JUMP_IF_EQUAL, 0, len(tests) + 2, architecture),
            (_LOAD_WORD, 0, 0, _CALL_NUMBER),
            *tests,
            (_RETURN, 0, 0, _ERRNO | _ENOSYS),
        ]
        program = section + program
    return b"".join(
        code.to_bytes(2, sys.byteorder) + bytes((if_true, if_false)) + value.to_bytes(4, sys.byteorder)
        for code, if_true, if_false, value in program
    )


def _error(pointer: str, message: str) -> PyrunError:
    return PyrunError(message, source="config.json", pointer=f"/linux/seccomp{pointer}")
