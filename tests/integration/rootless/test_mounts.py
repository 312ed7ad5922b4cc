# SPDX-License-Identifier: Apache-2.0
"""What an ordinary user's container has mounted, and what takes the place of what can't be had."""

from __future__ import annotations

import os

import pytest

from support import configs, kernel
from support.configs import Config
from support.runtime import Container
from support.users import USER, MakeUsersContainer, UsersRuntime, map_range, missing_mapper

OVERLAY = "org.pyrun.rootfs."
DENIED = ("Permission denied", "Operation not permitted", "Read-only file system")

ranges = pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))


def output_of(container: Container) -> str:
    container.started().wait_for_end()
    return container.output + container.errors


def without(config: Config, kind: str) -> Config:
    return configs.without_namespace(config, kind)


def test_devices_are_the_hosts(make_users_container: MakeUsersContainer) -> None:
    script = """echo x >/dev/null && head -c 4 /dev/zero | wc -c && head -c 4 /dev/urandom | wc -c
        echo x >/dev/full; ls -l /dev/tty >/dev/null && cd /dev && stat -c '%n %t:%T' null zero full
        stat -c "%n %t:%T" random urandom tty"""
    lines = output_of(make_users_container("/bin/sh", "-c", script)).splitlines()
    assert lines[:2] == ["4", "4"]
    assert lines[2:8] == ["null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0"]
    assert "No space left on device" in lines[8]


def test_devices_cannot_be_made(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "mknod /dev/shm/null c 1 3 || echo refused; ls /dev/shm")
    for kind in ("bounding", "effective", "permitted", "ambient"):
        container.bundle.config["process"]["capabilities"][kind] = ["CAP_MKNOD", "CAP_SYS_ADMIN"]
    assert "refused\nmknod: /dev/shm/null: Operation not permitted\n" == output_of(container)


