# SPDX-License-Identifier: Apache-2.0
"""Somebody changes the image or a volume while the container is being created: another container that shares it."""

from __future__ import annotations

import os
import shutil

import pytest

from security.conftest import SECONDS, SECRET, Race
from support import configs
from support.configs import Config
from support.runtime import MakeBundle
from support.snapshot import differences, take_snapshot

# As many names at once: each is another chance in every try.
NAMES = 5

OPEN_HOST_PARAMETER = """
for directory in /proc /p* /vol/*; do
    (: >>$directory/sys/kernel/core_pattern) 2>/dev/null && [ -e $directory/1 ] && echo "$directory is writable"
    [ -e $directory/kernel/mm ] && echo "$directory shows the kernel"
done; echo end
"""


def with_several_procfs(names: list[str], kind: str = "proc") -> Config:
    """Returns a configuration with a procfs at each of these names, with read-only parameters as /proc itself has."""
    config = configs.shell(OPEN_HOST_PARAMETER)
    for name in names:
        mount = {"destination": f"/{name}", "type": "proc", "source": "proc"}
        config["mounts"].append(mount if kind == "proc" else configs.bind("/proc", f"/{name}"))
        config["linux"]["readonlyPaths"].append(f"/{name}/sys")
    return config


def test_procfs_on_a_name_that_becomes_a_link(make_bundle: MakeBundle, race: Race) -> None:
    """CVE-2019-19921: missing at the first look, a link when the mount point is made: procfs ends up without masks."""
    config = with_several_procfs(["p"])
    config["root"]["readonly"] = False
    bundle = make_bundle(config)
    os.makedirs(os.path.join(bundle.rootfs, "vol/p"))
    outcome = race(bundle, "toggle", bundle.rootfs, {"p": "/vol/p"}, 2 * SECONDS)
    assert set(outcome) <= {"end\n", "failed"}, outcome


@pytest.mark.pyrun_only("runc 1.1.5 loses the race (CVE-2019-19921)")
@pytest.mark.parametrize("kind", ["proc", "bind"])
def test_procfs_whose_mount_point_is_moved_aside(make_bundle: MakeBundle, race: Race, kind: str) -> None:
    """CVE-2019-19921: between the mount and its masks another directory takes its place, and gets the masks.

    Engines bind the host's procfs when the container has the host's PID namespace and a user namespace.
    """
    names = [f"p{number}" for number in range(NAMES)]
    bundle = make_bundle(with_several_procfs(names, kind))
    pairs = {name: f"{name}-other" for name in ["proc", *names]}
    for pair in pairs.items():
        for name in pair:
            os.makedirs(os.path.join(bundle.rootfs, name), exist_ok=True)
    outcome = race(bundle, "exchange", bundle.rootfs, pairs)
    assert set(outcome) <= {"end\n", "failed"}, outcome
    assert outcome["end\n"], "no run succeeded"


@pytest.mark.pyrun_only("runc 1.1.5 loses the race (CVE-2019-19921)")
@pytest.mark.parametrize("kind", ["sysfs", "bind"])
def test_sysfs_whose_mount_point_is_moved_aside(make_bundle: MakeBundle, race: Race, kind: str) -> None:
    """The same for sysfs; engines bind the host's when the container has a user namespace, or the host's network."""
    config = configs.without_mounts(configs.shell(OPEN_HOST_PARAMETER), "/sys", "/sys/fs/cgroup")
    for number in range(NAMES):
        mount = {"destination": f"/p{number}", "type": "sysfs", "source": "sysfs"}
        config["mounts"].append(mount if kind == "sysfs" else configs.bind("/sys", f"/p{number}", "ro"))
        config["linux"]["maskedPaths"].append(f"/p{number}/kernel")
    bundle = make_bundle(config)
    pairs = {f"p{number}": f"p{number}-other" for number in range(NAMES)}
    for pair in pairs.items():
        for name in pair:
            os.makedirs(os.path.join(bundle.rootfs, name))
    outcome = race(bundle, "exchange", bundle.rootfs, pairs)
    assert set(outcome) <= {"end\n", "failed"}, outcome
    assert outcome["end\n"], "no run succeeded"


def targets_outside(canary: str, magic: bool) -> list[str]:
    """Returns targets of links that lead from inside the root to the host, for whoever follows them there."""
    if magic:
        return [f"/proc/self/root{canary}", f"/proc/1/root{canary}", f"/proc/thread-self/cwd{canary}"]
    return [canary, "../" * 20 + canary.lstrip("/"), "/"]


