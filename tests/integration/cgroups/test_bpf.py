# SPDX-License-Identifier: Apache-2.0
"""Device filters that take the place of others while processes are at work."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

import pytest

from integration.cgroups.bpf import attach_device_program, load_device_program
from integration.cgroups.conftest import Act, Member, in_cgroup
from pyrun_cgroups.bpf import Replacement, attach_device_filter, attached_device_filters, load_device_filter
from pyrun_cgroups.devices import DEFAULT_RULES, device_filter

Rule = dict[str, Any]

DENY_ALL: Rule = {"allow": False, "access": "rwm"}
ONE = device_filter([DENY_ALL, *DEFAULT_RULES])
TWO = device_filter([{"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}, *DEFAULT_RULES])
OTHER = device_filter([{"allow": True, "access": "rwm"}])
REPLACEMENTS = 300


def attach(program: bytes, cgroup: str) -> int:
    """Attaches a program beside others, by other means, and returns its id."""
    before = set(attached_device_filters(cgroup))
    loaded = load_device_program(program)
    attach_device_program(loaded, cgroup)
    os.close(loaded)
    (identity,) = set(attached_device_filters(cgroup)) - before
    return identity


def test_one_takes_the_place_of_another(act: Act) -> None:
    def body(cgroup: str) -> None:
        assert attached_device_filters(cgroup) == []
        attach_device_filter(cgroup, ONE)
        (first,) = attached_device_filters(cgroup)
        attach_device_filter(cgroup, TWO)
        (second,) = attached_device_filters(cgroup)
        assert first != second

    in_cgroup(act, body)


@pytest.mark.parametrize("with_one", [True, False])
def test_replacement_is_taken_back(act: Act, with_one: bool) -> None:
    def body(cgroup: str) -> None:
        if with_one:
            attach_device_filter(cgroup, ONE)
        before = attached_device_filters(cgroup)
        replacement = Replacement(cgroup, TWO)
        assert attached_device_filters(cgroup) == before
        replacement.make()
        assert attached_device_filters(cgroup) != before
        replacement.undo()
        assert attached_device_filters(cgroup) == before
        replacement.undo()
        replacement.close()

    in_cgroup(act, body)


def test_programs_of_others_stay(act: Act) -> None:
    def body(cgroup: str) -> None:
        of_others = attach(OTHER, cgroup)
        own = attach(ONE, cgroup)
        with pytest.raises(OSError, match="2 device programs are attached") as caught:
            attach_device_filter(cgroup, TWO)
        assert caught.value.errno == errno.EBUSY
        assert attached_device_filters(cgroup) == [of_others, own]
        attach_device_filter(cgroup, TWO, ONE)
        now = attached_device_filters(cgroup)
        assert of_others in now and own not in now and len(now) == 2

    in_cgroup(act, body)


def test_program_that_the_verifier_refuses(act: Act) -> None:
    def body(cgroup: str) -> None:
        attach_device_filter(cgroup, ONE)
        before, descriptors = attached_device_filters(cgroup), os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="insn|R0|exit"):
            attach_device_filter(cgroup, ONE[8:16])
        assert attached_device_filters(cgroup) == before
        assert os.listdir("/proc/self/fd") == descriptors

    in_cgroup(act, body)


def test_loaded_program_is_a_descriptor_that_is_closed_on_exec() -> None:
    program = load_device_filter(ONE)
    try:
        assert not os.get_inheritable(program)
    finally:
        os.close(program)


def test_no_moment_is_open_and_none_is_closed(act: Act, scratch: str) -> None:
    """A process opens a device that both lists allow, and one that both deny, for as long as they are exchanged."""
    allowed, denied, told = (os.path.join(scratch, name) for name in ("allowed", "denied", "told"))
    os.mknod(allowed, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(denied, stat.S_IFCHR | 0o600, os.makedev(1, 1))

    def open_both() -> None:
        with open(told, "ab", buffering=0) as report:
            while True:
                try:
                    os.close(os.open(allowed, os.O_RDWR))
                except OSError as error:
                    report.write(f"allowed: {error}\n".encode())
                try:
                    os.close(os.open(denied, os.O_RDONLY))
                    report.write(b"denied was opened\n")
                except PermissionError:
                    pass
                if not os.fstat(report.fileno()).st_size:
                    report.write(b"opened\n")

    def body(cgroup: str) -> None:
        attach_device_filter(cgroup, ONE)
        with Member(cgroup, open_both):
            for index in range(REPLACEMENTS):
                attach_device_filter(cgroup, (TWO, ONE)[index % 2])
            while not os.path.exists(told) or not os.path.getsize(told):
                pass
        with open(told, encoding="ascii") as report:
            assert report.read() == "opened\n"

    in_cgroup(act, body)
