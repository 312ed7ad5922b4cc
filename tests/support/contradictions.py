# SPDX-License-Identifier: Apache-2.0
"""Configurations in which each value is right alone, but not beside another one: the table."""

from __future__ import annotations

from dataclasses import dataclass, field

from support import configs
from support.configs import Config
from support.wrong_values import ABSENT, put


@dataclass(frozen=True)
class Contradiction:
    """What makes the default configuration contradict itself.

    Attributes:
        name: of the case.
        pointer: JSON pointer of the place that the error names.
        changes: values by the pointer of their place; ABSENT takes one out.
        without: types of namespaces to take out.
        joined: types of namespaces that get a path.
    """

    name: str
    pointer: str
    changes: dict[str, object] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()

    def config(self) -> Config:
        """Returns the configuration."""
        made = configs.without_namespace(configs.default("/bin/true"), *self.without)
        for kind in self.joined:
            configs.with_namespace(made, kind, "/proc/self/ns/" + configs_name(kind))
        for pointer, value in self.changes.items():
            put(made, tuple(int(part) if part.isdigit() else part for part in pointer.split("/")[1:]), value)
        return made


def configs_name(kind: str) -> str:
    """Returns the name in /proc/PID/ns of a type of namespace."""
    return {"network": "net", "mount": "mnt"}.get(kind, kind)


MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
NEW_USER = {"/linux/namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "user"}]}
USER_MAPS = {"/linux/uidMappings": MAP, "/linux/gidMappings": MAP}
UNMOUNTED = {"/linux/maskedPaths": [], "/linux/readonlyPaths": [], "/mounts": [], "/root/readonly": False}
DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 10**7, "deadline": 2 * 10**7, "period": 3 * 10**7}
LIMIT = {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}
DEVICE = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3}
NOTIFYING = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}


def mounted(**members: object) -> dict[str, object]:
    """Returns the change to a single mount."""
    return {"/mounts": [{"destination": "/m", **members}]}


def seccomp(**members: object) -> dict[str, object]:
    """Returns the change to a seccomp profile that allows by default."""
    return {"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", **members}}


def policy(mode: str, **members: object) -> dict[str, object]:
    """Returns the change to a memory policy."""
    return {"/linux/memoryPolicy": {"mode": mode, **members}}


def scheduler(**members: object) -> dict[str, object]:
    """Returns the change to scheduling attributes."""
    return {"/process/scheduler": members}


