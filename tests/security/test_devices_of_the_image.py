# SPDX-License-Identifier: Apache-2.0
"""Something else than a device stands where a runtime makes, opens, or gives away one."""

from __future__ import annotations

import os
import subprocess

import pytest

from security.attackers import PLANTED, plant
from security.conftest import SECRET
from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Runtime

USER = 1000


def with_dev_of_the_image(script: str) -> Config:
    """Returns a configuration in which /dev is the image's own directory, for an ordinary user's program."""
    config = configs.without_mounts(configs.shell(script), "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    config["root"]["readonly"] = False
    config["process"]["user"] = {"uid": USER, "gid": USER}
    return config


@pytest.mark.pyrun_only("runc 1.1.5 takes it over")
@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("name", ["null", "mine"])
def test_owner_of_what_stands_at_a_devices_place(
    runtime: Runtime, make_bundle: MakeBundle, canary: str, name: str, kind: str
) -> None:
    """CVE-2026-88264 and CVE-2026-88265 of crun: a file of the host became the container's, or root's.

    The canary's file, which all but the last two lead to, keeps its owner, mode and content.
    """
    config = with_dev_of_the_image("true")
    config["linux"]["devices"] = [
        {"path": f"/dev/{name}", "type": "c", "major": 1, "minor": 3, "uid": USER, "gid": USER, "fileMode": 0o666}
    ]
    bundle = make_bundle(config)
    path = os.path.join(bundle.rootfs, "dev", name)
    plant(path, kind, canary)
    before = os.lstat(path)
    bundle.may_change.add("rootfs/dev")
    runtime.run("test", bundle).failed(f"/dev/{name}")
    after = os.lstat(path)
    assert (after.st_uid, after.st_mode, after.st_rdev) == (before.st_uid, before.st_mode, before.st_rdev)


@pytest.mark.pyrun_only("runc 1.1.5 takes it over")
@pytest.mark.parametrize("kind", ["link", "file"])
def test_standard_streams_and_a_false_null_device(
    runtime: Runtime, make_bundle: MakeBundle, canary: str, scratch: str, kind: str
) -> None:
    """CVE-2026-88265 of crun: streams that were the host's /dev/null are opened anew, and given to the user.

    What stands there instead leads to a file of the host on a volume.
    """
    volume = os.path.join(scratch, "volume")
    os.mkdir(volume)
    host_file = os.path.join(volume, "file")
    with open(host_file, "w", encoding="ascii") as file:
        file.write(SECRET)
    os.chmod(host_file, 0o600)
    before = os.stat(host_file)
    config = with_dev_of_the_image("cat; for n in 0 1 2; do readlink /proc/$$/fd/$n; done; echo more >&2")
    config["linux"]["maskedPaths"] = []
    config["mounts"].append(configs.bind(volume, "/vol"))
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs")
    null = os.path.join(bundle.rootfs, "dev/null")
    if kind == "link":
        os.symlink("/vol/file", null)
    else:
        open(null, "w", encoding="ascii").close()
        config["mounts"].append(configs.bind(host_file, "/dev/null"))
    bundle.seal()
    command = runtime.command("run", "--bundle", bundle.path, "test")
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    after = os.stat(host_file)
    assert (after.st_uid, after.st_mode, after.st_size) == (before.st_uid, before.st_mode, before.st_size)
    assert b"/vol/file" not in ended.stdout and SECRET.encode() not in ended.stdout


@pytest.mark.pyrun_only("runc 1.1.5 makes and removes links there (CVE-2026-41579)")
@pytest.mark.parametrize("way", ["bind", "link in the image"])
def test_dev_of_a_volume_with_links(make_container: MakeContainer, canary: str, scratch: str, way: str) -> None:
    """CVE-2026-41579 of runc, CVE-2026-47766 of crun: /dev leads elsewhere, and so does every name in it.

    Links made or replaced (ptmx, fd, stdin) and mounts below (pts, shm) stay in the volume, and the canary as it is.
    """
    volume = os.path.join(scratch, "volume")
    os.mkdir(volume)
    for name in ("ptmx", "fd", "stdin", "stdout", "stderr", "core", "console", "tty"):
        os.symlink(f"{canary}/secret", os.path.join(volume, name))
    for name in ("pts", "shm", "mqueue"):
        os.symlink(canary, os.path.join(volume, name))
    config = configs.without_mounts(configs.default(), "/dev")
    config["root"]["readonly"] = False
    destination = "/dev" if way == "bind" else "/vol"
    config["mounts"].insert(0, configs.bind(volume, destination))
    container = make_container(config)
    if way != "bind":
        os.rmdir(os.path.join(container.bundle.rootfs, "dev"))
        os.symlink("/vol", os.path.join(container.bundle.rootfs, "dev"))
    container.bundle.may_change.add("rootfs")
    if container.create().status == 0:
        assert os.stat(f"/proc/{container.pid}/root/dev/null").st_rdev == os.makedev(1, 3)
        container.delete("--force").succeeded()
    for name in ("console", "tty"):
        assert os.path.islink(os.path.join(volume, name))


def check_masks(runtime: Runtime, bundle: Bundle) -> None:
    """Runs a bundle whose program shows masked files: empty, or not at all, and never to be written."""
    bundle.may_change.add("rootfs")
    result = runtime.run("test", bundle)
    assert (result.status, result.output) == (0, "") or result.status == 1


@pytest.mark.pyrun_only("runc 1.1.5 takes what stands at /dev/null for the null device (CVE-2025-31133)")
@pytest.mark.parametrize(
    "target",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/self/fd/0",
        "/proc/1/environ",
        "/etc/passwd",
        "zero",
    ],
)
def test_mask_that_is_a_link_of_the_image(runtime: Runtime, make_bundle: MakeBundle, target: str) -> None:
    """CVE-2025-31133 and CVE-2025-62161: rootfs/dev/null is a link to a file of procfs, which is bound over the mask.

    The file could then be written to by its masked name, for it is not read-only there.
    """
    hidden = "/etc/hidden"
    script = (
        f"cat {hidden} /proc/keys; (: >>{hidden}) 2>/dev/null && [ ! -c {hidden} ] && echo it can be written to; true"
    )
    config = with_dev_of_the_image(script)
    config["process"]["user"] = {"uid": 0, "gid": 0}
    config["linux"]["maskedPaths"] += [hidden]
    bundle = make_bundle(config)
    bundle.write("etc/hidden", "hidden\n")
    os.symlink(target, os.path.join(bundle.rootfs, "dev/null"))
    check_masks(runtime, bundle)
