# SPDX-License-Identifier: Apache-2.0
"""Whether the container's cgroup is given to the user of its program (runtime-spec config-linux, Cgroup ownership)."""

from __future__ import annotations

from pyrun.plan.mounts import destination, is_bind
from pyrun.plan.namespaces import has, is_new, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Request
    from pyrun.plan.operations import Plan

READ_ONLY = ("ro", "rro")


def add(plan: Plan, config: Config, request: Request) -> None:
    """Add the change of the cgroup's owner, if there is a cgroup namespace of the container's own to write in.

    Who is an ordinary user owns the cgroup already, and can give it to nobody else.
    """
    mounts = config.get("mounts") or ()
    if is_new(config, "cgroup") and not request.caller.user and any(_is_writable_view(mount) for mount in mounts):
        user = ((config.get("process") or {}).get("user") or {}).get("uid") or 0
        plan.add("delegate_cgroup", "/process/user/uid", _on_the_host(user, config), path_of(config, "user"))


def _is_writable_view(mount: dict[str, Any]) -> bool:
    options = mount.get("options") or ()
    return (
        mount.get("source") == "cgroup"
        and destination(mount) == "/sys/fs/cgroup"
        and not is_bind(mount)
        and not any(option in READ_ONLY for option in options)
    )


def _on_the_host(user: int, config: Config) -> int:
    """Return what the mappings of a new user namespace, which have passed the rules, make of a user."""
    if not has(config, "user") or path_of(config, "user"):
        return user
    return next(
        int(each["hostID"]) + user - int(each["containerID"])
        for each in config["linux"]["uidMappings"]
        if 0 <= user - each["containerID"] < each["size"]
    )
