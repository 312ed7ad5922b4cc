# SPDX-License-Identifier: Apache-2.0
"""Configurations of containers: a plain default for tests, and those that engines make.

A configuration is the dictionary that `config.json` of the OCI runtime specification holds.
"""

from __future__ import annotations

import json
import os
from typing import Any

Config = dict[str, Any]

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# In the order of their numbers (linux/capability.h).
CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
        "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG "
        "MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
        "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE "
    ).split()
]

ENGINE_FILES = {
    "resolv.conf": "nameserver 192.0.2.1\n",
    "hostname": "engine\n",
    "hosts": "127.0.0.1\tlocalhost\n",
    ".containerenv": "",
}


def default(*args: str) -> Config:
    """Returns what `runc spec` writes, without a terminal, for a program and its arguments."""
    capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args or ("/bin/true",)),
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {kind: list(capabilities) for kind in ("bounding", "effective", "permitted", "ambient")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "container",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {
                "destination": "/dev/shm",
                "type": "tmpfs",
                "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
            },
            {
                "destination": "/dev/mqueue",
                "type": "mqueue",
                "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"],
            },
            {
                "destination": "/sys",
                "type": "sysfs",
                "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"],
            },
            {
                "destination": "/sys/fs/cgroup",
                "type": "cgroup",
                "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
            },
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": [
                "/proc/acpi",
                "/proc/asound",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/sys/firmware",
                "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def shell(script: str) -> Config:
    """Returns the default configuration with `sh -c SCRIPT` as the program."""
    return default("/bin/sh", "-c", script)


def captured_unchanged(name: str, bundle: str, container_id: str) -> Config:
    """Returns a configuration that an engine made (tests/data/NAME.json), filled in for `bundle`.

    The engine's files are written into the bundle, and `true` stands for its own program in hooks.
    """
    with open(os.path.join(DATA, f"{name}.json"), encoding="utf-8") as file:
        text = file.read()
    files = os.path.join(bundle, "files")
    text = text.replace("@ROOTFS@", os.path.join(bundle, "rootfs")).replace("@FILES@", files)
    config: Config = json.loads(text.replace("@ID@", container_id).replace("@ENGINE@", "/bin/true"))
    if files in text:
        os.makedirs(os.path.join(files, "shm"), 0o1777)
        for file_name, content in ENGINE_FILES.items():
            with open(os.path.join(files, file_name), "w", encoding="utf-8") as file:
                file.write(content)
    return config


def captured(name: str, bundle: str, container_id: str) -> Config:
    """Returns the same without what needs a controller that not every host has: ctr's and Podman's limits."""
    config = captured_unchanged(name, bundle, container_id)
    resources = config["linux"]["resources"]
    for controller, limit in (("cpu", "shares"), ("pids", "limit")):
        if resources.get(controller, {}).get(limit):
            del resources[controller]
    return config


def without_namespace(config: Config, *kinds: str) -> Config:
    """Takes namespaces of these kinds out of `config`, and returns it."""
    namespaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [entry for entry in namespaces if entry["type"] not in kinds]
    return config


def with_namespace(config: Config, kind: str, path: str | None = None) -> Config:
    """Puts a new namespace, or the one at `path`, in the place of `config`'s one of this kind; returns `config`."""
    entry = {"type": kind} if path is None else {"type": kind, "path": path}
    without_namespace(config, kind)["linux"]["namespaces"].append(entry)
    return config


def with_user_namespace(config: Config, first: int = 100000, size: int = 65536) -> Config:
    """Adds a user namespace in which container root is `first` outside; returns `config`."""
    mapping = [{"containerID": 0, "hostID": first, "size": size}]
    config["linux"]["uidMappings"] = list(mapping)
    config["linux"]["gidMappings"] = list(mapping)
    return with_namespace(config, "user")


def mount_at(config: Config, destination: str) -> dict[str, Any]:
    """Returns the mount of `config` at `destination`."""
    (mount,) = (mount for mount in config["mounts"] if mount["destination"] == destination)
    return mount  # type: ignore[no-any-return]


def without_mounts(config: Config, *destinations: str) -> Config:
    """Takes the mounts at these destinations out of `config`, and returns it."""
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] not in destinations]
    return config


def bind(source: str, destination: str, *options: str) -> dict[str, Any]:
    """Returns a bind mount."""
    return {"destination": destination, "type": "bind", "source": source, "options": ["bind", *options]}
