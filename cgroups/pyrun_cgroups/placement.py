# SPDX-License-Identifier: Apache-2.0
"""Where a container's cgroup lies: the cgroup2 mount, and the path below it.

Paths of cgroups are as in ``/proc/PID/cgroup``: absolute, with the mount's root as ``/`` (cgroups(7)).
"""

from __future__ import annotations

import os

_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where systemd mounts cgroup2: alone, or in hybrid mode beside the hierarchies of version 1."""

_LONGEST_NAME = 255
"""Bytes of one name in a path (NAME_MAX)."""


class CgroupPathError(ValueError):
    """A cgroupsPath that names no cgroup for a container; its text says why and what to write instead."""


def find_cgroup2() -> str | None:
    """Return the path of the cgroup2 mount, or None where there is none at either usual place.

    The file ``cgroup.controllers`` is in every cgroup of version 2 and in none of version 1.
    """
    for mount in _MOUNTS:
        try:
            os.stat(mount + "/cgroup.controllers")
        except OSError:
            continue
        return mount
    return None


def controllers(mount: str) -> list[str]:
    """Return the names of the controllers that cgroups below a mount can have.

    A controller that a hierarchy of version 1 has is not among them (cgroups(7)).

    Args:
        mount: what `find_cgroup2` returns.

    Raises:
        OSError: it can't be read.
    """
    descriptor = os.open(mount + "/cgroup.controllers", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096).decode("ascii").split()
    finally:
        os.close(descriptor)


def own_cgroup() -> str:
    """Return the cgroup of this process, as its cgroup namespace shows it.

    Raises:
        OSError: procfs is not mounted, or the kernel has no cgroup2.
    """
    descriptor = os.open("/proc/self/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    try:
        memberships = b""
        while chunk := os.read(descriptor, 65536):
            memberships += chunk
    finally:
        os.close(descriptor)
    for line in memberships.split(b"\n"):
        if line.startswith(b"0::"):
            return os.fsdecode(line[3:])
    raise FileNotFoundError(2, "no cgroup2 hierarchy", "/proc/self/cgroup")


def may_have_sibling(mount: str, own_cgroup: str) -> bool:
    """Return whether this process may make a cgroup beside its own, and start processes in there.

    That takes write access to the cgroup above both, and to its list of processes (cgroups(7), "Cgroup delegation
    containment"). For a process in the root cgroup it is the root itself.

    Args:
        mount: what `find_cgroup2` returns.
        own_cgroup: what `own_cgroup` returns.
    """
    parent = mount + "/" + "/".join(_components(own_cgroup)[:-1])
    return all(os.access(path, os.W_OK, effective_ids=True) for path in (parent, parent + "/cgroup.procs"))


def cgroup_path(cgroups_path: str | None, container_id: str, own_cgroup: str) -> str:
    """Return the cgroup of a container as the ``cgroupfs`` manager of runc places it.

    An absolute path is taken from the mount's root. A relative one is taken from the parent of the runtime's
    own cgroup, which has no processes itself and so can have children with controllers; without a path the
    container's id is the relative path. ``..`` goes no higher than the root, before anything is joined:
    so no path leads outside, and a relative one stays below where it starts. The form
    ``slice:prefix:name`` means something to the systemd manager only; here it is a relative path.

    Args:
        cgroups_path: ``linux.cgroupsPath``; empty means the same as absent (runtime-spec config-linux.md,
            "Cgroups Path").
        container_id: the container's id, without ``/``.
        own_cgroup: what `own_cgroup` returns.

    Raises:
        CgroupPathError: the path holds the runtime itself, as the root does, or a NUL character.
    """
    own = _components(own_cgroup)
    path = cgroups_path or container_id
    if "\0" in path:
        raise CgroupPathError("a cgroup's path cannot have a NUL character")
    components = _components(path)
    if any(len(os.fsencode(name)) > _LONGEST_NAME for name in components):
        raise CgroupPathError(f"a part of a cgroup's path is longer than {_LONGEST_NAME} bytes")
    if not path.startswith("/"):
        components = own[:-1] + components
    if components == own[: len(components)]:
        raise CgroupPathError(f'"{path}" is a cgroup that the runtime itself is in: name another')
    return "/" + "/".join(components)


def _components(path: str) -> list[str]:
    """Return the names in a path, without empty ones and dots, ``..`` resolved against a root."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return names
