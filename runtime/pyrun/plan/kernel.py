# SPDX-License-Identifier: Apache-2.0
"""What the container's view of the kernel is: host and domain name, sysctl, read-only and masked paths."""

from __future__ import annotations

from pyrun.plan.mounts import normal_path
from pyrun_spec.errors import join_pointer
from pyrun_spec.rules import sysctl_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config
    from pyrun.plan.operations import Plan


def open_procfs(plan: Plan, config: Config) -> None:
    """Add the opening of the procfs by which parameters are set, before the image's or the config's covers /proc."""
    if (config.get("linux") or {}).get("sysctl"):
        plan.add("open_own_procfs", "/linux/sysctl")


def set_all(plan: Plan, config: Config) -> None:
    """Add names, then sysctl (which read-only paths would forbid), then the covers."""
    linux = config.get("linux") or {}
    for name in ("hostname", "domainname"):
        if config.get(name):
            plan.add(f"set_{name}", f"/{name}", config[name])
    for key, value in (linux.get("sysctl") or {}).items():
        plan.add("write_sysctl", join_pointer("/linux/sysctl", key), f"sys/{sysctl_path(key)}", value)
    for number, path in enumerate(linux.get("readonlyPaths") or ()):
        plan.add("readonly_path", f"/linux/readonlyPaths/{number}", normal_path(path))
    for number, path in enumerate(linux.get("maskedPaths") or ()):
        plan.add("mask_path", f"/linux/maskedPaths/{number}", normal_path(path))
