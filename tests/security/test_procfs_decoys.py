# SPDX-License-Identifier: Apache-2.0
"""Writes to procfs go to the kernel or nowhere: not to a file that looks like it, and not to another file of procfs.

CVE-2019-16884 and CVE-2025-52881 of runc, CVE-2026-115521 of crun, CVE-2025-62596 of youki.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from security.attackers import give_to_mapped_root
from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Runtime

FORWARDING = "proc/sys/net/ipv4/ip_forward"
DECOY = "decoy\n"


def image_with_procfs(bundle: Bundle, *, fifo: bool = False) -> str:
    """Makes rootfs/proc look like procfs, with a file or fifo of the image at a parameter; returns its path."""
    path = os.path.join(bundle.rootfs, FORWARDING)
    os.makedirs(os.path.dirname(path))
    if fifo:
        os.mkfifo(path)
    else:
        bundle.write(FORWARDING, DECOY)
    os.chmod(path, 0o666)
    return path


def without_procfs(config: Config) -> Config:
    """Takes out procfs, and what needs it."""
    config["linux"]["maskedPaths"] = config["linux"]["readonlyPaths"] = []
    return configs.without_mounts(config, "/proc")


def forwarding_in(pid: int) -> str:
    """Returns what a process's network namespace has for net.ipv4.ip_forward."""
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "cat", "/proc/sys/net/ipv4/ip_forward"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.pyrun_only("runc 1.1.5 writes to what the image has at /proc (CVE-2025-52881), and waits for the fifo")
@pytest.mark.parametrize("fifo", [False, True], ids=["file", "fifo"])
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
@pytest.mark.parametrize("pid_namespace", [False, True], ids=["pid of the host", "pid namespace"])
def test_sysctl_when_the_image_has_a_file_there(
    make_container: MakeContainer, pid_namespace: bool, user_namespace: bool, fifo: bool
) -> None:
    """CVE-2025-52881: the image's file stays as it is, and the kernel's parameter is set all the same."""
    config = without_procfs(configs.default("/bin/sleep", "1000"))
    if user_namespace:
        configs.with_user_namespace(config)
        configs.without_mounts(config, "/sys", "/sys/fs/cgroup")
    if not pid_namespace:
        configs.without_namespace(config, "pid")
    config["root"]["readonly"] = False
    config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    container = make_container(config)
    decoy = image_with_procfs(container.bundle, fifo=fifo)
    if user_namespace:
        give_to_mapped_root(container.bundle)
    container.created()
    assert forwarding_in(container.pid) == "1\n"
    if not fifo:
        with open(decoy, encoding="ascii") as file:
            assert file.read() == DECOY


@pytest.mark.pyrun_only("runc 1.1.5 sets parameters by the path below /proc, whatever is mounted there")
def test_sysctl_when_the_config_covers_procfs(make_container: MakeContainer, scratch: str) -> None:
    """CVE-2025-52881: a volume of the config has a decoy below /proc."""
    volume = os.path.join(scratch, "volume")
    os.makedirs(os.path.join(volume, "sys/net/ipv4"))
    with open(os.path.join(volume, "sys/net/ipv4/ip_forward"), "w", encoding="ascii") as file:
        file.write(DECOY)
    config = configs.default("/bin/sleep", "1000")
    config["mounts"] = [configs.bind(volume, "/proc"), *without_procfs(config)["mounts"]]
    config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    container = make_container(config).created()
    assert forwarding_in(container.pid) == "1\n"
    with open(os.path.join(volume, "sys/net/ipv4/ip_forward"), encoding="ascii") as file:
        assert file.read() == DECOY


