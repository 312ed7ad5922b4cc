# SPDX-License-Identifier: Apache-2.0
"""Every architecture that the specification names is filtered, or refused by its name where libseccomp can't."""

from __future__ import annotations

import sys

import pyseccomp
import pytest

from pyrun.errors import PyrunError
from pyrun.plan.seccomp_compiler import ARCHITECTURES

from .seccomp_profiles import profile_of, rule
from .test_seccomp_compiler import ALLOW, ENOSYS, EPERM, KILL_THREAD, X86_64, interpret, program_of

UNKNOWN = -1
NEWEST = "fchmodat2"


def number(name: str, architecture: str) -> int:
    """Returns the number of a system call on an architecture; UNKNOWN where libseccomp knows nothing of that."""
    return int(pyseccomp.resolve_syscall(ARCHITECTURES[architecture], name))


def is_filterable(architecture: str) -> bool:
    """Tells whether libseccomp knows the architecture, and it has this machine's byte order."""
    little = architecture == "SCMP_ARCH_X32" or ARCHITECTURES[architecture] & 0x40000000 != 0
    return number("read", architecture) != UNKNOWN and little == (sys.byteorder == "little")


FILTERABLE = [name for name in ARCHITECTURES if is_filterable(name)]


def kernels_name(architecture: str) -> int:
    """Returns the architecture as the kernel tells a filter: x32 is x86-64, with one more bit in its numbers."""
    return X86_64 if architecture == "SCMP_ARCH_X32" else ARCHITECTURES[architecture]


@pytest.mark.parametrize("architecture", FILTERABLE)
def test_filtered(architecture: str) -> None:
    program = program_of(profile_of(rule("read", NEWEST), architectures=[architecture]))
    name, newest = kernels_name(architecture), number(NEWEST, architecture)
    assert interpret(program, number("read", architecture), architecture=name) == ALLOW
    assert interpret(program, newest, architecture=name) == ALLOW
    assert interpret(program, number("write", architecture), architecture=name) == EPERM
    for newer in (newest + 1, newest + 100):
        assert interpret(program, newer, architecture=name) == ENOSYS


@pytest.mark.parametrize(
    "architecture", [name for name in FILTERABLE if ARCHITECTURES[name] != pyseccomp.system_arch()]
)
def test_killed_unless_listed(architecture: str) -> None:
    program = program_of(profile_of(rule("read", NEWEST)))
    for name in ("read", NEWEST):
        call = number(name, architecture)
        assert interpret(program, call, architecture=kernels_name(architecture)) == KILL_THREAD


def test_all_at_once() -> None:
    program = program_of(profile_of(rule("read", NEWEST), architectures=FILTERABLE))
    for architecture in FILTERABLE:
        name, newest = kernels_name(architecture), number(NEWEST, architecture)
        assert interpret(program, number("read", architecture), architecture=name) == ALLOW
        assert interpret(program, number("write", architecture), architecture=name) == EPERM
        assert interpret(program, newest + 1, architecture=name) == ENOSYS


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in FILTERABLE])
def test_refused(architecture: str) -> None:
    with pytest.raises(PyrunError) as caught:
        program_of(profile_of(rule("read"), architectures=["SCMP_ARCH_X86", architecture]))
    assert caught.value.pointer == "/linux/seccomp/architectures/1"
    assert f'"{architecture}"' in caught.value.message and "remove it" in caught.value.message


def test_which_are_filterable() -> None:
    """So that the tests above do not pass because nothing is."""
    always = {
        f"SCMP_ARCH_{name}" for name in ("X86", "X86_64", "X32", "ARM", "AARCH64", "RISCV64", "PPC64LE", "MIPSEL")
    }
    assert always <= set(FILTERABLE)


def test_private_calls_of_arm() -> None:
    """They are not newer than the others, however large their numbers; and nothing is older because one is listed."""
    arm = "SCMP_ARCH_ARM"
    name, newest, private = kernels_name(arm), number(NEWEST, arm), number("set_tls", arm)
    assert private > 0xF0000
    listed = program_of(profile_of(rule("read", NEWEST, "set_tls"), architectures=[arm]))
    assert interpret(listed, private, architecture=name) == ALLOW
    assert interpret(listed, newest + 1, architecture=name) == ENOSYS
    assert interpret(listed, number("cacheflush", arm), architecture=name) == EPERM
    others = program_of(profile_of(rule("read", NEWEST), architectures=[arm]))
    assert interpret(others, private, architecture=name) == EPERM
    only = program_of(profile_of(rule("set_tls"), architectures=[arm]))
    assert interpret(only, private, architecture=name) == ALLOW
    assert interpret(only, newest + 1, architecture=name) == EPERM
