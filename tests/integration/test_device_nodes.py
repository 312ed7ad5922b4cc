# SPDX-License-Identifier: Apache-2.0
"""linux.devices and the default devices by kind, with and without a user namespace, where only the host has nodes."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Run, Runtime

OF_PYRUN = pytest.mark.pyrun_only("runc 1.1.5 does this otherwise, as docs/compatibility.md says")
POINTER = "/linux/devices/0"
MODES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
NUMBERS = (7, 200)
STAT = "stat -c '%F|%a|%u|%g|%t:%T'"


def device(kind: str, path: str = "/dev/mine", **more: Any) -> dict[str, Any]:
    """Returns an entry of linux.devices."""
    numbers = {} if kind == "p" else dict(zip(("major", "minor"), NUMBERS, strict=True))
    return {"path": path, "type": kind, **numbers, **more}


def with_devices(*devices: dict[str, Any], script: str = "") -> Config:
    """Returns a writable configuration with these devices whose program runs `script`, or shows each device."""
    paths = " ".join(each["path"] for each in devices)
    config = configs.shell(script or f"{STAT} {paths}")
    config["linux"]["devices"] = list(devices)
    config["root"]["readonly"] = False
    return config


WORDS = {"c": "character special file", "u": "character special file", "b": "block special file", "p": "fifo"}


def line(kind: str, mode: int = 0o666, uid: int = 0, gid: int = 0) -> str:
    """Returns what stat(1) says of a device."""
    numbers = "0:0" if kind == "p" else f"{NUMBERS[0]:x}:{NUMBERS[1]:x}"
    return f"{WORDS[kind]}|{mode:o}|{uid}|{gid}|{numbers}\n"


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {}),
        ({"fileMode": 0o600, "uid": 7, "gid": 8}, {"mode": 0o600, "uid": 7, "gid": 8}),
        ({"fileMode": 0}, {"mode": 0}),
        ({"fileMode": 0o2640}, {"mode": 0o2640}),
    ],
    ids=["as it comes", "mode and owner", "no permissions", "set-group-id"],
)
def test_node(run: Run, kind: str, asked: dict[str, Any], expected: dict[str, int]) -> None:
    assert run(with_devices(device(kind, **asked))) == line(kind, **expected)


@pytest.mark.parametrize("kind", MODES)
def test_mode_with_the_bits_of_a_type(run: Run, kind: str) -> None:
    """A decimal 33188 is stat(2)'s st_mode of a file: the bits of its type say nothing here."""
    assert run(with_devices(device(kind, fileMode=stat.S_IFREG | 0o644))) == line(kind, 0o644)


@pytest.fixture
def host_node(scratch: str) -> str:
    """The path of a device of the host, which the test has still to make."""
    return f"{scratch}/node"


@pytest.mark.parametrize("kind", ["c", "u", "b"])
def test_user_namespace_gets_the_hosts_node(
    make_container: MakeContainer, scratch: str, host_node: str, kind: str
) -> None:
    """With the host's owner and mode, which the container can't change."""
    os.mknod(host_node, MODES[kind] | 0o640, os.makedev(*NUMBERS))
    os.chmod(host_node, 0o640)
    for directory in (scratch, os.path.dirname(scratch), os.path.dirname(os.path.dirname(scratch))):
        os.chmod(directory, 0o755)
    config = configs.with_user_namespace(with_devices(device(kind, host_node, fileMode=0o600, uid=5, gid=6)))
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    container = make_container(config).started()
    container.wait_for_output("\n")
    assert container.output == line(kind, 0o640, 65534, 65534), container.errors
    status = os.stat(host_node)
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, 0, 0)


@OF_PYRUN
def test_user_namespace_makes_its_fifos(run: Run) -> None:
    config = configs.with_user_namespace(with_devices(device("p", fileMode=0o622, uid=3, gid=4)))
    assert run(config) == line("p", 0o622, 3, 4)


@pytest.mark.pyrun_only("runc 1.1.5 binds whatever stands there")
@pytest.mark.parametrize("stands_there", ["nothing", "another device", "another kind", "file", "link", "directory"])
def test_user_namespace_where_the_host_has_no_such_node(
    make_container: MakeContainer, scratch: str, host_node: str, stands_there: str
) -> None:
    """What is bound is a device with the numbers that were asked for, or nothing is."""
    if stands_there == "another device":
        os.mknod(host_node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    elif stands_there == "another kind":
        os.mknod(host_node, stat.S_IFBLK | 0o666, os.makedev(*NUMBERS))
    elif stands_there == "file":
        open(host_node, "w", encoding="ascii").close()
    elif stands_there == "link":
        os.symlink("/dev/null", host_node)
    elif stands_there == "directory":
        os.mkdir(host_node)
    config = configs.with_user_namespace(with_devices(device("c", host_node)))
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    make_container(config).create().failed(host_node)


@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "user namespace"])
def test_default_devices_and_links(run: Run, user_namespace: bool) -> None:
    names = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
    links = "ptmx fd stdin stdout stderr"
    config = configs.shell(
        f"cd /dev; stat -c '%n %a %t:%T' {' '.join(names)}; for link in {links}; do readlink $link; done"
    )
    if user_namespace:
        configs.with_user_namespace(config)
    lines = run(config).splitlines()
    assert lines[: len(names)] == [f"{name} 666 {numbers}" for name, numbers in names.items()]
    assert lines[len(names) :] == ["pts/ptmx", "/proc/self/fd", *[f"/proc/self/fd/{number}" for number in range(3)]]