CONTRADICTIONS = (
    # names and kernel parameters that would be the host's
    Contradiction("hostname without uts", "/hostname", {"/hostname": "x"}, without=("uts",)),
    Contradiction("domainname without uts", "/domainname", {"/hostname": ABSENT, "/domainname": "x"}, ("uts",)),
    Contradiction(
        "net sysctl", "/linux/sysctl/net.ipv4.ip_forward", {"/linux/sysctl": {"net.ipv4.ip_forward": "1"}}, ("network",)
    ),
    Contradiction("ipc sysctl", "/linux/sysctl/kernel.shmmax", {"/linux/sysctl": {"kernel.shmmax": "1"}}, ("ipc",)),
    Contradiction("mqueue sysctl", "/linux/sysctl/fs.mqueue.x", {"/linux/sysctl": {"fs.mqueue.x": "1"}}, ("ipc",)),
    Contradiction(
        "uts sysctl",
        "/linux/sysctl/kernel.domainname",
        {"/hostname": ABSENT, "/linux/sysctl": {"kernel.domainname": "x"}},
        ("uts",),
    ),
    Contradiction(
        "user sysctl", "/linux/sysctl/user.max_user_namespaces", {"/linux/sysctl": {"user.max_user_namespaces": "1"}}
    ),
    Contradiction("hostname twice", "/linux/sysctl/kernel.hostname", {"/linux/sysctl": {"kernel.hostname": "x"}}),
    Contradiction("sysctl of the host", "/linux/sysctl/vm.swappiness", {"/linux/sysctl": {"vm.swappiness": "1"}}),
    # namespaces
    Contradiction(
        "namespace twice", "/linux/namespaces/1", {"/hostname": ABSENT, "/linux/namespaces": [{"type": "mount"}] * 2}
    ),
    Contradiction(
        "namespace new and joined",
        "/linux/namespaces/1",
        {"/hostname": ABSENT, "/linux/namespaces": [{"type": "mount"}, {"type": "mount", "path": "/proc/self/ns/mnt"}]},
    ),
    Contradiction("masked paths on the host", "/linux/maskedPaths", {"/mounts": []}, ("mount",)),
    Contradiction("read-only paths on the host", "/linux/readonlyPaths", {"/linux/maskedPaths": []}, ("mount",)),
    Contradiction("mounts on the host", "/mounts", {"/linux/maskedPaths": [], "/linux/readonlyPaths": []}, ("mount",)),
    Contradiction(
        "read-only root on the host",
        "/root/readonly",
        {**UNMOUNTED, "/root/readonly": True},
        ("mount",),
    ),
    Contradiction(
        "propagation of the host's root",
        "/linux/rootfsPropagation",
        {**UNMOUNTED, "/linux/rootfsPropagation": "slave"},
        ("mount",),
    ),
    # mounts
    Contradiction("mount without a type", "/mounts/0/type", mounted(source="x")),
    Contradiction("bind without a source", "/mounts/0/source", mounted(options=["bind"])),
    Contradiction("bind by its type alone", "/mounts/0/options", mounted(type="bind", source="/")),
    Contradiction(
        "data of a filesystem on a bind", "/mounts/0/options/1", mounted(source="/", options=["bind", "size=1m"])
    ),
    Contradiction("copy-up of a bind", "/mounts/0/options/1", mounted(source="/", options=["bind", "tmpcopyup"])),
    # ids
    Contradiction("user ids without user namespace", "/linux/uidMappings", {"/linux/uidMappings": MAP}),
    Contradiction("group ids without user namespace", "/linux/gidMappings", {"/linux/gidMappings": MAP}),
    Contradiction("user namespace without mappings", "/linux/uidMappings", {**NEW_USER}),
    Contradiction("only user ids", "/linux/gidMappings", {**NEW_USER, "/linux/uidMappings": MAP}),
    Contradiction(
        "root not mapped",
        "/linux/uidMappings",
        {**NEW_USER, **USER_MAPS, "/linux/uidMappings": [{"containerID": 1, "hostID": 1, "size": 1}]},
    ),
    Contradiction(
        "ids that overlap", "/linux/uidMappings/1/containerID", {**NEW_USER, **USER_MAPS, "/linux/uidMappings": MAP * 2}
    ),
    Contradiction(
        "user that is not mapped", "/process/user/uid", {**NEW_USER, **USER_MAPS, "/process/user": {"uid": 65536}}
    ),
    Contradiction(
        "group that is not mapped", "/process/user/gid", {**NEW_USER, **USER_MAPS, "/process/user": {"gid": 65536}}
    ),
    Contradiction(
        "additional group that is not mapped",
        "/process/user/additionalGids/0",
        {**NEW_USER, **USER_MAPS, "/process/user": {"additionalGids": [65536]}},
    ),
    Contradiction(
        "mount with user ids alone",
        "/mounts/0/uidMappings",
        mounted(source="/", options=["bind"], uidMappings=MAP),
    ),
    Contradiction(
        "mount with group ids alone",
        "/mounts/0/gidMappings",
        mounted(source="/", options=["bind"], gidMappings=MAP),
    ),
    *(
        Contradiction(
            f"{option} without any mapping",
            "/mounts/0/options/1",
            mounted(source="/", options=["rbind", option]),
        )
        for option in ("idmap", "ridmap")
    ),
    # clocks
    Contradiction(
        "time offsets without time namespace", "/linux/timeOffsets", {"/linux/timeOffsets": {"boottime": {"secs": 1}}}
    ),
    Contradiction(
        "time offsets of a joined namespace",
        "/linux/timeOffsets",
        {"/linux/timeOffsets": {"boottime": {"secs": 1}}},
        joined=("time",),
    ),
    # process
    Contradiction("no program", "/process/args", {"/process/args": []}),
    Contradiction("limit twice", "/process/rlimits/1", {"/process/rlimits": [LIMIT, LIMIT]}),
    Contradiction("soft above hard limit", "/process/rlimits/0/soft", {"/process/rlimits": [{**LIMIT, "soft": 2}]}),
    Contradiction(
        "effective but not permitted",
        "/process/capabilities/effective/0",
        {"/process/capabilities": {"effective": ["CAP_KILL"], "permitted": []}},
    ),
    Contradiction(
        "screen too large",
        "/process/consoleSize/width",
        {"/process/terminal": True, "/process/consoleSize": {"height": 1, "width": 65536}},
    ),
    Contradiction("nice", "/process/scheduler/nice", scheduler(policy="SCHED_OTHER", nice=20)),
    Contradiction("no priority", "/process/scheduler/priority", scheduler(policy="SCHED_FIFO")),
    Contradiction("priority too high", "/process/scheduler/priority", scheduler(policy="SCHED_RR", priority=100)),
    Contradiction("needless priority", "/process/scheduler/priority", scheduler(policy="SCHED_BATCH", priority=1)),
    Contradiction("needless deadline", "/process/scheduler/deadline", scheduler(policy="SCHED_IDLE", deadline=1)),
    Contradiction("no runtime", "/process/scheduler/runtime", scheduler(policy="SCHED_DEADLINE")),
    Contradiction(
        "runtime above deadline", "/process/scheduler/deadline", scheduler(**{**DEADLINE, "deadline": 10**6})
    ),
    Contradiction("deadline above period", "/process/scheduler/period", scheduler(**{**DEADLINE, "period": 10**6})),
    # devices
    Contradiction(
        "device without numbers", "/linux/devices/0/major", {"/linux/devices": [{"path": "/dev/x", "type": "b"}]}
    ),
    Contradiction(
        "two devices at a path", "/linux/devices/1/path", {"/linux/devices": [DEVICE, {**DEVICE, "minor": 5}]}
    ),
    Contradiction(
        "network devices of the host", "/linux/netDevices", {"/linux/netDevices": {"eth0": {}}}, ("network",)
    ),
    Contradiction(
        "two network devices of a name",
        "/linux/netDevices/b/name",
        {"/linux/netDevices": {"a": {}, "b": {"name": "a"}}},
    ),
    Contradiction("a second loopback device", "/linux/netDevices/a/name", {"/linux/netDevices": {"a": {"name": "lo"}}}),
    # memory policy
    Contradiction("policy without nodes", "/linux/memoryPolicy/nodes", policy("MPOL_INTERLEAVE")),
    Contradiction("nodes without policy", "/linux/memoryPolicy/nodes", policy("MPOL_DEFAULT", nodes="0")),
    Contradiction("local nodes", "/linux/memoryPolicy/nodes", policy("MPOL_LOCAL", nodes="0")),
    Contradiction(
        "static and relative nodes",
        "/linux/memoryPolicy/flags/1",
        policy("MPOL_BIND", nodes="0", flags=["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]),
    ),
    Contradiction(
        "balanced interleaving",
        "/linux/memoryPolicy/flags/0",
        policy("MPOL_INTERLEAVE", nodes="0", flags=["MPOL_F_NUMA_BALANCING"]),
    ),
    Contradiction(
        "static nodes without nodes",
        "/linux/memoryPolicy/flags/0",
        policy("MPOL_PREFERRED", flags=["MPOL_F_STATIC_NODES"]),
    ),
    # resources
    Contradiction(
        "burst above quota", "/linux/resources/cpu/burst", {"/linux/resources": {"cpu": {"quota": 10, "burst": 11}}}
    ),
    Contradiction(
        "device without weight",
        "/linux/resources/blockIO/weightDevice/0",
        {"/linux/resources": {"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}},
    ),
    Contradiction("rdma without limit", "/linux/resources/rdma/mlx", {"/linux/resources": {"rdma": {"mlx": {}}}}),
    # seccomp
    Contradiction("errno of a default that has none", "/linux/seccomp/defaultErrnoRet", seccomp(defaultErrnoRet=1)),
    Contradiction(
        "errno of an action that has none",
        "/linux/seccomp/syscalls/0/errnoRet",
        seccomp(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 1}]),
    ),
    Contradiction(
        "errno that is none",
        "/linux/seccomp/syscalls/0/errnoRet",
        seccomp(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 70000}]),
    ),
    Contradiction("notify without listener", "/linux/seccomp/syscalls/0/action", seccomp(syscalls=[NOTIFYING])),
    Contradiction(
        "notify by default",
        "/linux/seccomp/defaultAction",
        {"/linux/seccomp": {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/agent"}},
    ),
    Contradiction("metadata for nobody", "/linux/seccomp/listenerMetadata", seccomp(listenerMetadata="x")),
    Contradiction(
        "wait without notify", "/linux/seccomp/flags/0", seccomp(flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])
    ),
)
