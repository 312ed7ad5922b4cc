# SPDX-License-Identifier: Apache-2.0
"""Every option of the specification's table (config: Linux mount options), as a program in the container sees it.

Options of bind mounts, propagation and mappings have tests of their own beside these: test_mounts.py, test_propagation
and test_mount_mappings.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from support import configs, kernel
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Run, Runtime
from support.strace import available, read_trace, traced

KERNEL = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])
SHOW = "cat /proc/self/mountinfo"
MS_REMOUNT, MS_SYNCHRONOUS = 32, 16
MS_NOATIME, MS_NODIRATIME, MS_NOSYMFOLLOW, MS_STRICTATIME = 1024, 2048, 256, 1 << 24

RUNC_ATIME = pytest.mark.pyrun_only("runc 1.1.5 keeps the access time of a bind's source whatever is asked for")
RUNC_SYMFOLLOW = pytest.mark.pyrun_only("runc 1.1.5 does not know the option")
RUNC_RECURSIVE_ATIME = pytest.mark.pyrun_only("runc fails before 1.4.1: it changes a part of the access time's field")

# option: what it shows as in the options of a mount.
SETTING = {
    "ro": "ro",
    "nosuid": "nosuid",
    "nodev": "nodev",
    "noexec": "noexec",
    "nodiratime": "nodiratime",
    "noatime": "noatime",
    "relatime": "relatime",
    "nosymfollow": "nosymfollow",
}
# option: the flag of mount(2) that the source has, how that shows, and what shows instead.
CLEARING = {
    "rw": (kernel.MS_RDONLY, "ro", "rw"),
    "suid": (kernel.MS_NOSUID, "nosuid", ""),
    "dev": (kernel.MS_NODEV, "nodev", ""),
    "exec": (kernel.MS_NOEXEC, "noexec", ""),
    "diratime": (MS_NODIRATIME, "nodiratime", ""),
    "symfollow": (MS_NOSYMFOLLOW, "nosymfollow", ""),
    "atime": (MS_NOATIME, "noatime", "relatime"),
    "relatime": (MS_STRICTATIME, "", "relatime"),
    "nostrictatime": (MS_STRICTATIME, "", "relatime"),
}


def marked(option: str, *, recursive: bool = False, bound: bool = False) -> Any:
    """Returns a parameter for the option with what keeps runc from it."""
    marks = []
    if "symfollow" in option:
        marks.append(RUNC_SYMFOLLOW)
    elif "atime" in option and bound or option in ("noatime", "relatime", "nostrictatime", "atime") and recursive:
        marks.append(RUNC_RECURSIVE_ATIME if recursive else RUNC_ATIME)
    return pytest.param(option, marks=marks, id=f"r{option}" if recursive else option)


def fields_at(output: str, point: str) -> list[str]:
    return [line.split() for line in output.splitlines() if line.split()[4] == point][-1]


def options_at(output: str, point: str) -> set[str]:
    return set(fields_at(output, point)[5].split(","))


def superblock_at(output: str, point: str) -> set[str]:
    return set(fields_at(output, point)[-1].split(","))


def tmpfs(*options: str) -> dict[str, Any]:
    return {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": list(options)}


def showing(*mounts: dict[str, Any], script: str = SHOW) -> Config:
    config = configs.shell(script)
    config["mounts"] += mounts
    return config


@pytest.fixture
def tree(scratch: str) -> Iterator[str]:
    """A mount of the host with another below it, at "below"; the tests may change them."""
    path = os.path.join(scratch, "tree")
    os.mkdir(path)
    kernel.mount("tmpfs", path, "tmpfs")
    os.mkdir(f"{path}/below")
    kernel.mount("tmpfs", f"{path}/below", "tmpfs")
    yield path
    kernel.unmount(path)


def restrict(path: str, flags: int) -> None:
    """Sets flags on a mount of the host."""
    kernel.mount("", path, flags=MS_REMOUNT | kernel.MS_BIND | flags)


@pytest.mark.parametrize("option", [marked(option) for option in SETTING])
def test_set_on_a_new_file_system(run: Run, option: str) -> None:
    assert SETTING[option] in options_at(run(showing(tmpfs(option))), "/tmp")


@pytest.mark.parametrize("option", [marked(option) for option in SETTING])
def test_set_on_a_bind(run: Run, tree: str, option: str) -> None:
    output = run(showing({**configs.bind(tree, "/tmp"), "options": ["rbind", option]}))
    assert SETTING[option] in options_at(output, "/tmp")
    if option != "relatime":
        assert SETTING[option] not in options_at(output, "/tmp/below")


@pytest.mark.parametrize("option", [marked(option, recursive=True) for option in SETTING])
def test_set_on_all_mounts_of_a_tree(run: Run, tree: str, option: str) -> None:
    if option == "relatime":
        restrict(tree, MS_NOATIME)
        restrict(f"{tree}/below", MS_NOATIME)
    output = run(showing({**configs.bind(tree, "/tmp"), "options": ["rbind", f"r{option}"]}))
    for point in ("/tmp", "/tmp/below"):
        assert SETTING[option] in options_at(output, point)


@pytest.mark.parametrize("option", [marked(option, recursive=True) for option in SETTING])
@pytest.mark.pyrun_only("runc 1.1.5 applies them to bind mounts alone")
def test_recursive_option_on_a_new_file_system(run: Run, option: str) -> None:
    assert SETTING[option] in options_at(run(showing(tmpfs(f"r{option}"))), "/tmp")


@pytest.mark.parametrize("option", ["strictatime", pytest.param("rstrictatime", marks=RUNC_RECURSIVE_ATIME)])
def test_strict_access_times_show_as_no_other(run: Run, tree: str, option: str) -> None:
    output = run(showing({**configs.bind(tree, "/tmp"), "options": ["rbind", option]}))
    assert not {"relatime", "noatime"} & options_at(output, "/tmp")
    assert ("relatime" in options_at(output, "/tmp/below")) is (option == "strictatime")


@pytest.mark.parametrize("option", [marked(option, bound=True) for option in CLEARING])
def test_cleared_on_a_bind(run: Run, tree: str, option: str) -> None:
    flag, before, after = CLEARING[option]
    for path in (tree, f"{tree}/below"):
        restrict(path, flag)
    output = run(showing({**configs.bind(tree, "/tmp"), "options": ["rbind", "noexec", "nosuid", "nodev", option]}))
    options = options_at(output, "/tmp")
    assert before not in options and (not after or after in options)
    assert not before or before in options_at(output, "/tmp/below")


@pytest.mark.parametrize("option", [marked(option, recursive=True) for option in CLEARING])
def test_cleared_on_all_mounts_of_a_tree(run: Run, tree: str, option: str) -> None:
    flag, before, after = CLEARING[option]
    for path in (tree, f"{tree}/below"):
        restrict(path, flag)
    output = run(showing({**configs.bind(tree, "/tmp"), "options": ["rbind", f"r{option}"]}))
    for point in ("/tmp", "/tmp/below"):
        assert before not in options_at(output, point)
        assert not after or after in options_at(output, point)


@pytest.mark.parametrize("option", [marked(option) for option in CLEARING if option != "relatime"])
def test_last_option_counts_on_a_new_file_system(run: Run, option: str) -> None:
    before = CLEARING[option][1] or "strictatime"
    options = options_at(run(showing(tmpfs(before, option))), "/tmp")
    assert before not in options
    assert "relatime" in options


@pytest.mark.parametrize("prefix", ["", pytest.param("r", marks=RUNC_RECURSIVE_ATIME)])
@pytest.mark.parametrize("before", ["noatime", "strictatime"])
def test_norelatime_leaves_other_access_times(run: Run, tree: str, prefix: str, before: str) -> None:
    """It is about the kernel's default, as mount(8) says: whoever chose another keeps it."""
    options = ["rbind", f"{prefix}{before}", f"{prefix}norelatime"]
    output = run(showing({**configs.bind(tree, "/tmp"), "options": options}))
    assert "relatime" not in options_at(output, "/tmp")
    assert ("noatime" in options_at(output, "/tmp")) is (before == "noatime")