@pytest.mark.parametrize("path", ["/dev/mine/", "/dev/mine///", "/dev//mine", "/dev/./mine", "/dev/deep/../mine"])
def test_ways_to_write_a_path(run: Run, path: str) -> None:
    assert run(with_devices(device("c", path), script="stat -c %F /dev/mine")) == "character special file\n"


@pytest.mark.parametrize("path", ["/dev/null/", "/dev/../dev/null"])
@OF_PYRUN
def test_default_device_by_another_spelling_is_replaced(run: Run, path: str) -> None:
    config = with_devices(
        {"path": path, "type": "c", "major": 1, "minor": 3, "uid": 9}, script="stat -c '%u %t:%T' /dev/null"
    )
    assert run(config) == "9 1:3\n"


@pytest.mark.parametrize("path", ["/etc/mine", "/new/directory/mine", "/mine"])
@pytest.mark.parametrize("kind", MODES)
def test_outside_of_dev(runtime: Runtime, make_bundle: MakeBundle, path: str, kind: str) -> None:
    bundle = make_bundle(with_devices(device(kind, path)))
    bundle.may_change.add(f"rootfs/{path.split('/')[1]}")
    bundle.may_change.add(f"rootfs{path}")
    assert runtime.run("test", bundle).succeeded().output == line(kind)


