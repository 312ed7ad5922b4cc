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

_LONGEST_PATH = 4096 - 512
"""Bytes of a cgroup's path: with the mount before it and a file's name behind it, it goes in one call (PATH_MAX)."""

_READ_SIZE = 65536


class CgroupPathError(ValueError):
    """A cgroupsPath that names no cgroup for a container; its text says why and what to write instead."""


def mounted() -> tuple[str, list[str]] | None:
    """Return the path of the cgroup2 mount and the controllers that cgroups below it can have.

    The file ``cgroup.controllers`` is in every cgroup of version 2 and in none of version 1. A controller that a
    hierarchy of version 1 has is not among those in it (cgroups(7)).

    Returns:
        None where cgroup2 is mounted at neither of the usual places.
    """
    for mount in _MOUNTS:
        try:
            names = _read(mount + "/cgroup.controllers")
        except OSError:
            continue
        return mount, names.decode("ascii").split()
    return None


def find_cgroup2() -> str | None:
    """Return the path of the cgroup2 mount, or None where there is none at either usual place."""
    found = mounted()
    return found[0] if found else None


def own_cgroup() -> str:
    """Return the cgroup of this process, as its cgroup namespace shows it.

    Raises:
        OSError: procfs is not mounted, or the kernel has no cgroup2.
    """
    for line in _read("/proc/self/cgroup").split(b"\n"):
        if line.startswith(b"0::"):
            return os.fsdecode(line[3:])
    raise FileNotFoundError(2, "no cgroup2 hierarchy", "/proc/self/cgroup")


def why_missing(controller: str) -> str:
    """Return why cgroups of version 2 do not have a controller here, and what is to be done, as the end of a sentence.

    It is what /proc/cgroups says (cgroups(7), "/proc files").

    Args:
        controller: its name in version 2.
    """
    known: dict[str, list[str]] = {}
    try:
        known = {line.split()[0]: line.split()[1:] for line in _read("/proc/cgroups").decode("ascii").splitlines()}
    except OSError:
        pass
    hierarchy, _, enabled = known.get("blkio" if controller == "io" else controller, ("0", "", ""))
    if hierarchy != "0":
        return f"as cgroup v1 has it: remove the limit, or boot with cgroup_no_v1={controller}"
    if enabled == "0":
        return f"as it is disabled: remove the limit, or boot with cgroup_enable={controller}"
    if enabled:
        return "as the mounted cgroup does not get it from above: remove the limit, or have the controller delegated"
    return "as the kernel is made without it: remove the limit"


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
        CgroupPathError: the path holds the runtime itself, as the root does, or a NUL character, or is too long.
    """
    # A process outside of its cgroup namespace: what is beside it can't be seen from here (cgroup_namespaces(7)).
    own = [] if own_cgroup.startswith("/..") else _components(own_cgroup)
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
    whole = "/" + "/".join(components)
    if len(os.fsencode(whole)) > _LONGEST_PATH:
        raise CgroupPathError(f"a cgroup's path is longer than {_LONGEST_PATH} bytes")
    return whole


def _read(path: str) -> bytes:
    """Return the content of a file that the kernel fills as far as there is room: less than that is all."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = chunk = os.read(descriptor, _READ_SIZE)
        while len(chunk) == _READ_SIZE:
            chunk = os.read(descriptor, _READ_SIZE)
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _components(path: str) -> list[str]:
    """Return the names in a path, without empty ones and dots, ``..`` resolved against a root."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return names
