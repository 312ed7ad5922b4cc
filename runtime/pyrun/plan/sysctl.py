# SPDX-License-Identifier: Apache-2.0
"""linux.sysctl: parameters of the container's namespaces, never of the host's."""

from __future__ import annotations

from pyrun.plan.namespaces import CLONE_FLAGS, path_of
from pyrun_spec.errors import join_pointer
from pyrun_spec.rules import namespace_of_sysctl, sysctl_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config
    from pyrun.plan.operations import Plan


def guard(plan: Plan, config: Config) -> None:
    """Add, for each namespace that is joined and gets a parameter, the check that it is not the host's own."""
    checked = set()
    for name in config["linux"]["sysctl"]:
        kind = namespace_of_sysctl(sysctl_path(name))
        path = path_of(config, kind) if kind else ""
        if kind and path and kind not in checked:
            checked.add(kind)
            plan.add("refuse_own_namespace", join_pointer("/linux/sysctl", name), CLONE_FLAGS[kind], path)


def set_all(plan: Plan, config: Config) -> None:
    """Add the writing of the parameters."""
    for name, value in config["linux"]["sysctl"].items():
        pointer, path = join_pointer("/linux/sysctl", name), sysctl_path(name)
        if path == "kernel/domainname":
            # The file belongs to the host's root, even in a user namespace that owns the name.
            plan.add("set_domainname", pointer, value)
        else:
            # Nothing written would change nothing.
            plan.add("write_sysctl", pointer, f"sys/{path}", value or "\n")
