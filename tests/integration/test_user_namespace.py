# SPDX-License-Identifier: Apache-2.0
"""User namespaces: container root is an ordinary user outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from support import configs, process
from support.configs import Config
from support.runtime import Container, MakeContainer
from support.waiting import wait_until

ROOT = 100000


def mapped(script: str) -> Config:
    config = configs.with_user_namespace(configs.shell(script), ROOT)
    config["root"]["readonly"] = False
    return config


def owned(container: Container) -> Container:
    """Gives the container's root filesystem to the user that is root inside."""
    for directory, _, _ in os.walk(container.bundle.rootfs):
        os.chown(directory, ROOT, ROOT)
    return container


def output_of(container: Container) -> str:
    container.started()
    container.wait_for_end()
    assert container.errors == ""
    return container.output


def test_ids_inside_and_outside(make_container: MakeContainer) -> None:
    container = owned(make_container(mapped("id -u; cat /proc/self/uid_map; echo ready; exec sleep 1000")))
    container.started()
    container.wait_for_output("ready")
    first, mapping, _ = container.output.splitlines()
    assert first == "0"
    assert mapping.split() == ["0", str(ROOT), "65536"]
    status = process.status(container.pid)
    assert status["Uid"].split() == [str(ROOT)] * 4
    assert status["Gid"].split() == [str(ROOT)] * 4
    assert process.namespace(container.pid, "user") != process.namespace("self", "user")


def test_created_container_is_an_ordinary_user_already(make_container: MakeContainer) -> None:
    container = owned(make_container(mapped("true"))).created()
    assert process.status(container.pid)["Uid"].split()[1] == str(ROOT)


def test_files_belong_to_the_mapped_user(make_container: MakeContainer) -> None:
    container = owned(make_container(mapped("touch /made && stat -c %u:%g /made")))
    container.bundle.may_change.add("rootfs/made")
    assert output_of(container) == "0:0\n"
    status = os.stat(os.path.join(container.bundle.rootfs, "made"))
    assert (status.st_uid, status.st_gid) == (ROOT, ROOT)


def test_user_of_the_container_is_mapped(make_container: MakeContainer) -> None:
    config = mapped("id -u; id -g; id -G; echo ready; exec sleep 1000")
    config["process"]["user"] = {"uid": 1000, "gid": 2000, "additionalGids": [3000]}
    container = owned(make_container(config)).started()
    container.wait_for_output("ready")
    assert container.output == "1000\n2000\n2000 3000\nready\n"
    status = process.status(container.pid)
    assert status["Uid"].split() == [str(ROOT + 1000)] * 4
    assert status["Groups"].split() == [str(ROOT + 3000)]


def test_devices_work_and_cannot_be_made(make_container: MakeContainer) -> None:
    script = "echo x >/dev/null && head -c 4 /dev/zero | wc -c; echo x >/dev/full; mknod /tmp/null c 1 3; true"
    container = owned(make_container(mapped(script)))
    container.started()
    container.wait_for_end()
    assert container.output == "4\n"
    assert "/dev/full: No space left on device" in container.errors or "write error" in container.errors
    assert "Operation not permitted" in container.errors


def test_several_ranges(make_container: MakeContainer) -> None:
    config = mapped("cat /proc/self/uid_map /proc/self/gid_map")
    for key in ("uidMappings", "gidMappings"):
        config["linux"][key] = [
            {"containerID": 0, "hostID": ROOT, "size": 10},
            {"containerID": 1000, "hostID": 500000, "size": 1},
            {"containerID": 2000, "hostID": 600000, "size": 100},
        ]
    rows = [line.split() for line in output_of(owned(make_container(config))).splitlines()]
    expected = [["0", str(ROOT), "10"], ["1000", "500000", "1"], ["2000", "600000", "100"]]
    assert rows == expected * 2


def test_other_namespaces_belong_to_the_user_namespace(make_container: MakeContainer) -> None:
    """The container's root may change what its own namespaces hold."""
    config = mapped("hostname changed && hostname; ip link set lo down && ip link set lo up && echo linked")
    for kind in ("bounding", "effective", "permitted", "ambient"):
        config["process"]["capabilities"][kind] = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]
    assert output_of(owned(make_container(config))) == "changed\nlinked\n"


def test_user_namespace_without_a_mapping(make_container: MakeContainer) -> None:
    config = configs.with_namespace(configs.default(), "user")
    make_container(config).create().failed("mapping")


@pytest.fixture
def owner_of_namespaces() -> Iterator[int]:
    """A process in new user, network, uts and ipc namespaces."""
    command = ["unshare", "--net", "--uts", "--ipc", "--user", "sleep", "1000"]
    with subprocess.Popen(command) as holder:
        try:

            def ready() -> bool:
                with open(f"/proc/{holder.pid}/comm", encoding="ascii") as name:
                    return name.read() == "sleep\n"

            wait_until(ready, "unshare has executed its program")
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{holder.pid}/{name}", "w", encoding="ascii") as file:
                    file.write(f"0 {ROOT} 65536\n")
            yield holder.pid
        finally:
            holder.kill()


@pytest.mark.parametrize(
    "with_mapping",
    [True, pytest.param(False, marks=pytest.mark.pyrun_only("runc 1.1 asks for a mapping even here"))],
)
def test_joined_with_namespaces_that_it_owns(
    make_container: MakeContainer, owner_of_namespaces: int, with_mapping: bool
) -> None:
    config = mapped("id -u; cat /proc/self/uid_map; echo ready; exec sleep 1000")
    if not with_mapping:
        del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    kinds = ("user", "network", "uts", "ipc")
    for kind in kinds:
        path = f"/proc/{owner_of_namespaces}/ns/{process.NAMESPACE_FILES[kind]}"
        configs.with_namespace(config, kind, path)
    container = owned(make_container(config)).started()
    container.wait_for_output("ready")
    assert container.output.split()[:4] == ["0", "0", str(ROOT), "65536"]
    for kind in kinds:
        assert process.namespace(container.pid, kind) == process.namespace(owner_of_namespaces, kind)
    container.delete("--force").succeeded()
