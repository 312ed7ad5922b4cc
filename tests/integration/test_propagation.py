# SPDX-License-Identifier: Apache-2.0
"""linux.rootfsPropagation and the propagation of mounts from inside; what reaches the host is in tests/security."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support import configs, kernel
from support.configs import Config
from support.runtime import MakeContainer, Run

SHOW = "cat /proc/self/mountinfo"
OTHERWISE = "runc 1.1.5 sets the root's propagation before the mounts only, and for all of the host's"


@pytest.fixture
def volume(scratch: str) -> Iterator[str]:
    """A shared mount of the host with a directory "later", on which the test may mount."""
    path = os.path.join(scratch, "volume")
    os.mkdir(path)
    kernel.mount("volume", path, "tmpfs")
    kernel.mount("", path, flags=kernel.MS_SHARED)
    os.mkdir(f"{path}/later")
    yield path
    kernel.unmount(path)


def propagation_at(output: str, point: str) -> set[str]:
    fields = [line.split() for line in output.splitlines() if line.split()[4] == point][-1]
    return {field.split(":")[0] for field in fields[6 : fields.index("-")]} - {"propagate_from"}


def propagating(script: str, volume: str, root: str | None, *options: str) -> Config:
    config = configs.shell(script)
    if root:
        config["linux"]["rootfsPropagation"] = root
    config["mounts"].append({**configs.bind(volume, "/tmp"), "options": ["rbind", *options]})
    return config


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["rslave", "rshared"], {"master", "shared"}),
        (["shared", "private"], set()),
        (["private", "shared"], {"shared"}),
        (["slave", "unbindable"], {"unbindable"}),
    ],
)
def test_several_in_one_mount_come_one_after_the_other(
    run: Run, volume: str, options: list[str], expected: set[str]
) -> None:
    assert propagation_at(run(propagating(SHOW, volume, None, *options)), "/tmp") == expected


@pytest.mark.pyrun_only(OTHERWISE)
@pytest.mark.parametrize(
    ("root", "of_root", "option", "of_mount"),
    [
        ("rshared", {"shared"}, "rprivate", set()),
        ("rshared", {"shared"}, "rslave", {"master"}),
        ("rshared", {"shared"}, "unbindable", {"unbindable"}),
        ("rshared", {"shared"}, "rshared", {"shared"}),
        ("rslave", {"master"}, "rshared", {"master", "shared"}),
        ("rslave", {"master"}, "private", set()),
        ("rprivate", set(), "shared", {"shared"}),
        ("runbindable", {"unbindable"}, "private", set()),
        ("private", set(), "rslave", {"master"}),
        ("unbindable", {"unbindable"}, "rslave", {"master"}),
        ("shared", {"shared"}, "rprivate", set()),
        ("slave", {"master"}, "rprivate", set()),
    ],
)
def test_a_mount_keeps_what_it_asks_for(
    run: Run, volume: str, root: str, of_root: set[str], option: str, of_mount: set[str]
) -> None:
    output = run(propagating(SHOW, volume, root, option))
    assert propagation_at(output, "/") >= of_root
    assert of_root or not propagation_at(output, "/")
    assert propagation_at(output, "/tmp") == of_mount


@pytest.mark.pyrun_only(OTHERWISE)
def test_a_mounted_file_keeps_what_it_asks_for(run: Run) -> None:
    config = configs.shell(SHOW)
    config["linux"]["rootfsPropagation"] = "rshared"
    config["mounts"].append(configs.bind("/etc/passwd", "/etc/hosts", "private"))
    assert propagation_at(run(config), "/etc/hosts") == set()


@pytest.mark.pyrun_only(OTHERWISE)
@pytest.mark.parametrize(
    ("root", "on_all"), [("rshared", "shared"), ("runbindable", "unbindable"), ("rprivate", ""), ("rslave", "master")]
)
def test_recursive_propagation_is_for_all_mounts(run: Run, volume: str, root: str, on_all: str) -> None:
    output = run(propagating(SHOW, volume, root))
    for point in ("/", "/proc", "/dev", "/dev/pts", "/tmp"):
        found = propagation_at(output, point)
        if root == "rslave":
            assert "shared" not in found
        else:
            assert found >= {on_all} if on_all else not found


@pytest.mark.pyrun_only(OTHERWISE)
@pytest.mark.parametrize(
    ("root", "option", "arrives"),
    [
        (None, "", True),
        ("slave", "", True),
        ("rslave", "rshared", True),
        ("private", "rslave", True),
        ("unbindable", "slave", True),
        ("shared", "rslave", True),
        ("rshared", "slave", True),
        ("rshared", "rprivate", False),
        ("rslave", "rprivate", False),
        ("rprivate", "", False),
        ("runbindable", "", False),
    ],
)
def test_what_the_host_mounts_later(
    make_container: MakeContainer, volume: str, root: str | None, option: str, arrives: bool
) -> None:
    script = "echo ready; until [ -e /tmp/go ]; do sleep 0.01; done; ls /tmp/later; echo end; exec sleep 1000"
    container = make_container(propagating(script, volume, root, *filter(None, [option]))).started()
    container.wait_for_output("ready")
    kernel.mount("tmpfs", f"{volume}/later", "tmpfs")
    open(f"{volume}/later/seen", "w", encoding="ascii").close()
    open(f"{volume}/go", "w", encoding="ascii").close()
    container.wait_for_output("end")
    assert ("seen" in container.output) is arrives
    container.delete("--force").succeeded()
    assert os.path.ismount(f"{volume}/later"), "the container's end takes nothing from the host"
