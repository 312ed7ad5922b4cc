# SPDX-License-Identifier: Apache-2.0
"""The unit that ``linux.cgroupsPath`` names for systemd, and where its cgroup lies.

Names of units: systemd.unit(5); slices and their nesting: systemd.slice(5).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

SLICE, SCOPE = ".slice", ".scope"
DEFAULT_PREFIX = "pyrun"
_SYSTEM_SLICE, _USER_SLICE, _ROOT_SLICE = "system.slice", "user.slice", "-.slice"
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\\-")
_LONGEST_NAME = 255


class UnitNameError(ValueError):
    """A cgroupsPath that names no unit; its text says why and what to write instead."""


class Unit:
    """A scope, or a slice.

    Attributes:
        slice: the slice that it is in, as "machine.slice".
        name: its own name, as "pyrun-ID.scope".
    """

    __slots__ = ("name", "slice")

    def __init__(self, slice_name: str, name: str) -> None:
        """Check both names.

        Raises:
            UnitNameError: one is not the name of such a unit.
        """
        expand_slice(slice_name)
        _check(name)
        self.slice = slice_name
        self.name = name

    @property
    def is_slice(self) -> bool:
        """Whether it is for other units; a slice has no processes itself."""
        return self.name.endswith(SLICE)

    def path(self, manager: str = "/") -> str:
        """Return the path of its cgroup below the mount of cgroup2.

        Args:
            manager: the manager's own cgroup (its property ControlGroup): "/" for the system's.
        """
        within = expand_slice(self.name) if self.is_slice else f"{expand_slice(self.slice)}/{self.name}"
        return f"{manager.rstrip('/')}/{within.lstrip('/')}"

    def properties(self, description: str, pids: list[int]) -> list[Property]:
        """Return the properties with which it is started: its place, its processes, and that everything is counted.

        A scope is delegated: what is below its cgroup is none of systemd's business. It stays for nobody to look at
        when it has failed (CollectMode), so that nothing is left of one whose maker was killed.

        Args:
            description: what ``systemctl status`` shows.
            pids: the processes that a scope begins with, as systemd's PID namespace has them; none for a slice.
        """
        found: list[Property] = [("Description", ("s", description))]
        if self.is_slice:
            found.append(("Wants", ("as", [self.slice])))
        else:
            found += [
                ("Slice", ("s", self.slice)),
                ("Delegate", ("b", True)),
                ("PIDs", ("au", pids)),
                ("CollectMode", ("s", "inactive-or-failed")),
            ]
        counted = ("MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting")
        return [*found, *[(name, ("b", True)) for name in counted], ("DefaultDependencies", ("b", False))]


def unit_of(cgroups_path: str | None, container_id: str, *, user: bool = False) -> Unit:
    """Return the unit of a container.

    Args:
        cgroups_path: ``linux.cgroupsPath``, of the form ``slice:prefix:name``, for the unit ``prefix-name.scope``; a
            name that ends with ``.slice`` is that slice. Without a path, or with an empty slice or name, the default
            is taken: system.slice, for a user's manager user.slice; the prefix "pyrun"; the container's id.
        container_id: the container's id.
        user: whether it is a unit of a user's manager.

    Raises:
        UnitNameError: the path has not this form, or a part of it can't be in the name of a unit.
    """
    default = _USER_SLICE if user else _SYSTEM_SLICE
    if not cgroups_path:
        return Unit(default, f"{DEFAULT_PREFIX}-{container_id}{SCOPE}")
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        raise UnitNameError(f'"{cgroups_path}" has not the form slice:prefix:name, which the systemd manager needs')
    slice_name, prefix, name = parts
    name = name or container_id
    return Unit(slice_name or default, name if name.endswith(SLICE) else f"{prefix}-{name}{SCOPE}")


def expand_slice(name: str) -> str:
    """Return the path of a slice below its manager's cgroup: a-b.slice lies in a.slice.

    Raises:
        UnitNameError: it is no name of a slice.
    """
    if name == _ROOT_SLICE:
        return ""
    parts = name.removesuffix(SLICE).split("-")
    if not name.endswith(SLICE) or "" in parts:
        raise UnitNameError(f'"{name}" is not the name of a slice, as machine.slice or machine-web.slice are')
    _check(name)
    return "".join("/" + "-".join(parts[: depth + 1]) + SLICE for depth in range(len(parts)))


def is_scope(name: object) -> bool:
    """Return whether something is the name of a scope."""
    if not isinstance(name, str) or not name.endswith(SCOPE):
        return False
    try:
        _check(name)
    except UnitNameError:
        return False
    return True


def _check(name: str) -> None:
    if not _CHARACTERS.issuperset(name):
        raise UnitNameError(f'"{name}" is not the name of a unit: use letters, digits and any of ":_.\\-"')
    if len(name) > _LONGEST_NAME:
        raise UnitNameError(f'"{name[:40]}..." is longer than the {_LONGEST_NAME} characters of a unit\'s name')