@pytest.mark.parametrize("option", ["sync", "dirsync", "lazytime", "mand"])
def test_option_of_the_superblock(run: Run, option: str) -> None:
    assert option in superblock_at(run(showing(tmpfs(option))), "/tmp")


@pytest.mark.parametrize(("before", "option"), [("sync", "async"), ("lazytime", "nolazytime"), ("mand", "nomand")])
def test_option_of_the_superblock_taken_back(run: Run, before: str, option: str) -> None:
    assert before not in superblock_at(run(showing(tmpfs(before, option))), "/tmp")


@pytest.mark.parametrize("option", ["sync", "dirsync", "lazytime", "mand", "iversion", "silent", "loud", "noiversion"])
def test_bind_has_no_say_about_the_superblock(run: Run, tree: str, option: str) -> None:
    """As with mount(2); the host's other mounts of the file system would change with it."""
    before = superblock_at(open("/proc/self/mountinfo", encoding="utf-8").read(), tree)
    output = run(showing(configs.bind(tree, "/tmp", option)))
    assert superblock_at(output, "/tmp") == before


@pytest.mark.pyrun_only("runc 1.1.5 hands the word to the file system, which refuses it")
@pytest.mark.parametrize("bound", [False, True])
def test_defaults_change_nothing(run: Run, tree: str, bound: bool) -> None:
    output = run(showing(configs.bind(tree, "/tmp", "defaults") if bound else tmpfs("defaults")))
    assert options_at(output, "/tmp") == {"rw", "relatime"}


