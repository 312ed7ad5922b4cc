# SPDX-License-Identifier: Apache-2.0
"""The default configurations of engines give the same observable result under this runtime as under runc.

Differences that are meant are in DELIBERATE, with the reason; docs/compatibility.md tells the same to users.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from support import configs, parity, process
from support.bundle import Bundle
from support.configs import Config
from support.runtime import MakeBundle, Runtime, runtime_under_test

RUNC = shutil.which("runc", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

# (section, regular expression of the lines of either side, reason)
DELIBERATE = [
    ("identity", r"\(none\)|example\.org", "runc 1.1.5 does not know domainname"),
    (
        "mountinfo",
        r"\S+/rootfs / rw,relatime (shared )?- .*",
        "runc 1.1.5 leaves the root private when rootfsPropagation is shared",
    ),
    (
        "mountinfo",
        r"/ /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime (master )?- cgroup2 cgroup2? rw.*",
        "without a cgroup namespace pyrun binds the host's hierarchy, runc mounts it anew",
    ),
    (
        "dev",
        r"/dev/mqueue drwxrwxrwt 0 (0|65534) 0:0",
        "in a user namespace runc mounts mqueue with a foreign group id",
    ),
]


def from_spec(runtime: str, bundle: Bundle) -> Config:
    """Returns what `RUNTIME spec` writes, without a terminal."""
    subprocess.run([runtime, "spec", "--bundle", bundle.path], check=True, capture_output=True)
    path = os.path.join(bundle.path, "config.json")
    with open(path, encoding="utf-8") as file:
        config: Config = json.load(file)
    os.unlink(path)
    config["process"]["terminal"] = False
    return config


def engine_config(engine: str, bundle: Bundle) -> Config:
    if engine == "runc spec":
        return from_spec(str(RUNC), bundle)
    if engine == "pyrun spec":
        return from_spec(runtime_under_test(), bundle)
    bundle.write("run/.containerenv")
    return configs.captured(engine, bundle.path, "parity")


def observe_under(runtime: Runtime, bundle: Bundle) -> parity.Observation:
    result = runtime.run("parity", bundle).succeeded()
    return parity.observe(result.output, parity.namespaces_of_this_process())


def unexpected(found: dict[tuple[str, str], None]) -> list[str]:
    return [
        f"{section}: {line}"
        for section, line in found
        if not any(section == where and re.fullmatch(pattern, line[1:]) for where, pattern, _ in DELIBERATE)
    ]


def compare(case: str, runtime: Runtime, bundle: Bundle) -> None:
    assert RUNC is not None, "runc is missing: apt-get install runc"
    theirs = observe_under(Runtime(RUNC, case), bundle)
    ours = observe_under(runtime, bundle)
    found = unexpected(parity.differences(ours, theirs))
    assert not found, "- with runc, + with this runtime:\n" + "\n".join(found)


@pytest.mark.parametrize("engine", ["runc spec", "pyrun spec", "docker", "docker-unconfined", "ctr", "podman"])
def test_engines_configuration(case: str, runtime: Runtime, make_bundle: MakeBundle, engine: str) -> None:
    bundle = make_bundle()
    bundle.config = engine_config(engine, bundle)
    bundle.config["process"]["args"] = ["/bin/sh", "-c", parity.PROBE]
    parent = os.path.dirname("/sys/fs/cgroup" + bundle.config["linux"].get("cgroupsPath", "/parity"))
    if parent == "/sys/fs/cgroup":
        compare(case, runtime, bundle)
        return
    os.mkdir(parent)
    try:
        compare(case, runtime, bundle)
    finally:
        os.rmdir(parent)


def variations() -> dict[str, Config]:
    """Returns configurations beside the engines' own, each with one thing turned."""
    probe = configs.shell(parity.PROBE)
    variants: dict[str, Config] = {}

    def variant(name: str) -> Config:
        variants[name] = json.loads(json.dumps(probe))
        return variants[name]

    variant("plain")
    configs.with_user_namespace(variant("user namespace"))["root"]["readonly"] = False
    user = variant("other user")
    user["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 7, 1000], "umask": 0o77}
    user["process"]["cwd"] = "/tmp"
    privileged = variant("every capability")
    privileged["process"]["capabilities"] = {
        kind: process.own_capabilities() for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    privileged["process"]["noNewPrivileges"] = False
    privileged["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    nothing = variant("no capabilities at all")
    nothing["process"]["capabilities"] = {}
    absent = variant("capabilities left out")
    del absent["process"]["capabilities"]
    configs.without_namespace(variant("namespaces of the host"), "pid", "network", "ipc", "cgroup")
    uts = configs.without_namespace(variant("uts of the host"), "uts")
    del uts["hostname"]
    limits = variant("limits and more")
    limits["process"]["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_STACK", "soft": 4194304, "hard": 18446744073709551615},
    ]
    limits["process"]["oomScoreAdj"] = 321
    limits["domainname"] = "example.org"
    limits["linux"]["sysctl"] = {"net.ipv4.ping_group_range": "5 10", "kernel.msgmax": "4096"}
    limits["process"]["env"] = ["B=2", "A=1", "B=3", "HOME=/elsewhere", "EMPTY="]
    limits["process"]["env"].append(configs.PATH)
    writable = variant("writable root, propagation")
    writable["root"]["readonly"] = False
    writable["linux"]["rootfsPropagation"] = "shared"
    bare = variant("few mounts")
    configs.without_mounts(bare, "/dev/mqueue", "/dev/shm", "/sys/fs/cgroup", "/sys")
    bare["linux"]["maskedPaths"] = []
    bare["linux"]["readonlyPaths"] = []
    return variants


@pytest.mark.parametrize("name", variations())
def test_variation(case: str, runtime: Runtime, make_bundle: MakeBundle, name: str) -> None:
    bundle = make_bundle(variations()[name])
    if name == "user namespace":
        for directory, _, _ in os.walk(bundle.rootfs):
            os.chown(directory, 100000, 100000)
    compare(case, runtime, bundle)


def test_deliberate_differences_are_documented() -> None:
    path = os.path.join(os.path.dirname(os.path.dirname(configs.DATA)), "docs", "compatibility.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for _, _, reason in DELIBERATE:
        assert f"| {reason} |" in text


def test_comparison_can_fail(case: str, runtime: Runtime, make_bundle: MakeBundle) -> None:
    first, second = make_bundle(configs.shell(parity.PROBE)), make_bundle(configs.shell(parity.PROBE))
    second.config["process"]["oomScoreAdj"] = 5
    second.config["linux"]["maskedPaths"].remove("/proc/keys")
    second.config["process"]["capabilities"]["bounding"] = ["CAP_KILL"]
    found = parity.differences(observe_under(runtime, first), observe_under(runtime, second))
    assert {section for section, _ in found} >= {"oom_score_adj", "masked", "mountinfo", "status"}
