# SPDX-License-Identifier: Apache-2.0
"""Config to plan: which kernel operations make the container that config.json describes, and in which order.

``create`` has the plan of a container, ``exec`` that of one more process in it; the other modules add the operations of
one concern each. Compiling is pure: what it needs to know of the host and of the command line comes in a
:class:`Request`.
"""

from __future__ import annotations

from pyrun.caller import Caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Config = dict[str, Any]


class Request:
    """What a plan depends on beside config.json.

    Attributes:
        container_id: the container's id.
        bundle: absolute path of the bundle.
        cgroup_mount: where cgroup2 is mounted on the host, or None.
        cgroup_controllers: the controllers that cgroups below that mount can have.
        resctrl_mount: where resctrl is mounted, or None to look for it when it is needed.
        own_cgroup: pyrun's own cgroup below that mount; relative cgroup paths start beside it.
        seccomp_cache: directory of compiled filters, or None.
        no_pivot: cover the old root instead of pivoting away from it (for a root in an initramfs).
        keyring: name of the container's session keyring, or None to keep the caller's.
        listen_descriptors: how many descriptors of socket activation the program gets, from 3 on.
        listen_names: their names as LISTEN_FDNAMES has them, or "".
        notify_directory: absolute path of the directory of the socket for notifications, or None.
        caller: the user that pyrun acts for.
        scope: path below that mount of the cgroup of the container's scope, or None where systemd makes none.
        cgroup_denied: stay in pyrun's own cgroup where config.json names none: no other can be made beside it.
    """

    __slots__ = (
        "bundle",
        "caller",
        "cgroup_controllers",
        "cgroup_denied",
        "cgroup_mount",
        "container_id",
        "keyring",
        "listen_descriptors",
        "listen_names",
        "no_pivot",
        "notify_directory",
        "own_cgroup",
        "resctrl_mount",
        "scope",
        "seccomp_cache",
    )

    def __init__(
        self,
        container_id: str,
        bundle: str,
        *,
        cgroup_mount: str | None = None,
        cgroup_controllers: list[str] | None = None,
        resctrl_mount: str | None = None,
        own_cgroup: str = "/",
        scope: str | None = None,
        seccomp_cache: str | None = None,
        no_pivot: bool = False,
        keyring: str | None = "_ses.ID",
        listen_descriptors: int = 0,
        listen_names: str = "",
        notify_directory: str | None = None,
        caller: Caller | None = None,
        cgroup_denied: bool = False,
    ) -> None:
        self.container_id = container_id
        self.bundle = bundle
        self.cgroup_mount = cgroup_mount
        self.cgroup_controllers = cgroup_controllers or []
        self.resctrl_mount = resctrl_mount
        self.own_cgroup = own_cgroup
        self.scope = scope
        self.seccomp_cache = seccomp_cache
        self.no_pivot = no_pivot
        self.keyring = keyring
        self.listen_descriptors = listen_descriptors
        self.listen_names = listen_names
        self.notify_directory = notify_directory
        self.caller = caller or Caller()
        self.cgroup_denied = cgroup_denied


class Problems:
    """What can't be compiled, gathered so that one look at the config finds everything.

    Attributes:
        found: (JSON pointer, message) of each problem, in the order of discovery.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, pointer: str, message: str) -> None:
        """Remember that the property at ``pointer`` can't be obeyed, and why."""
        self.found.append((pointer, message))
