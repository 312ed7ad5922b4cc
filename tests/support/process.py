# SPDX-License-Identifier: Apache-2.0
"""Looking at processes from outside, by /proc."""

from __future__ import annotations

import os

from support.configs import CAPABILITIES

# The names that OCI configurations give to namespaces, and those of the files in /proc/PID/ns.
NAMESPACE_FILES = {
    "cgroup": "cgroup",
    "ipc": "ipc",
    "mount": "mnt",
    "network": "net",
    "pid": "pid",
    "time": "time",
    "user": "user",
    "uts": "uts",
}


def namespace(pid: int | str, kind: str) -> str:
    """Returns the identity of a process's namespace of a kind as OCI names it; `pid` may be "thread-self"."""
    return os.readlink(f"/proc/{pid}/ns/{NAMESPACE_FILES[kind]}")


def status(pid: int | str) -> dict[str, str]:
    """Returns /proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def capability_names(mask: str) -> list[str]:
    """Returns the names of the capabilities in a hexadecimal mask, as /proc/PID/status shows it."""
    number = int(mask, 16)
    return [name for bit, name in enumerate(CAPABILITIES) if number >> bit & 1]


def own_capabilities() -> list[str]:
    """Returns the names of the capabilities that this process can give to a container."""
    return capability_names(status("self")["CapBnd"])


def mountinfo(pid: int | str) -> list[list[str]]:
    """Returns the lines of /proc/PID/mountinfo, each split into fields."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        return [line.split() for line in file]


def descriptors(pid: int | str) -> dict[int, str]:
    """Maps the open descriptors of a process to what they point to."""
    directory = f"/proc/{pid}/fd"
    return {int(name): os.readlink(os.path.join(directory, name)) for name in os.listdir(directory)}
