# SPDX-License-Identifier: Apache-2.0
"""Wrong values for every property of a configuration: the table, and how to put one into a configuration.

A row has a JSON pointer pattern and values that no configuration may have there. In a pattern `*` stands for an
index or a free name, and `{a,b}` for each of the words. What contradicts another property is in `contradictions.py`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

Config = dict[str, Any]
Place = tuple[str | int, ...]


class _Absent:
    """Stands for a required property that is left out."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()

# Of the wrong type for every kind of value; and for a string, what no string may have.
NO_TEXT: tuple[object, ...] = (5, True, ["x"], {}, "a\0b", "\ud800")
NO_TRUTH: tuple[object, ...] = ("true", 1, 0, [], {})
NO_OBJECT: tuple[object, ...] = ("x", 5, True, [])
NO_ARRAY: tuple[object, ...] = ("x", 5, True, {})
NO_PATH = (*NO_TEXT, "", "relative/path", "./here")

LISTS_OF_HOOKS = "/hooks/{prestart,createRuntime,createContainer,startContainer,poststart,poststop}"
SETS = "/process/capabilities/{bounding,effective,inheritable,permitted,ambient}"
RESOURCES = "/linux/resources"
THROTTLES = f"{RESOURCES}/blockIO/throttle{{ReadBps,WriteBps,ReadIOPS,WriteIOPS}}Device"
CALL = "/linux/seccomp/syscalls/*"


def no_integer(least: int, largest: int) -> tuple[object, ...]:
    """Returns values of other types, and integers just outside of a range and far from it."""
    return ("1", 1.0, 1.5, 1e300, True, [1], {}, least - 1, largest + 1, 10**40, -(10**40))


def no_word(*almost: str) -> tuple[object, ...]:
    """Returns what is none of an enumeration's words, with some that are almost one."""
    return ("", "frobnicate", *almost, *NO_TEXT)


INT32, INT64 = no_integer(-(2**31), 2**31 - 1), no_integer(-(2**63), 2**63 - 1)
UINT16, UINT32, UINT64 = no_integer(0, 2**16 - 1), no_integer(0, 2**32 - 1), no_integer(0, 2**64 - 1)
USER = no_integer(0, 2**32 - 2)  # the largest number means "unchanged"

