# SPDX-License-Identifier: Apache-2.0
"""Where containers' cgroups lie, as runc 1.1.5 places them on a pure cgroup v2 host."""

from __future__ import annotations

import os
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrun_cgroups import placement
from pyrun_cgroups.placement import CgroupPathError, cgroup_path


@pytest.mark.parametrize(
    ("cgroups_path", "own", "expected"),
    [
        (None, "/", "/web"),
        ("", "/", "/web"),
        (None, "/user.slice/session", "/user.slice/web"),
        ("/docker/web", "/user.slice/session", "/docker/web"),
        ("a/b", "/", "/a/b"),
        ("a/b", "/user.slice/session", "/user.slice/a/b"),
        ("../up", "/user.slice/deep/session", "/user.slice/deep/up"),
        ("../../../up", "/user.slice/session", "/user.slice/up"),
        ("/a/../../../b", "/", "/b"),
        ("./a/./b", "/", "/a/b"),
        ("//a//b/", "/", "/a/b"),
        ("/a..b/..c", "/", "/a..b/..c"),
        ("system.slice:docker:web", "/", "/system.slice:docker:web"),
        ("a", "/../outside/of/namespace", "/a"),
        ("../a", "/..", "/a"),
        (None, "/gone/runtime (deleted)", "/gone/web"),
    ],
)
def test_place(cgroups_path: str | None, own: str, expected: str) -> None:
    assert cgroup_path(cgroups_path, "web", own) == expected


@pytest.mark.parametrize(
    ("cgroups_path", "own"),
    [
        ("/", "/"),
        ("/", "/user.slice/session"),
        ("..", "/"),
        (".", "/user.slice/session"),
        ("/a/..", "/"),
        ("/user.slice", "/user.slice/session"),
        ("/user.slice/session", "/user.slice/session"),
        ("session", "/user.slice/session"),
    ],
)
def test_cgroup_of_the_runtime_is_refused(cgroups_path: str, own: str) -> None:
    """Killing such a container would kill its runtime, and at the root everything."""
    with pytest.raises(CgroupPathError, match=r'^"[^"]*" is a cgroup that the runtime itself is in: name another$'):
        cgroup_path(cgroups_path, "web", own)


def test_nul_is_refused() -> None:
    with pytest.raises(CgroupPathError, match="NUL"):
        cgroup_path("/a\0b", "web", "/")


@given(st.text(alphabet="ab./:", min_size=1), st.sampled_from(["/", "/own", "/own/deep/er"]))
def test_no_path_leads_outside(cgroups_path: str, own: str) -> None:
    try:
        path = cgroup_path(cgroups_path, "web", own)
    except CgroupPathError:
        return
    assert posixpath.normpath(path) == path
    assert path.startswith("/") and not path.startswith("//") and path != "/"
    if not cgroups_path.startswith("/"):
        assert posixpath.join(posixpath.dirname(own), "") in path


def test_own_cgroup_is_a_path() -> None:
    assert placement.own_cgroup().startswith("/")


def test_find_cgroup2_prefers_the_unified_layout(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    unified, hybrid = (str(tmp_path_factory.mktemp(name)) for name in ("unified", "hybrid"))
    monkeypatch.setattr(placement, "_MOUNTS", (unified, hybrid))
    assert placement.find_cgroup2() is None
    open(hybrid + "/cgroup.controllers", "w").close()
    assert placement.find_cgroup2() == hybrid
    open(unified + "/cgroup.controllers", "w").close()
    assert placement.find_cgroup2() == unified


def test_name_that_no_file_system_takes() -> None:
    assert cgroup_path(f"/a/{'x' * 255}", "id", "/") == f"/a/{'x' * 255}"
    with pytest.raises(CgroupPathError, match="longer than 255 bytes"):
        cgroup_path(f"/a/{'x' * 256}", "id", "/")
    with pytest.raises(CgroupPathError, match="longer than 255 bytes"):
        cgroup_path(f"/a/{'é' * 128}", "id", "/")


@pytest.mark.parametrize(
    ("own", "writable", "expected"),
    [
        ("/user/session", {"/c/user", "/c/user/cgroup.procs"}, True),
        ("/user/session", {"/c/user"}, False),
        ("/user/session", {"/c/user/cgroup.procs"}, False),
        ("/user/session", {"/c/user/session", "/c/user/session/cgroup.procs"}, False),
        ("/session", {"/c/", "/c//cgroup.procs"}, True),
        ("/", {"/c/", "/c//cgroup.procs"}, True),
    ],
)
def test_may_have_sibling(monkeypatch: pytest.MonkeyPatch, own: str, writable: set[str], expected: bool) -> None:
    def access(path: str, mode: int, *, effective_ids: bool) -> bool:
        assert (mode, effective_ids) == (os.W_OK, True)
        return path in writable

    monkeypatch.setattr(os, "access", access)
    assert placement.may_have_sibling("/c", own) is expected


def test_mounted_has_the_controllers(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = str(tmp_path_factory.mktemp("unified"))
    monkeypatch.setattr(placement, "_MOUNTS", ("/nowhere", mount))
    with open(mount + "/cgroup.controllers", "w", encoding="ascii") as file:
        file.write("cpuset hugetlb\n")
    assert placement.mounted() == (mount, ["cpuset", "hugetlb"])


def test_path_that_no_system_call_takes() -> None:
    longest = "/" + "/".join(["x" * 127] * 28)
    assert cgroup_path(longest, "id", "/") == longest
    with pytest.raises(CgroupPathError, match="longer than 3584 bytes"):
        cgroup_path(longest + "x" * 10, "id", "/")


OF_VERSION_1 = b"#subsys_name hierarchy num_cgroups enabled\ncpu 1 1 1\nblkio 7 1 1\nmemory 0 1 0\nhugetlb 0 8 1\n"


@pytest.mark.parametrize(
    ("controller", "words"),
    [
        ("cpu", "as cgroup v1 has it: remove the limit, or boot with cgroup_no_v1=cpu"),
        ("io", "as cgroup v1 has it: remove the limit, or boot with cgroup_no_v1=io"),
        ("memory", "as it is disabled: remove the limit, or boot with cgroup_enable=memory"),
        (
            "hugetlb",
            "as the mounted cgroup does not get it from above: remove the limit, or have the controller delegated",
        ),
        ("rdma", "as the kernel is made without it: remove the limit"),
    ],
)
def test_why_a_controller_is_missing(monkeypatch: pytest.MonkeyPatch, controller: str, words: str) -> None:
    monkeypatch.setattr(placement, "_read", lambda path: OF_VERSION_1)
    assert placement.why_missing(controller) == words
