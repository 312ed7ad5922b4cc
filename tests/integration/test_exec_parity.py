# SPDX-License-Identifier: Apache-2.0
"""What a program that exec starts can see of itself and of its container: the same with runc as with pyrun."""

from __future__ import annotations

import os
import re

import pytest

from integration import test_parity
from support import configs, parity
from support.bundle import Bundle
from support.configs import Config
from support.runtime import Container, MakeBundle, Runtime

pytestmark = pytest.mark.pyrun_only("it is compared with runc")

# What differs and is meant to: section, line as a regular expression, and the reason.
DELIBERATE = [
    *test_parity.DELIBERATE,
    ("identity", "00(22|77)", "runc 1.1.5 leaves the mask of its caller to exec"),
    (
        "limits",
        r"Max open files +(100|200) +200 .*",
        "runc 1.1.5 sometimes raises the soft limit of open files of exec",
    ),
    ("status", "Umask:\t00(22|77)", "runc 1.1.5 leaves the mask of its caller to exec"),
]
OPTIONS = {
    "none": [],
    "user": ["--user", "1000:1001", "--additional-gids", "7", "--cwd", "/tmp", "--env", "A=1"],
    "privileges": ["--cap", "CAP_CHOWN", "--cap", "CAP_MKNOD", "--no-new-privs"],
}


def observe(runtime: Runtime, bundle: Bundle, options: list[str]) -> parity.Observation:
    """Returns what an exec sees in a container of the runtime, which is deleted afterwards."""
    container = Container(runtime, "parity", bundle).started()
    try:
        output = container.exec("/bin/sh", "-c", parity.PROBE, options=options).succeeded().output
    finally:
        container.delete("--force").succeeded()
    seen = parity.observe(output, parity.namespaces_of_this_process())
    # The second line counts the processes in the cgroup, of which the probe itself starts more or less at once.
    del seen["cgroupfs"][1:]
    return seen


def compare(case: str, runtime: Runtime, bundle: Bundle, options: list[str]) -> None:
    assert test_parity.RUNC is not None, "runc is missing: apt-get install runc"
    theirs = observe(Runtime(test_parity.RUNC, case), bundle, options)
    ours = observe(runtime, bundle, options)
    found = [
        f"{section}: {line}"
        for section, line in parity.differences(ours, theirs)
        if not any(section == where and re.fullmatch(pattern, line[1:]) for where, pattern, _ in DELIBERATE)
    ]
    assert not found, "- with runc, + with this runtime:\n" + "\n".join(found)


def sleeping(config: Config) -> Config:
    config["process"]["args"] = ["/bin/sleep", "1000"]
    return config


@pytest.mark.parametrize("engine", ["runc spec", "docker", "ctr"])
def test_engines_configuration(case: str, runtime: Runtime, make_bundle: MakeBundle, engine: str) -> None:
    bundle = make_bundle()
    bundle.config = sleeping(test_parity.engine_config(engine, bundle))
    bundle.config["linux"]["cgroupsPath"] = "/parity"
    compare(case, runtime, bundle, [])


@pytest.mark.parametrize("name", test_parity.variations())
def test_variation(case: str, runtime: Runtime, make_bundle: MakeBundle, name: str) -> None:
    bundle = make_bundle(sleeping(test_parity.variations()[name]))
    if name == "user namespace":
        for directory, _, _ in os.walk(bundle.rootfs):
            os.chown(directory, 100000, 100000)
    compare(case, runtime, bundle, [])


@pytest.mark.parametrize("options", OPTIONS)
def test_options(case: str, runtime: Runtime, make_bundle: MakeBundle, options: str) -> None:
    compare(case, runtime, make_bundle(configs.default("/bin/sleep", "1000")), OPTIONS[options])
