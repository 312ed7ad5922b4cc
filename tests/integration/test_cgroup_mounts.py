# SPDX-License-Identifier: Apache-2.0
"""Mounts of cgroup v2 in all kinds of cgroup namespaces, and who owns the container's cgroup."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from support import configs, kernel, process
from support.configs import Config
from support.execs import cgroup_of, reap_orphans
from support.filesystems import user_namespace
from support.runtime import Container, MakeContainer, runtime_under_test
from support.world import CGROUPS

FIRST, OTHER_FIRST, SIZE = 100000, 300000, 65536
DELEGATE = "/sys/kernel/cgroup/delegate"
WITHOUT_A_LIST = {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}
CONTROL = "runc 1.1.5 gives the cgroup away under systemd only"


def with_view(*options: str, script: str = "exec sleep 1000", uid: int = 0, **changes: object) -> Config:
    """Returns a configuration whose cgroup mount has these options and properties."""
    config = configs.shell(script)
    config["process"]["user"] = {"uid": uid, "gid": uid}
    configs.mount_at(config, "/sys/fs/cgroup").update(options=["nosuid", "noexec", "nodev", *options], **changes)
    return config


def mount_of(container: Container) -> list[str]:
    """Returns the fields in mountinfo of what the container has at /sys/fs/cgroup."""
    return next(fields for fields in process.mountinfo(container.pid) if fields[4] == "/sys/fs/cgroup")


def delegated_names() -> set[str]:
    with open(DELEGATE, encoding="ascii") as file:
        return set(file.read().split())


def owners(container: Container) -> dict[str, int]:
    """Returns the owner of the container's cgroup, by ".", and of each file in it."""
    directory = cgroup_of(container)
    return {name: os.lstat(os.path.join(directory, name)).st_uid for name in [".", *os.listdir(directory)]}


def check_owner(container: Container, owner: int, names: set[str] | None = None) -> None:
    """Checks that a user owns the cgroup and the files of these names, and root all others."""
    found = owners(container)
    given = {".", *(delegated_names() if names is None else names)}
    assert {name for name in found if name in given} >= {".", "cgroup.procs"} or names is not None
    assert found == {name: owner if name in given else 0 for name in found}


@pytest.mark.parametrize(("option", "expected"), [("ro", "ro"), ("rw", "rw"), ("relatime", "rw")])
def test_own_namespace(make_container: MakeContainer, option: str, expected: str) -> None:
    container = make_container(with_view(option)).started()
    fields = mount_of(container)
    assert fields[fields.index("-") + 1] == "cgroup2"
    assert {expected, "nosuid", "nodev", "noexec"} <= set(fields[5].split(","))
    inside = container.exec("cat", "/sys/fs/cgroup/cgroup.procs").succeeded().output
    assert "1" in inside.split()


@pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])
@pytest.mark.parametrize("source", ["cgroup", "none"])
def test_types_and_sources(make_container: MakeContainer, kind: str, source: str) -> None:
    container = make_container(with_view("ro", type=kind, source=source)).started()
    assert mount_of(container)[3] == f"/{container.id}"
    assert "cgroup.procs" in container.exec("ls", "/sys/fs/cgroup").succeeded().output


def test_hosts_namespace(make_container: MakeContainer) -> None:
    """All of the host's cgroups are there, and nothing can be changed."""
    config = configs.without_namespace(with_view("ro", uid=0), "cgroup")
    container = make_container(config, container_id="seen").started()
    assert "seen" in container.exec("ls", "/sys/fs/cgroup").succeeded().output.split()
    assert "ro" in mount_of(container)[5].split(",")


def test_hosts_namespace_leaves_the_hosts_mount_as_it_is(make_container: MakeContainer) -> None:
    """The host's own mount has options, such as nsdelegate, that all mounts of cgroup2 share."""

    def host() -> list[list[str]]:
        return [fields for fields in process.mountinfo("thread-self") if "cgroup2" in fields]

    before = host()
    for kinds in (("cgroup",), ()):
        container = make_container(configs.without_namespace(with_view("rw"), *kinds)).started()
        assert host() == before
        container.delete("--force").succeeded()


