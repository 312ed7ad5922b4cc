# SPDX-License-Identifier: Apache-2.0
"""Device rules of a configuration are what is allowed, and nothing else is."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Any

import pytest

from security.attackers import with_capabilities
from support import configs
from support.configs import Config
from support.machine import COVERED
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.world import CGROUPS

NULL = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
ZERO = {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"}
RULES = pytest.mark.parametrize("rules", [None, [], [NULL], [NULL, ZERO]], ids=["left out", "empty", "one", "two"])

# linux/bpf.h; the attribute is longer than any kernel's, for Linux 6.17 to 7.1 write behind the end of a short one.
SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_QUERY, BPF_CGROUP_DEVICE, ATTRIBUTE_SIZE = 16, 6, 256


def with_rules(config: Config, rules: list[Any] | None) -> Config:
    """Sets the device rules of a configuration, or leaves them out; returns `config`."""
    if rules is None:
        del config["linux"]["resources"]
    else:
        config["linux"]["resources"] = {"devices": rules}
    return config


def number_of_filters(cgroup: str) -> int:
    """Returns how many device programs are attached to a cgroup."""
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        attribute = ctypes.create_string_buffer(struct.pack("=II", directory, BPF_CGROUP_DEVICE), ATTRIBUTE_SIZE)
        if ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, BPF_PROG_QUERY, attribute, ATTRIBUTE_SIZE):
            raise OSError(ctypes.get_errno(), "BPF_PROG_QUERY")
        (count,) = struct.unpack_from("=I", attribute, 24)
        return int(count)
    finally:
        os.close(directory)


@RULES
def test_there_is_a_filter_whatever_the_rules(make_container: MakeContainer, rules: list[Any] | None) -> None:
    """GHSA-g54h-m393-cpwq of runc: no rules are no reason to have no filter."""
    container = make_container(with_rules(configs.default(), rules)).created()
    assert number_of_filters(os.path.join(CGROUPS, container.id)) == 1
    assert number_of_filters(CGROUPS) == 0


@pytest.fixture
def devices() -> list[str]:
    """Devices that the machine lets be opened, and no default rule does: words for mknod(1)."""
    candidates = {"kmsg": (1, 11), "fuse": (10, 229)}
    found = []
    for name, (major, minor) in candidates.items():
        try:
            os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        found.append(f"{name} c {major} {minor}")
    if not found:
        pytest.skip(f"no other devices can be opened here: {COVERED}")
    return found


@RULES
def test_what_no_rule_names_is_denied(
    runtime: Runtime, make_bundle: MakeBundle, devices: list[str], rules: list[Any] | None
) -> None:
    """GHSA-g54h-m393-cpwq of runc: rules without a "deny all" at their head denied nothing but what they named."""
    script = "".join(
        f"mknod /tmp/{device} && {{ (: </tmp/{device.split()[0]}) 2>&1 || echo denied; }}; " for device in devices
    )
    config = configs.shell(script + "(: </dev/null) && (: </dev/zero) && echo usual devices")
    with_capabilities(config, "CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO", "CAP_SYSLOG", "CAP_SYS_ADMIN")
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    lines = runtime.run("test", make_bundle(with_rules(config, rules))).succeeded().output.splitlines()
    assert lines.count("denied") == len(devices)
    assert sum(line.endswith("Operation not permitted") for line in lines) == len(devices)
    assert lines[-1] == "usual devices"
