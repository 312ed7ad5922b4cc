# SPDX-License-Identifier: Apache-2.0
"""linux.devices, and the devices and links that every container has (runtime-spec, config-linux: Default Devices)."""

from __future__ import annotations

from pyrun.plan.mounts import destination, is_bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config
    from pyrun.plan.operations import Plan

# mknod(2)
TYPES = {"c": 0o020000, "u": 0o020000, "b": 0o060000, "p": 0o010000}
DEFAULTS = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
REPLACE, IF_TARGET_EXISTS = 1, 2
LINKS = (
    ("/proc/self/fd", "/dev/fd", 0),
    ("/proc/self/fd/0", "/dev/stdin", 0),
    ("/proc/self/fd/1", "/dev/stdout", 0),
    ("/proc/self/fd/2", "/dev/stderr", 0),
    ("/proc/kcore", "/dev/core", IF_TARGET_EXISTS),
    # The image's own ptmx would be the host's: only the one of the container's devpts may stand there.
    ("pts/ptmx", "/dev/ptmx", REPLACE),
)


def add_all(plan: Plan, config: Config) -> None:
    """Add the nodes and links, unless the caller brings a /dev of its own by a bind mount."""
    if any(is_bind(mount) and destination(mount) == "/dev" for mount in config.get("mounts") or ()):
        return
    listed = (config.get("linux") or {}).get("devices") or ()
    paths = {device["path"] for device in listed}
    for path, major, minor in DEFAULTS:
        if path not in paths:
            plan.add("make_device", "/linux/devices", path, TYPES["c"], major, minor, 0o666, 0, 0)
    for number, device in enumerate(listed):
        mode = device.get("fileMode")
        plan.add(
            "make_device",
            f"/linux/devices/{number}",
            device["path"],
            TYPES[device["type"]],
            device.get("major") or 0,
            device.get("minor") or 0,
            0o666 if mode is None else mode & 0o7777,
            device.get("uid") or 0,
            device.get("gid") or 0,
        )
    for target, path, flags in LINKS:
        plan.add("make_symlink", "/linux/devices", target, path, flags)
