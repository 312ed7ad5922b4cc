# SPDX-License-Identifier: Apache-2.0
"""tmpcopyup: a tmpfs over a directory of the image begins with what the directory holds."""

from __future__ import annotations

import os
import stat

import pytest

from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Runtime

WITHOUT_RUNC = "runc 1.1.5 makes directories with its umask, copies links as files, and fails with devices and FIFOs"
STAT = "stat -c '%n %A %u:%g %Y'"


def copied(script: str, *options: str) -> Config:
    config = configs.shell(script)
    mount = {"destination": "/root", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", *options]}
    config["mounts"].append(mount)
    return config


def bundle_with(make_bundle: MakeBundle, config: Config, **files: str) -> Bundle:
    bundle = make_bundle(config)
    for name, text in files.items():
        bundle.write(f"root/{name}", text)
    return bundle


def run(runtime: Runtime, bundle: Bundle) -> str:
    return runtime.run("test", bundle).succeeded().output


def test_files_are_there_and_the_image_stays(runtime: Runtime, make_bundle: MakeBundle) -> None:
    script = "cat /root/a /root/b; echo changed >/root/a; rm /root/b; grep ' /root ' /proc/self/mountinfo"
    bundle = bundle_with(make_bundle, copied(script, "nosuid", "size=1m"), a="one\n", b="two\n")
    lines = run(runtime, bundle).splitlines()
    assert lines[:2] == ["one", "two"]
    assert " - tmpfs tmpfs rw,size=1024k" in lines[2] and "nosuid" in lines[2]
    assert sorted(os.listdir(f"{bundle.rootfs}/root")) == ["a", "b"]


def test_missing_directory_is_made_empty(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = copied("ls -A /new | wc -l")
    config["mounts"][-1]["destination"] = "/new"
    config["root"]["readonly"] = False
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs/new")
    assert run(runtime, bundle) == "0\n"


@pytest.mark.pyrun_only(WITHOUT_RUNC)
def test_modes_owners_and_times(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = bundle_with(make_bundle, copied(f"cd /root; {STAT} . d d/f link; readlink link"))
    root = f"{bundle.rootfs}/root"
    os.mkdir(f"{root}/d")
    bundle.write("root/d/f", "content\n")
    os.symlink("/etc/../missing", f"{root}/link")
    os.chown(f"{root}/link", 3, 4, follow_symlinks=False)
    for name, mode, owner in (("d/f", 0o6777, 7), ("d", 0o3777, 5), ("", 0o755, 0)):
        os.chown(f"{root}/{name}", owner, owner + 1)
        os.chmod(f"{root}/{name}", mode)
        os.utime(f"{root}/{name}", (owner + 10, owner + 20))
    os.utime(f"{root}/link", (1, 2), follow_symlinks=False)
    assert run(runtime, bundle).splitlines() == [
        ". drwxr-xr-x 0:1 20",
        "d drwxrwsrwt 5:6 25",
        "d/f -rwsrwsrwx 7:8 27",
        "link lrwxrwxrwx 3:4 2",
        "/etc/../missing",
    ]


@pytest.mark.pyrun_only("runc 1.1.5 leaves the directory itself to root")
def test_owner_of_the_directory_unless_options_say_another(runtime: Runtime, make_bundle: MakeBundle) -> None:
    for options, expected in (((), "5:6"), (("uid=7", "mode=700"), "7:0")):
        bundle = bundle_with(make_bundle, copied("stat -c %u:%g /root", *options))
        os.chown(f"{bundle.rootfs}/root", 5, 6)
        assert run(runtime, bundle) == f"{expected}\n"


@pytest.mark.pyrun_only(WITHOUT_RUNC)
def test_hard_links_stay_links(runtime: Runtime, make_bundle: MakeBundle) -> None:
    script = "cd /root; stat -c '%n %h' a d/b c; echo more >>a; cat d/b; ls -i a d/b | cut -d' ' -f1 | uniq | wc -l"
    bundle = bundle_with(make_bundle, copied(script), a="text\n", c="other\n")
    os.mkdir(f"{bundle.rootfs}/root/d")
    os.link(f"{bundle.rootfs}/root/a", f"{bundle.rootfs}/root/d/b")
    os.link(f"{bundle.rootfs}/root/c", f"{bundle.rootfs}/etc/outside")
    assert run(runtime, bundle).splitlines() == ["a 2", "d/b 2", "c 1", "text", "more", "1"]


@pytest.mark.pyrun_only(WITHOUT_RUNC)
def test_nodes(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = bundle_with(make_bundle, copied("cd /root; stat -c '%n %F %t:%T %a %u' dev fifo socket"))
    root = f"{bundle.rootfs}/root"
    os.mknod(f"{root}/dev", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    os.mkfifo(f"{root}/fifo", 0o604)
    os.mknod(f"{root}/socket", stat.S_IFSOCK | 0o666)
    for name, mode in (("dev", 0o640), ("fifo", 0o604), ("socket", 0o666)):
        os.chmod(f"{root}/{name}", mode)
        os.chown(f"{root}/{name}", 9, 9)
    assert run(runtime, bundle).splitlines() == [
        "dev character special file 1:3 640 9",
        "fifo fifo 0:0 604 9",
        "socket socket 0:0 666 9",
    ]


@pytest.mark.pyrun_only("runc 1.1.5 copies no extended attributes")
def test_extended_attributes(make_bundle: MakeBundle, make_container: MakeContainer) -> None:
    container = make_container(copied("exec sleep 1000"))
    path = container.bundle.write("root/program", "x", 0o755)
    capability = bytes.fromhex("0100000220000000000000000000000000000000")  # CAP_KILL, permitted and effective
    os.setxattr(path, "security.capability", capability)
    os.setxattr(f"{container.bundle.rootfs}/root", "trusted.mark", b"top")
    os.mkdir(f"{container.bundle.rootfs}/root/d")
    os.setxattr(f"{container.bundle.rootfs}/root/d", "trusted.mark", b"below")
    container.started()
    inside = f"/proc/{container.pid}/root/root"
    assert os.getxattr(f"{inside}/program", "security.capability") == capability
    assert os.getxattr(inside, "trusted.mark") == b"top"
    assert os.getxattr(f"{inside}/d", "trusted.mark") == b"below"


@pytest.mark.pyrun_only("runc 1.1.5 writes the holes out")
def test_holes_stay_holes(runtime: Runtime, make_bundle: MakeBundle) -> None:
    script = "cd /root; stat -c %s f; du -k f | cut -f1; tail -c 4 f; head -c 5000000 f | tail -c 4"
    bundle = bundle_with(make_bundle, copied(script, "size=2m"), f="")
    with open(f"{bundle.rootfs}/root/f", "r+b") as file:
        file.seek(4_999_996)
        file.write(b"mid\n")
        file.truncate(1 << 26)
        file.seek((1 << 26) - 4)
        file.write(b"end\n")
    size, used, *data = run(runtime, bundle).splitlines()
    assert (size, data) == (str(1 << 26), ["end", "mid"])
    assert int(used) <= 64


@pytest.mark.parametrize(
    "option", ["size=64k", pytest.param("nr_inodes=10", marks=pytest.mark.pyrun_only("runc leaves its directory"))]
)
def test_full_tmpfs_is_an_error_and_leaves_nothing(make_container: MakeContainer, option: str) -> None:
    container = make_container(copied("true", option))
    for number in range(20):
        container.bundle.write(f"root/file{number:02}", "x" * 10000)
    line = container.create().failed("no space left on device")
    assert "/root" in line
    if container.runtime.name == "pyrun":
        assert "/mounts/7" in line and "size" in line
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 copies what is mounted below as well")
def test_what_is_mounted_below_is_not_the_directorys(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    os.mkdir(f"{scratch}/source")
    open(f"{scratch}/source/mounted", "w", encoding="ascii").close()
    config = copied("find /root")
    config["mounts"].insert(-1, configs.bind(f"{scratch}/source", "/root/point"))
    bundle = bundle_with(make_bundle, config)
    os.mkdir(f"{bundle.rootfs}/root/point")
    bundle.write("root/point/covered", "")
    assert run(runtime, bundle).split() == ["/root", "/root/point", "/root/point/covered"]


@pytest.mark.pyrun_only(WITHOUT_RUNC)
def test_in_a_user_namespace(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Owners stay who they are inside; whom the namespace does not know can't own anything there."""
    script = f"cd /root; {STAT} . mine theirs nobodys | sed 's/ [0-9]*$//'; cat mine; ls dev 2>/dev/null; true"
    config = configs.with_user_namespace(copied(script), 100000, 1000)
    configs.mount_at(config, "/dev/pts")["options"].remove("gid=5")
    bundle = bundle_with(make_bundle, config, mine="text\n", theirs="", nobodys="")
    root = f"{bundle.rootfs}/root"
    os.mknod(f"{root}/dev", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    for path, owner, mode in (
        (root, 100000, 0o755),
        (f"{root}/mine", 100000, 0o600),
        (f"{root}/theirs", 100005, 0o4755),
        (f"{root}/nobodys", 5, 0o4755),
    ):
        os.chown(path, owner, owner)
        os.chmod(path, mode)
    for directory in ("dev", "proc", "sys"):
        os.chown(f"{bundle.rootfs}/{directory}", 100000, 100000)
    assert run(runtime, bundle).splitlines() == [
        ". drwxr-xr-x 0:0",
        "mine -rw------- 0:0",
        "theirs -rwsr-xr-x 5:5",
        "nobodys -rwxr-xr-x 0:0",
        "text",
    ]


def test_readonly_in_the_end(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = bundle_with(make_bundle, copied("cat /root/a; touch /root/b 2>&1; true", "ro"), a="one\n")
    output = run(runtime, bundle)
    assert "one\n" in output and "Read-only file system" in output


def test_what_is_mounted_over_a_copy(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Later mounts find their mount points in the copy."""
    config = copied("ls /root/point; grep -c ' /root' /proc/self/mountinfo")
    config["mounts"].append(configs.bind("/etc/passwd", "/root/point/file"))
    bundle = bundle_with(make_bundle, config)
    os.mkdir(f"{bundle.rootfs}/root/point")
    assert run(runtime, bundle) == "file\n2\n"
    assert os.listdir(f"{bundle.rootfs}/root/point") == []