@pytest.mark.skipif(not available(), reason="strace is not installed")
@pytest.mark.pyrun_only("runc's threads take too long under strace")
@pytest.mark.parametrize(
    ("options", "shown", "missing"),
    [
        (["iversion"], ["MS_I_VERSION"], ["MS_SILENT"]),
        (["silent"], ["MS_SILENT"], ["MS_I_VERSION"]),
        (["silent", "iversion", "nosuid", "sync"], ["MS_SILENT", "MS_I_VERSION", "MS_NOSUID", "MS_SYNCHRONOUS"], []),
        (["iversion", "noiversion"], [], ["MS_I_VERSION"]),
        (["silent", "loud"], [], ["MS_SILENT"]),
    ],
)
def test_what_only_mount_takes(
    runtime: Runtime, make_bundle: MakeBundle, case: str, options: list[str], shown: list[str], missing: list[str]
) -> None:
    """No file tells them, so it is the call that is looked at: silent is about the moment of mounting itself."""
    bundle = make_bundle(showing(tmpfs(*options, "size=64k"), script="true"))
    traced(runtime, case, follow=True).run("test", bundle).succeeded()
    calls = [call.text for process in read_trace(case) for call in process if call.name == "mount"]
    (made,) = [text for text in calls if "64k" in text] or [""]
    assert all(word in made for word in shown)
    assert not any(word in text for word in missing for text in calls)


@pytest.mark.parametrize("option", ["iversion", "silent"])
def test_mount_made_by_mount_is_like_any_other(run: Run, option: str) -> None:
    """The mode of the directory below, masks, propagation and what is mounted in it, as without the option."""
    mount = {**tmpfs(option, "size=64k", "nosuid", "noatime", "shared", "sync"), "destination": "/root"}
    config = showing(mount, configs.bind("/etc", "/root/in"), script=f"stat -c %a /root; {SHOW}; ls -a /root/masked")
    config["mounts"].append({"destination": "/root/masked", "type": "tmpfs", "source": "tmpfs"})
    config["linux"]["maskedPaths"].append("/root/masked")
    output = run(config)
    assert output.splitlines()[0] == "755"
    fields = fields_at(output[output.index("\n") + 1 : output.rindex(".\n..")], "/root")
    assert {"rw", "nosuid", "noatime"} <= set(fields[5].split(","))
    assert fields[6].startswith("shared:")
    assert {"size=64k", "sync"} <= set(fields[-1].split(","))


@pytest.mark.skipif(KERNEL < (6, 3), reason="this kernel maps the ids of no tmpfs; the machine of the tests does")
@pytest.mark.pyrun_only("runc 1.1.5 maps no ids")
@pytest.mark.parametrize("option", ["iversion", "silent"])
def test_mount_made_by_mount_with_mapped_ids(make_container: MakeContainer, option: str) -> None:
    """In a user namespace it is the outer stage that makes it."""
    mount = tmpfs(option, "idmap", "size=64k", "nosuid")
    container = make_container(configs.with_user_namespace(showing(mount)))
    for directory in ("proc", "dev", "sys"):
        os.chown(f"{container.bundle.rootfs}/{directory}", 100000, 100000)
    container.started().wait_for_end()
    assert {"idmapped", "nosuid"} <= options_at(container.output, "/tmp")
    assert "size=64k" in superblock_at(container.output, "/tmp")


def test_long_parameters_are_taken_by_mount(make_container: MakeContainer, scratch: str) -> None:
    """fsconfig(2) stops at 255 bytes: an overlay of layers with long names."""
    layers = []
    for number in range(3):
        layers.append(os.path.join(scratch, f"layer{number}-" + "x" * 100))
        os.mkdir(layers[-1])
        open(f"{layers[-1]}/file{number}", "w", encoding="ascii").close()
    mount = {
        "destination": "/tmp",
        "type": "overlay",
        "source": "overlay",
        "options": ["nodev", "ro", "rprivate", f"lowerdir={':'.join(layers)}"],
    }
    config = showing(mount, script=f"ls /tmp; {SHOW}")
    config["linux"]["maskedPaths"].append("/tmp/file1")
    container = make_container(config).started()
    container.wait_for_end()
    assert container.output.splitlines()[:3] == ["file0", "file1", "file2"]
    assert {"ro", "nodev"} <= options_at("\n".join(container.output.splitlines()[3:]), "/tmp")