def test_listed_device_is_the_hosts(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "stat -c %t:%T /dev/kmsg")
    container.bundle.config["linux"]["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    assert output_of(container) == "1:b\n"


def test_device_that_the_host_does_not_have(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime
) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["linux"]["devices"] = [{"path": "/dev/none", "type": "c", "major": 1, "minor": 3}]
    container.create().failed("/dev/none")
    assert users_runtime.remains() == []


def test_masked_and_readonly_paths_hold(make_users_container: MakeUsersContainer) -> None:
    script = """for path in /proc/kcore /proc/keys /proc/timer_list; do [ -e $path ] && wc -c <$path; done | sort -u
        ls -a /sys/firmware | wc -l
        for path in /proc/sys/kernel/domainname /proc/sys/fs/file-max /sys/kernel/profiling /proc/sysrq-trigger; do
            [ ! -e $path ] || (echo 1 >$path) 2>&1 | sed 's/.*: //'
        done | sort -u"""
    container = make_users_container("/bin/sh", "-c", script)
    lines = output_of(container).splitlines()
    assert lines[:2] == ["0", "2"]
    assert lines[2:] and set(lines[2:]) <= set(DENIED), lines


def test_masks_cannot_be_taken_away(make_users_container: MakeUsersContainer) -> None:
    """A further user namespace gets the mounts locked, and no procfs or sysfs without the masks."""
    script = "unshare -Urmpf sh -c 'umount /proc/sys; mount -t proc proc /dev/shm; mount -t sysfs sys /dev/shm'"
    container = make_users_container("/bin/sh", "-c", script)
    for kind in ("bounding", "effective", "permitted", "ambient"):
        container.bundle.config["process"]["capabilities"][kind] = ["CAP_SYS_ADMIN", "CAP_SETFCAP"]
    lines = output_of(container).splitlines()
    assert lines[0] == "umount: can't unmount /proc/sys: Invalid argument"
    assert lines[1:] == 2 * ["mount: permission denied (are you root?)"]


def test_bind_mounts_of_the_users_files(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    private = os.path.join(USER.runtime_directory, "private")
    os.mkdir(private, 0o700)
    with open(os.path.join(private, "file"), "w", encoding="ascii") as file:
        file.write("content\n")
    USER.owns(private, os.path.join(private, "file"))
    container = make_users_container("/bin/sh", "-c", "cat /tmp/file; (echo x >/tmp/new) 2>/dev/null || echo read-only")
    container.bundle.config["mounts"].append(configs.bind(private, "/tmp", "ro"))
    assert output_of(container) == "content\nread-only\n"


@pytest.mark.pyrun_only("runc 1.1.5 makes directories of its own for tmpcopyup, and knows fewer options")
def test_options_and_copies(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    """What takes mount(2), fspick(2) or a copy works with the privileges of a user namespace as well."""
    container = make_users_container("/bin/sh", "-c", "ls -ln /root; cat /proc/self/mountinfo")
    bundle = container.bundle
    bundle.write("root/file", "content\n", 0o640)
    USER.owns(f"{bundle.rootfs}/root", f"{bundle.rootfs}/root/file")
    tmpfs = {"type": "tmpfs", "source": "tmpfs"}
    bundle.config["mounts"] += [
        {**tmpfs, "destination": "/root", "options": ["tmpcopyup", "size=1m"]},
        {**tmpfs, "destination": "/tmp", "options": ["silent", "iversion", "lazytime", "size=1m", "rnoatime"]},
        {**tmpfs, "destination": "/tmp", "options": ["remount", "size=64k", "noexec"]},
        {**configs.bind("/etc", "/var"), "options": ["rbind", "rro", "rnosymfollow", "rslave", "rshared"]},
    ]
    lines = output_of(container).splitlines()
    assert lines[1].split()[:4] == ["-rw-r-----", "1", "0", "0"]
    fields = {line.split()[4]: line.split() for line in lines[2:]}
    assert {"noexec", "noatime"} <= set(fields["/tmp"][5].split(","))
    assert {"size=64k", "lazytime"} <= set(fields["/tmp"][-1].split(","))
    assert {"ro", "nosymfollow"} <= set(fields["/var"][5].split(","))
    assert fields["/var"][6].startswith("shared:")


@ranges
@pytest.mark.pyrun_only("runc opens sources as the container's root")
def test_bind_mount_that_the_containers_root_could_not_reach(make_users_container: MakeUsersContainer) -> None:
    """Root is a subordinate id of the user's, which has no way into the user's own directory."""
    private = os.path.join(USER.runtime_directory, "private")
    os.makedirs(os.path.join(private, "shared"))
    with open(os.path.join(private, "shared", "file"), "w", encoding="ascii") as file:
        file.write("content\n")
    USER.owns(private, os.path.join(private, "shared"))
    os.chmod(private, 0o700)
    container = make_users_container("/bin/cat", "/tmp/file")
    for key in ("uidMappings", "gidMappings"):
        container.bundle.config["linux"][key] = [{"containerID": 0, "hostID": 200000, "size": 10}]
    container.bundle.config["mounts"].append(configs.bind(os.path.join(private, "shared"), "/tmp"))
    assert output_of(container) == "content\n"


def test_bind_mount_that_the_user_may_not_reach(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, scratch: str
) -> None:
    """The capabilities of a user namespace's root are none over the files of others."""
    private = os.path.join(scratch, "private")
    os.makedirs(os.path.join(private, "inside"))
    os.chmod(private, 0o700)
    container = make_users_container("/bin/true")
    container.bundle.config["mounts"].append(configs.bind(os.path.join(private, "inside"), "/tmp"))
    container.create().failed("permission denied", os.path.join(private, "inside"))
    assert users_runtime.remains() == []


def test_other_peoples_files_keep_their_owner(make_users_container: MakeUsersContainer) -> None:
    """Root of the container is nobody to them, whatever its capabilities."""
    script = "stat -c %u /etc/passwd; chown 0 /etc/passwd || chmod 777 /etc/passwd || echo refused"
    container = make_users_container("/bin/sh", "-c", script)
    container.bundle.config["root"]["readonly"] = False
    for kind in ("bounding", "effective", "permitted", "ambient"):
        container.bundle.config["process"]["capabilities"][kind] = ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"]
    assert output_of(container).splitlines()[:2] == ["65534", "refused"]


@ranges
def test_terminal_group_of_a_range(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "mount | grep ' /dev/pts '")
    map_range(container.bundle.config, USER)
    configs.mount_at(container.bundle.config, "/dev/pts")["options"].append("gid=5")
    assert "gid=200004" in output_of(container)


def test_sysfs_of_an_own_network(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "ls /sys/class/net")
    config = configs.with_namespace(container.bundle.config, "network")
    sysfs = configs.mount_at(config, "/sys")
    sysfs.update(type="sysfs", source="sysfs")
    sysfs["options"].remove("rbind")
    assert output_of(container) == "lo\n"


@pytest.mark.parametrize(
    ("kind", "destination", "mount"),
    [
        ("network", "/sys", {"type": "sysfs", "source": "sysfs", "options": ["ro"]}),
        ("ipc", "/dev/mqueue", {"type": "mqueue", "source": "mqueue", "options": []}),
        ("pid", "/proc", {"type": "proc", "source": "proc", "options": []}),
    ],
)
def test_filesystem_of_a_namespace_of_the_host(
    make_users_container: MakeUsersContainer,
    users_runtime: UsersRuntime,
    kind: str,
    destination: str,
    mount: dict[str, object],
) -> None:
    container = make_users_container("/bin/true")
    without(container.bundle.config, kind)
    configs.mount_at(container.bundle.config, destination).update(mount)
    line = container.create().failed(destination, "operation not permitted")
    if users_runtime.name == "pyrun":
        assert "else bind the host's" in line
    assert users_runtime.remains() == []


def test_procfs_where_the_hosts_is_masked(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, scratch: str
) -> None:
    """As in an engine's container: a new procfs would show what was masked there (mount_too_revealing)."""
    container = make_users_container("/bin/true")
    kernel.mount("tmpfs", "/proc/bus", "tmpfs")
    try:
        line = container.create().failed("/proc", "operation not permitted")
    finally:
        kernel.unmount("/proc/bus")
    if users_runtime.name == "pyrun":
        assert "else bind the host's" in line
    assert users_runtime.remains() == []


@pytest.mark.pyrun_only("the annotations are pyrun's")
def test_overlay_root(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/sh", "-c", "echo new >/tmp/new; rm /etc/hosts; ls /etc/hosts /tmp/new")
    bundle = container.bundle
    layers = {name: os.path.join(bundle.path, name) for name in ("upper", "work")}
    for path in layers.values():
        os.mkdir(path)
        USER.owns(path)
    for directory, _, files in os.walk(bundle.rootfs):
        USER.owns(directory, *(os.path.join(directory, file) for file in files if file != "busybox"))
    bundle.may_change |= set(layers)
    bundle.config["root"]["readonly"] = False
    bundle.config["annotations"] = {
        f"{OVERLAY}lowerdir": bundle.rootfs,
        f"{OVERLAY}upperdir": layers["upper"],
        f"{OVERLAY}workdir": layers["work"],
    }
    output = output_of(container)
    assert "/tmp/new" in output.splitlines()
    assert "ls: /etc/hosts: No such file or directory" in output
    made = os.stat(os.path.join(layers["upper"], "tmp/new"))
    assert made.st_uid == USER.number


def test_oom_score_below_the_callers(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["process"]["oomScoreAdj"] = -500
    words = ["oom_score_adj", "permission denied"] if users_runtime.name == "pyrun" else []
    container.create().failed(*words)
    assert users_runtime.remains() == []


def test_oom_score_above_the_callers(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/cat", "/proc/self/oom_score_adj")
    container.bundle.config["process"]["oomScoreAdj"] = 500
    assert output_of(container) == "500\n"


def test_hard_limit_above_the_callers(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2**40}]
    result = users_runtime.run(container.id, container.bundle)
    assert result.status == 1
    assert "operation not permitted" in result.error_line
    assert users_runtime.remains() == []
