# SPDX-License-Identifier: Apache-2.0
"""Which ids a user's container has: their own alone, or ranges that newuidmap and newgidmap map."""

from __future__ import annotations

import os

import pytest

from support import kernel, process
from support.configs import Config
from support.runtime import Container
from support.users import (
    FIRST_SUBORDINATE,
    MAPPERS,
    SUBORDINATES,
    USER,
    MakeUsersContainer,
    UsersRuntime,
    grant,
    map_range,
    missing_mapper,
    revoke_subordinates,
)

ranges = pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))


def rows(text: str) -> list[list[int]]:
    return [[int(word) for word in line.split()] for line in text.splitlines()]


def writable(container: Container, *may_change: str) -> Container:
    """Gives the root filesystem's directories to the user; files in /tmp `may_change`."""
    container.bundle.config["root"]["readonly"] = False
    for directory, _, _ in os.walk(container.bundle.rootfs):
        USER.owns(directory)
    container.bundle.may_change.update(f"rootfs/tmp/{name}" for name in may_change)
    return container


def refused(container: Container, runtime: UsersRuntime, *words: str) -> str:
    """Checks that `create` fails with one line that has `words`, and leaves nothing."""
    line = container.create().failed(*words)
    assert runtime.remains() == []
    return line


def test_single_id(make_users_container: MakeUsersContainer) -> None:
    script = "cat /proc/self/uid_map /proc/self/gid_map; touch /tmp/made"
    container = writable(make_users_container("/bin/sh", "-c", script), "made").started()
    container.wait_for_end()
    assert rows(container.output) == [[0, USER.number, 1]] * 2
    made = os.stat(os.path.join(container.bundle.rootfs, "tmp/made"))
    assert (made.st_uid, made.st_gid) == (USER.number, USER.number)


def test_single_id_denies_setgroups(make_users_container: MakeUsersContainer) -> None:
    """Who leaves a group would get at what is denied to its members (CVE-2014-8989)."""
    container = make_users_container("/bin/cat", "/proc/self/setgroups").started()
    container.wait_for_end()
    assert container.output == "deny\n"


@ranges
@pytest.mark.parametrize(("inside", "outside"), [(0, USER.number), (1000, FIRST_SUBORDINATE + 999)])
def test_owners_of_what_is_made(make_users_container: MakeUsersContainer, inside: int, outside: int) -> None:
    container = writable(make_users_container("/bin/sh", "-c", "touch /tmp/made; stat -c %u:%g /tmp/made"), "made")
    map_range(container.bundle.config, USER)["process"]["user"] = {"uid": inside, "gid": inside}
    container.started().wait_for_end()
    assert container.output == f"{inside}:{inside}\n"
    made = os.stat(os.path.join(container.bundle.rootfs, "tmp/made"))
    assert (made.st_uid, made.st_gid) == (outside, outside)