OF_PYRUN = pytest.mark.pyrun_only("runc 1.1.5 does not refuse it")
COVERED = ["/proc", "/proc/self/attr", "/proc/sys", "/proc/1", "/link", "/link/self"]
COVERED_FILES = ["/proc/self/attr/exec", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/file"]


@pytest.mark.parametrize("destination", COVERED)
@pytest.mark.parametrize("kind", [pytest.param("tmpfs", marks=OF_PYRUN), "bind", "rbind"])
def test_directory_over_procfs(make_container: MakeContainer, scratch: str, kind: str, destination: str) -> None:
    """CVE-2019-16884: a volume over procfs would answer for the kernel, for example for an LSM label."""
    config = configs.default()
    mount = {"destination": destination, "type": "tmpfs", "source": "tmpfs"}
    config["mounts"].append(mount if kind == "tmpfs" else {**configs.bind(scratch, destination), "options": [kind]})
    container = make_container(config)
    os.symlink("/proc", os.path.join(container.bundle.rootfs, "link"))
    container.create().failed("proc")
    assert not container.exists()


@pytest.mark.parametrize("destination", COVERED_FILES)
def test_file_over_procfs(make_container: MakeContainer, scratch: str, destination: str) -> None:
    """CVE-2019-16884 and CVE-2025-52881: the same for one file, also through a link of the image."""
    source = os.path.join(scratch, "file")
    open(source, "w", encoding="ascii").close()
    config = configs.default()
    config["mounts"].append(configs.bind(source, destination))
    container = make_container(config)
    os.symlink("/proc/self/attr/exec", os.path.join(container.bundle.rootfs, "file"))
    container.create().failed()
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 lets one file of procfs stand in for another (CVE-2025-52881)")
@pytest.mark.parametrize("source", ["/proc/sys/kernel/domainname", "/proc/self/comm", "/proc/version"])
def test_file_of_procfs_over_another(make_container: MakeContainer, source: str) -> None:
    """CVE-2025-52881: such a file passes a look at its file system, and is another one than what is written to."""
    config = configs.default()
    config["mounts"].append(configs.bind(source, "/proc/sys/net/ipv4/ip_forward"))
    config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    make_container(config).create().failed("procfs")


@pytest.mark.parametrize(
    "name",
    [
        "net/../vm/swappiness",
        "net/ipv4/../../vm/swappiness",
        "net.ipv4/../../vm/swappiness",
        "net/./../vm/swappiness",
        "net//../vm/swappiness",
        "../../vm/swappiness",
        "net./../vm.swappiness",
        "/proc/sys/vm/swappiness",
        "vm.swappiness",
    ],
)
def test_sysctl_that_climbs_to_the_host(make_container: MakeContainer, name: str) -> None:
    """CVE-2025-52881: only names in the container's namespaces. The value is the present one, which does no harm."""
    with open("/proc/sys/vm/swappiness", encoding="ascii") as file:
        value = file.read().strip()
    config = configs.default()
    config["linux"]["sysctl"] = {name: value}
    make_container(config).create().failed("swappiness")


@pytest.mark.pyrun_only("runc 1.1.5 needs a procfs")
def test_root_is_read_only_when_the_image_has_its_own_procfs(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """CVE-2026-115521: the last remount went through the image's /proc/self/fd, and hit something else."""
    script = "for p in / /etc /tmp; do (: >$p/made) 2>/dev/null && echo $p is writable; done; true"
    config = without_procfs(configs.shell(script))
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]})
    bundle = make_bundle(config)
    directory = os.path.join(bundle.rootfs, "proc/self/fd")
    os.makedirs(directory)
    for number in range(64):
        os.symlink("/var", os.path.join(directory, str(number)))
    assert runtime.run("test", bundle).succeeded().output == ""


@pytest.mark.parametrize("options", [[], ["--no-pivot"]], ids=["", "no pivot"])
@pytest.mark.parametrize(
    ("name", "target"),
    [("proc", "/fake"), ("proc", "fake"), ("proc", "."), ("proc", "/fake/proc"), ("sys", "/fake"), ("deep", "/fake")],
)
def test_procfs_and_sysfs_through_a_link_in_the_image(
    runtime: Runtime, make_bundle: MakeBundle, name: str, target: str, options: list[str]
) -> None:
    """CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: masks name /proc and /sys, not where a link leads."""
    config = configs.default()
    if name == "deep":
        config["mounts"].append({"destination": "/deep/proc", "type": "proc", "source": "proc"})
    bundle = make_bundle(config)
    os.makedirs(os.path.join(bundle.rootfs, "fake/proc"))
    shutil.rmtree(os.path.join(bundle.rootfs, name), ignore_errors=True)
    os.symlink(target, os.path.join(bundle.rootfs, name))
    bundle.seal()
    runtime.call("run", *options, "--bundle", bundle.path, "test").failed(f"/{name}")