def test_joined_namespace(make_container: MakeContainer) -> None:
    """The mount shows the cgroup of whoever made the namespace."""
    first = make_container(with_view("ro"), container_id="first").started()
    joining = configs.with_namespace(with_view("ro"), "cgroup", f"/proc/{first.pid}/ns/cgroup")
    second = make_container(joining, container_id="second").started()
    assert mount_of(second)[3] == "/first"
    seen = second.exec("cat", "/sys/fs/cgroup/cgroup.procs", "/proc/1/cgroup").succeeded().output
    assert "0::/../second" in seen.splitlines()
    assert os.readlink(f"/proc/{second.pid}/ns/cgroup") == os.readlink(f"/proc/{first.pid}/ns/cgroup")
    second.delete("--force").succeeded()


@pytest.mark.parametrize("kinds", [(), ("cgroup",)], ids=["own", "host's"])
@pytest.mark.parametrize("option", ["ro", "rw"])
def test_in_a_user_namespace(make_container: MakeContainer, option: str, kinds: tuple[str, ...]) -> None:
    config = configs.without_namespace(configs.with_user_namespace(with_view(option)), *kinds)
    container = make_container(config).started()
    assert option in mount_of(container)[5].split(",")
    listed = container.exec("ls", "/sys/fs/cgroup").succeeded().output.split()
    assert (container.id in listed) == bool(kinds)


@pytest.mark.pyrun_only(CONTROL)
@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_owner(make_container: MakeContainer, uid: int, mapped: bool) -> None:
    config = with_view(uid=uid)
    if mapped:
        configs.with_user_namespace(config, FIRST, SIZE)
    container = make_container(config).created()
    check_owner(container, FIRST + uid if mapped else uid)
    assert os.lstat(cgroup_of(container)).st_gid == 0
    container.start().succeeded()
    container.delete("--force").succeeded()
    assert not os.path.lexists(cgroup_of(container))


@pytest.mark.pyrun_only(CONTROL)
def test_owner_by_several_mappings(make_container: MakeContainer) -> None:
    config = configs.with_user_namespace(with_view(uid=7), FIRST, 5)
    mapping = {"containerID": 5, "hostID": OTHER_FIRST, "size": 10}
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind].append(mapping)
    check_owner(make_container(config).created(), OTHER_FIRST + 2)


@pytest.mark.pyrun_only(CONTROL)
@pytest.mark.parametrize("uid", [0, 1000])
def test_owner_in_a_joined_user_namespace(make_container: MakeContainer, uid: int) -> None:
    with user_namespace(OTHER_FIRST) as path:
        container = make_container(configs.with_namespace(with_view(uid=uid), "user", path)).created()
        check_owner(container, OTHER_FIRST + uid)
        container.start().succeeded()
        container.delete("--force").succeeded()


def test_user_that_a_joined_user_namespace_does_not_have(make_container: MakeContainer) -> None:
    if runtime_under_test().endswith("runc"):
        pytest.skip(CONTROL)
    with user_namespace(OTHER_FIRST) as path:
        container = make_container(configs.with_namespace(with_view(uid=SIZE + 5), "user", path))
        container.create().failed("/process/user/uid", str(SIZE + 5), path)


# What must hold, by the specification, for the owner to be another; in each case one thing does not.
NOT_GIVEN = {
    "read-only": lambda: with_view("ro", uid=1000),
    "read-only with all below": lambda: with_view("rro", uid=1000),
    "read-only at first": lambda: with_view("ro", "rw", uid=1000),
    "host's namespace": lambda: configs.without_namespace(with_view("rw", uid=1000), "cgroup"),
    "another source": lambda: with_view("rw", uid=1000, source="none"),
    "another place": lambda: with_view("rw", uid=1000, destination="/tmp"),
    "a bind": lambda: with_view("rw", "bind", uid=1000, source=CGROUPS),
    "no mount": lambda: configs.without_mounts(with_view(uid=1000), "/sys/fs/cgroup"),
}


@pytest.mark.parametrize("reason", [reason for reason in NOT_GIVEN if reason != "read-only with all below"])
def test_owner_stays(make_container: MakeContainer, reason: str) -> None:
    check_owner(make_container(NOT_GIVEN[reason]()).created(), 0)


@pytest.mark.pyrun_only("runc 1.1.5 does not know the option")
def test_owner_stays_where_all_is_read_only(make_container: MakeContainer) -> None:
    check_owner(make_container(NOT_GIVEN["read-only with all below"]()).created(), 0)


