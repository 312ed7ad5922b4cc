# SPDX-License-Identifier: Apache-2.0
"""In a user namespace, what the host has set on a mount stays, however privileged the container's root is there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from security.attackers import MAPPED_ROOT, give_to_mapped_root, with_capabilities
from support import configs, kernel
from support.runtime import Container, MakeContainer

MS_REMOUNT = 32
RESTRICTIONS = {
    "ro": kernel.MS_RDONLY,
    "nosuid": kernel.MS_NOSUID,
    "nodev": kernel.MS_NODEV,
    "noexec": kernel.MS_NOEXEC,
}


@pytest.fixture
def volume(scratch: str) -> Iterator[str]:
    """A directory of the host that belongs to the container's root; what is mounted there is taken off afterwards."""
    path = os.path.join(scratch, "volume")
    os.mkdir(path)
    kernel.mount("tmpfs", path, "tmpfs", data=f"mode=755,uid={MAPPED_ROOT},gid={MAPPED_ROOT}")
    yield path
    kernel.unmount(path)


def restrict(path: str, flags: int) -> None:
    """Sets flags on a mount of the host, and not on its file system, which other mounts could be made of."""
    kernel.mount("", path, flags=MS_REMOUNT | kernel.MS_BIND | flags)


def administrator(make_container: MakeContainer, script: str, volume: str, option: str) -> Container:
    """Returns a container whose root may mount in its own user namespace, with the volume at /vol."""
    config = configs.with_user_namespace(configs.shell(script), MAPPED_ROOT)
    with_capabilities(config, "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
    config["mounts"].append({**configs.bind(volume, "/vol"), "options": [option]})
    container = make_container(config)
    os.mkdir(os.path.join(container.bundle.rootfs, "vol"))
    give_to_mapped_root(container.bundle)
    return container


def output_of(container: Container) -> str:
    container.started()
    container.wait_for_end()
    return container.output


@pytest.mark.parametrize("restriction", RESTRICTIONS)
@pytest.mark.parametrize("option", ["bind", "rbind"])
def test_flag_of_the_hosts_mount_cannot_be_taken_off(
    make_container: MakeContainer, volume: str, option: str, restriction: str
) -> None:
    """CVE-2013-1957, CVE-2014-5206 of the kernel; a runtime that clones the mount outside works around its locks."""
    restrict(volume, RESTRICTIONS[restriction])
    opposite = {"ro": "rw", "nosuid": "suid", "nodev": "dev", "noexec": "exec"}[restriction]
    script = (
        f"mount -o remount,bind,{opposite} /vol 2>/dev/null && echo remounted; "
        "grep ' /vol ' /proc/self/mountinfo; touch /vol/made 2>/dev/null && echo written; true"
    )
    output = output_of(administrator(make_container, script, volume, option))
    assert "remounted" not in output
    assert restriction in output.split()[5].split(",")
    assert ("written" in output) is (restriction != "ro")
    assert os.listdir(volume) == ([] if restriction == "ro" else ["made"])


@pytest.mark.pyrun_only("runc 1.1.5 leaves the flag without a word")
@pytest.mark.parametrize("restriction", RESTRICTIONS)
@pytest.mark.parametrize("prefix", ["", "r"])
def test_config_that_asks_to_take_it_off_is_refused(
    make_container: MakeContainer, volume: str, prefix: str, restriction: str
) -> None:
    restrict(volume, RESTRICTIONS[restriction])
    opposite = {"ro": "rw", "nosuid": "suid", "nodev": "dev", "noexec": "exec"}[restriction]
    container = administrator(make_container, "true", volume, "rbind")
    container.bundle.config["mounts"][-1]["options"].append(prefix + opposite)
    container.create().failed("/mounts/7", f"change {restriction} of /vol", "operation not permitted")
    assert not container.exists()


@pytest.mark.pyrun_only("runc before 1.2 fails with a flag that it does not find in the options")
@pytest.mark.parametrize("restriction", RESTRICTIONS)
@pytest.mark.parametrize("options", [[], ["nosuid", "nodev"], ["rw", "ro", "noexec"]])
def test_config_that_does_not_keeps_it(
    make_container: MakeContainer, volume: str, options: list[str], restriction: str
) -> None:
    """Neither an omission, nor an option that another one takes back, is a request."""
    restrict(volume, RESTRICTIONS[restriction])
    container = administrator(make_container, "grep ' /vol ' /proc/self/mountinfo", volume, "rbind")
    container.bundle.config["mounts"][-1]["options"] += options
    found = set(output_of(container).split()[5].split(","))
    assert found >= {restriction, *options} - {"rw"}


def test_mount_below_a_read_only_one_stays_read_only(make_container: MakeContainer, volume: str) -> None:
    below = os.path.join(volume, "below")
    os.mkdir(below)
    kernel.mount("tmpfs", below, "tmpfs", data=f"mode=755,uid={MAPPED_ROOT},gid={MAPPED_ROOT}")
    restrict(below, kernel.MS_RDONLY)
    script = "mount -o remount,bind,rw /vol/below 2>/dev/null; touch /vol/below/made 2>/dev/null && echo written; true"
    assert output_of(administrator(make_container, script, volume, "rbind")) == ""
    assert os.listdir(below) == []
    kernel.unmount(below)


@pytest.mark.parametrize("option", ["bind", "rbind"])
def test_what_the_host_has_covered_stays_covered(make_container: MakeContainer, volume: str, option: str) -> None:
    """Below a mount there may be what nobody is meant to see; a bind that would bare it is refused."""
    below = os.path.join(volume, "below")
    os.mkdir(below)
    with open(os.path.join(below, "secret"), "w", encoding="ascii") as file:
        file.write("covered\n")
    kernel.mount("tmpfs", below, "tmpfs", data="mode=755")
    script = "umount /vol/below 2>/dev/null && echo unmounted; cat /vol/below/secret 2>/dev/null; true"
    container = administrator(make_container, script, volume, option)
    if option == "bind":
        container.create().failed("/vol", "invalid argument")
    else:
        assert output_of(container) == ""
    kernel.unmount(below)
