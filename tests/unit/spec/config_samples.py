# SPDX-License-Identifier: Apache-2.0
"""Configurations for the tests of pyrun_spec: valid ones, and valid ones with something changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pyrun_spec.defaults import default_config

ROOT = Path(__file__).resolve().parents[3]
OCI_SCHEMAS = ROOT.parent / "shared" / "oci" / "runtime-spec-1.3.0" / "schema"

# How long an example takes says more about the machine's other work than about what is tested.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

Config = dict[str, Any]
Place = tuple[str | int, ...]


def minimal_config() -> Config:
    """Returns a configuration with nothing but what every one needs."""
    return {"ociVersion": "1.0.0", "root": {"path": "rootfs"}}


def full_config() -> Config:
    """Returns a valid configuration that has every property of the schema."""
    hook = {"path": "/bin/hook", "args": ["hook", "x"], "env": ["A=b"], "timeout": 5}
    mappings = [{"containerID": 0, "hostID": 1000, "size": 65536}]
    throttle = [{"major": 8, "minor": 0, "rate": 600}]
    return {
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "host",
        "domainname": "example.org",
        "annotations": {"org.example.key": "värde", "org.example.empty": ""},
        "process": {
            "terminal": True,
            "consoleSize": {"height": 24, "width": 80},
            "user": {"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [5, 6]},
            "args": ["sh", "-c", ""],
            "env": ["PATH=/bin", "EMPTY=", "ÜBER=é"],
            "cwd": "/",
            "capabilities": {
                "bounding": ["CAP_KILL"],
                "effective": ["CAP_KILL"],
                "inheritable": ["CAP_CHOWN"],
                "permitted": ["CAP_KILL", "CAP_CHOWN"],
                "ambient": ["CAP_CHOWN"],
            },
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
            ],
            "noNewPrivileges": True,
            "apparmorProfile": "profile",
            "selinuxLabel": "system_u:system_r:svirt_lxc_net_t:s0:c124,c675",
            "oomScoreAdj": -1000,
            "scheduler": {
                "policy": "SCHED_DEADLINE",
                "nice": 0,
                "priority": 0,
                "flags": ["SCHED_FLAG_RESET_ON_FORK"],
                "runtime": 1024,
                "deadline": 2048,
                "period": 4096,
            },
            "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 7},
            "execCPUAffinity": {"initial": "0-3,7", "final": ""},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/data",
                "type": "none",
                "source": "/srv",
                "options": ["rbind", "ro", "idmap"],
                "uidMappings": copy.deepcopy(mappings),
                "gidMappings": copy.deepcopy(mappings),
            },
        ],
        "hooks": {
            kind: [copy.deepcopy(hook)]
            for kind in (
                "prestart",
                "createRuntime",
                "createContainer",
                "startContainer",
                "poststart",
                "poststop",
            )
        },
        "linux": {
            "namespaces": [
                {"type": "pid"},
                {"type": "network", "path": "/run/netns/x"},
                *({"type": kind} for kind in ("mount", "ipc", "uts", "user", "cgroup", "time")),
            ],
            "uidMappings": copy.deepcopy(mappings),
            "gidMappings": copy.deepcopy(mappings),
            "timeOffsets": {
                "monotonic": {"secs": -1, "nanosecs": 999999999},
                "boottime": {"secs": 9223372036, "nanosecs": 0},
            },
            "devices": [
                {
                    "type": "c",
                    "path": "/dev/fuse",
                    "major": 10,
                    "minor": 229,
                    "fileMode": 438,
                    "uid": 0,
                    "gid": 0,
                },
                {"type": "p", "path": "/dev/pipe"},
            ],
            "netDevices": {"eth0": {"name": "inner0"}, "eth1": {}},
            "cgroupsPath": "/group/container",
            "resources": {
                "devices": [
                    {"allow": False, "access": "rwm"},
                    {"allow": True, "type": "c", "major": 1, "minor": -1, "access": "r"},
                ],
                "memory": {
                    "limit": 1,
                    "reservation": 1,
                    "swap": -1,
                    "kernel": -1,
                    "kernelTCP": -1,
                    "swappiness": 0,
                    "disableOOMKiller": False,
                    "useHierarchy": True,
                    "checkBeforeUpdate": True,
                },
                "cpu": {
                    "shares": 1024,
                    "quota": 20000,
                    "burst": 10000,
                    "period": 100000,
                    "realtimeRuntime": -1,
                    "realtimePeriod": 0,
                    "cpus": "0-1",
                    "mems": "0",
                    "idle": 0,
                },
                "pids": {"limit": -1},
                "blockIO": {
                    "weight": 10,
                    "leafWeight": 10,
                    "weightDevice": [{"major": 8, "minor": 0, "weight": 10, "leafWeight": 65535}],
                    "throttleReadBpsDevice": copy.deepcopy(throttle),
                    "throttleWriteBpsDevice": copy.deepcopy(throttle),
                    "throttleReadIOPSDevice": copy.deepcopy(throttle),
                    "throttleWriteIOPSDevice": copy.deepcopy(throttle),
                },
                "hugepageLimits": [{"pageSize": "2MB", "limit": 2**64 - 1}],
                "network": {"classID": 2**32 - 1, "priorities": [{"name": "eth0", "priority": 1}]},
                "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
                "unified": {"memory.high": "max"},
            },
            "intelRdt": {
                "closID": "class",
                "schemata": ["L2:0=f"],
                "l3CacheSchema": "L3:0=f",
                "memBwSchema": "MB:0=20;1=70",
                "enableMonitoring": True,
            },
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
            "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1", "user.max_user_namespaces": "0"},
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 1,
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_RISCV64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "listenerPath": "/run/agent",
                "listenerMetadata": "data",
                "syscalls": [
                    {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                    {
                        "names": ["personality"],
                        "action": "SCMP_ACT_TRACE",
                        "errnoRet": 38,
                        "args": [{"index": 5, "value": 2**64 - 1, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
                    },
                ],
            },
            "rootfsPropagation": "slave",
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "mountLabel": "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811",
            "personality": {"domain": "LINUX32", "flags": []},
        },
    }


def valid_configs() -> list[Config]:
    """Returns configurations that are valid: ours, and those that engines wrote."""
    captured = sorted((ROOT / "tests" / "data").glob("*.json"))
    # Captured configurations name the directory of the engine by a placeholder.
    engines = [json.loads(file.read_text().replace("@ENGINE@", "/engine")) for file in captured]
    return [minimal_config(), default_config(), default_config(rootless=True), full_config(), *engines]


VALUES: list[Any] = [
    None,
    True,
    False,
    *(0, 1, -1, 5, 6, 7, 8, 511, 512, 1000, 1001, 65535, 65536, 999999999, 10**9, 4294967295, 4294967296),
    *(2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 10**30),
    *(1.0, -1.0, 1.5, 1e300),
    *("", "/", "/a", "a", "é", "/é", "a\0", "/a\0", "\ud800", "/\udfff", "a\n", "/\n", "😀"),
    *("rwm", "r", "rwx", "rwm\n", "0-3,5 ", "0-3\n", "all"),
    *("2MB", "2MB\n", "02MB", "B", "MB", "1KB", "64kB", "²MB", "12GB "),
    *("MB:0=1", "MB:", "MB:x\n", "MB:\0", "L3:0=1"),
    *(
        "1.0.0",
        "CAP_KILL",
        "RLIMIT_FOO",
        "SCHED_RR",
        "user",
        "rslave",
        "SCMP_ACT_LOG",
        "LINUX",
        "p",
        "b",
        "a",
    ),
    [],
    [None],
    [""],
    ["a"],
    ["/a", "b"],
    ["a\0"],
    ["\udc00"],
    ["a", 1],
    [[]],
    [{}],
    {},
    {"": "x"},
    {"a": None},
    {"a": "b"},
    {"a/b": "c"},
    {"\0": "c"},
    {"a": {}},
    {"a": 1},
]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Yields the path of every value in a document but the document itself."""
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for name, member in members:
        yield (*path, name)
        yield from places(member, (*path, name))


