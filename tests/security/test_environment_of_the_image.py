# SPDX-License-Identifier: Apache-2.0
"""CVE-2025-23266: the image's environment led programs of the host, executed as hooks, to load the image's library."""

from __future__ import annotations

import os
import shutil

import pytest

from security.attackers import compile_attacker
from support import configs
from support.runtime import MakeContainer
from support.world import World

# The kinds whose programs are the host's; those of startContainer are the image's.
KINDS = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]


@pytest.fixture(scope="session")
def planted(world: World) -> str:
    """A library that tells when it is loaded: see planted.c."""
    with world.entered():
        return compile_attacker("planted", world.directory, "-shared", "-fPIC")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.pyrun_only("runc 1.1.5 loads it") if kind == "createContainer" else ())
        for kind in KINDS
    ],
)
@pytest.mark.parametrize("where", ["./planted", "/proc/self/cwd/planted"])
def test_library_of_the_image(make_container: MakeContainer, scratch: str, planted: str, kind: str, where: str) -> None:
    """Hooks of createContainer start in the root filesystem, before the container has left the host's files."""
    told = os.path.join(scratch, "told")
    config = configs.default("/bin/sleep", "1000")
    config["process"]["env"] += [f"LD_PRELOAD={where}", f"TELL={told}"]
    config["hooks"] = {kind: [{"path": "/bin/true"}]}
    container = make_container(config)
    for directory in (container.bundle.path, container.bundle.rootfs):
        shutil.copy(planted, os.path.join(directory, "planted"))
    container.started()
    container.delete("--force").succeeded()
    assert not os.path.exists(told), "the hook has loaded it"