def with_targets_in_the_volume(volume: str, source: str) -> Config:
    """Returns a configuration that mounts, makes directories and devices below names of a shared volume."""
    config = configs.shell("cat /vol/*/secret 2>/dev/null; cat /vol/*/*/secret 2>/dev/null; echo end")
    config["root"]["readonly"] = False
    config["process"]["cwd"] = "/vol/d4/made/for/it"
    config["mounts"] += [
        configs.bind(volume, "/vol"),
        {"destination": "/vol/d0", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/vol/d1/made/point", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
        configs.bind(source, "/vol/d2/made/file"),
    ]
    config["linux"]["devices"] = [{"path": "/vol/d3/made/null", "type": "c", "major": 1, "minor": 3, "uid": 5}]
    config["linux"]["maskedPaths"].append("/vol/d5/secret")
    config["linux"]["readonlyPaths"].append("/vol/d5")
    return config


@pytest.mark.pyrun_only("runc 1.1.5 loses the race (CVE-2024-45310)")
@pytest.mark.parametrize("magic", [False, True], ids=["", "magic links"])
def test_mount_points_exchanged_with_links(
    make_bundle: MakeBundle, race: Race, canary: str, case: str, scratch: str, magic: bool
) -> None:
    """CVE-2021-30465 and CVE-2024-45310: a checked mount point becomes a link to the host before it is used.

    Nothing is mounted, made or given away on the host (the canary, and the snapshot), and nothing of the host is seen.
    """
    volume, source = os.path.join(scratch, "volume"), os.path.join(scratch, "source")
    open(source, "w", encoding="ascii").close()
    names = [f"d{number}" for number in range(6)]
    targets = targets_outside(canary, magic)
    for number, name in enumerate(names):
        os.makedirs(os.path.join(volume, name))
        os.symlink(targets[number % len(targets)], os.path.join(volume, f"{name}-link"))
    before = take_snapshot(case)
    bundle = make_bundle(with_targets_in_the_volume(volume, source))
    outcome = race(bundle, "exchange", volume, {name: f"{name}-link" for name in names})
    assert differences(before, take_snapshot(case), "mounts") == []
    assert not any(SECRET in output for output in outcome), outcome
    assert outcome["end\n"] or magic, "no run succeeded"


@pytest.mark.pyrun_only("runc 1.1.5 takes what stands at /dev/null for the null device (CVE-2025-31133)")
@pytest.mark.parametrize("planted", ["link", "file"])
def test_null_device_exchanged(make_bundle: MakeBundle, race: Race, canary: str, planted: str) -> None:
    """CVE-2025-31133 and CVE-2025-62161: what stands in for a masked file must be the null device, also just then."""
    config = configs.without_mounts(configs.shell(""), "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    config["process"]["args"][2] = (
        "for f in /etc/hidden*; do cat $f; (: >>$f) 2>/dev/null && [ ! -c $f ] && echo $f is writable; done; echo end"
    )
    config["root"]["readonly"] = False
    bundle = make_bundle(config)
    for number in range(20):
        bundle.write(f"etc/hidden{number}", "hidden\n")
        config["linux"]["maskedPaths"].append(f"/etc/hidden{number}")
    trap = os.path.join(bundle.rootfs, "dev/trap")
    if planted == "file":
        shutil.copy(os.path.join(canary, "secret"), trap)
    else:
        os.symlink("/proc/sys/kernel/core_pattern", trap)
    os.mknod(os.path.join(bundle.rootfs, "dev/null"), 0o020666, os.makedev(1, 3))
    outcome = race(bundle, "exchange", os.path.join(bundle.rootfs, "dev"), {"null": "trap"})
    assert set(outcome) <= {"end\n", "failed"}, outcome


@pytest.mark.pyrun_only("runc 1.1.5 loses the race (CVE-2025-31133)")
def test_null_device_exchanged_while_the_streams_are_reopened(
    make_bundle: MakeBundle, race: Race, scratch: str
) -> None:
    """CVE-2026-88265 of crun: streams attached to a file of the host on a volume, which is then given to the user."""
    volume = os.path.join(scratch, "volume")
    os.mkdir(volume)
    host_file = os.path.join(volume, "file")
    with open(host_file, "w", encoding="ascii") as file:
        file.write(SECRET)
    before = os.stat(host_file)
    config = configs.shell("for n in 0 1 2; do readlink /proc/$$/fd/$n; done | grep /vol; cat; echo end")
    configs.without_mounts(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    config["root"]["readonly"] = False
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config["linux"]["maskedPaths"] = []
    config["mounts"].append(configs.bind(volume, "/vol"))
    bundle = make_bundle(config)
    os.mknod(os.path.join(bundle.rootfs, "dev/null"), 0o020666, os.makedev(1, 3))
    os.symlink("/vol/file", os.path.join(bundle.rootfs, "dev/trap"))
    outcome = race(bundle, "exchange", os.path.join(bundle.rootfs, "dev"), {"null": "trap"})
    after = os.stat(host_file)
    assert (after.st_uid, after.st_mode, after.st_mtime_ns) == (before.st_uid, before.st_mode, before.st_mtime_ns)
    assert set(outcome) <= {"end\n", "failed"}, outcome
    assert outcome["end\n"], "no run succeeded"
