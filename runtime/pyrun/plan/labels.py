# SPDX-License-Identifier: Apache-2.0
"""process.apparmorProfile and process.selinuxLabel: what the kernel's security modules apply when a program starts."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

APPARMOR, SELINUX = "/process/apparmorProfile", "/process/selinuxLabel"
APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
APPARMOR_FILES = ["apparmor/exec", "exec"]  # of /proc/PID/attr; the first since Linux 5.1
UNCONFINED = "unconfined"
SELINUX_MOUNT = "/sys/fs/selinux/enforce"
SELINUX_FILES = ["exec"]
SELINUX_KEY_FILES = ["keycreate"]


def label_keyring(plan: Plan, config: Config, request: Request) -> None:
    """Add the SELinux label of the session keyring that is made next: without it the program could not use its own."""
    label = config["process"].get("selinuxLabel")
    if label and request.keyring and _has_selinux():
        plan.add("set_label", SELINUX, SELINUX_KEY_FILES, label)


def label_program(plan: Plan, config: Config, problems: Problems) -> None:
    """Add the label under which the program will run; report a module that this host does not have."""
    process = config["process"]
    profile, label = process.get("apparmorProfile"), process.get("selinuxLabel")
    if profile and not _has_apparmor():
        if profile != UNCONFINED:
            problems.add(APPARMOR, "this host has no AppArmor; leave the profile out")
    elif profile:
        plan.add("set_label", APPARMOR, APPARMOR_FILES, f"exec {profile}")
    if label and not _has_selinux():
        problems.add(SELINUX, "this host has no SELinux; leave the label out")
    elif label:
        plan.add("set_label", SELINUX, SELINUX_FILES, label)


def _has_selinux() -> bool:
    return os.path.exists(SELINUX_MOUNT)


def _has_apparmor() -> bool:
    try:
        with open(APPARMOR_ENABLED, encoding="ascii") as file:
            return file.read(1) == "Y"
    except OSError:
        return False
