# SPDX-License-Identifier: Apache-2.0
"""Valid configurations made from our schema: every property, boundary numbers, words of every list.

Hypothesis draws which sections there are, and a seed from which they are filled: drawing each value would take ten
times as long. What a schema can't say is repaired: whatever a rule refuses is taken out again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from pyrun_spec.check import check_config
from pyrun_spec.rules import check_rules
from pyrun_spec.schema import schema_of

Config = dict[str, Any]
Schema = dict[str, Any]
Words = tuple[str, ...]

SCHEMA = schema_of("config")
MOST_ITEMS = 3

# Characters of more than one byte, and those that mean something to the kernel, to a shell or to JSON.
CHARACTERS = "aZ0.:/%=,;- \t\n\\\"'~é😀\x7f\ufeff\u2028"
LONGEST_TEXT = 8
PATHS = (
    "/",
    "/a",
    "//a//b/",
    "/a/../..",
    "/a/./b",
    "/proc",
    "/proc/sys",
    "/dev",
    "/dev/null",
    "/sys/fs/cgroup",
    "/é/😀",
)
LISTS = ("", "0", "0-3,7", " 1 , 2", "0-8191", ",,0,")
NAMES = ("eth0", "lo", "inner%d", "mlx5_0", "memory.max", "cpu.weight", "io.latency", "é", "a.b")
OPTIONS = """async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev nodiratime noexec
    noiversion nolazytime norelatime nostrictatime nosuid private rbind relatime remount ro rprivate rshared rslave
    runbindable rw shared silent slave strictatime suid sync unbindable mand nomand tmpcopyup symfollow nosymfollow rro
    rrw rsuid rnosuid rdev rnodev rexec rnoexec rdiratime rnodiratime ratime rnoatime rrelatime rnorelatime rstrictatime
    rnostrictatime rsymfollow rnosymfollow idmap ridmap size=1m mode=755 uid=5 gid=5 lowerdir=/a:/b rbindd""".split()
TYPES = "bind none proc sysfs tmpfs devpts mqueue cgroup cgroup2 overlay ext4 é".split()

# What is written at places whose words the schema does not list, beside any text.
WORDS: dict[str, Words] = {
    "/ociVersion": ("1.0.0", "1.3.0", "1.2.1-rc.1+build"),
    "/root/path": ("rootfs", "/", "../é", "a/../b", "\n"),
    "/process/args/*": ("sh", "/bin/sh", "./é", "-c", "a b"),
    "/process/env/*": ("A=b", "A=", "PATH=/bin:/é", "HOME=", "LISTEN_PID=1", "é=\n", "A=="),
    "/process/apparmorProfile": ("", "unconfined", "profile//&é"),
    "/mounts/*/destination": (*PATHS, "relative", "..", "a/../.."),
    "/mounts/*/type": ("", *TYPES),
    "/mounts/*/source": ("", "proc", "cgroup", "tmpfs", "/etc", "../x", "/dev/é"),
    "/mounts/*/options/*": tuple(OPTIONS),
    "/linux/cgroupsPath": ("", "/", "/a/b", "a/b", "../a", "a//b", "/a/../b", "system.slice:a:b", "é"),
    "/linux/resources/cpu/cpus": LISTS,
    "/linux/resources/cpu/mems": LISTS,
    "/linux/memoryPolicy/nodes": LISTS,
    "/linux/intelRdt/closID": ("", "/", "class", "é"),
    "/linux/intelRdt/schemata/*": ("L3:0=f", "MB:0=20", "é"),
    "/linux/intelRdt/l3CacheSchema": ("", "L3:0=f", "L3:0=f\nMB:0=1"),
    "/linux/seccomp/syscalls/*/names/*": ("read", "mkdir", "openat2", "frobnicate", "é"),
    "/linux/personality/flags/*": ("ADDR_NO_RANDOMIZE", ""),
}
# Places where any other text would be refused.
FORMATS = ("/ociVersion", "/process/env/*")

# Of the strings that have a pattern in the schema.
EXAMPLES: dict[str, Words] = {
    "absolutePath": PATHS,
    "cpuList": LISTS,
    "deviceAccess": ("", "r", "rw", "rwm", "mrw", "rr"),
    "capability": (*SCHEMA["$defs"]["capability"]["examples"], "CAP_OF_TOMORROW"),
    "pageSize": ("64KB", "2MB", "1GB", "3KB"),
    "memoryBandwidthSchema": ("MB:", "MB:0=20;1=70"),
}

# Of the members of objects that have free ones.
FREE_NAMES: dict[str, Words] = {
    "/annotations": (
        *(f"org.pyrun.rootfs.{name}" for name in ("lowerdir", "upperdir", "workdir")),
        "org.example",
        "run.oci.x",
        "é/~",
    ),
    "/linux/sysctl": (
        "net.ipv4.ip_forward",
        "net/ipv4/conf/eth0.1/rp_filter",
        "kernel.shmmax",
        "kernel.domainname",
        "fs.mqueue.msg_max",
        "user.max_user_namespaces",
        "net.é",
    ),
}

# There nearly always: with whole sections missing, little is left to compile.
COMMON = {"": ("process", "linux"), "/process": ("args",), "/linux": ("namespaces",)}


@st.composite
def valid_configs(draw: st.DrawFn) -> Config:
    """Draws a configuration that satisfies schema and rules."""
    linux = draw(st.sets(st.sampled_from(sorted(SCHEMA["$defs"]["linux"]["properties"])), max_size=6))
    maker = _Maker(random.Random(draw(st.integers(0, 2**32))), {"/linux": frozenset(linux)})
    config = maker.value(SCHEMA, "")
    maker.repair(config)
    while refused := _first_refusal(config):
        _take_out(config, refused)
    return config  # type: ignore[no-any-return]


class _Maker:
    """Makes values of the schema; `chosen` says for some objects which optional members they have."""

    def __init__(self, source: random.Random, chosen: dict[str, frozenset[str]]) -> None:
        self.source = source
        self.chosen = chosen

    def value(self, schema: Schema, path: str) -> Any:
        """Returns a value that satisfies `schema`, for the place of this pointer pattern."""
        shape = schema.get("$ref", "").removeprefix("#/$defs/")
        if shape:
            schema = SCHEMA["$defs"][shape]
        kind = schema["type"]
        if kind == "object":
            return self.members(schema, path) if "additionalProperties" not in schema else self.free(schema, path)
        if kind == "array":
            count = self.source.randint(schema.get("minItems", 0), MOST_ITEMS)
            return [self.value(schema["items"], f"{path}/*") for _ in range(count)]
        if kind == "boolean":
            return self.source.random() < 0.5
        if kind == "integer":
            return self.integer(schema["minimum"], schema["maximum"])
        return self.source.choice(schema["enum"]) if "enum" in schema else self.text(path, shape, schema)

    def members(self, schema: Schema, path: str) -> Config:
        chosen = self.chosen.get(path)
        required = {*schema.get("required", ()), *COMMON.get(path, ())}
        return {
            name: self.value(member, f"{path}/{name}")
            for name, member in schema["properties"].items()
            if name in required or (self.source.random() < 0.3 if chosen is None else name in chosen)
        }

    def free(self, schema: Schema, path: str) -> Config:
        names = self.source.sample(FREE_NAMES.get(path, NAMES), self.source.randint(0, 2))
        return {name: self.value(schema["additionalProperties"], f"{path}/*") for name in names}

    def integer(self, least: int, largest: int) -> int:
        edges = [edge for edge in (least, largest, -1, 0, 1, 2, 5, 1024, 65536) if least <= edge <= largest]
        return self.source.choice(edges) if self.source.random() < 0.6 else self.source.randint(least, largest)

    def text(self, path: str, shape: str, schema: Schema) -> str:
        words = EXAMPLES.get(shape) or WORDS.get(path, ())
        if words and (shape in EXAMPLES or path in FORMATS or self.source.random() < 0.7):
            word = self.source.choice(words)
            assert re.fullmatch(schema["pattern"], word), f"{word!r} is no example for {path}"
            return word
        length = self.source.randint(schema.get("minLength", 0), LONGEST_TEXT)
        return "".join(self.source.choices(CHARACTERS, k=length))

    def repair(self, config: Config) -> None:
        """Changes what would otherwise be refused in most configurations."""
        process, linux = config["process"], config["linux"]
        process["args"] = ["sh", *process["args"]]
        process["rlimits"] = list({limit["type"]: limit for limit in process.get("rlimits") or ()}.values())
        for limit in process["rlimits"]:
            limit["soft"], limit["hard"] = sorted((limit["soft"], limit["hard"]))
        kinds = SCHEMA["$defs"]["namespaceType"]["enum"]
        added = [kind for kind in kinds if self.source.random() < (0.85 if kind == "mount" else 0.3)]
        listed = {entry["type"]: entry for entry in (*({"type": kind} for kind in added), *linux["namespaces"])}
        linux["namespaces"] = list(listed.values())
        if "user" in listed and not listed["user"].get("path"):
            for name in ("uidMappings", "gidMappings"):
                size = self.source.choice((1, 65536))
                linux[name] = [{"containerID": 0, "hostID": self.source.choice((0, 1000, 100000)), "size": size}]
                if self.source.random() < 0.5:
                    linux[name].append({"containerID": size, "hostID": 200000, "size": 2**31})


def _first_refusal(config: Config) -> str | None:
    """Returns the place of the first thing that a rule refuses, or None."""
    found: list[str] = []
    check_rules(config, lambda pointer, message: found.append(pointer))
    return found[0] if found else None


def _take_out(config: Config, pointer: str) -> None:
    """Removes what is at a place, or around it, so that the schema is satisfied as before."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for length in range(len(parts), 0, -1):
        undo = _removed(config, parts[:length])
        if undo is None:
            continue
        if check_config(config):
            return
        undo()
    raise AssertionError(f"{pointer} can't be taken out")


def _removed(config: Config, parts: list[str]) -> Callable[[], object] | None:
    """Removes a value, and returns what puts it back; None if there is no such value."""
    parent: Any = config
    try:
        for part in parts[:-1]:
            parent = parent[int(part) if isinstance(parent, list) else part]
        if isinstance(parent, list):
            index = int(parts[-1])
            item = parent.pop(index)
            return lambda: parent.insert(index, item)
        members = dict(parent)
        del parent[parts[-1]]
    except (LookupError, ValueError, TypeError):
        return None
    return lambda: (parent.clear(), parent.update(members))


def is_place(config: Any, pointer: str) -> bool:
    """Tells whether a JSON pointer leads to a value of `config`, or to where a property of the schema may be."""
    value: Any = config
    schema: Any = SCHEMA
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        if isinstance(value, list):
            if not name.isdecimal() or int(name) >= len(value):
                return False
            value, schema = value[int(name)], schema["items"]
        elif isinstance(value, dict):
            value = value.get(name, {})
            schema = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if schema is None:
                return False
        else:
            return False
    return pointer.startswith("/")
