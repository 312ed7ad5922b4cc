# SPDX-License-Identifier: Apache-2.0
"""A cgroup as an object."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import pytest

from integration.cgroups.conftest import Act, Member
from pyrun_cgroups.bpf import attached_device_filters
from pyrun_cgroups.cgroup import Cgroup
from pyrun_cgroups.control import CgroupError
from pyrun_cgroups.devices import DEFAULT_RULES
from pyrun_cgroups.executor import ApplyError
from pyrun_cgroups.writes import LimitError

EXAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "..", "examples", "limited.py")


def sleep() -> None:
    """Does nothing for long."""
    time.sleep(1000)


def value(group: Cgroup, name: str) -> str:
    with open(f"{group.path}/{name}", encoding="ascii") as file:
        return file.read().strip()


def test_life(act: Act) -> None:
    def body(path: str) -> None:
        # Without controllers: with them, there could be no processes beside a cgroup that has them.
        with Cgroup.make(f"{path}/own", []) as group:
            assert repr(group) == f"Cgroup('{path}/own')"
            assert group.controllers == []
            assert (group.populated, group.frozen, group.processes()) == (False, False, [])
            with Member(path, sleep) as member:
                group.add(member.pid)
                assert group.populated and group.processes() == [member.pid]
                assert Cgroup(path).processes(recursive=False) == []
                group.freeze()
                assert group.frozen
                group.thaw()
                assert not group.frozen
                group.kill()
                os.waitpid(member.pid, 0)
        assert not os.path.exists(group.path)
        Cgroup(path).remove()

    act(body)


def test_removed_with_its_processes(act: Act) -> None:
    def body(path: str) -> None:
        with Cgroup.make(path) as group:
            pid = os.fork()
            if pid == 0:
                group.add(0)
                sleep()
            while not group.populated:
                pass
            group.freeze()
        assert not os.path.exists(path)
        os.waitpid(pid, 0)

    act(body)


def test_limits(act: Act) -> None:
    def body(path: str) -> None:
        with Cgroup.make(path) as group:
            group.limit({"unified": {"cgroup.max.depth": "5", "cgroup.max.descendants": "6"}})
            group.limit({"unified": {"cgroup.max.depth": "7"}})
            assert (value(group, "cgroup.max.depth"), value(group, "cgroup.max.descendants")) == ("7", "6")
            with pytest.raises(LimitError) as meaningless:
                group.limit({"unified": {"cgroup.max.depth": "8"}, "cpu": {"idle": 5}})
            assert meaningless.value.pointer == "/cpu/idle"
            with pytest.raises(ApplyError) as refused:
                group.limit({"unified": {"cgroup.max.depth": "8", "cgroup.max.descendants": "x"}})
            assert refused.value.pointer == "/unified/cgroup.max.descendants"
            assert value(group, "cgroup.max.depth") == "7"

    act(body)


def test_devices(act: Act) -> None:
    def body(path: str) -> None:
        with Cgroup.make(path) as group:
            group.allow_devices(DEFAULT_RULES)
            first = attached_device_filters(path)
            group.allow_devices([{"allow": True, "type": "c", "access": "r"}])
            assert len(first) == 1 == len(attached_device_filters(path))
            assert first != attached_device_filters(path)

    act(body)


def test_watch_ends_with_the_last_process(act: Act) -> None:
    def body(path: str) -> None:
        with Cgroup.make(path) as group, Member(path, lambda: time.sleep(0.2)):
            assert list(group.watch_oom()) == []
            assert group.stat().core.populated is False

    act(body)


def test_controllers_are_passed_down(act: Act) -> None:
    def body(path: str) -> None:
        above = Cgroup(os.path.dirname(path))
        if "hugetlb" not in above.controllers:
            os._exit(0)
        with Cgroup.make(f"{path}/a/b", ["hugetlb"]) as group:
            assert "hugetlb" in group.controllers
            group.limit({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]})
            assert value(group, "hugetlb.2MB.max") == str(4 << 20)
        Cgroup(path).remove()

    act(body)


def test_controller_that_cannot_be_had(act: Act) -> None:
    def body(path: str) -> None:
        with pytest.raises(CgroupError, match="controller nothing, which cgroup v2 does not have here") as caught:
            Cgroup.make(f"{path}/a/b", ["nothing"])
        assert caught.value.errno == errno.ENOENT
        assert not os.path.exists(path)

    act(body)


def test_what_is_no_cgroup(act: Act, scratch: str) -> None:
    def body(path: str) -> None:
        for wrong, number in ((path, errno.ENOENT), (scratch, errno.EINVAL)):
            with pytest.raises(CgroupError, match="is not a cgroup of version 2") as caught:
                Cgroup(wrong)
            assert caught.value.errno == number
        with pytest.raises(CgroupError, match="cannot be made: File exists"):
            Cgroup.make(os.path.dirname(path))
        group = Cgroup.make(path)
        with pytest.raises(CgroupError, match="cannot take process 999999999: No such process"):
            group.add(999999999)
        group.remove()

    act(body)


def test_busy_parent_is_named(act: Act) -> None:
    def body(path: str) -> None:
        above = Cgroup.make(path)
        if "hugetlb" not in above.controllers:
            os._exit(0)
        with Member(path, sleep):
            with pytest.raises(CgroupError, match=f"cgroup {path} does not pass on: it has processes of its own"):
                Cgroup.make(f"{path}/below", ["hugetlb"])
            assert not os.path.exists(f"{path}/below")
        above.remove()

    act(body)


def test_example(act: Act) -> None:
    def body(path: str) -> None:
        ended = subprocess.run(
            [sys.executable, EXAMPLE, path, "sh", "-c", "cat /proc/self/cgroup; exit 3"], capture_output=True, text=True
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (3, 1), ended.stderr
        assert f"/{os.path.basename(path)}\n" in ended.stdout
        assert not os.path.exists(path)

    act(body)
