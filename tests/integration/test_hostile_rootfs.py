# SPDX-License-Identifier: Apache-2.0
"""A root filesystem whose owner put links and files where a runtime mounts, masks and makes devices.

Whatever happens, nothing outside the root may be read or changed: a canary beside the bundle shows it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator

import pytest

from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import MakeBundle, Result, Runtime
from support.snapshot import compare, tree

SECRET = "host secret\n"


@pytest.fixture
def canary(scratch: str) -> Iterator[str]:
    """A directory of the host that must stay as it is."""
    path = os.path.join(scratch, "canary")
    os.mkdir(path)
    os.mkdir(os.path.join(path, "directory"))
    with open(os.path.join(path, "file"), "w", encoding="ascii") as file:
        file.write(SECRET)
    before = tree(path)
    yield path
    assert compare("canary", before, tree(path)) == []


def replace_by_link(bundle: Bundle, name: str, target: str) -> None:
    path = os.path.join(bundle.rootfs, name)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


def run_and_show(runtime: Runtime, bundle: Bundle) -> Result:
    bundle.may_change.add("rootfs")
    return runtime.run("test", bundle)


TMPFS = {"type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}
WAYS = ["absolute", "relative", "through two links"]


def link_to(bundle: Bundle, name: str, canary: str, way: str) -> None:
    """Makes rootfs/NAME a link that leads to the canary for whoever follows it outside of the root."""
    if way == "absolute":
        replace_by_link(bundle, name, canary)
    elif way == "relative":
        replace_by_link(bundle, name, "../" * 20 + canary.lstrip("/"))
    else:
        os.symlink(canary, os.path.join(bundle.rootfs, "second"))
        replace_by_link(bundle, name, "/second")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("destination", ["/link", "/link/directory", "/link/new", "/link/../link/deeper/new"])
def test_mount_through_a_link(
    runtime: Runtime, make_bundle: MakeBundle, canary: str, way: str, destination: str
) -> None:
    config = configs.shell(f"touch {destination}/inside; ls {destination}")
    config["root"]["readonly"] = False
    config["mounts"].append({**TMPFS, "destination": destination})
    bundle = make_bundle(config)
    link_to(bundle, "link", canary, way)
    result = run_and_show(runtime, bundle)
    assert (result.status, result.output) == (0, "inside\n") or result.status == 1


@pytest.mark.parametrize("way", WAYS)
def test_bind_over_a_link_to_a_file(
    runtime: Runtime, make_bundle: MakeBundle, canary: str, scratch: str, way: str
) -> None:
    source = os.path.join(scratch, "hosts")
    with open(source, "w", encoding="ascii") as file:
        file.write("bound\n")
    config = configs.default("/bin/cat", "/etc/hosts")
    config["mounts"].append(configs.bind(source, "/etc/hosts"))
    bundle = make_bundle(config)
    link_to(bundle, "etc/hosts", f"{canary}/file", way)
    result = run_and_show(runtime, bundle)
    assert result.output in ("bound\n", "")


def test_dangling_link_is_made_to_lead_into_the_root(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.shell("touch /nowhere/inside; ls /nowhere")
    config["mounts"].append({**TMPFS, "destination": "/dangling"})
    bundle = make_bundle(config)
    os.symlink("/nowhere", os.path.join(bundle.rootfs, "dangling"))
    result = run_and_show(runtime, bundle)
    assert not os.path.exists("/nowhere")
    assert (result.status, result.output) == (0, "inside\n") or result.status == 1


def test_loop_of_links(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.default()
    config["mounts"].append({**TMPFS, "destination": "/first"})
    bundle = make_bundle(config)
    os.symlink("second", os.path.join(bundle.rootfs, "first"))
    os.symlink("first", os.path.join(bundle.rootfs, "second"))
    run_and_show(runtime, bundle).failed("too many levels of symbolic links")


def test_destination_that_climbs(runtime: Runtime, make_bundle: MakeBundle, canary: str) -> None:
    config = configs.shell(f"touch {canary}/inside; ls {canary}")
    config["mounts"].append({**TMPFS, "destination": "/../" * 20 + canary})
    result = run_and_show(runtime, make_bundle(config))
    assert (result.status, result.output) == (0, "inside\n")


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("way", WAYS)
def test_proc_or_sys_as_a_link(runtime: Runtime, make_bundle: MakeBundle, canary: str, name: str, way: str) -> None:
    """CVE-2019-19921: a link at /proc would move procfs, with its masks and labels, to where an attacker wants it."""
    bundle = make_bundle()
    link_to(bundle, name, canary, way)
    run_and_show(runtime, bundle).failed()


@pytest.mark.pyrun_only("runc 1.1.5 makes the standard links outside of the root")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("with_tmpfs", [True, False])
def test_dev_as_a_link(runtime: Runtime, make_bundle: MakeBundle, canary: str, way: str, with_tmpfs: bool) -> None:
    config = configs.shell("ls /dev/")
    if not with_tmpfs:
        configs.without_mounts(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    bundle = make_bundle(config)
    link_to(bundle, "dev", canary, way)
    result = run_and_show(runtime, bundle)
    assert result.status == 1 or "null" in result.output


def without_dev(script: str) -> Config:
    """Returns a configuration in which /dev is the image's own directory."""
    config = configs.without_mounts(configs.shell(script), "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    config["root"]["readonly"] = False
    return config


@pytest.mark.pyrun_only("runc 1.1.5 takes what stands at /dev/null for the null device (CVE-2025-31133)")
@pytest.mark.parametrize("planted", ["link", "file", "directory", "fifo", "zero"])
def test_masks_when_dev_null_is_something_else(
    runtime: Runtime, make_bundle: MakeBundle, canary: str, planted: str
) -> None:
    bundle = make_bundle(without_dev("cat /proc/keys; cat /etc/hidden"))
    bundle.config["linux"]["maskedPaths"].append("/etc/hidden")
    bundle.write("etc/hidden", "hidden\n")
    null = os.path.join(bundle.rootfs, "dev/null")
    if planted == "link":
        os.symlink(f"{canary}/file", null)
    elif planted == "file":
        bundle.write("dev/null", "planted\n")
    elif planted == "directory":
        os.mkdir(null)
    elif planted == "fifo":
        os.mkfifo(null)
    else:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    result = run_and_show(runtime, bundle)
    assert SECRET not in result.output and "hidden" not in result.output and "planted" not in result.output
    assert (result.status, result.output) == (0, "") or result.status == 1


@pytest.mark.parametrize("device", ["null", "zero", "console", "ptmx", "fd", "stdin"])
@pytest.mark.parametrize("planted", ["link", "dangling link"])
def test_links_where_devices_belong(
    runtime: Runtime, make_bundle: MakeBundle, canary: str, device: str, planted: str
) -> None:
    bundle = make_bundle(without_dev("true"))
    target = f"{canary}/file" if planted == "link" else f"{canary}/made"
    os.symlink(target, os.path.join(bundle.rootfs, "dev", device))
    result = run_and_show(runtime, bundle)
    assert result.status in (0, 1)


def test_configured_device_through_a_link(runtime: Runtime, make_bundle: MakeBundle, canary: str) -> None:
    config = configs.default()
    config["linux"]["devices"] = [
        {"path": "/link/directory/disk", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666, "uid": 5, "gid": 5}
    ]
    bundle = make_bundle(config)
    link_to(bundle, "link", canary, "absolute")
    run_and_show(runtime, bundle)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
@pytest.mark.parametrize("target", ["file", "directory"])
def test_masked_and_read_only_paths_through_links(
    runtime: Runtime, make_bundle: MakeBundle, canary: str, key: str, way: str, target: str
) -> None:
    config = configs.default("/bin/true")
    config["linux"][key] = [*config["linux"][key], "/link"]
    bundle = make_bundle(config)
    link_to(bundle, "link", f"{canary}/{target}", way)
    assert run_and_show(runtime, bundle).status in (0, 1)
    with open(f"{canary}/file", encoding="ascii") as file:
        assert file.read() == SECRET


@pytest.mark.parametrize("way", WAYS)
def test_working_directory_through_a_link(runtime: Runtime, make_bundle: MakeBundle, canary: str, way: str) -> None:
    config = configs.shell("cat file 2>/dev/null; pwd")
    config["process"]["cwd"] = "/link"
    config["root"]["readonly"] = False
    bundle = make_bundle(config)
    link_to(bundle, "link", canary, way)
    assert SECRET not in run_and_show(runtime, bundle).output


@pytest.mark.parametrize("descriptor", range(3, 12))
def test_working_directory_by_a_leaked_descriptor(runtime: Runtime, make_bundle: MakeBundle, descriptor: int) -> None:
    """CVE-2024-21626: a descriptor of the host left open by the runtime as the working directory."""
    config = configs.shell("cat ../../../../../../../../../../proc/1/comm; ls ..")
    config["process"]["cwd"] = f"/proc/self/fd/{descriptor}"
    result = run_and_show(runtime, make_bundle(config))
    assert "pyrun-test" not in result.output
    assert result.status == 1


def test_program_is_a_link_out_of_the_root(runtime: Runtime, make_bundle: MakeBundle, canary: str) -> None:
    program = os.path.join(canary, "program")
    config = configs.default("/link")
    bundle = make_bundle(config)
    os.symlink("/bin/../../../../../" + program.lstrip("/"), os.path.join(bundle.rootfs, "link"))
    run_and_show(runtime, bundle).failed("no such file or directory")


@pytest.mark.parametrize("program", ["/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3", "/proc/self/fd/4"])
def test_program_is_the_runtime_itself(runtime: Runtime, make_bundle: MakeBundle, program: str) -> None:
    """CVE-2019-5736: an image whose program is the runtime's own executable."""
    bundle = make_bundle(configs.default(program))
    before = tree(runtime.path)
    result = run_and_show(runtime, bundle)
    assert result.status != 0
    assert compare("runtime", before, tree(runtime.path)) == []


@pytest.mark.pyrun_only("runc 1.1.5 waits for a writer of the fifo")
def test_passwd_is_no_file(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """The home directory comes from the container's passwd, which must not block or lead outside."""
    bundle = make_bundle(configs.shell("echo $HOME"))
    passwd = os.path.join(bundle.rootfs, "etc/passwd")
    os.unlink(passwd)
    os.mkfifo(passwd)
    result = run_and_show(runtime, bundle)
    assert result.status in (0, 1)
    if result.status == 0:
        assert result.output == "/\n"


def test_passwd_is_a_link_to_the_host(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    host = os.path.join(scratch, "passwd")
    with open(host, "w", encoding="ascii") as file:
        file.write("root:x:0:0::/home-of-the-host:/bin/sh\n")
    bundle = make_bundle(configs.shell("echo $HOME"))
    replace_by_link(bundle, "etc/passwd", "../" * 20 + host.lstrip("/"))
    assert "host" not in run_and_show(runtime, bundle).output
