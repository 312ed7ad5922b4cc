# SPDX-License-Identifier: Apache-2.0
"""Limits of real cgroups: all of some are set, or none."""

from __future__ import annotations

import errno
import os

import pytest

from integration.cgroups.conftest import Act, in_cgroup
from pyrun_cgroups.executor import ApplyError, Change, apply
from pyrun_cgroups.writes import Write
from support import kernel

DEPTH, DESCENDANTS = "cgroup.max.depth", "cgroup.max.descendants"


def limits(depth: str, descendants: str) -> list[Write]:
    return [Write("/unified/depth", DEPTH, depth), Write("/unified/descendants", DESCENDANTS, descendants)]


def value(cgroup: str, name: str) -> str:
    with open(f"{cgroup}/{name}", encoding="ascii") as file:
        return file.read().strip()


def values(cgroup: str) -> tuple[str, str]:
    return value(cgroup, DEPTH), value(cgroup, DESCENDANTS)


def test_all_are_set(act: Act) -> None:
    def body(cgroup: str) -> None:
        apply(cgroup, limits("5", "7"))
        assert values(cgroup) == ("5", "7")
        apply(cgroup, [])
        apply(cgroup, limits("max", "8"))
        assert values(cgroup) == ("max", "8")

    in_cgroup(act, body)


def test_none_is_set_when_one_is_refused(act: Act) -> None:
    def body(cgroup: str) -> None:
        apply(cgroup, limits("5", "7"))
        with pytest.raises(ApplyError) as caught:
            apply(cgroup, limits("6", "many"))
        assert values(cgroup) == ("5", "7")
        error = caught.value
        assert (error.pointer, error.file, error.value) == ("/unified/descendants", DESCENDANTS, "many")
        assert error.errno == errno.EINVAL
        assert error.not_restored == []
        assert str(error) == f'{cgroup}: /unified/descendants: write "many" to {DESCENDANTS}: Invalid argument'

    in_cgroup(act, body)


@pytest.mark.parametrize("name", ["cgroup.unknown", "memory.missing", "nothing.max"])
def test_nothing_is_written_when_a_file_is_missing(act: Act, name: str) -> None:
    def body(cgroup: str) -> None:
        missing = Write("/unified/x", name, "1")
        with pytest.raises(ApplyError) as caught:
            apply(cgroup, [*limits("6", "8"), missing])
        assert values(cgroup) == ("max", "max")
        assert caught.value.errno == errno.ENOENT
        if name == "nothing.max":
            assert "controller nothing, which cgroup v2 does not have here" in str(caught.value)
        apply(cgroup, [*limits("6", "8"), Write("/unified/x", name, "max", optional=True)])
        assert values(cgroup) == ("6", "8")

    in_cgroup(act, body)


def test_another_file_where_the_first_is_missing(act: Act) -> None:
    def body(cgroup: str) -> None:
        apply(cgroup, [Write("/x", "io.unknown", "1", instead=(DEPTH, "9"))])
        assert value(cgroup, DEPTH) == "9"
        apply(cgroup, [Write("/x", DESCENDANTS, "3", instead=(DEPTH, "4"))])
        assert values(cgroup) == ("9", "3")

    in_cgroup(act, body)


def test_change_is_taken_back(act: Act) -> None:
    def body(cgroup: str) -> None:
        change = Change(cgroup, limits("5", "7"))
        assert values(cgroup) == ("max", "max")
        change.make()
        assert change.undo() == []
        assert values(cgroup) == ("max", "max")
        change.close()

    in_cgroup(act, body)


def test_other_files_are_put_back_too(act: Act) -> None:
    def body(cgroup: str) -> None:
        apply(cgroup, limits("5", "7"))
        change = Change(cgroup, [Write("/x", DEPTH, "6")], [DESCENDANTS, "nothing.max"])
        for expected in (("6", "7"), ("5", "7")):
            with open(f"{cgroup}/{DESCENDANTS}", "w", encoding="ascii") as file:
                file.write("9")
            if expected[0] == "6":
                assert change.restore_others() == []
                change.make()
            else:
                assert change.undo() == []
            assert values(cgroup) == expected
        change.close()

    in_cgroup(act, body)


@pytest.mark.parametrize("name", [DEPTH, "cgroup.events", "../" + DEPTH])
def test_only_files_of_the_cgroup_itself_are_written(act: Act, name: str) -> None:
    """Neither what is mounted over one, nor one of another cgroup; "cgroup.events" can't be written."""

    def body(cgroup: str) -> None:
        below = f"{cgroup}/below"
        os.mkdir(below)
        kernel.mount(f"{cgroup}/{DEPTH}", f"{below}/{DEPTH}", flags=kernel.MS_BIND)
        with pytest.raises(ApplyError) as caught:
            apply(below, [Write("/y", DESCENDANTS, "5"), Write("/x", name, "1")])
        assert caught.value.errno == (errno.EINVAL if name == "cgroup.events" else errno.EXDEV)
        assert value(below, DESCENDANTS) == value(cgroup, DEPTH) == "max"
        kernel.unmount(f"{below}/{DEPTH}")

    in_cgroup(act, body)


def test_no_such_cgroup(act: Act) -> None:
    def body(cgroup: str) -> None:
        with pytest.raises(FileNotFoundError):
            apply(cgroup, limits("5", "7"))

    act(body)


def test_descriptors_are_closed(act: Act) -> None:
    def body(cgroup: str) -> None:
        before = os.listdir("/proc/self/fd")
        apply(cgroup, limits("5", "7"))
        for wrong in (limits("6", "many"), [*limits("6", "8"), Write("/x", "no.file", "1")]):
            with pytest.raises(ApplyError):
                apply(cgroup, wrong)
        assert os.listdir("/proc/self/fd") == before

    in_cgroup(act, body)
