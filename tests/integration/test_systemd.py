# SPDX-License-Identifier: Apache-2.0
"""--systemd-cgroup where there is no systemd; what a systemd does is in tests/vm/test_systemd.py."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from support import configs
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.world import SHOWS_SYSTEMD

pytestmark = [
    pytest.mark.pyrun_only("runc 1.1.5 looks for systemd first"),
    pytest.mark.skipif(SHOWS_SYSTEMD, reason="there is a systemd here"),
]

PROPERTY = "org.systemd.property.TasksMax"


@pytest.mark.parametrize(
    ("path", "annotations", "words"),
    [
        ("/absolute", {}, ["/linux/cgroupsPath", "slice:prefix:name"]),
        ("a.slice:b:c.slice", {}, ["/linux/cgroupsPath", "names a slice"]),
        ("a--b.slice:b:c", {}, ["/linux/cgroupsPath", '"a--b.slice"']),
        ("a.slice:b:c d", {}, ["/linux/cgroupsPath", '"b-c d.scope"']),
        (None, {PROPERTY: "words"}, [f"/annotations/{PROPERTY}", "words"]),
        (None, {"org.systemd.property.a~/b": "1"}, ["/annotations/org.systemd.property.a~0~1b", "letters only"]),
        (None, {"org.systemd.property.PIDs": "@au [1]"}, ["/annotations/org.systemd.property.PIDs"]),
        (None, {}, ["systemd can't be reached", "--systemd-cgroup"]),
    ],
)
def test_refusals(
    make_container: MakeContainer, path: str | None, annotations: dict[str, str], words: list[str]
) -> None:
    config: dict[str, Any] = {**configs.default("/bin/true"), "annotations": annotations}
    if path is not None:
        config["linux"]["cgroupsPath"] = path
    container = make_container(config)
    container.create(options=["--systemd-cgroup"]).failed(*words)
    assert not container.exists()


def test_wrong_limit_is_found_without_systemd(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.default("/bin/true")
    config["linux"]["resources"]["memory"] = {"limit": -7}
    runtime.run("test", make_bundle(config), options=["--systemd-cgroup"]).failed("/linux/resources/memory/limit")


def test_systemd_of_another_pid_namespace(runtime: Runtime, make_container: MakeContainer) -> None:
    """As in a container that was given the host's bus: there a pid of ours is somebody else's."""
    path = "/run/systemd/private"
    os.mkdir(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        try:
            runtime.wrapper = ("unshare", "--pid", "--fork", "--mount-proc")
            make_container().create(options=["--systemd-cgroup"]).failed("in another PID namespace")
        finally:
            os.unlink(path)
            os.rmdir(os.path.dirname(path))
