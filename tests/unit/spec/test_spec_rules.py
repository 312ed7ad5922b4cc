# SPDX-License-Identifier: Apache-2.0
"""The rules that a JSON Schema can't say: what each refuses, and what it lets pass."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings

from pyrun_spec.check import check_config
from pyrun_spec.rules import sysctl_path
from unit.spec.config_samples import (
    PATIENT,
    Config,
    changed_configs,
    full_config,
    minimal_config,
    valid_configs,
    without_null,
)
from unit.spec.small_configs import Findings, broken, linux, mapping, mount, needs, process

LOG, WAIT = "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
NULL = {"type": "c", "path": "/null", "major": 1, "minor": 3}
ALL = [mapping(0, 100000, 65536)]
JOINED_USER = {"type": "user", "path": "/run/userns"}


@pytest.mark.parametrize("config", valid_configs())
def test_valid_configurations_break_no_rule(config: Config) -> None:
    assert broken(config) == []


@pytest.mark.parametrize(
    "version", ["0.5.0-dev", "1.0.0", "1.0.2-dev", "1.0.0-rc5", "1.3.0+build.01", "1.10.2-a-b.1.x+y", "1.99.0"]
)
def test_versions_of_the_specification(version: str) -> None:
    assert broken(minimal_config() | {"ociVersion": version}) == []


@pytest.mark.parametrize(
    "version",
    [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "v1.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0+",
        "1.0.0-01",
        "1.0.0-a..b",
        "1.0.x",
        "1.0.²",
    ],
)
def test_what_is_not_a_semantic_version(version: str) -> None:
    assert broken(minimal_config() | {"ociVersion": version}) == [
        ("/ociVersion", f'"{version}" is not a semantic version (write "1.3.0")')
    ]


@pytest.mark.parametrize("version", ["2.0.0", "10.0.0"])
def test_other_major_versions(version: str) -> None:
    assert broken(minimal_config() | {"ociVersion": version}) == [
        ("/ociVersion", f'"{version}" is not a version that pyrun knows: 0.x, 1.x (write "1.3.0")')
    ]


@pytest.mark.parametrize(
    ("config", "findings"),
    [
        # process
        (process(args=[]), [("/process/args", 'the program to run is missing (such as ["/bin/sh"])')]),
        (process(args=None), [("/process/args", 'the program to run is missing (such as ["/bin/sh"])')]),
        (process(args=[""]), [("/process/args/0", "the name of the program is empty")]),
        (process(args=["sh", ""]), []),
        (
            process(env=["A=b", "PATH", "", "=x", "B=", "C=d=e"]),
            [
                ("/process/env/1", '"PATH" has not the form NAME=value'),
                ("/process/env/2", '"" has not the form NAME=value'),
                ("/process/env/3", '"=x" has not the form NAME=value'),
            ],
        ),
        (
            process(
                rlimits=[
                    {"type": "RLIMIT_CORE", "soft": 1, "hard": 1},
                    {"type": "RLIMIT_CPU", "soft": 2, "hard": 1},
                    {"type": "RLIMIT_CORE", "soft": 1, "hard": 2**64 - 1},
                ]
            ),
            [
                ("/process/rlimits/1/soft", "the soft limit 2 is above the hard limit 1"),
                ("/process/rlimits/2", "RLIMIT_CORE is limited twice, first in /process/rlimits/0"),
            ],
        ),
        (
            process(capabilities={"effective": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_CHOWN"]}),
            [
                (
                    "/process/capabilities/effective/0",
                    '"CAP_KILL" is effective but not permitted (add it to "permitted" too)',
                )
            ],
        ),
        (process(capabilities={"ambient": ["CAP_KILL"], "permitted": ["CAP_CHOWN"]}), []),
        (process(terminal=True, consoleSize={"height": 65535, "width": 0}), []),
        (process(consoleSize={"height": 65536, "width": 2**64 - 1}), []),
        (
            process(terminal=True, consoleSize={"height": 65536, "width": 1}),
            [("/process/consoleSize/height", "65536 is more than 65535")],
        ),
        # namespaces
        (
            linux("pid", "ipc", {"type": "pid", "path": "/proc/1/ns/pid"}),
            [("/linux/namespaces/2", 'a second namespace of type "pid" (remove it or /linux/namespaces/0)')],
        ),
        # names
        (linux("uts") | {"hostname": "x" * 64, "domainname": "é" * 32}, []),
        (linux() | {"hostname": ""}, []),
        (linux() | {"hostname": "x"}, [("/hostname", needs("uts"))]),
        (minimal_config() | {"domainname": "x"}, [("/domainname", needs("uts"))]),
        (
            linux("uts") | {"hostname": "é" * 33},
            [("/hostname", f'"{"é" * 33}" is longer than 64 bytes')],
        ),
        # paths that are hidden by mounts
        (linux("mount", maskedPaths=["/a"], readonlyPaths=["/a"]), []),
        (linux(maskedPaths=[], readonlyPaths=[]), []),
        (
            linux(maskedPaths=["/a"], readonlyPaths=["/a"]),
            [("/linux/maskedPaths", needs("mount")), ("/linux/readonlyPaths", needs("mount"))],
        ),
        # devices
        (
            linux(devices=[{"type": "p", "path": "/p"}, {"type": "u", "path": "/u", "major": 1, "minor": 0}]),
            [],
        ),
        (linux(devices=[{"type": "p", "path": "/p", "major": 0, "minor": 0}]), []),
        (
            linux(devices=[{"type": "b", "path": "/b", "major": 1}]),
            [
                (
                    "/linux/devices/0/minor",
                    'missing: a device of type "b" needs major and minor number',
                )
            ],
        ),
        (
            linux(
                devices=[
                    {"type": "c", "path": "/c", "major": 4096, "minor": -1},
                    {"type": "b", "path": "/b", "major": 4095, "minor": 1048576},
                ]
            ),
            [
                ("/linux/devices/0/major", "4096 is not from 0 to 4095"),
                ("/linux/devices/0/minor", "-1 is not from 0 to 1048575"),
                ("/linux/devices/1/minor", "1048576 is not from 0 to 1048575"),
            ],
        ),
        (linux(devices=[NULL, NULL | {"type": "u", "fileMode": 438}]), []),
        (
            linux(devices=[NULL, {"type": "p", "path": "/null"}, NULL | {"minor": 5}]),
            [
                ("/linux/devices/1/path", '"/null" is another device already, that of /linux/devices/0'),
                ("/linux/devices/2/path", '"/null" is another device already, that of /linux/devices/0'),
            ],
        ),
        # resources
        (linux(resources={"cpu": {"quota": 10, "burst": 10}}), []),
        (linux(resources={"cpu": {"quota": -1, "burst": 10}}), []),
        (linux(resources={"cpu": {"burst": 10}}), []),
        (
            linux(resources={"cpu": {"quota": 9, "burst": 10}}),
            [("/linux/resources/cpu/burst", "10 is above the quota, 9")],
        ),
        (
            linux(resources={"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}),
            [("/linux/resources/blockIO/weightDevice/0", "weight is missing")],
        ),
        (linux(resources={"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 1}]}}), []),
        (
            linux(resources={"rdma": {"mlx/0": {}, "mlx1": {"hcaObjects": 0}}}),
            [("/linux/resources/rdma/mlx~10", "both hcaHandles and hcaObjects are missing")],
        ),
        # seccomp
        (
            linux(seccomp={"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/agent"}),
            [
                (
                    "/linux/seccomp/defaultAction",
                    "SCMP_ACT_NOTIFY can't be the default: it would hold up every system call",
                )
            ],
        ),
        (
            linux(
                seccomp={
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}],
                }
            ),
            [
                (
                    "/linux/seccomp/syscalls/0/action",
                    "SCMP_ACT_NOTIFY needs /linux/seccomp/listenerPath",
                )
            ],
        ),
        (
            linux(
                seccomp={
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "listenerPath": "/agent",
                    "listenerMetadata": "x",
                    "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}],
                }
            ),
            [],
        ),
        (
            linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
            [("/linux/seccomp/listenerMetadata", "nobody gets it: listenerPath is missing")],
        ),
        (
            linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "flags": [LOG, WAIT]}),
            [("/linux/seccomp/flags/1", f"{WAIT} is for a profile with SCMP_ACT_NOTIFY (remove it)")],
        ),
        (
            linux(
                seccomp={
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "flags": [WAIT],
                    "listenerPath": "/agent",
                    "syscalls": [{"names": ["a"], "action": "SCMP_ACT_NOTIFY"}],
                }
            ),
            [],
        ),
        (
            linux(
                seccomp={
                    "defaultAction": "SCMP_ACT_KILL",
                    "defaultErrnoRet": 1,
                    "syscalls": [
                        {"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                        {"names": ["b"], "action": "SCMP_ACT_ALLOW", "errnoRet": 0},
                    ],
                }
            ),
            [
                (
                    "/linux/seccomp/defaultErrnoRet",
                    "SCMP_ACT_KILL takes no errno (remove it): only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do",
                ),
                (
                    "/linux/seccomp/syscalls/1/errnoRet",
                    "SCMP_ACT_ALLOW takes no errno (remove it): only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do",
                ),
            ],
        ),
        # mounts with mapped IDs
        (mount(uidMappings=ALL, gidMappings=ALL), []),
        (mount(uidMappings=[], gidMappings=[]), []),
        (mount(uidMappings=ALL), [("/mounts/0/uidMappings", "needs gidMappings too")]),
        (
            mount(gidMappings=ALL, options=["idmap"]),
            [("/mounts/0/gidMappings", "needs uidMappings too")],
        ),
        (
            mount(uidMappings=[mapping(0, 0, 0)], gidMappings=ALL),
            [("/mounts/0/uidMappings/0/size", "no ID is mapped (the least size is 1)")],
        ),
        (
            mount(options=["rbind", "ridmap"]),
            [
                (
                    "/mounts/0/options/1",
                    '"ridmap" needs uidMappings and gidMappings of the mount, or a user namespace',
                )
            ],
        ),
        (mount(options=["bind", "idmap"]) | {"linux": {"namespaces": [JOINED_USER]}}, []),
    ],
)
def test_rules(config: Config, findings: Findings) -> None:
    assert broken(without_null(config)) == findings


def mapped(users: list[Any], groups: list[Any] | None = None, *namespaces: str | dict[str, str]) -> Config:
    """Returns a configuration with mappings, in a new user namespace if none are given."""
    listed = namespaces or ("user",)
    return linux(*listed, uidMappings=users, gidMappings=users if groups is None else groups)


UNMAPPED_ROOT = "ID 0 is not mapped, but root of the container sets it up (map it too)"


@pytest.mark.parametrize(
    ("config", "findings"),
    [
        (mapped(ALL), []),
        (mapped([mapping(0, 1, 2**32 - 2)]), []),
        (mapped([mapping(1, 100, 10), mapping(0, 50, 1), mapping(11, 110, 5)]), []),
        (linux(JOINED_USER), []),
        (mapped(ALL, ALL, JOINED_USER), []),
        (linux(uidMappings=[], gidMappings=[]), []),
        (
            mapped(ALL, ALL, "pid"),
            [("/linux/uidMappings", needs("user")), ("/linux/gidMappings", needs("user"))],
        ),
        (
            linux("user"),
            [
                ("/linux/uidMappings", "a new user namespace needs mappings"),
                ("/linux/gidMappings", "a new user namespace needs mappings"),
            ],
        ),
        (mapped(ALL, []), [("/linux/gidMappings", "a new user namespace needs mappings")]),
        (
            mapped(ALL, [mapping(0, 10, 10), mapping(5, 100, 10)]),
            [("/linux/gidMappings/1/containerID", "the range from 5 on overlaps with another one")],
        ),
        (
            mapped([mapping(0, 10, 10), mapping(10, 19, 10)], ALL),
            [("/linux/uidMappings/1/hostID", "the range from 19 on overlaps with another one")],
        ),
        (
            mapped([mapping(0, 0, 100), mapping(100, 100, 1), mapping(50, 200, 1)], ALL),
            [("/linux/uidMappings/2/containerID", "the range from 50 on overlaps with another one")],
        ),
        (
            mapped([mapping(0, 1, 2**32 - 1)], ALL),
            [("/linux/uidMappings/0/hostID", "the range of 4294967295 from 1 on exceeds 4294967294")],
        ),
        (
            mapped([mapping(number, number, 1) for number in range(341)], ALL),
            [("/linux/uidMappings", "341 mappings are more than the 340 that the kernel takes")],
        ),
    ],
)
def test_mappings_of_user_namespaces(config: Config, findings: Findings) -> None:
    assert broken(config) == findings


def test_root_must_be_mapped() -> None:
    config = mapped([mapping(1, 0, 10)]) | {"process": {"cwd": "/", "args": ["sh"], "user": {"uid": 5, "gid": 5}}}
    assert broken(config) == [("/linux/uidMappings", UNMAPPED_ROOT), ("/linux/gidMappings", UNMAPPED_ROOT)]


def test_the_user_must_be_mapped() -> None:
    user = {"uid": 10, "gid": 9, "additionalGids": [3, 10]}
    config = mapped([mapping(0, 0, 10)]) | {"process": {"cwd": "/", "args": ["sh"], "user": user}}
    assert broken(config) == [
        ("/process/user/uid", "10 is not in /linux/uidMappings"),
        ("/process/user/additionalGids/1", "10 is not in /linux/gidMappings"),
    ]
    config["linux"]["namespaces"] = [JOINED_USER]
    assert broken(config) == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ("kernel", "kernel"),
        ("", ""),
    ],
)
def test_names_of_kernel_parameters(name: str, path: str) -> None:
    assert sysctl_path(name) == path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.ipv4.ip_forward", "network"),
        ("net/core/somaxconn", "network"),
        ("kernel.msgmax", "ipc"),
        ("kernel/shm_rmid_forced", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("kernel.domainname", "uts"),
        ("user.max_user_namespaces", "user"),
    ],
)
def test_kernel_parameters_need_their_namespace(name: str, kind: str) -> None:
    mappings: dict[str, Any] = {"uidMappings": ALL, "gidMappings": ALL} if kind == "user" else {}
    assert broken(linux(kind, sysctl={name: "1"}, **mappings)) == []
    assert broken(linux({"type": kind, "path": "/run/ns"}, sysctl={name: "1"})) == []
    place = "/linux/sysctl/" + name.replace("/", "~1")
    assert broken(linux("pid", sysctl={name: "1"})) == [(place, needs(kind))]


@pytest.mark.parametrize("name", ["vm.swappiness", "kernel.core_pattern", "kernel.msgmaxx", "network.x", "fs.file-max"])
def test_kernel_parameters_of_the_host_are_refused(name: str) -> None:
    assert broken(linux("network", "ipc", "uts", sysctl={name: "1"})) == [
        (f"/linux/sysctl/{name}", f'"{name}" belongs to no namespace: it would be changed for the whole host')
    ]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "net.",
        "net..ipv4",
        "net/../kernel/core_pattern",
        "net.//.kernel.core_pattern",
        "net/./x",
        "/net/x",
    ],
)
def test_no_name_leads_out_of_its_directory(name: str) -> None:
    place = "/linux/sysctl/" + name.replace("/", "~1")
    assert broken(linux("network", "ipc", "uts", sysctl={name: "1"})) == [
        (place, f'"{name}" is not the name of a kernel parameter')
    ]


def test_the_host_name_is_not_set_as_a_parameter() -> None:
    assert broken(linux("uts", sysctl={"kernel.hostname": "x"})) == [
        ("/linux/sysctl/kernel.hostname", 'is what the property "hostname" is for')
    ]


def test_all_broken_rules_are_reported() -> None:
    config = full_config()
    config["linux"]["namespaces"] = [{"type": "pid"}]
    assert {pointer for pointer, _ in broken(config)} == {
        "/hostname",
        "/domainname",
        "/linux/uidMappings",
        "/linux/gidMappings",
        "/linux/timeOffsets",
        "/linux/maskedPaths",
        "/linux/readonlyPaths",
        "/linux/sysctl/net.ipv4.ip_forward",
        "/linux/sysctl/kernel.shmmax",
        "/linux/sysctl/user.max_user_namespaces",
        "/linux/netDevices",
    }


@settings(PATIENT, max_examples=500)
@given(changed_configs(valid_configs()))
def test_the_rules_can_judge_whatever_has_the_right_shape(config: Config) -> None:
    config = without_null(config)
    assume(check_config(config))
    for pointer, message in broken(config):
        assert pointer.startswith("/")
        assert "\n" not in pointer + message
