# SPDX-License-Identifier: Apache-2.0
"""Mounts with mapped ids for an ordinary user: what only root can have is an error, the rest is so anyway."""

from __future__ import annotations

import os

import pytest

from support import configs
from support.filesystems import why_not
from support.runtime import Container, MakeContainer, Runtime
from support.users import USER, MakeUsersContainer, map_range, missing_mapper

MAPPING = [{"containerID": 0, "hostID": USER.number, "size": 1}]


def tmpfs(*options: str) -> dict[str, object]:
    return {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": list(options)}


@pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")
@pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))
def test_own_file_system(make_users_container: MakeUsersContainer) -> None:
    """It is mounted in the user namespace, so its ids are those of that."""
    script = "touch /tmp/f && chown 5:5 /tmp/f && stat -c %u:%g /tmp /tmp/f"
    container = make_users_container("/bin/sh", "-c", script)
    map_range(container.bundle.config, USER)["mounts"].append(tmpfs("idmap"))
    for kind in ("bounding", "effective", "permitted"):
        container.bundle.config["process"]["capabilities"][kind].append("CAP_CHOWN")
    container.started().wait_for_end()
    assert (container.output, container.errors) == ("0:0\n5:5\n", "")


@pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")
@pytest.mark.parametrize("mount", [configs.bind("/etc", "/tmp", "idmap"), tmpfs("idmap")], ids=["bind", "file system"])
def test_mappings_of_its_own(make_users_container: MakeUsersContainer, mount: dict[str, object]) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["mounts"].append({**mount, "uidMappings": MAPPING, "gidMappings": MAPPING})
    number = len(container.bundle.config["mounts"]) - 1
    container.create().failed(f"/mounts/{number}/uidMappings", "only root", "remove the mappings")


@pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")
def test_bind_with_the_mappings_of_the_user_namespace(make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("/bin/true")
    container.bundle.config["mounts"].append(configs.bind("/etc", "/tmp", "idmap"))
    container.create().failed("/options/1", "only root")


def in_user_namespace(container: Container) -> Runtime:
    """Returns the runtime as root of a user namespace, which owns no cgroup."""
    runtime = Runtime(container.runtime.path, os.path.dirname(str(container.runtime.root)))
    runtime.wrapper = ("unshare", "--user", "--map-root-user", "--mount")
    return runtime


@pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")
@pytest.mark.skipif(why_not("tmpfs") is not None, reason=str(why_not("tmpfs")))
def test_root_of_a_user_namespace(make_container: MakeContainer) -> None:
    """The kernel asks for privileges over the user namespace in which the file system was mounted: the host's."""
    config = configs.without_namespace(configs.shell("true"), "cgroup")
    config["linux"]["resources"] = {}
    container = make_container(configs.with_user_namespace(config, 0, 1))
    config["mounts"] = [configs.bind(container.bundle.rootfs, "/tmp", "idmap")]
    container.bundle.seal()
    result = in_user_namespace(container).call("run", "--bundle", container.bundle.path, "mapped")
    result.failed("/mounts/0", "it takes privileges over the user namespace")