ROWS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("/ociVersion", (*NO_TEXT, ABSENT, "", "1", "1.3", "v1.3.0", "1.3.0-", "2.0.0")),
    ("/root", (*NO_OBJECT, ABSENT)),
    ("/root/path", (*NO_TEXT, ABSENT, "")),
    ("/root/readonly", NO_TRUTH),
    ("/{hostname,domainname}", (*NO_TEXT, "x" * 65)),
    ("/annotations", NO_OBJECT),
    ("/annotations/*", NO_TEXT),
    # process
    ("/process", NO_OBJECT),
    ("/process/{terminal,noNewPrivileges}", NO_TRUTH),
    ("/process/consoleSize", NO_OBJECT),
    ("/process/consoleSize/{height,width}", (*UINT64, ABSENT, 65536)),
    ("/process/user", NO_OBJECT),
    ("/process/user/{uid,gid}", USER),
    ("/process/user/umask", no_integer(0, 0o777)),
    ("/process/user/additionalGids", NO_ARRAY),
    ("/process/user/additionalGids/*", USER),
    ("/process/args", (*NO_ARRAY, ABSENT, [])),
    ("/process/args/*", (*NO_TEXT, "")),
    ("/process/env", NO_ARRAY),
    ("/process/env/*", (*NO_TEXT, "", "NAME", "=value")),
    ("/process/cwd", (*NO_PATH, ABSENT)),
    ("/process/capabilities", (*NO_OBJECT, ["CAP_KILL"])),
    (SETS, (*NO_ARRAY, "CAP_KILL")),
    (f"{SETS}/*", no_word("KILL", "cap_kill", "CAP_", "CAP_KILL ", "CAP-KILL")),
    ("/process/rlimits", NO_ARRAY),
    ("/process/rlimits/*", NO_OBJECT),
    ("/process/rlimits/*/type", (*no_word("NOFILE", "RLIMIT_NOFILES", "rlimit_nofile"), ABSENT)),
    ("/process/rlimits/*/soft", (*UINT64, ABSENT)),
    ("/process/rlimits/*/hard", (*UINT64, ABSENT)),
    ("/process/{apparmorProfile,selinuxLabel}", NO_TEXT),
    ("/process/oomScoreAdj", no_integer(-1000, 1000)),
    ("/process/scheduler", NO_OBJECT),
    ("/process/scheduler/policy", (*no_word("OTHER", "sched_other", "SCHED_NORMAL", "SCHED_EXT"), ABSENT)),
    ("/process/scheduler/{nice,priority}", INT32),
    ("/process/scheduler/flags", NO_ARRAY),
    ("/process/scheduler/flags/*", no_word("RESET_ON_FORK", "SCHED_FLAG_KEEP_ALL")),
    ("/process/scheduler/{runtime,deadline,period}", (*UINT64, 2**63)),
    ("/process/ioPriority", NO_OBJECT),
    ("/process/ioPriority/class", (*no_word("IOPRIO_CLASS_NONE", "BE"), ABSENT)),
    ("/process/ioPriority/priority", no_integer(0, 7)),
    ("/process/execCPUAffinity", NO_OBJECT),
    ("/process/execCPUAffinity/{initial,final}", (*NO_TEXT, "all", "3-1", "1--2", "0-8192", "0:1")),
    # mounts
    ("/mounts", NO_ARRAY),
    ("/mounts/*", NO_OBJECT),
    ("/mounts/*/destination", (*NO_TEXT, ABSENT, "")),
    ("/mounts/*/{type,source}", NO_TEXT),
    ("/mounts/*/options", (*NO_ARRAY, "ro,nosuid")),
    ("/mounts/*/options/*", NO_TEXT),
    ("/mounts/*/{uid,gid}Mappings", NO_ARRAY),
    ("/mounts/*/{uid,gid}Mappings/*", NO_OBJECT),
    ("/mounts/*/{uid,gid}Mappings/*/{containerID,hostID}", (*UINT32, ABSENT, 2**32 - 1)),
    ("/mounts/*/{uid,gid}Mappings/*/size", (*UINT32, ABSENT, 0)),
    # hooks
    ("/hooks", NO_OBJECT),
    (LISTS_OF_HOOKS, (*NO_ARRAY, {"path": "/bin/true"})),
    (f"{LISTS_OF_HOOKS}/*", (*NO_OBJECT, "/bin/true")),
    (f"{LISTS_OF_HOOKS}/*/path", (*NO_PATH, ABSENT)),
    (f"{LISTS_OF_HOOKS}/*/{{args,env}}", NO_ARRAY),
    (f"{LISTS_OF_HOOKS}/*/{{args,env}}/*", NO_TEXT),
    (f"{LISTS_OF_HOOKS}/*/timeout", no_integer(1, 2**63 - 1)),
    # linux
    ("/linux", NO_OBJECT),
    ("/linux/namespaces", (*NO_ARRAY, {"type": "pid"})),
    ("/linux/namespaces/*", (*NO_OBJECT, "pid")),
    ("/linux/namespaces/*/type", (*no_word("net", "mnt", "PID", "process"), ABSENT)),
    ("/linux/namespaces/*/path", NO_PATH),
    ("/linux/{uid,gid}Mappings", (*NO_ARRAY, [])),
    ("/linux/{uid,gid}Mappings/*", NO_OBJECT),
    ("/linux/{uid,gid}Mappings/*/{containerID,hostID}", (*UINT32, ABSENT)),
    ("/linux/{uid,gid}Mappings/*/size", (*UINT32, ABSENT, 0)),
    ("/linux/timeOffsets", NO_OBJECT),
    ("/linux/timeOffsets/{monotonic,boottime}", (*NO_OBJECT, 1)),
    ("/linux/timeOffsets/{monotonic,boottime}/secs", (*INT64, 9223372037, -9223372037)),
    ("/linux/timeOffsets/{monotonic,boottime}/nanosecs", no_integer(0, 999_999_999)),
    ("/linux/devices", NO_ARRAY),
    ("/linux/devices/*", (*NO_OBJECT, "/dev/fuse")),
    ("/linux/devices/*/type", (*no_word("a", "char", "C"), ABSENT)),
    ("/linux/devices/*/path", (*NO_PATH, ABSENT)),
    ("/linux/devices/*/major", (*INT64, ABSENT, -1, 4096)),
    ("/linux/devices/*/minor", (*INT64, ABSENT, -1, 1048576)),
    ("/linux/devices/*/fileMode", (*UINT32, "0666")),
    ("/linux/devices/*/{uid,gid}", USER),
    ("/linux/netDevices", (*NO_OBJECT, ["eth0"])),
    ("/linux/netDevices/*", (*NO_OBJECT, "eth0")),
    ("/linux/netDevices/*/name", (*NO_TEXT, "a/b", "a:b", "a b", "..", "x" * 16, "%s", "%d%d", "lo")),
    ("/linux/cgroupsPath", NO_TEXT),
    ("/linux/sysctl", (*NO_OBJECT, ["net.ipv4.ip_forward=1"])),
    ("/linux/sysctl/*", (*NO_TEXT, 1)),
    ("/linux/rootfsPropagation", no_word("public", "SHARED", "rec-shared", "shared,slave")),
    ("/linux/{maskedPaths,readonlyPaths}", (*NO_ARRAY, "/proc/kcore")),
    ("/linux/{maskedPaths,readonlyPaths}/*", NO_PATH),
    ("/linux/mountLabel", NO_TEXT),
    ("/linux/personality", (*NO_OBJECT, "LINUX32")),
    ("/linux/personality/domain", (*no_word("linux", "LINUX64", "PER_LINUX32"), ABSENT)),
    ("/linux/personality/flags", NO_ARRAY),
    ("/linux/personality/flags/*", NO_TEXT),
    ("/linux/memoryPolicy", (*NO_OBJECT, "MPOL_BIND")),
    ("/linux/memoryPolicy/mode", (*no_word("bind", "BIND", "MPOL_NONE"), ABSENT)),
    ("/linux/memoryPolicy/nodes", (*NO_TEXT, "", "all", "1-0", "-1", "8192")),
    ("/linux/memoryPolicy/flags", NO_ARRAY),
    ("/linux/memoryPolicy/flags/*", no_word("STATIC_NODES", "MPOL_F_STATIC")),
    ("/linux/intelRdt", NO_OBJECT),
    ("/linux/intelRdt/closID", (*NO_TEXT, ".", "..", "a/b", "/a", "../a", "info", "mon_groups", "a\nb")),
    ("/linux/intelRdt/schemata", (*NO_ARRAY, "L3:0=f")),
    ("/linux/intelRdt/schemata/*", (*NO_TEXT, "L3:0=f\nMB:0=20")),
    ("/linux/intelRdt/l3CacheSchema", NO_TEXT),
    ("/linux/intelRdt/memBwSchema", (*NO_TEXT, "", "L3:0=f", "0=20", "MB:0=20\nL3:0=f")),
    ("/linux/intelRdt/enableMonitoring", NO_TRUTH),
    # resources
    (RESOURCES, NO_OBJECT),
    (f"{RESOURCES}/{{memory,cpu,pids,blockIO,network,rdma,unified}}", (*NO_OBJECT, 5)),
    (f"{RESOURCES}/devices", (*NO_ARRAY, {"allow": False})),
    (f"{RESOURCES}/devices/*", (*NO_OBJECT, "c 1:3 rwm")),
    (f"{RESOURCES}/devices/*/allow", (*NO_TRUTH, ABSENT)),
    (f"{RESOURCES}/devices/*/type", no_word("p", "u", "all", "C")),
    (f"{RESOURCES}/devices/*/{{major,minor}}", (*INT64, "*")),
    (f"{RESOURCES}/devices/*/access", (*NO_TEXT, "x", "r w", "RW", "rwm\n")),
    (f"{RESOURCES}/memory/{{limit,reservation,swap,kernel,kernelTCP}}", (*INT64, "512M")),
    (f"{RESOURCES}/memory/swappiness", UINT64),
    (f"{RESOURCES}/memory/{{disableOOMKiller,useHierarchy,checkBeforeUpdate}}", NO_TRUTH),
    (f"{RESOURCES}/cpu/{{shares,burst,period,realtimePeriod}}", UINT64),
    (f"{RESOURCES}/cpu/{{quota,realtimeRuntime,idle}}", INT64),
    (f"{RESOURCES}/cpu/{{cpus,mems}}", (*NO_TEXT, 0)),
    (f"{RESOURCES}/pids/limit", (*INT64, ABSENT)),
    (f"{RESOURCES}/blockIO/{{weight,leafWeight}}", UINT16),
    (f"{RESOURCES}/blockIO/weightDevice", NO_ARRAY),
    (f"{RESOURCES}/blockIO/weightDevice/*", (*NO_OBJECT, {"major": 8, "minor": 0})),
    (f"{RESOURCES}/blockIO/weightDevice/*/{{major,minor}}", (*INT64, ABSENT)),
    (f"{RESOURCES}/blockIO/weightDevice/*/{{weight,leafWeight}}", UINT16),
    (THROTTLES, NO_ARRAY),
    (f"{THROTTLES}/*", (*NO_OBJECT, "8:0 600")),
    (f"{THROTTLES}/*/{{major,minor}}", (*INT64, ABSENT)),
    (f"{THROTTLES}/*/rate", (*UINT64, ABSENT)),
    (f"{RESOURCES}/hugepageLimits", NO_ARRAY),
    (f"{RESOURCES}/hugepageLimits/*", NO_OBJECT),
    (
        f"{RESOURCES}/hugepageLimits/*/pageSize",
        (*NO_TEXT, ABSENT, "", "2", "2M", "0MB", "2mb", "2.5MB", "2MB/../../x", "2TB", "MB"),
    ),
    (f"{RESOURCES}/hugepageLimits/*/limit", (*UINT64, ABSENT)),
    (f"{RESOURCES}/network/classID", UINT32),
    (f"{RESOURCES}/network/priorities", NO_ARRAY),
    (f"{RESOURCES}/network/priorities/*", NO_OBJECT),
    (f"{RESOURCES}/network/priorities/*/name", (*NO_TEXT, ABSENT)),
    (f"{RESOURCES}/network/priorities/*/priority", (*UINT32, ABSENT)),
    (f"{RESOURCES}/rdma/*", (*NO_OBJECT, {})),
    (f"{RESOURCES}/rdma/*/{{hcaHandles,hcaObjects}}", UINT32),
    (f"{RESOURCES}/unified/*", (*NO_TEXT, 5)),
    # seccomp
    ("/linux/seccomp", NO_OBJECT),
    ("/linux/seccomp/defaultAction", (*no_word("ALLOW", "SCMP_ACT_DENY", "SCMP_ACT_NOTIFY"), ABSENT)),
    ("/linux/seccomp/defaultErrnoRet", UINT32),
    ("/linux/seccomp/architectures", NO_ARRAY),
    ("/linux/seccomp/architectures/*", no_word("x86_64", "SCMP_ARCH_AMD64", "SCMP_ARCH_NATIVE")),
    ("/linux/seccomp/flags", NO_ARRAY),
    ("/linux/seccomp/flags/*", no_word("LOG", "SECCOMP_FILTER_FLAG_NEW_LISTENER")),
    ("/linux/seccomp/{listenerPath,listenerMetadata}", NO_TEXT),
    ("/linux/seccomp/syscalls", (*NO_ARRAY, {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"})),
    (CALL, (*NO_OBJECT, "mkdir")),
    (f"{CALL}/names", (*NO_ARRAY, ABSENT, [], "mkdir")),
    (f"{CALL}/names/*", NO_TEXT),
    (f"{CALL}/action", (*no_word("ERRNO", "SCMP_ACT_DENY"), ABSENT)),
    (f"{CALL}/errnoRet", (*UINT32, "EPERM")),
    (f"{CALL}/args", NO_ARRAY),
    (f"{CALL}/args/*", NO_OBJECT),
    (f"{CALL}/args/*/index", (*no_integer(0, 5), ABSENT)),
    (f"{CALL}/args/*/value", (*UINT64, ABSENT)),
    (f"{CALL}/args/*/valueTwo", UINT64),
    (f"{CALL}/args/*/op", (*no_word("EQ", "==", "SCMP_CMP_NEQ"), ABSENT)),
)

# Of the objects with free names: names that none of their members may have.
NAMES: tuple[tuple[str, object, tuple[str, ...]], ...] = (
    ("/annotations", "x", ("", "a\0b", "\ud800")),
    ("/linux/sysctl", "1", ("", "net.", "net/../x", "/net/x", "vm.swappiness", "kernel.hostname", "a\0b")),
    ("/linux/netDevices", {}, ("", ".", "..", "a/b", "a:b", "a b", "x" * 16, "lo", "a\0b")),
    ("/linux/resources/unified", "1", ("", "a/b", "../x", "a\0b")),
    ("/linux/resources/rdma", {"hcaHandles": 1}, ("a\0b", "\ud800")),
    ("/linux/timeOffsets", {"secs": 1}, ("realtime", "MONOTONIC", "")),
)


def _expanded(pattern: str) -> Iterator[str]:
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [part.split(",") if number % 2 else [part] for number, part in enumerate(parts)]
    yield from ("".join(words) for words in itertools.product(*choices))


def _table() -> dict[str, tuple[object, ...]]:
    table: dict[str, tuple[object, ...]] = {}
    for pattern, values in ROWS:
        for path in _expanded(pattern):
            assert path not in table, f"{path} has two rows"
            table[path] = values
    return table


WRONG_VALUES = _table()


def place_of(config: Config, pattern: str) -> Place:
    """Returns where in `config` a pattern leads, to the first of the places that exist; raises LookupError.

    The place may be the first item of an array that is empty.
    """
    found = next(_places(config, pattern.split("/")[1:]), None)
    if found is None:
        raise LookupError(f"the configuration has no {pattern}")
    return found


def _places(value: Any, parts: list[str]) -> Iterator[Place]:
    if not parts:
        yield ()
        return
    name, rest = parts[0], parts[1:]
    members: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        members = list(value.items()) if name == "*" else [(name, value[name])] if name in value else []
    elif isinstance(value, list) and name == "*":
        members = list(enumerate(value or [None]))
    for key, member in members:
        for place in _places(member, rest):
            yield (key, *place)


def put(config: Config, place: Place, value: object) -> None:
    """Puts a value into a place of `config`, or takes it out for ABSENT."""
    parent: Any = config
    for part in place[:-1]:
        parent = parent[part]
    if value is ABSENT:
        del parent[place[-1]]
    elif parent == []:
        parent.append(value)
    else:
        parent[place[-1]] = value


def pointer_of(place: Place) -> str:
    """Returns the JSON pointer of a place (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)
