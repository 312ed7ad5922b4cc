# SPDX-License-Identifier: Apache-2.0
"""What the container's view of the kernel is: host and domain name, sysctl, read-only and masked paths."""

from __future__ import annotations

from pyrun.plan.mounts import normal_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config
    from pyrun.plan.operations import Plan


def open_procfs(plan: Plan, config: Config) -> None:
    """Add the opening of the procfs by which parameters and labels are set, before the image's covers /proc."""
    linux, process = config.get("linux") or {}, config["process"]
    for pointer, value in (
        ("/linux/sysctl", linux.get("sysctl")),
        ("/process/apparmorProfile", process.get("apparmorProfile")),
        ("/process/selinuxLabel", process.get("selinuxLabel")),
    ):
        if value:
            plan.add("open_own_procfs", pointer)
            return


def set_all(plan: Plan, config: Config) -> None:
    """Add names, then sysctl (which read-only paths would forbid), then the covers."""
    linux = config.get("linux") or {}
    for name in ("hostname", "domainname"):
        if config.get(name):
            plan.add(f"set_{name}", f"/{name}", config[name])
    if linux.get("sysctl"):
        from pyrun.plan import sysctl

        sysctl.set_all(plan, config)
    for number, path in enumerate(linux.get("readonlyPaths") or ()):
        plan.add("readonly_path", f"/linux/readonlyPaths/{number}", normal_path(path))
    label = linux.get("mountLabel") or ""
    for number, path in enumerate(linux.get("maskedPaths") or ()):
        plan.add("mask_path", f"/linux/maskedPaths/{number}", normal_path(path), label)
