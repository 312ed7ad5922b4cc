# SPDX-License-Identifier: Apache-2.0
"""process.apparmorProfile and process.selinuxLabel: what the kernel's security modules apply when a program starts."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config, Problems
    from pyrun.plan.operations import Plan

APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
APPARMOR_FILES = ["self/attr/apparmor/exec", "self/attr/exec"]  # the first since Linux 5.1
UNCONFINED = "unconfined"
SELINUX_MOUNT = "/sys/fs/selinux/enforce"
SELINUX_FILES = ["self/attr/exec"]


def set_label(plan: Plan, config: Config, problems: Problems) -> None:
    """Add the label under which the program will run; report a module that this host does not have."""
    process = config["process"]
    profile, label = process.get("apparmorProfile"), process.get("selinuxLabel")
    if profile and not _has_apparmor():
        if profile == UNCONFINED:
            return
        problems.add("/process/apparmorProfile", "this host has no AppArmor; leave the profile out")
    elif profile:
        plan.add("set_exec_label", "/process/apparmorProfile", APPARMOR_FILES, f"exec {profile}")
    if label and not os.path.exists(SELINUX_MOUNT):
        problems.add("/process/selinuxLabel", "this host has no SELinux; leave the label out")
    elif label:
        plan.add("set_exec_label", "/process/selinuxLabel", SELINUX_FILES, label)


def _has_apparmor() -> bool:
    try:
        with open(APPARMOR_ENABLED, encoding="ascii") as file:
            return file.read(1) == "Y"
    except OSError:
        return False
