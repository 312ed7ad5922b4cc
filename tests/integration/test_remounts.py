# SPDX-License-Identifier: Apache-2.0
"""remount: a mount of the config changes the one that stands at its destination; and a mount over the root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from support import configs, kernel
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Run, Runtime

SHOW = "cat /proc/self/mountinfo"
FORGETS = pytest.mark.pyrun_only("runc 1.1.5 takes away what the option does not mention, as mount(2) does")


def lines_at(output: str, point: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines() if line.split()[4:5] == [point]]


def options_of(output: str, point: str) -> tuple[set[str], set[str]]:
    """Returns the options of the one mount at `point`, and those of its superblock."""
    (fields,) = lines_at(output, point)
    return set(fields[5].split(",")), set(fields[-1].split(","))


def mount(*options: str, kind: str = "tmpfs", source: str = "tmpfs", destination: str = "/tmp") -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def with_mounts(*mounts: dict[str, Any], script: str = SHOW) -> Config:
    config = configs.shell(script)
    config["mounts"] += mounts
    return config


@pytest.fixture
def volume(scratch: str) -> Iterator[str]:
    """A mount of the host, with another below it at "below"."""
    path = os.path.join(scratch, "volume")
    os.mkdir(path)
    kernel.mount("volume", path, "tmpfs")
    os.mkdir(f"{path}/below")
    kernel.mount("below", f"{path}/below", "tmpfs")
    yield path
    kernel.unmount(path)


@FORGETS
def test_both_the_mount_and_its_file_system_change(run: Run) -> None:
    changes = mount("remount", "noexec", "size=64k", "sync", "noatime")
    output = run(with_mounts(mount("nosuid", "lazytime", "size=1m"), changes))
    options, superblock = options_of(output, "/tmp")
    assert {"nosuid", "noexec", "noatime", "rw"} <= options
    assert {"size=64k", "sync", "lazytime", "rw"} <= superblock


@pytest.mark.parametrize(
    ("before", "after"), [("sync", "async"), ("lazytime", "nolazytime"), ("mand", "nomand"), ("size=1m", "size=64k")]
)
def test_option_of_the_file_system_taken_back(run: Run, before: str, after: str) -> None:
    _, superblock = options_of(run(with_mounts(mount(before), mount("remount", after))), "/tmp")
    assert before not in superblock


@pytest.mark.parametrize(("before", "after"), [("nosuid", "suid"), ("noexec", "exec")])
def test_attribute_taken_back(run: Run, before: str, after: str) -> None:
    options, _ = options_of(run(with_mounts(mount(before), mount("remount", after))), "/tmp")
    assert before not in options


@pytest.mark.parametrize("kind", ["none", "bind", "tmpfs"])
def test_bind_leaves_the_file_system_of_the_host_alone(run: Run, volume: str, kind: str) -> None:
    output = run(
        with_mounts(
            configs.bind(volume, "/tmp"), mount("remount", "bind", "ro", "noexec", "sync", kind=kind, source="/")
        )
    )
    options, superblock = options_of(output, "/tmp")
    assert {"ro", "noexec"} <= options
    assert "rw" in superblock and "sync" not in superblock
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert options_of(file.read(), volume)[0] >= {"rw"}


@pytest.mark.pyrun_only("runc 1.1.5 remounts the mount at the destination alone")
def test_recursive_attributes_and_propagation(run: Run, volume: str) -> None:
    bind = {**configs.bind(volume, "/tmp"), "options": ["rbind", "rprivate"]}
    output = run(with_mounts(bind, mount("remount", "rbind", "rnosuid", "nodev", "rshared", kind="none")))
    for point in ("/tmp", "/tmp/below"):
        assert "nosuid" in options_of(output, point)[0]
        assert lines_at(output, point)[0][6].startswith("shared:")
    assert "nodev" in options_of(output, "/tmp")[0]
    assert "nodev" not in options_of(output, "/tmp/below")[0]


@FORGETS
@pytest.mark.parametrize("option", ["iversion", "noiversion", "silent"])
def test_what_only_mount_takes_keeps_the_rest(run: Run, option: str) -> None:
    before = mount("nosuid", "nodev", "noatime", "nodiratime", "nosymfollow", "sync", "size=1m")
    options, superblock = options_of(run(with_mounts(before, mount("remount", option, "noexec"))), "/tmp")
    assert {"nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow", "rw"} <= options
    assert {"sync", "size=1024k", "rw"} <= superblock


def test_read_only_file_system_that_is_no_tmpfs(run: Run) -> None:
    options, superblock = options_of(
        run(with_mounts(mount(kind="sysfs", source="sysfs"), mount("remount", "ro", kind="sysfs", source="sysfs"))),
        "/tmp",
    )
    assert "ro" in options and "ro" in superblock


def test_read_only_tmpfs_still_takes_later_mount_points(run: Run) -> None:
    mounts = (mount("nosuid"), mount("remount", "ro"), configs.bind("/etc", "/tmp/in"))
    output = run(with_mounts(*mounts, script="ls -d /tmp/in/passwd; touch /tmp/x 2>&1; true"))
    assert "/tmp/in/passwd" in output and "Read-only file system" in output


@pytest.mark.pyrun_only("runc 1.1.5 makes it read-only all the same")
def test_tmpfs_remounted_for_writing(run: Run) -> None:
    assert run(with_mounts(mount("ro"), mount("remount", "rw"), script="touch /tmp/x && ls /tmp")) == "x\n"


def test_the_last_of_several_mounts_is_meant(run: Run) -> None:
    output = run(with_mounts(mount("size=1m"), mount("size=2m"), mount("remount", "noexec")))
    first, second = lines_at(output, "/tmp")
    assert "noexec" not in first[5] and "noexec" in second[5]


@pytest.mark.parametrize("options", [["remount", "ro"], ["remount", "bind", "ro"]])
def test_nothing_to_remount(make_container: MakeContainer, options: list[str]) -> None:
    container = make_container(with_mounts(mount(*options, source="/", destination="/etc")))
    line = container.create().failed("invalid argument", "/etc")
    assert container.runtime.name != "pyrun" or "/mounts/7: " in line and "nothing is mounted there" in line
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 has the path of the mount only, and follows the link anew")
def test_mount_that_was_made_through_a_link(runtime: Runtime, make_bundle: MakeBundle) -> None:
    before, after = mount("nosuid", destination="/link/x"), mount("remount", "noexec", destination="/link/x")
    bundle = make_bundle(with_mounts(before, after))
    os.symlink("/var", f"{bundle.rootfs}/link")
    os.mkdir(f"{bundle.rootfs}/var/x")
    options, _ = options_of(runtime.run("test", bundle).succeeded().output, "/var/x")
    assert {"nosuid", "noexec"} <= options


@pytest.mark.pyrun_only("runc 1.1.5 sets the flags that it finds anew, and ignores refusals")
def test_in_a_user_namespace(make_container: MakeContainer, volume: str) -> None:
    """What was mounted there can be changed, and of the host's file systems the mount."""
    own = (mount("size=1m"), mount("remount", "size=64k", "noexec"))
    bound = (configs.bind(volume, "/var"), mount("remount", "bind", "ro", kind="none", destination="/var"))
    container = make_container(configs.with_user_namespace(with_mounts(*own, *bound)))
    for directory in ("proc", "dev", "sys"):
        os.chown(f"{container.bundle.rootfs}/{directory}", 100000, 100000)
    bound[0]["options"] = ["rbind"]
    container.started().wait_for_end()
    assert "size=64k" in options_of(container.output, "/tmp")[1]
    assert "ro" in options_of(container.output, "/var")[0]