def without_null(value: Any) -> Any:
    """Returns a document without the members that are null."""
    if isinstance(value, dict):
        return {name: without_null(member) for name, member in value.items() if member is not None}
    return [without_null(item) for item in value] if isinstance(value, list) else value


def value_at(config: Config, path: Place) -> Any:
    """Returns the value at a path of a document."""
    value: Any = config
    for part in path:
        value = value[part]
    return value


@st.composite
def changed_configs(draw: st.DrawFn, originals: list[Config] | st.SearchStrategy[Config]) -> Config:
    """Draws one of `originals` after some values were replaced, removed, added or moved."""
    config = copy.deepcopy(draw(st.sampled_from(originals) if isinstance(originals, list) else originals))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places(config))
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        parent, name = value_at(config, path[:-1]), path[-1]
        change = draw(st.sampled_from(["replace", "remove", "add", "move"]))
        if change == "remove":
            del parent[name]
        elif change == "replace":
            parent[name] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif change == "move":
            parent[name] = copy.deepcopy(value_at(config, draw(st.sampled_from(paths))))
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(["extension", "", "a\0", str(name).lower()]))] = copy.deepcopy(
                draw(st.sampled_from(VALUES))
            )
        else:
            parent.append(copy.deepcopy(draw(st.sampled_from([*VALUES, *parent]))))
    return config
