# SPDX-License-Identifier: Apache-2.0
"""Mounts made inside a container reach the host where the config asks for it, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from security.attackers import give_to_mapped_root, with_capabilities
from support import configs, kernel
from support.configs import Config
from support.runtime import Container, MakeContainer

MOUNTING = "mount -t tmpfs inside /vol/point && mount -t tmpfs inside /tmp && echo mounted; exec sleep 1000"


RUNC = pytest.mark.pyrun_only("runc 1.1.5 leaves the host's other mounts shared")


@pytest.fixture
def volume(scratch: str) -> Iterator[str]:
    """A shared mount of the host, with a place to mount on; it is taken off afterwards with what is mounted there."""
    path = os.path.join(scratch, "volume")
    os.mkdir(path)
    kernel.mount("tmpfs", path, "tmpfs")
    os.mkdir(os.path.join(path, "point"))
    yield path
    kernel.unmount(path)


def mounting(volume: str, root_propagation: str | None, option: str) -> Config:
    """Returns a configuration whose program mounts on the volume and beside it."""
    config = with_capabilities(configs.shell(MOUNTING), "CAP_SYS_ADMIN")
    if root_propagation is not None:
        config["linux"]["rootfsPropagation"] = root_propagation
    config["mounts"].append({**configs.bind(volume, "/vol"), "options": ["rbind", option]})
    return config


def start_and_mount(container: Container) -> None:
    os.mkdir(os.path.join(container.bundle.rootfs, "vol"))
    container.started()
    container.wait_for_output("mounted")


@pytest.mark.parametrize("root_propagation", ["shared", "rshared"])
@pytest.mark.parametrize("option", ["shared", "rshared"])
def test_shared_volume_reaches_the_host(
    make_container: MakeContainer, volume: str, root_propagation: str, option: str
) -> None:
    """Kubernetes calls it Bidirectional; drivers of volumes need it. The root itself stays to itself."""
    container = make_container(mounting(volume, root_propagation, option))
    start_and_mount(container)
    assert os.path.ismount(os.path.join(volume, "point"))
    assert not os.path.ismount(os.path.join(container.bundle.rootfs, "tmp"))
    assert not os.path.ismount(container.bundle.rootfs)
    container.delete("--force").succeeded()
    assert os.path.ismount(os.path.join(volume, "point")), "the host keeps what has reached it"


@pytest.mark.parametrize(
    ("root_propagation", "option"),
    [
        ("shared", "rslave"),
        ("rshared", "rprivate"),
        ("rslave", "rslave"),
        (None, "rslave"),
        (None, "rprivate"),
        (None, "rshared"),
        ("rprivate", "rshared"),
        ("rslave", "rshared"),
        pytest.param("private", "rshared", marks=RUNC),
        pytest.param("unbindable", "rshared", marks=RUNC),
        pytest.param("slave", "rshared", marks=RUNC),
    ],
)
def test_anything_else_does_not(
    make_container: MakeContainer, volume: str, root_propagation: str | None, option: str
) -> None:
    container = make_container(mounting(volume, root_propagation, option))
    start_and_mount(container)
    assert not os.path.ismount(os.path.join(volume, "point"))
    assert not os.path.ismount(os.path.join(container.bundle.rootfs, "tmp"))


def test_user_namespace_reaches_nothing(make_container: MakeContainer, volume: str) -> None:
    """Whatever is asked for: the kernel lets mounts of a more privileged namespace be slaves only."""
    container = make_container(configs.with_user_namespace(mounting(volume, "rshared", "rshared")))
    os.mkdir(os.path.join(container.bundle.rootfs, "vol"))
    give_to_mapped_root(container.bundle)
    container.started()
    container.wait_for_output("mounted")
    assert not os.path.ismount(os.path.join(volume, "point"))