def test_path_through_links_of_the_image_stays_inside(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    outside = f"{scratch}/outside"
    os.mkdir(outside)
    bundle = make_bundle(with_devices(device("c", "/link/mine"), script="stat -c %F /link/mine"))
    os.symlink(f"../../../../../../..{outside}", os.path.join(bundle.rootfs, "link"))
    bundle.may_change.add(f"rootfs/{scratch.split('/')[1]}")
    runtime.run("test", bundle)
    assert os.listdir(outside) == []


def with_dev_of_the_image(*devices: dict[str, Any], script: str = "") -> Config:
    config = with_devices(*devices, script=script)
    return configs.without_mounts(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")


def test_same_device_that_the_image_has_stays_as_it_is(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(with_dev_of_the_image(device("b", uid=7, fileMode=0o600)))
    path = os.path.join(bundle.rootfs, "dev/mine")
    os.mknod(path, stat.S_IFBLK | 0o640, os.makedev(*NUMBERS))
    os.chown(path, 1, 2)
    os.chmod(path, 0o640)
    bundle.may_change.add("rootfs/dev")
    assert runtime.run("test", bundle).succeeded().output == line("b", 0o640, 1, 2)


@OF_PYRUN
@pytest.mark.parametrize("there", ["file", "directory", "link", "other numbers", "other type", "fifo"])
def test_something_else_stands_there(make_container: MakeContainer, there: str) -> None:
    """The specification: the runtime must generate an error."""
    container = make_container(with_dev_of_the_image(device("b")))
    path = os.path.join(container.bundle.rootfs, "dev/mine")
    if there == "file":
        open(path, "w", encoding="ascii").close()
    elif there == "directory":
        os.mkdir(path)
    elif there == "link":
        os.symlink("null", path)
    elif there == "fifo":
        os.mkfifo(path)
    else:
        kind, minor = (stat.S_IFBLK, 1) if there == "other numbers" else (stat.S_IFCHR, NUMBERS[1])
        os.mknod(path, kind | 0o666, os.makedev(NUMBERS[0], minor))
    container.bundle.may_change.add("rootfs/dev")
    container.create().failed(POINTER, "/dev/mine exists and is something else")


@pytest.mark.parametrize("devices", [False, True])
def test_dev_that_is_a_bind_mount_stays_as_it_is(
    runtime: Runtime, make_bundle: MakeBundle, scratch: str, devices: bool
) -> None:
    volume = f"{scratch}/volume"
    os.mkdir(volume)
    os.mknod(f"{volume}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    config = with_dev_of_the_image(*([device("c")] if devices else []), script="ls /dev")
    config["linux"]["maskedPaths"] = []
    config["mounts"].append(configs.bind(volume, "/dev"))
    assert runtime.run("test", make_bundle(config)).succeeded().output == "null\n"
    assert os.listdir(volume) == ["null"]


@OF_PYRUN
def test_devices_elsewhere_are_made_beside_a_bind_mount_of_dev(
    runtime: Runtime, make_bundle: MakeBundle, scratch: str
) -> None:
    config = with_devices(device("c", "/run/mine"))
    configs.without_mounts(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    config["mounts"] += [configs.bind("/dev", "/dev"), {"destination": "/run", "type": "tmpfs", "source": "tmpfs"}]
    assert runtime.run("test", make_bundle(config)).succeeded().output == line("c")


def test_device_on_a_mount_of_one_file_is_the_hosts(run: Run, scratch: str, host_node: str) -> None:
    """A device that the caller binds and lists, as engines do: the host's node keeps its owner."""
    os.mknod(host_node, stat.S_IFCHR | 0o666, os.makedev(*NUMBERS))
    os.chown(host_node, 11, 12)
    config = with_devices(device("c", uid=5, gid=6))
    config["mounts"].append(configs.bind(host_node, "/dev/mine"))
    assert run(config).split("|")[2:4] == ["11", "12"]
    assert os.stat(host_node).st_uid == 11


def test_read_only_dev_has_devices(run: Run) -> None:
    config = with_devices(device("c"), script="stat -c %F /dev/mine; touch /dev/new 2>/dev/null || echo read-only")
    configs.mount_at(config, "/dev")["options"].append("ro")
    assert run(config) == "character special file\nread-only\n"


@pytest.mark.pyrun_only("runc 1.1.5 has no /proc to close its descriptors with then")
@pytest.mark.parametrize("kind", MODES)
def test_without_a_mount_namespace(runtime: Runtime, make_bundle: MakeBundle, kind: str) -> None:
    config = with_devices(device(kind), script=f"{STAT} /dev/mine; [ -c /dev/null ] && echo null")
    configs.without_namespace(config, "mount")
    config["mounts"] = []
    for name in ("maskedPaths", "readonlyPaths"):
        config["linux"][name] = []
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs/dev")
    assert runtime.run("test", bundle).succeeded().output == line(kind) + "null\n"


WRONG: list[tuple[Any, str]] = [
    ({"type": "c", "major": 1, "minor": 3}, f"{POINTER}/path"),
    (device("c", "dev/mine"), f"{POINTER}/path"),
    (device("c", ""), f"{POINTER}/path"),
    (device("c", "/"), f"{POINTER}/path"),
    (device("c", "/dev/.."), f"{POINTER}/path"),
    ({"path": "/dev/mine", "major": 1, "minor": 3}, f"{POINTER}/type"),
    (device("x"), f"{POINTER}/type"),
    (device("C"), f"{POINTER}/type"),
    ({"path": "/dev/mine", "type": "c", "minor": 3}, f"{POINTER}/major"),
    ({"path": "/dev/mine", "type": "b", "major": 3}, f"{POINTER}/minor"),
    (device("c", major=-1), f"{POINTER}/major"),
    (device("u", major=4096), f"{POINTER}/major"),
    (device("b", minor=-1), f"{POINTER}/minor"),
    (device("c", minor=1 << 20), f"{POINTER}/minor"),
    (device("c", minor=2**63), f"{POINTER}/minor"),
    (device("c", minor="3"), f"{POINTER}/minor"),
    (device("c", fileMode=-1), f"{POINTER}/fileMode"),
    (device("c", fileMode="0666"), f"{POINTER}/fileMode"),
    (device("c", fileMode=2**32), f"{POINTER}/fileMode"),
    (device("c", uid=-1), f"{POINTER}/uid"),
    (device("c", uid=2**32 - 1), f"{POINTER}/uid"),
    (device("p", gid=2**32), f"{POINTER}/gid"),
    (device("p", gid="root"), f"{POINTER}/gid"),
    ("/dev/mine", POINTER),
]


@OF_PYRUN
@pytest.mark.parametrize(("wrong", "pointer"), WRONG)
def test_wrong_values(make_container: MakeContainer, wrong: Any, pointer: str) -> None:
    config = configs.default()
    config["linux"]["devices"] = [wrong]
    container = make_container(config)
    container.create().failed(pointer)
    assert not container.exists()


@OF_PYRUN
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("unmapped owner", ("change the owner", "does not map")),
        ("no mount namespace", ("/linux/devices", "need a mount namespace")),
        ("two devices of one path", ("/linux/devices/1/path", "another device already")),
        ("read-only directory", (POINTER, "read-only file system", "elsewhere")),
        ("below a file", (POINTER, "not a directory")),
    ],
)
def test_contradictions(make_container: MakeContainer, changed: str, words: tuple[str, ...]) -> None:
    config = with_devices(device("p", uid=3))
    if changed == "unmapped owner":
        configs.with_user_namespace(config, size=2)
        configs.mount_at(config, "/dev/pts")["options"].remove("gid=5")
    elif changed == "no mount namespace":
        configs.without_namespace(configs.with_user_namespace(config), "mount")
        config["mounts"] = []
        for name in ("maskedPaths", "readonlyPaths"):
            config["linux"][name] = []
    elif changed == "two devices of one path":
        config["linux"]["devices"].append(device("c"))
    elif changed == "read-only directory":
        config["linux"]["devices"] = [device("p", "/sys/mine")]
        configs.without_mounts(config, "/sys", "/sys/fs/cgroup")
        config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]})
    else:
        config["linux"]["devices"] = [device("p", "/etc/passwd/mine")]
    make_container(config).create().failed(*words)
