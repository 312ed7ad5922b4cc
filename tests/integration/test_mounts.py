# SPDX-License-Identifier: Apache-2.0
"""Mounts: file systems, binds, their options and propagation, and the mount points that are made for them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from support import configs, kernel
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Run, Runtime

SHOW = "cat /proc/self/mountinfo"


def line_of(output: str, point: str) -> list[str]:
    """Returns the fields of the topmost mount at `point` in mountinfo."""
    return [line.split() for line in output.splitlines() if line.split()[4] == point][-1]


def options_of(fields: list[str]) -> set[str]:
    return set(fields[5].split(","))


def propagation_of(fields: list[str]) -> set[str]:
    return {field.split(":")[0] for field in fields[6 : fields.index("-")]}


def type_of(fields: list[str]) -> str:
    return fields[fields.index("-") + 1]


def with_mount(script: str, *mounts: dict[str, Any]) -> Config:
    config = configs.shell(script)
    config["mounts"] += mounts
    return config


@pytest.fixture
def source(scratch: str) -> str:
    """A directory of the host with a file in it."""
    path = os.path.join(scratch, "source")
    os.mkdir(path)
    with open(os.path.join(path, "file"), "w", encoding="ascii") as file:
        file.write("from the host\n")
    return path


@pytest.mark.parametrize(
    ("kind", "source_name"), [("proc", "proc"), ("sysfs", "sysfs"), ("tmpfs", "any"), ("mqueue", "mqueue")]
)
def test_file_system(run: Run, kind: str, source_name: str) -> None:
    options = ["nosuid", "noexec", "nodev"]
    mount = {"destination": "/tmp", "type": kind, "source": source_name, "options": options}
    fields = line_of(run(with_mount(SHOW, mount)), "/tmp")
    assert type_of(fields) == kind
    assert {"rw", "nosuid", "noexec", "nodev"} <= options_of(fields)


def test_second_devpts_is_another(run: Run) -> None:
    mount = {"destination": "/tmp", "type": "devpts", "source": "devpts", "options": ["newinstance", "mode=0600"]}
    fields = line_of(run(with_mount(SHOW, mount)), "/tmp")
    assert type_of(fields) == "devpts"
    assert "mode=600" in fields[-1]


def test_cgroup_shows_the_containers_own(run: Run) -> None:
    output = run(configs.shell(f"{SHOW}; echo; cat /sys/fs/cgroup/cgroup.procs"))
    table, _, members = output.partition("\n\n")
    fields = line_of(table, "/sys/fs/cgroup")
    assert type_of(fields) == "cgroup2"
    assert fields[3] == "/"
    assert "1" in members.split()


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        (["ro"], {"ro"}, {"rw"}),
        (["ro", "rw"], {"rw"}, {"ro"}),
        (["nosuid"], {"rw", "nosuid"}, {"nodev", "noexec"}),
        (["nosuid", "nodev", "noexec", "ro"], {"ro", "nosuid", "nodev", "noexec"}, set()),
        (["nosuid", "suid"], {"rw"}, {"nosuid"}),
        (["noatime"], {"noatime"}, {"relatime"}),
        (["nodiratime"], {"nodiratime"}, set()),
        (["strictatime"], set(), {"relatime", "noatime"}),
        pytest.param(
            ["noatime", "relatime"],
            {"relatime"},
            {"noatime"},
            marks=pytest.mark.pyrun_only("runc 1.1.5 passes both on, and the kernel prefers the first"),
        ),
    ],
)
@pytest.mark.parametrize("bound", [False, True])
def test_options(run: Run, source: str, options: list[str], present: set[str], absent: set[str], bound: bool) -> None:
    mount = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options}
    fields = line_of(run(with_mount(SHOW, configs.bind(source, "/tmp", *options) if bound else mount)), "/tmp")
    assert present <= options_of(fields)
    assert not absent & options_of(fields)


@pytest.mark.pyrun_only("runc 1.1.5 does not know the option")
def test_nosymfollow(run: Run, source: str) -> None:
    fields = line_of(run(with_mount(SHOW, configs.bind(source, "/tmp", "nosymfollow"))), "/tmp")
    assert "nosymfollow" in options_of(fields)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("private", set()),
        ("rprivate", set()),
        ("slave", {"master"}),
        ("rslave", {"master"}),
        ("shared", {"shared"}),
        ("rshared", {"shared"}),
        ("unbindable", {"unbindable"}),
        ("runbindable", {"unbindable"}),
    ],
)
def test_propagation(run: Run, source: str, option: str, expected: set[str]) -> None:
    output = run(with_mount(SHOW, configs.bind(source, "/tmp", "rw", option)))
    assert propagation_of(line_of(output, "/tmp")) - {"propagate_from"} >= expected
    if option in ("private", "rprivate"):
        assert propagation_of(line_of(output, "/tmp")) == set()


@pytest.mark.parametrize(("option", "expected"), [("rprivate", set()), ("rslave", {"master"})])
def test_recursive_propagation_reaches_mounts_below(run: Run, source: str, option: str, expected: set[str]) -> None:
    os.mkdir(f"{source}/below")
    kernel.mount("tmpfs", f"{source}/below", "tmpfs")
    try:
        mount = {**configs.bind(source, "/tmp"), "options": ["rbind", option]}
        output = run(with_mount(SHOW, mount))
    finally:
        kernel.unmount(f"{source}/below")
    assert propagation_of(line_of(output, "/tmp/below")) == expected


@pytest.mark.parametrize(("option", "arrives"), [("rslave", True), ("rprivate", False)])
def test_later_mounts_of_the_host(make_container: MakeContainer, source: str, option: str, arrives: bool) -> None:
    os.mkdir(f"{source}/later")
    script = "echo ready; until [ -e /tmp/file2 ]; do sleep 0.01; done; ls /tmp/later; echo end; exec sleep 1000"
    mount = {**configs.bind(source, "/tmp"), "options": ["rbind", option]}
    container = make_container(with_mount(script, mount)).started()
    container.wait_for_output("ready")
    kernel.mount("tmpfs", f"{source}/later", "tmpfs")
    try:
        open(f"{source}/later/seen", "w", encoding="ascii").close()
        open(f"{source}/file2", "w", encoding="ascii").close()
        container.wait_for_output("end")
        assert ("seen" in container.output) is arrives
        container.delete("--force").succeeded()
    finally:
        kernel.unmount(f"{source}/later")


@pytest.mark.parametrize(("option", "below"), [("bind", ""), ("rbind", "mounted\n")])
def test_bind_with_and_without_what_is_mounted_below(run: Run, source: str, option: str, below: str) -> None:
    os.mkdir(f"{source}/below")
    kernel.mount("tmpfs", f"{source}/below", "tmpfs")
    try:
        open(f"{source}/below/mounted", "w", encoding="ascii").close()
        mount = {**configs.bind(source, "/tmp"), "options": [option]}
        assert run(with_mount("ls /tmp/below", mount)) == below
    finally:
        kernel.unmount(f"{source}/below")


@pytest.mark.parametrize("kind", ["bind", "none", "", "tmpfs"])
def test_option_makes_a_bind_whatever_the_type_says(run: Run, source: str, kind: str) -> None:
    mount = {**configs.bind(source, "/tmp"), "type": kind}
    assert run(with_mount("cat /tmp/file", mount)) == "from the host\n"


def test_bind_of_a_file(run: Run, source: str) -> None:
    output = run(with_mount("cat /etc/hosts", configs.bind(f"{source}/file", "/etc/hosts", "ro")))
    assert output == "from the host\n"


def test_bind_with_a_relative_source(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(with_mount("cat /tmp/file", configs.bind("relative", "/tmp")))
    os.mkdir(os.path.join(bundle.path, "relative"))
    with open(os.path.join(bundle.path, "relative/file"), "w", encoding="ascii") as file:
        file.write("beside config.json\n")
    assert runtime.run("test", bundle).succeeded().output == "beside config.json\n"


def test_read_only_bind_cannot_be_written(run: Run, source: str) -> None:
    output = run(with_mount("touch /tmp/new 2>&1; cat /tmp/file", configs.bind(source, "/tmp", "ro")))
    assert "Read-only file system" in output and "from the host" in output


def test_bind_can_be_written(run: Run, source: str) -> None:
    run(with_mount("echo new >/tmp/new", configs.bind(source, "/tmp", "rw")))
    with open(f"{source}/new", encoding="ascii") as file:
        assert file.read() == "new\n"


@pytest.mark.parametrize("directory", [True, False])
def test_missing_mount_points_are_made(runtime: Runtime, make_bundle: MakeBundle, source: str, directory: bool) -> None:
    origin = source if directory else f"{source}/file"
    shown = "/a/b/c/file" if directory else "/a/b/c"
    bundle = make_bundle(with_mount(f"cat {shown}", configs.bind(origin, "/a/b/c")))
    bundle.may_change.add("rootfs/a")
    assert runtime.run("test", bundle).succeeded().output == "from the host\n"
    made = os.path.join(bundle.rootfs, "a/b/c")
    assert os.path.isdir(made) is directory
    assert os.stat(os.path.join(bundle.rootfs, "a/b")).st_mode & 0o777 == 0o755


def test_later_mount_covers_an_earlier_one(run: Run, source: str) -> None:
    first = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=0700"]}
    output = run(with_mount("ls /tmp; grep -c ' /tmp ' /proc/self/mountinfo", first, configs.bind(source, "/tmp")))
    assert output == "file\n2\n"


def test_mount_inside_an_earlier_mount(run: Run, source: str) -> None:
    first = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}
    assert run(with_mount("ls /tmp /tmp/in", first, configs.bind(source, "/tmp/in"))).split() == [
        "/tmp:",
        "in",
        "/tmp/in:",
        "file",
    ]


@pytest.mark.pyrun_only("runc 1.1.5 gives a tmpfs the mode of the directory below it even when one is asked for")
def test_parameters_of_tmpfs(run: Run) -> None:
    options = ["mode=1750", "uid=5", "gid=6", "size=64k", "nr_inodes=100"]
    mount = {"destination": "/tmp", "type": "tmpfs", "source": "shm", "options": options}
    output = run(with_mount(f"stat -c '%a %u %g' /tmp; {SHOW}", mount))
    assert output.splitlines()[0] == "1750 5 6"
    fields = line_of(output.partition("\n")[2], "/tmp")
    assert {"size=64k", "nr_inodes=100", "uid=5", "gid=6"} <= set(fields[-1].split(","))


def test_read_only_tmpfs_still_takes_mount_points(run: Run, source: str) -> None:
    first = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}
    script = "cat /tmp/in/file; touch /tmp/x 2>&1; true"
    output = run(with_mount(script, first, configs.bind(source, "/tmp/in")))
    assert "from the host" in output and "Read-only file system" in output


def test_relative_destination_counts_from_the_root(run: Run, source: str) -> None:
    assert run(with_mount("cat /tmp/file", configs.bind(source, "tmp"))) == "from the host\n"


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        (configs.bind("/missing/source", "/tmp"), ["/missing/source", "no such file or directory"]),
        ({"destination": "/tmp", "type": "frobfs", "source": "x"}, ["no such device"]),
        ({"destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["frob=1"]}, ["invalid argument"]),
        ({"destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["size=frob"]}, ["invalid argument"]),
        (configs.bind("/etc/passwd", "/tmp"), ["not a directory"]),
        (configs.bind("/usr", "/etc/hosts"), ["not a directory"]),
        (configs.bind("/usr", "/etc/hosts/below"), ["not a directory"]),
    ],
)
def test_impossible_mount(make_container: MakeContainer, mount: dict[str, Any], words: list[str]) -> None:
    container = make_container(with_mount("true", mount))
    line = container.create().failed()
    for word in words:
        assert word.lower() in line.lower()


@pytest.mark.pyrun_only("in runc 1.1.5 the root is private in the end, whatever was asked for")
@pytest.mark.parametrize(
    ("propagation", "expected"),
    [
        ("private", set()),
        ("rprivate", set()),
        ("slave", {"master"}),
        ("rslave", {"master"}),
        ("unbindable", {"unbindable"}),
        ("shared", {"shared"}),
        ("rshared", {"shared"}),
    ],
)
def test_propagation_of_the_root(run: Run, propagation: str, expected: set[str]) -> None:
    config = configs.shell(SHOW)
    config["linux"]["rootfsPropagation"] = propagation
    found = propagation_of(line_of(run(config), "/"))
    assert expected <= found if expected else not found


@pytest.mark.parametrize("options", [[], ["--no-pivot"]])
@pytest.mark.parametrize("readonly", [True, False])
def test_root_is_read_only_or_not(
    runtime: Runtime, make_bundle: MakeBundle, options: list[str], readonly: bool
) -> None:
    config = configs.shell("touch /new 2>&1 && echo written; ls -a /.. | wc -l; ls -a / | wc -l")
    config["root"]["readonly"] = readonly
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs/new")
    output = runtime.run("test", bundle, *options).succeeded().output
    assert ("Read-only file system" in output) is readonly
    assert os.path.exists(os.path.join(bundle.rootfs, "new")) is not readonly
    above, root = output.splitlines()[-2:]
    assert above == root


@pytest.mark.parametrize("options", [[], ["--no-pivot"]])
def test_nothing_of_the_hosts_mounts_is_visible(runtime: Runtime, make_bundle: MakeBundle, options: list[str]) -> None:
    config = configs.shell(f"{SHOW}; cat /proc/1/mountinfo")
    output = runtime.run("test", make_bundle(config), *options).succeeded().output
    points = {line.split()[4] for line in output.splitlines()}
    assert points >= {"/", "/proc", "/dev"}
    assert not any(point.startswith(("/tmp/pyrun-test", "/run", "/boot")) for point in points)


@pytest.mark.pyrun_only("runc 1.1.5 needs /proc in the container, and leaves the cgroup behind")
def test_mount_namespace_can_be_left_out(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.without_namespace(configs.default("/bin/ls", "/etc/passwd"), "mount")
    config["mounts"] = []
    config["root"]["readonly"] = False
    config["linux"]["maskedPaths"] = config["linux"]["readonlyPaths"] = []
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs/dev")
    assert runtime.run("test", bundle).succeeded().output == "/etc/passwd\n"
