# SPDX-License-Identifier: Apache-2.0
"""linux.devices, and the devices and links that every container has (runtime-spec, config-linux: Default Devices)."""

from __future__ import annotations

from pyrun.plan.mounts import destination, is_bind, normal_path
from pyrun.plan.namespaces import has

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems
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


def add_all(plan: Plan, config: Config, problems: Problems) -> None:
    """Add the nodes and links; a /dev that the caller brings by a bind mount is left as it is, as by runc."""
    brought = any(is_bind(mount) and destination(mount) == "/dev" for mount in config.get("mounts") or ())
    listed = [(normal_path(device["path"]), device) for device in (config.get("linux") or {}).get("devices") or ()]
    if not brought:
        _add_defaults(plan, {path for path, _ in listed})
    for number, (path, device) in enumerate(listed):
        pointer = f"/linux/devices/{number}"
        if path == "/":
            problems.add(f"{pointer}/path", "the root directory can't be a device; name a file")
        elif not (brought and path.startswith("/dev/")):
            _add_device(plan, pointer, path, device)
    if not brought:
        for target, path, flags in LINKS:
            plan.add("make_symlink", "/linux/devices", target, path, flags)


def add_all_unmounted(plan: Plan, config: Config, problems: Problems) -> None:
    """Add the same for a container without a mount namespace, where a user namespace bars all nodes but fifos."""
    if not has(config, "user"):
        add_all(plan, config, problems)
    elif (config.get("linux") or {}).get("devices"):
        problems.add("/linux/devices", "in a user namespace devices need a mount namespace; add one")


def _add_defaults(plan: Plan, listed: set[str]) -> None:
    for path, major, minor in DEFAULTS:
        if path not in listed:
            plan.add("make_device", "/linux/devices", path, TYPES["c"], major, minor, 0o666, 0, 0)


def _add_device(plan: Plan, pointer: str, path: str, device: dict[str, Any]) -> None:
    is_fifo = device["type"] == "p"
    mode = device.get("fileMode")
    plan.add(
        "make_device",
        pointer,
        path,
        TYPES[device["type"]],
        0 if is_fifo else device["major"],
        0 if is_fifo else device["minor"],
        0o666 if mode is None else mode & 0o7777,
        device.get("uid") or 0,
        device.get("gid") or 0,
    )