def test_owner_stays_in_a_joined_namespace(make_container: MakeContainer) -> None:
    first = make_container(with_view("ro"), container_id="first").started()
    config = configs.with_namespace(with_view("rw", uid=1000), "cgroup", f"/proc/{first.pid}/ns/cgroup")
    second = make_container(config, container_id="second").created()
    check_owner(second, 0)
    check_owner(first, 0)
    second.delete("--force").succeeded()


@pytest.mark.pyrun_only(CONTROL)
def test_destination_that_says_the_same_by_other_words(make_container: MakeContainer) -> None:
    check_owner(make_container(with_view("rw", uid=1000, destination="/sys//fs/./cgroup/")).created(), 1000)


@contextlib.contextmanager
def covered(text: str | None, directory: str) -> Iterator[None]:
    """Covers the kernel's list of files by another one, or by none."""
    kernel.mount("tmpfs", os.path.dirname(DELEGATE), "tmpfs")
    try:
        if text is not None:
            with open(DELEGATE, "w", encoding="ascii") as file:
                file.write(text)
        yield
    finally:
        kernel.unmount(os.path.dirname(DELEGATE))


@pytest.mark.pyrun_only(CONTROL)
@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, WITHOUT_A_LIST),
        ("", set()),
        ("cgroup.freeze\nno.such.file\ncgroup.procs", {"cgroup.freeze", "cgroup.procs"}),
    ],
    ids=["none", "empty", "with a missing file"],
)
def test_kernels_list(make_container: MakeContainer, scratch: str, text: str | None, names: set[str]) -> None:
    """Only those of its files that exist; without a list, the three of the specification."""
    with covered(text, scratch):
        container = make_container(with_view("rw", uid=1000)).created()
        check_owner(container, 1000, names)
        container.delete("--force").succeeded()


SUBGROUPS = """
cd /sys/fs/cgroup && mkdir own && echo 1 >own/cgroup.procs && mkdir other && rmdir other
for controller in $(cat cgroup.controllers); do echo +$controller >cgroup.subtree_control; done
cat /proc/self/cgroup; exec sleep 1000
"""


@pytest.mark.pyrun_only(CONTROL)
@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_user_makes_cgroups(make_container: MakeContainer, mapped: bool) -> None:
    """What systemd does in a container. exec still works, and delete removes what the container has made."""
    config = with_view("rw", script=SUBGROUPS, uid=1000)
    if mapped:
        configs.with_user_namespace(config, FIRST, SIZE)
    container = make_container(config).started()
    container.wait_for_output("0::/own")
    own = os.path.join(cgroup_of(container), "own")
    assert os.lstat(own).st_uid == (FIRST + 1000 if mapped else 1000)
    with open(os.path.join(cgroup_of(container), "cgroup.subtree_control"), encoding="ascii") as file:
        place = "/own" if file.read().split() else "/"  # with controllers, only its children take processes
    assert container.exec("cat", "/proc/self/cgroup").succeeded().output.splitlines()[-1] == f"0::{place}"
    reap_orphans()
    container.delete("--force").succeeded()
    assert not os.path.lexists(cgroup_of(container))


@pytest.mark.pyrun_only(CONTROL)
def test_user_cannot_loosen_what_holds_them(make_container: MakeContainer) -> None:
    script = "cd /sys/fs/cgroup; for f in cgroup.freeze cgroup.max.depth cgroup.max.descendants cgroup.type; do "
    script += "(echo 1 >$f) 2>/dev/null && echo $f; done; echo end; exec sleep 1000"
    container = make_container(with_view("rw", script=script, uid=1000)).started()
    container.wait_for_output("end")
    assert container.output == "end\n"


@pytest.mark.pyrun_only(CONTROL)
def test_cgroup_that_was_there_before(make_container: MakeContainer) -> None:
    """It stays when the container is gone, for whoever made it; the owner is the last one's."""
    os.mkdir(f"{CGROUPS}/engine")
    config = with_view("rw", uid=1000)
    config["linux"]["cgroupsPath"] = "/engine"
    container = make_container(config).created()
    assert os.lstat(f"{CGROUPS}/engine").st_uid == 1000
    container.delete("--force").succeeded()
    assert os.path.isdir(f"{CGROUPS}/engine")
    os.rmdir(f"{CGROUPS}/engine")
