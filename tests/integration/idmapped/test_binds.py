# SPDX-License-Identifier: Apache-2.0
"""Bind mounts whose ids are mapped, by the mount's own mappings or the user namespace's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support import configs, kernel
from support.filesystems import user_namespace, why_not
from support.idmapping import (
    FIRST,
    INSIDE,
    LOOK,
    NOBODY,
    OTHER_FIRST,
    OUTSIDE,
    OWNERS,
    bind,
    ids,
    mappings,
    owner,
    program,
    seen,
)
from support.runtime import MakeContainer, Run
from support.snapshot import process_table

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")


def test_binds(run: Run, files: str) -> None:
    """On disk as outside; the mount's own mappings lead to ids of the host: id 7 on disk is the container's 0 here."""
    one = {"root": NOBODY, "seven": 0, "high": NOBODY}
    outside = program(LOOK, bind(files, "idmap", **mappings()))
    inside = configs.with_user_namespace(program(LOOK, bind(files, "idmap")))
    own = configs.with_user_namespace(program(LOOK, bind(files, "idmap", **mappings(7, FIRST, 1))))
    for config, expected in ((outside, OUTSIDE), (inside, INSIDE), (own, one)):
        assert seen(run(config)) == expected
    with user_namespace(OTHER_FIRST) as path:
        for more, expected in (({}, INSIDE), (mappings(7, OTHER_FIRST, 1), one)):
            config = configs.with_namespace(program(LOOK, bind(files, "idmap", **more)), "user", path)
            assert seen(run(config)) == expected


def test_written_inside_and_outside(make_container: MakeContainer, files: str, kind: str) -> None:
    if kind == "erofs":
        pytest.skip("erofs is read-only")
    os.chmod(files, 0o777)
    script = (
        "touch inside; chown 7:7 root; until [ -e outside ]; do sleep 0.01; done; stat -c '%n %u %g' outside inside"
    )
    config = configs.with_user_namespace(program(f"{script}; exec sleep 1000", bind(files, "idmap")))
    container = make_container(config).started()
    until = os.path.join(files, "outside")
    with open(until + ".new", "w", encoding="ascii"):
        pass
    os.chown(until + ".new", 11, 11)
    os.rename(until + ".new", until)
    container.wait_for_output("inside 0 0")
    assert seen(container.output) == {"outside": 11, "inside": 0}
    assert owner(files, "inside") == 0
    assert owner(files, "root") == 7
    container.delete("--force").succeeded()


def test_what_has_no_id_on_disk_cannot_be_made(run: Run, source: str) -> None:
    """Without a user namespace root is 0, which the mapping leads to from no id on disk (EOVERFLOW)."""
    os.chmod(source, 0o777)
    assert "no" in run(program("touch made 2>/dev/null || echo no", bind(source, "idmap", **mappings())))
    assert not os.path.lexists(os.path.join(source, "made"))


def test_each_id_by_a_mapping_of_its_own(run: Run, source: str) -> None:
    uids = [*ids(0, 5000, 1), *ids(7, 6000, 1), *ids(90000, 7000, 10)]
    gids = [*ids(0, 5500, 1), *ids(7, 6600, 1), *ids(90000, 7700, 10)]
    output = run(program(LOOK, bind(source, "idmap", uidMappings=uids, gidMappings=gids)))
    assert output == "root 5000 5500\nseven 6000 6600\nhigh 7000 7700\n"


def test_several_mounts_of_one_source(run: Run, source: str) -> None:
    """Each has its own mapping, or none; two have the same."""
    mounts = [
        {**bind(source, "idmap", **mappings(0, outside)), "destination": place}
        for place, outside in (("/tmp", FIRST), ("/var", OTHER_FIRST), ("/run", FIRST))
    ]
    mounts.append({**bind(source), "destination": "/usr"})
    script = "for d in /tmp /var /run /usr; do stat -c '%n %u %g' $d/root; done"
    assert seen(run(program(script, *mounts))) == {
        "/tmp/root": FIRST,
        "/var/root": OTHER_FIRST,
        "/run/root": FIRST,
        "/usr/root": 0,
    }


def test_many_mappings(make_container: MakeContainer, run: Run, source: str) -> None:
    """As many as the kernel takes: up to a page of text (user_namespaces(7))."""
    many = [{"containerID": 2 * each, "hostID": FIRST + 2 * each, "size": 1} for each in range(300)]
    many[7] = {"containerID": 7, "hostID": 4000, "size": 1}
    found = seen(run(program(LOOK, bind(source, "idmap", uidMappings=many, gidMappings=many))))
    assert found == {"root": FIRST, "seven": 4000, "high": NOBODY}
    for each in many:
        each["hostID"] += 10**9
    container = make_container(program(LOOK, bind(source, "idmap", uidMappings=many, gidMappings=many)))
    container.create().failed("/mounts/7/uidMappings", "longer than a page")


def test_mappings_without_an_option(run: Run, source: str) -> None:
    """Spec: the option only SHOULD be there."""
    assert seen(run(program(LOOK, bind(source, **mappings())))) == OUTSIDE


def test_bind_of_a_file(run: Run, source: str) -> None:
    mount = {**bind(os.path.join(source, "seven"), "idmap", **mappings()), "destination": "/etc/hosts"}
    assert seen(run(program("stat -c '%n %u %g' /etc/hosts", mount))) == {"/etc/hosts": FIRST + 7}


def test_relative_source(make_container: MakeContainer) -> None:
    if why_not("tmpfs"):
        pytest.skip(str(why_not("tmpfs")))
    container = make_container(program("stat -c '%n %u %g' hosts", bind("rootfs/etc", "idmap", **mappings())))
    container.started().wait_for_end()
    assert seen(container.output) == {"hosts": FIRST}


@pytest.fixture
def tree(source: str) -> Iterator[str]:
    """The mounted file system, with another one mounted below."""
    below = os.path.join(source, "below")
    os.mkdir(below)
    if why_not("tmpfs"):
        kernel.mount(source, below, flags=kernel.MS_BIND)
    else:
        kernel.mount("tmpfs", below, "tmpfs")
        with open(os.path.join(below, "root"), "w", encoding="ascii"):
            pass
    yield source
    kernel.unmount(below)


@pytest.mark.parametrize(
    ("options", "below"),
    [
        ("bind idmap", "not there"),
        ("bind ridmap", "not there"),
        ("rbind idmap", "as it is"),
        ("rbind ridmap", "mapped"),
        ("rbind ridmap idmap", "as it is"),
        ("rbind idmap ridmap", "mapped"),
        ("rbind", "as it is"),
    ],
)
@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_what_is_mounted_below(run: Run, tree: str, options: str, below: str, mapped: bool) -> None:
    """It is mapped with ridmap only; the last option counts."""
    if mapped and below == "not there":
        pytest.skip("a user namespace can't get one mount without those below it")
    mount = {**bind(tree, **mappings()), "options": options.split()}
    config = program("stat -c '%n %u %g' root below/root 2>/dev/null; true", mount)
    found = seen(run(configs.with_user_namespace(config) if mapped else config))
    if mapped:
        expected = {"mapped": 0, "as it is": NOBODY}
    else:
        expected = {"mapped": FIRST, "as it is": 0}
    assert found.pop("root") == expected["mapped"]
    assert found == ({} if below == "not there" else {"below/root": expected[below]})


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_with_all_other_options(run: Run, tree: str, mapped: bool) -> None:
    options = ["rbind", "ridmap", "ro", "rnosuid", "rnodev", "noexec", "noatime", "rslave"]
    config = program("cat /proc/self/mountinfo", {**bind(tree, **mappings()), "options": options})
    if mapped:
        configs.with_user_namespace(config)
        options.remove("noatime")  # of the host's mount, which a user namespace can't change
    lines = {line.split()[4]: line.split() for line in run(config).splitlines()}
    assert {"ro", "nosuid", "nodev", "noexec", "idmapped"} <= set(lines["/tmp"][5].split(","))
    assert {"rw", "nosuid", "nodev", "idmapped"} <= set(lines["/tmp/below"][5].split(","))
    assert lines["/tmp/below"][6].startswith("master:")


def descendants() -> set[int]:
    """Returns the processes below this one, zombies too; orphans become its children."""
    table, found = process_table(), {os.getpid()}
    while more := {pid for pid, (parent, _, _) in table.items() if parent in found} - found:
        found |= more
    return found


@pytest.mark.parametrize("namespace", ["", "new", "joined"])
def test_nobody_is_left_in_a_mappings_namespace(make_container: MakeContainer, source: str, namespace: str) -> None:
    """Neither a process, nor a zombie, nor a descriptor in the container."""
    with user_namespace(FIRST) as path:
        config = program("exec sleep 1000", bind(source, "idmap", **mappings()))
        if namespace == "new":
            configs.with_user_namespace(config)
        elif namespace == "joined":
            configs.with_namespace(config, "user", path)
        container = make_container(config)
        before = descendants()
        container.created()
        assert descendants() - before == {container.pid}
        for status in ("created", "running"):
            assert container.status == status
            directory = f"/proc/{container.pid}/fd"
            links = [os.readlink(os.path.join(directory, name)) for name in os.listdir(directory)]
            assert not [link for link in links if "user:" in link or "mnt:" in link or link.startswith("/proc")]
            if status == "created":
                container.start().succeeded()
        container.delete("--force").succeeded()


def test_users_of_the_container_get_no_more_than_what_is_mapped(run: Run, source: str) -> None:
    """Ids on disk that no mapping leads to belong to nobody, whatever capabilities the container's root has."""
    os.chmod(os.path.join(source, "high"), 0o600)
    script = "cat high; chown 0 high; chmod 666 high; rm -f high; mv root moved; chown 90000 seven; stat -c %u root"
    config = configs.with_user_namespace(
        program(f"{{ {script}; }} 2>&1; true", bind(source, "idmap", **mappings(1, FIRST, 10)))
    )
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = configs.CAPABILITIES[:8]
    output = run(config)
    assert output.count("Permission denied") + output.count("Operation not permitted") + output.count("Value too") >= 5
    assert output.endswith(f"{NOBODY}\n")
    assert {name: owner(source, name) for name in OWNERS} == OWNERS


@pytest.mark.parametrize("namespace", ["new", "joined"])
def test_flags_of_the_hosts_mount_are_locked(run: Run, source: str, namespace: str) -> None:
    """What is read-only on the host can't be made writable by the root of the user namespace (mount_namespaces(7))."""
    kernel.mount("", source, flags=kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID)
    script = (
        "mount -o remount,bind,rw,suid /tmp 2>/dev/null && echo changed; grep -o ' /tmp [^ ]*' /proc/self/mountinfo"
    )
    config = program(script, bind(source, "idmap"))
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind].append("CAP_SYS_ADMIN")
    with user_namespace() as path:
        if namespace == "new":
            configs.with_user_namespace(config)
        else:
            configs.with_namespace(config, "user", path)
        assert run(config) == " /tmp ro,nosuid,relatime,idmapped\n"
