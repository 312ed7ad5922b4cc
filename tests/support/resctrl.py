# SPDX-License-Identifier: Apache-2.0
"""An imitation of the resctrl file system, which only machines with Intel RDT or AMD QoS have.

It keeps the rules of Documentation/filesystems/resctrl.rst that a runtime meets: groups come with their files when
their directory is made, their number is limited, schemata are checked, a process is in one group, a monitoring group
takes only processes of the group above it, and removal takes no heed of processes. What it can't do is to let children
inherit the group of their parent; instead it notes who wrote. It is mounted where the kernel has the real one.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from functools import partial

from support import kernel
from support.fuse import Directory, File, FileSystem, Node

MOUNT = "/sys/fs/resctrl"
CACHES = ("0", "1")
LARGEST = {"L3": 0xFF, "L2": 0xF, "MB": 100}
MONITORED = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
INFO = {
    "L3": {"cbm_mask": "ff", "min_cbm_bits": "1", "num_closids": "4"},
    "MB": {"bandwidth_gran": "10", "delay_linear": "1", "min_bandwidth": "10", "num_closids": "4"},
    "L3_MON": {"mon_features": "\n".join(MONITORED)},
}


@dataclass(frozen=True)
class Written:
    """What a process has written into a file, with the name of the program that it was at that time."""

    path: str
    text: str
    pid: int
    program: str


class Group:
    """A class of service, or a monitoring group, which has no schemata."""

    def __init__(self, tree: Resctrl, path: str, parent: Group | None = None) -> None:
        self.path = path
        self.tasks: set[int] = set()
        self.schemata = {kind: dict.fromkeys(CACHES, largest) for kind, largest in LARGEST.items()}
        self.monitors: dict[str, Group] = {}
        self.monitored = {cache: dict.fromkeys(MONITORED, "0") for cache in CACHES}
        self._tree = tree
        self._parent = parent

    def directory(self) -> Directory:
        """Returns the directory with the group's files."""
        entries: dict[str, Node] = {
            "tasks": File(self._show_tasks, self._add_task),
            "mon_data": Directory({f"mon_L3_0{cache}": _values(self.monitored[cache]) for cache in CACHES}),
        }
        if self._parent is None:
            entries["schemata"] = File(self._show_schemata, self._set_schemata)
            monitors: dict[str, Node] = {}

            def make(name: str) -> None:
                monitor = Group(self._tree, f"{self.path}/mon_groups/{name}", self)
                self._tree.check_room("monitoring groups", sum(len(each.monitors) for each in self._tree.classes()))
                self.monitors[name], monitors[name] = monitor, monitor.directory()

            def remove(name: str) -> None:
                del self.monitors[name], monitors[name]

            entries["mon_groups"] = Directory(monitors, make, remove)
        return Directory(entries)

    def _show_tasks(self) -> str:
        return "".join(f"{pid}\n" for pid in self.tasks if os.path.exists(f"/proc/{pid}"))

    def _add_task(self, text: str, writer: int) -> None:
        self._tree.note(f"{self.path}/tasks", text, writer)
        pid = int(text)
        if self._parent is None:
            for each in self._tree.classes():
                each.tasks.discard(pid)
                for monitor in each.monitors.values():
                    monitor.tasks.discard(pid)
        elif pid not in self._parent.tasks:
            raise self._tree.refusal(errno.EINVAL, "Can't move task to different control group")
        self.tasks.add(pid)

    def _show_schemata(self) -> str:
        return "".join(
            f"{kind:>6}:" + ";".join(f"{cache}={_text(kind, value)}" for cache, value in values.items()) + "\n"
            for kind, values in self.schemata.items()
        )

    def _set_schemata(self, text: str, writer: int) -> None:
        self._tree.note(f"{self.path}/schemata", text, writer)
        if not text.endswith("\n"):
            raise OSError(errno.EINVAL, "")
        staged: dict[tuple[str, str], int] = {}
        for line in text.splitlines():
            kind, colon, values = line.strip().partition(":")
            if not colon or kind not in LARGEST:
                raise self._tree.refusal(errno.EINVAL, f"Unknown or unsupported resource name '{kind}'")
            for value in values.split(";"):
                cache, _, number = value.partition("=")
                amount = int(number, 10 if kind == "MB" else 16)
                if (kind, cache) in staged:
                    raise self._tree.refusal(errno.EINVAL, f"Duplicate domain {cache}")
                if cache not in CACHES or not 0 < amount <= LARGEST[kind]:
                    raise self._tree.refusal(errno.EINVAL, f"{kind} value {number} out of range")
                staged[kind, cache] = amount
        for (kind, cache), amount in staged.items():
            self.schemata[kind][cache] = amount


class Resctrl:
    """The imitation, mounted; `room` is how many groups of either kind fit beside the default one.

    /sys/fs is an empty file system meanwhile, but for this one and cgroup2: the real one lacks the mount point.
    """

    def __init__(self) -> None:
        self.room = 3
        self.groups: dict[str, Group] = {}
        self.default = Group(self, MOUNT)
        self.writes: list[Written] = []
        self._status = "ok"
        root = self.default.directory()
        root.make, root.remove = self._make, self._remove
        info: dict[str, Node] = {kind: _values(values) for kind, values in INFO.items()}
        root.entries["info"] = Directory({"last_cmd_status": File(lambda: self._status + "\n"), **info})
        self._root = root
        kernel.mount("tmpfs", "/sys/fs", "tmpfs", data="mode=755")
        os.mkdir("/sys/fs/cgroup")
        os.mkdir(MOUNT)
        kernel.mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
        self._file_system = FileSystem(root, MOUNT)

    def close(self) -> None:
        """Unmounts it."""
        self._file_system.close()
        kernel.unmount("/sys/fs/cgroup")
        kernel.unmount("/sys/fs")

    def classes(self) -> list[Group]:
        """Returns all classes of service."""
        return [self.default, *self.groups.values()]

    def note(self, path: str, text: str, writer: int) -> None:
        """Remembers what was written; the status of the last command is forgotten."""
        self._status = "ok"
        with open(f"/proc/{writer}/comm", encoding="utf-8") as name:
            self.writes.append(Written(path.removeprefix(f"{MOUNT}/"), text, writer, name.read().strip()))

    def refusal(self, number: int, words: str) -> OSError:
        """Returns an error, whose words info/last_cmd_status shows from now on."""
        self._status = words
        return OSError(number, words)

    def check_room(self, what: str, count: int) -> None:
        """Raises OSError if there is no room for one more."""
        if count >= self.room:
            raise self.refusal(errno.ENOSPC, f"Out of {what}")

    def _make(self, name: str) -> None:
        self.check_room("CLOSIDs", len(self.groups))
        self.groups[name] = Group(self, f"{MOUNT}/{name}")
        self._root.entries[name] = self.groups[name].directory()

    def _remove(self, name: str) -> None:
        if name not in self.groups:
            raise OSError(errno.EPERM, name)
        self.default.tasks |= self.groups[name].tasks
        del self.groups[name], self._root.entries[name]


def _values(values: dict[str, str]) -> Directory:
    """A directory with a file for each value, as it is when the file is read."""
    return Directory({name: File(partial(lambda name: values[name] + "\n", name)) for name in values})


def _text(kind: str, value: int) -> str:
    return f"{value:4}" if kind == "MB" else f"{value:04x}"