@pytest.mark.pyrun_only("runc 1.1.5 sets the flags that it finds anew, and ignores refusals")
def test_option_of_a_file_system_of_the_host(make_container: MakeContainer, volume: str) -> None:
    bind = {**configs.bind(volume, "/tmp"), "options": ["rbind"]}
    container = make_container(configs.with_user_namespace(with_mounts(bind, mount("remount", "sync"))))
    for directory in ("proc", "dev", "sys"):
        os.chown(f"{container.bundle.rootfs}/{directory}", 100000, 100000)
    container.create().failed("/mounts/8/options/1", "not the container's own")
    assert not container.exists()


def test_mount_over_the_root_becomes_the_root(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """As in runc; whatever comes later, and the program, is found in it."""
    other = make_bundle()
    script = "cat /etc/which; touch /new 2>&1; ls /dev/null; awk '$5 == \"/\"' /proc/self/mountinfo | wc -l"
    config = configs.shell(script)
    config["mounts"].insert(0, {**configs.bind(other.rootfs, "/"), "options": ["rbind"]})
    other.write("etc/which", "the other\n")
    lines = runtime.run("test", make_bundle(config)).succeeded().output.splitlines()
    assert lines[0] == "the other"
    assert "Read-only file system" in lines[1]
    assert lines[2:] == ["/dev/null", "1"]
