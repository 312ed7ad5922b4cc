# SPDX-License-Identifier: Apache-2.0
"""linux.mountLabel: the SELinux label of all files of a new file system, for those that take one."""

from __future__ import annotations

import errno
import os

from pyrun.plan.labels import SELINUX_MOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Problems

POINTER = "/linux/mountLabel"
CONTEXT = "/sys/fs/selinux/context"  # takes a label that the policy has, and refuses all others
PARAMETERS = frozenset(("context", "defcontext", "fscontext", "rootcontext"))
# The policy labels the files of these one by one, or by itself.
UNLABELLED = frozenset(("proc", "sysfs", "cgroup", "cgroup2"))
# The kernel takes this one's label as that of its root directory only.
BY_ATTRIBUTE = "mqueue"


def check(problems: Problems, label: str) -> None:
    """Report a label that can't be set: without SELinux the kernel knows no such parameter, and no policy has all."""
    if not os.path.exists(SELINUX_MOUNT):
        problems.add(POINTER, "this host has no SELinux; leave the label out")
    elif _is_invalid(label):
        problems.add(POINTER, f'the SELinux policy of this host does not allow the label "{label}"')


def parameters(label: str, kind: str, own: list[str]) -> list[str]:
    """Return what a new file system of this type gets beside its ``own`` parameters (mount(8): context=)."""
    if kind in UNLABELLED or kind == BY_ATTRIBUTE or any(parameter.startswith("context=") for parameter in own):
        return []
    return [f"context={label}"]


def unquoted(parameter: str) -> str:
    """Return a parameter as fsconfig(2) takes it: for mount(2) a label with commas is in quotes."""
    key, _, value = parameter.partition("=")
    return f"{key}={value[1:-1]}" if key in PARAMETERS and value.endswith('"') else parameter


def _is_invalid(label: str) -> bool:
    """Return whether the kernel says so; who may not ask it hears of the label when the first mount is made."""
    try:
        file = os.open(CONTEXT, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(file, label.encode())
    except OSError as problem:
        return problem.errno == errno.EINVAL
    finally:
        os.close(file)
    return False
