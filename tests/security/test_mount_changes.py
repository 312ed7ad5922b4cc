# SPDX-License-Identifier: Apache-2.0
"""tmpcopyup reads what the image's owner made, and remount changes what stands at a path that they may have bent.

And what it changes is the container's own: the file system below a mount can be one of the host.
"""

from __future__ import annotations

import os
import resource
import shutil
import stat

import pytest

from security.conftest import SECRET, Race
from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.kernel import MS_BIND, MS_RDONLY, mount, unmount
from support.runtime import MakeBundle, MakeContainer, Runtime

MS_REMOUNT = 32
READ_ALL = "cd /root; find . -type f | xargs cat 2>/dev/null; find . | wc -l; echo end"


def copied(script: str, *options: str) -> Config:
    config = configs.shell(script)
    entry = {"destination": "/root", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", *options]}
    config["mounts"].append(entry)
    return config


def root_of(bundle: Bundle) -> str:
    return os.path.join(bundle.rootfs, "root")


def test_links_are_copied_and_not_followed(runtime: Runtime, make_bundle: MakeBundle, canary: str) -> None:
    bundle = make_bundle(copied(READ_ALL))
    root = root_of(bundle)
    for number, target in enumerate((canary, f"{canary}/secret", "/proc/self/root", "../" * 30 + canary.lstrip("/"))):
        os.symlink(target, f"{root}/link{number}")
    assert runtime.run("test", bundle).succeeded().output == "5\nend\n"


@pytest.mark.pyrun_only("runc 1.1.5 makes directories of its own for them")
def test_directory_that_is_a_link(runtime: Runtime, make_bundle: MakeBundle, canary: str) -> None:
    """What the link means inside the image is covered and copied: nothing of the host's."""
    config = copied("ls -A /real; echo end")
    bundle = make_bundle(config)
    os.rmdir(root_of(bundle))
    os.makedirs(f"{bundle.rootfs}/real")
    bundle.write("real/inside", "")
    os.symlink("../" * 30 + "real", root_of(bundle))
    assert runtime.run("test", bundle).succeeded().output == "inside\nend\n"


def test_hard_link_to_a_file_of_the_host(runtime: Runtime, make_bundle: MakeBundle, canary: str) -> None:
    """The copy is the container's own: to write to it changes nothing outside."""
    bundle = make_bundle(copied("cd /root; echo changed >hard; chmod 666 hard; cat hard"))
    os.link(f"{canary}/secret", f"{root_of(bundle)}/hard")
    assert runtime.run("test", bundle).succeeded().output == "changed\n"


@pytest.mark.pyrun_only("runc 1.1.5 fails with them")
def test_nodes_are_not_opened(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """A FIFO would block, and a device may do anything when it is opened."""
    bundle = make_bundle(copied("cd /root; ls; head -c 1 null zero 2>&1 | wc -c; echo end"))
    os.mkfifo(f"{root_of(bundle)}/fifo")
    for name, minor in (("mem", 1), ("null", 3), ("zero", 5)):
        os.mknod(f"{root_of(bundle)}/{name}", stat.S_IFCHR | 0o666, os.makedev(1, minor))
    assert runtime.run("test", bundle).succeeded().output.split()[:4] == ["fifo", "mem", "null", "zero"]


@pytest.mark.pyrun_only("runc 1.1.5 copies what a link leads to in the meantime")
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_names_exchanged_with_links(make_bundle: MakeBundle, race: Race, canary: str, kind: str) -> None:
    """What was looked at is what is copied, and nothing outside is read."""
    bundle = make_bundle(copied("cat /root/* /root/*/* 2>/dev/null; echo end"))
    root, pairs = root_of(bundle), {}
    for number in range(20):
        name = f"{root}/n{number:02}"
        if kind == "directory":
            os.mkdir(name)
            bundle.write(f"root/n{number:02}/secret", "harmless\n")
            os.symlink(canary, f"{root}/n{number:02}-link")
        else:
            bundle.write(f"root/n{number:02}", "harmless\n")
            os.symlink(f"{canary}/secret", f"{root}/n{number:02}-link")
        pairs[f"n{number:02}"] = f"n{number:02}-link"
    outcome = race(bundle, "exchange", root, pairs)
    assert not any(SECRET in output for output in outcome), outcome
    assert any(output.endswith("end\n") for output in outcome), outcome


@pytest.mark.pyrun_only("runc 1.1.5 blocks in the FIFO")
def test_files_exchanged_with_fifos_and_devices(make_bundle: MakeBundle, race: Race) -> None:
    bundle = make_bundle(copied("ls /root | wc -l; echo end"))
    root, pairs = root_of(bundle), {}
    for number in range(20):
        name = f"n{number:02}"
        bundle.write(f"root/{name}", "harmless\n")
        other = f"{root}/{name}-other"
        if number % 2:
            os.mkfifo(other)
        else:
            os.mknod(other, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        pairs[name] = f"{name}-other"
    outcome = race(bundle, "exchange", root, pairs)
    assert any(output.endswith("end\n") for output in outcome), outcome


@pytest.mark.pyrun_only("runc 1.1.5 copies trees of any depth")
def test_deep_tree_is_an_error_in_time(make_container: MakeContainer) -> None:
    container = make_container(copied("true"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    directory = os.open(root_of(container.bundle), os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=directory)
        deeper = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = deeper
    os.close(directory)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, limits[1]), limits[1]))
    try:
        container.create().failed("/mounts/7", "file name too long")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not container.exists()


def test_large_directory_stops_at_the_size_of_the_tmpfs(make_container: MakeContainer) -> None:
    container = make_container(copied("true", "size=1m", "nr_inodes=500"))
    for number in range(1000):
        container.bundle.write(f"root/{number}", "")
    container.create().failed("no space left on device")
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 has the path of the mount only, and follows the link anew")
def test_remount_aimed_elsewhere_by_a_link(make_bundle: MakeBundle, race: Race, scratch: str) -> None:
    """The read-only volume stays read-only, whatever takes the place of the mount point that is to become writable."""
    volume = os.path.join(scratch, "volume")
    os.mkdir(volume)
    config = configs.shell("touch /vol/made 2>/dev/null && echo written; echo end")
    change = {"type": "none", "source": "/"}
    names = [f"data{number}" for number in range(5)]
    for name in names:
        config["mounts"].append({"destination": f"/{name}", "type": "tmpfs", "source": "tmpfs"})
    config["mounts"].append(configs.bind(volume, "/vol", "ro"))
    for name in names:
        config["mounts"].append({**change, "destination": f"/{name}", "options": ["remount", "bind", "rw"]})
    bundle = make_bundle(config)
    pairs = {}
    for name in names:
        os.mkdir(f"{bundle.rootfs}/{name}")
        os.symlink("/vol", f"{bundle.rootfs}/{name}-link")
        pairs[name] = f"{name}-link"
    os.mkdir(f"{bundle.rootfs}/vol")
    outcome = race(bundle, "exchange", bundle.rootfs, pairs)
    assert set(outcome) <= {"end\n", "failed"}, outcome
    assert outcome["end\n"], "no run succeeded"
    assert os.listdir(volume) == []


@pytest.mark.pyrun_only("runc 1.1.5 follows the link")
def test_remount_of_what_no_mount_of_the_config_made(make_container: MakeContainer, scratch: str) -> None:
    """A mount that came along with another is not chosen by a link of the image."""
    container = make_container(configs.shell("true"))
    volume = os.path.join(container.bundle.rootfs, "vol")
    os.mkdir(volume)
    os.symlink("vol", f"{container.bundle.rootfs}/link")
    entry = {"destination": "/link", "type": "none", "source": "/", "options": ["remount", "bind", "rw"]}
    container.bundle.config["mounts"].append(entry)
    container.bundle.may_change.add("rootfs/vol")
    mount("tmpfs", volume, "tmpfs")
    mount("", volume, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
    try:
        container.create().failed("/mounts/7", "too many levels of symbolic links")
    finally:
        unmount(volume)
    assert not container.exists()


def superblock_of(point: str) -> str:
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return next(line.split()[-1] for line in table if line.split()[4] == point)


@pytest.mark.pyrun_only("runc 1.1.5 makes the host's file system read-only, for good")
@pytest.mark.parametrize("point", ["/tmp", "/tmp/below", "/"])
def test_read_only_remount_spares_the_file_system_of_the_host(
    runtime: Runtime, make_bundle: MakeBundle, scratch: str, point: str
) -> None:
    """A bind, what came along with one, and the root: the mount is the container's, what it is of is not."""
    bundle = make_bundle(configs.shell(f"touch {point.rstrip('/')}/made 2>&1; true"))
    volume = bundle.rootfs if point == "/" else os.path.join(scratch, "volume")
    os.makedirs(volume, exist_ok=True)
    mount("tmpfs", volume, "tmpfs")
    if point == "/":
        shutil.copytree(f"{make_bundle(configs.default()).rootfs}", volume, symlinks=True, dirs_exist_ok=True)
    else:
        os.mkdir(f"{volume}/below")
        mount("tmpfs", f"{volume}/below", "tmpfs")
        bundle.config["mounts"].append({**configs.bind(volume, "/tmp"), "options": ["rbind"]})
    bundle.config["root"]["readonly"] = False
    change = {"destination": point, "type": "none", "source": "/", "options": ["remount", "ro"]}
    bundle.config["mounts"].append(change)
    bundle.may_change.add("rootfs")
    changed = volume + point.removeprefix("/tmp").rstrip("/")
    before = superblock_of(changed)
    try:
        output = runtime.run("test", bundle).succeeded().output
        after = superblock_of(changed)
    finally:
        unmount(volume)
    assert "Read-only file system" in output
    assert after == before


@pytest.mark.pyrun_only("runc 1.1.5 makes the host's file system read-only, for good")
def test_read_only_remount_of_the_cgroups(make_container: MakeContainer) -> None:
    """They are all of one file system: nobody on the host could make or remove any."""
    config = configs.shell("mkdir /sys/fs/cgroup/made 2>&1; true")
    config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "none", "source": "/", "options": ["remount", "ro"]}
    )
    container = make_container(config).started()
    container.wait_for_end()
    assert "Read-only file system" in container.output
    container.delete().succeeded()