@ranges
def test_maps_of_a_range(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000")
    map_range(container.bundle.config, USER)
    container.started()
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{container.pid}/{name}", encoding="ascii") as table:
            assert rows(table.read()) == [[0, USER.number, 1], [1, FIRST_SUBORDINATE, SUBORDINATES]]
    with open(f"/proc/{container.pid}/setgroups", encoding="ascii") as setting:
        assert setting.read() == "allow\n"


@ranges
@pytest.mark.pyrun_only("runc can't give its fifo away")
def test_own_id_need_not_be_mapped(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sleep", "1000")
    map_to_subordinates(container.bundle.config)
    container.started()
    assert process.status(container.pid)["Uid"].split() == [str(FIRST_SUBORDINATE)] * 4
    container.stop()
    container.delete().succeeded()


def map_to_subordinates(config: Config) -> None:
    for key in ("uidMappings", "gidMappings"):
        config["linux"][key] = [{"containerID": 0, "hostID": FIRST_SUBORDINATE, "size": 1000}]


@ranges
@pytest.mark.pyrun_only("runc hands only a few to newuidmap")
def test_many_ranges(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/cat", "/proc/self/uid_map")
    mapping = [{"containerID": 0, "hostID": USER.number, "size": 1}] + [
        {"containerID": 10 * number, "hostID": FIRST_SUBORDINATE + 20 * number, "size": 10} for number in range(1, 200)
    ]
    for key in ("uidMappings", "gidMappings"):
        container.bundle.config["linux"][key] = mapping
    container.started().wait_for_end()
    assert rows(container.output) == [[each["containerID"], each["hostID"], each["size"]] for each in mapping]


@ranges
@pytest.mark.pyrun_only("runc refuses them for every user but root")
def test_additional_groups_of_a_range(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "id -G; echo ready; exec sleep 1000")
    map_range(container.bundle.config, USER)["process"]["user"]["additionalGids"] = [5, 7]
    container.started().wait_for_output("ready")
    assert container.output == "0 5 7\nready\n"
    assert process.status(container.pid)["Groups"].split() == [str(FIRST_SUBORDINATE + 4), str(FIRST_SUBORDINATE + 6)]
    container.stop()


@pytest.mark.pyrun_only("runc says so when the container starts")
def test_additional_groups_without_a_range(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["process"]["user"]["additionalGids"] = [0]
    refused(container, users_runtime, "/process/user/additionalGids", "cannot set any additional groups")


@ranges
@pytest.mark.parametrize(("file", "mapper"), [("/etc/subuid", "newuidmap"), ("/etc/subgid", "newgidmap")])
def test_no_subordinate_ids(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, file: str, mapper: str
) -> None:
    container = make_users_container("/bin/true")
    map_range(container.bundle.config, USER)
    revoke_subordinates(file)
    line = refused(container, users_runtime)
    if users_runtime.name == "pyrun":
        kind = mapper[3:6]
        assert f"/linux/{kind}Mappings: {mapper}: {kind} range [1-65537) -> [200000-265536) not allowed; " in line
        assert "/etc/subuid" in line


@ranges
@pytest.mark.parametrize(
    "ranges_granted",
    [f"{FIRST_SUBORDINATE + 1}:{SUBORDINATES}", f"{FIRST_SUBORDINATE}:{SUBORDINATES - 1}", "nonsense:here"],
)
def test_other_subordinate_ids(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, ranges_granted: str
) -> None:
    container = make_users_container("/bin/true")
    map_range(container.bundle.config, USER)
    revoke_subordinates()
    grant(USER, ranges_granted)
    refused(container, users_runtime)


@ranges
@pytest.mark.parametrize(
    "mapping",
    [
        {"containerID": 0, "hostID": 0, "size": 1},
        {"containerID": 0, "hostID": USER.number + 1, "size": 1},
        {"containerID": 0, "hostID": USER.number, "size": 2},
        {"containerID": 0, "hostID": USER.number - 1, "size": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["uidMappings", "gidMappings"])
def test_ids_of_others(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, mapping: dict[str, int], key: str
) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["linux"][key] = [mapping]
    line = refused(container, users_runtime)
    if users_runtime.name == "pyrun":
        assert f"config.json: /linux/{key}: " in line
        assert "not allowed" in line


@pytest.mark.pyrun_only("runc says only that it failed")
def test_no_mapper(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, scratch: str) -> None:
    container = make_users_container("/bin/true")
    map_range(container.bundle.config, USER)
    users_runtime.environment["PATH"] = "/nonexistent::relative:/usr/sbin:/usr/bin"
    hidden = os.path.join(scratch, "hidden")
    open(hidden, "w", encoding="ascii").close()
    kernel.mount(hidden, "/usr/bin/newgidmap", flags=kernel.MS_BIND)
    try:
        refused(container, users_runtime, "execute /usr/bin/newgidmap: permission denied", "package uidmap")
    finally:
        kernel.unmount("/usr/bin/newgidmap")


@pytest.mark.pyrun_only("runc does not repeat what a program said")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo some words >&2; echo more >&2; exit 3", "some words"),
        ("exit 3", "ended with status 3"),
        ("kill -9 $$", "was killed by signal 9"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", "xxxxxxxx"),
        (
            '[ -z "$(env | grep -v ^PWD= | grep -v ^SHLVL= | grep -v ^_=)" ] || exit 1; echo "got $#" >&2; exit 1',
            "got 7",
        ),
    ],
)
def test_failing_mapper(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, scratch: str, script: str, words: str
) -> None:
    """The programs are those that the caller's PATH has."""
    for name in MAPPERS:
        path = os.path.join(scratch, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)
    users_runtime.environment["PATH"] = f"{scratch}:{users_runtime.environment['PATH']}"
    container = make_users_container("/bin/true")
    map_range(container.bundle.config, USER)
    refused(container, users_runtime, "/linux/gidMappings: ", words)


@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_overlapping_ranges(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, kind: str) -> None:
    container = make_users_container("/bin/true")
    map_range(container.bundle.config, USER)["linux"][f"{kind}Mappings"][1]["containerID"] = 0
    refused(container, users_runtime)


@pytest.mark.parametrize("user", [{"uid": 1, "gid": 0}, {"uid": 0, "gid": 1}], ids=str)
def test_user_who_is_not_mapped(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, user: dict[str, int]
) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["process"]["user"] = user
    result = users_runtime.run(container.id, container.bundle)
    assert result.status == 1
    if users_runtime.name == "pyrun":
        name = "uid" if user["uid"] else "gid"
        assert f"/process/user/{name}: " in result.error_line
        assert f"not in /linux/{name}Mappings" in result.error_line
    assert users_runtime.remains() == []


@pytest.mark.parametrize("option", ["gid=5", "uid=1"])
def test_mount_option_with_an_id_that_is_not_mapped(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, option: str
) -> None:
    container = make_users_container("/bin/true")
    (terminals,) = (mount for mount in container.bundle.config["mounts"] if mount["destination"] == "/dev/pts")
    terminals["options"].append(option)
    line = refused(container, users_runtime, option[:3])
    if users_runtime.name == "pyrun":
        assert "/mounts/2/options/5: " in line
