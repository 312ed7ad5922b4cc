# SPDX-License-Identifier: Apache-2.0
"""Who calls pyrun: what may be asked of the kernel, and what an ordinary user needs help for."""

from __future__ import annotations

import os

# The inode of the host's user namespace on every Linux (PROC_USER_INIT_INO, include/linux/proc_ns.h).
INITIAL_USER_NAMESPACE = 0xEFFFFFFD
DEFAULT_PATH = "/usr/bin:/bin"


class Caller:
    """The user that pyrun acts for; without arguments the host's root.

    Attributes:
        user: effective user id; 0 has all privileges that its user namespace can give.
        group: effective group id.
        is_host_root: root in the host's user namespace.
        uid_mapper: absolute path of newuidmap, which maps ids that are not the user's own.
        gid_mapper: the same of newgidmap.
    """

    __slots__ = ("gid_mapper", "group", "is_host_root", "uid_mapper", "user")

    def __init__(
        self,
        user: int = 0,
        group: int = 0,
        *,
        is_host_root: bool = True,
        uid_mapper: str = "",
        gid_mapper: str = "",
    ) -> None:
        self.user = user
        self.group = group
        self.is_host_root = is_host_root
        self.uid_mapper = uid_mapper
        self.gid_mapper = gid_mapper


def this_caller() -> Caller:
    """Return the user that this process runs as."""
    user = os.geteuid()
    if user == 0:
        return Caller(is_host_root=is_in_initial_user_namespace())
    path = os.environ.get("PATH", DEFAULT_PATH)
    return Caller(
        user,
        os.getegid(),
        is_host_root=False,
        uid_mapper=_find("newuidmap", path),
        gid_mapper=_find("newgidmap", path),
    )


def is_in_initial_user_namespace() -> bool:
    """Whether this process is in the host's user namespace.

    Raises:
        OSError: procfs is not mounted.
    """
    return os.stat("/proc/self/ns/user").st_ino == INITIAL_USER_NAMESPACE


def _find(name: str, path: str) -> str:
    """Return where the program is; where it is usually, when it can't be found."""
    for directory in path.split(":"):
        candidate = f"{directory}/{name}"
        if directory.startswith("/") and os.access(candidate, os.X_OK):
            return candidate
    return f"/usr/bin/{name}"
