# SPDX-License-Identifier: Apache-2.0
"""The configuration that `pyrun spec` writes: a shell in a container, to start from."""

from __future__ import annotations

import os
from typing import Any

OCI_VERSION = "1.3.0"


def default_config(rootless: bool = False) -> dict[str, Any]:
    """Returns a configuration that runs `sh` in `rootfs`, on a terminal: what `runc spec` writes.

    It has few capabilities and all namespaces but user and time.

    Args:
        rootless: for a user without privileges, with a user namespace in which the calling user is root, with
            the network and /sys of the host, and without limits.
    """
    config: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pyrun",
        "mounts": _mounts(rootless),
        "linux": {},
    }
    linux = config["linux"]
    namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    if rootless:
        namespaces = ["pid", "ipc", "uts", "mount", "cgroup", "user"]
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    else:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    linux["namespaces"] = [{"type": kind} for kind in namespaces]
    linux["maskedPaths"] = [
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
    ]
    linux["readonlyPaths"] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    return config


def _process() -> dict[str, Any]:
    sets = ("bounding", "effective", "permitted", "ambient")
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {kind: ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"] for kind in sets},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    locked = ["nosuid", "noexec", "nodev"]
    # Group 5 (tty) does not exist in a user namespace of one user.
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] + ([] if rootless else ["gid=5"])
    # A new sysfs needs a network namespace that belongs to the user namespace.
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*locked, "ro"]}
    if rootless:
        sysfs = {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", *locked, "ro"]}
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": terminals},
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*locked, "mode=1777", "size=65536k"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": [*locked]},
        sysfs,
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": [*locked, "relatime", "ro"],
        },
    ]
