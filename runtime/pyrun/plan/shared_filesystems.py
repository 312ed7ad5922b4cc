# SPDX-License-Identifier: Apache-2.0
"""File systems that are not the container's own: the host shares them, so a container changes its mounts of them alone.

A read-only remount of the cgroup2 file system, for one, would make it read-only for the whole host, and for good. With
devtmpfs, debugfs, tracefs and pstore already a new mount would (Linux 6.1; later kernels ignore what it asks for).
"""

from __future__ import annotations

from pyrun.plan.mount_options import IVERSION, NOIVERSION, SHARED, SILENT
from pyrun.plan.mounts import destination, is_bind
from pyrun.plan.namespaces import is_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems
    from pyrun.plan.mount_options import Options

    Mount = dict[str, Any]

# Beside SHARED: all mounts of one of these in one namespace are of the same file system.
OF_NAMESPACE = {"sysfs": "network", "mqueue": "ipc"}
BY_MOUNT_FLAGS = SILENT | IVERSION | NOIVERSION


def settle_new(mount: Mount, pointer: str, options: Options, problems: Problems) -> None:
    """Spare a file system of SHARED what ``options`` of a new mount of it would do."""
    options.flags &= ~BY_MOUNT_FLAGS
    _report(mount, pointer, options, problems)


def settle_remount(config: Config, number: int, options: Options, problems: Problems) -> None:
    """Make ``options``, of the remount with this number, change the mount alone where the file system is not its own.

    What is about the mount is applied to it, as with bind; what is the file system's is reported.
    """
    if options.bind is not None or _is_own(config, number):
        return
    options.bind = 0
    _report(config["mounts"][number], f"/mounts/{number}", options, problems)


def _report(mount: Mount, pointer: str, options: Options, problems: Problems) -> None:
    for parameter in options.parameters:
        words = f'"{parameter}" would change a file system that is not the container\'s own; remove the option'
        problems.add(f"{pointer}/options/{mount['options'].index(parameter)}", words)


def _is_own(config: Config, number: int) -> bool:
    """Whether what stands there is a file system that the config has made for this container."""
    mounts: list[Mount] = config["mounts"]
    path = destination(mounts[number])
    for mount in reversed(mounts[:number]):
        point = destination(mount)
        if "remount" not in (mount.get("options") or ()) and f"{path}/".startswith(f"{point.rstrip('/')}/"):
            return point == path and not is_bind(mount) and _is_private(config, mount.get("type") or "")
    return False


def _is_private(config: Config, kind: str) -> bool:
    namespace = OF_NAMESPACE.get(kind)
    return kind not in SHARED and (namespace is None or is_new(config, namespace))
