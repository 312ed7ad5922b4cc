# SPDX-License-Identifier: Apache-2.0
"""Limits of a unit that can be taken back: its properties are then as they were, also those that were not set."""

from __future__ import annotations

from pyrun_cgroups.systemd.manager import Manager
from pyrun_cgroups.systemd.properties import properties_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyrun_cgroups.writes import Write

    Property = tuple[str, tuple[str, Any]]


WRITTEN = (
    "cpu.idle",
    "cpu.max",
    "cpu.weight",
    "io.bfq.weight",
    "io.max",
    "io.weight",
    "memory.high",
    "memory.low",
    "memory.max",
    "memory.min",
    "memory.swap.max",
    "pids.max",
)
"""Files that systemd writes anew whenever a property of a unit changes, each from its own properties."""


class PropertyChange:
    """New limits for a unit that runs."""

    def __init__(self, unit: str, writes: Iterable[Write], *, user: bool = False) -> None:
        """Nothing changes yet.

        Args:
            unit: the unit's name.
            writes: the values for the files of its cgroup.
            user: whether it is a unit of the user's manager.
        """
        self._unit, self._user = unit, user
        self._properties = properties_of(writes)
        self._before: list[Property] = []

    def make(self) -> None:
        """Set the properties, and return when systemd has written them to the cgroup.

        Raises:
            SystemdError: systemd is not there, has no such unit, or refuses a value; then nothing is changed.
        """
        if self._properties:
            with Manager(user=self._user) as manager:
                before = manager.properties_of_scope(self._unit, [name for name, _ in self._properties])
                manager.set_properties(self._unit, self._properties)
                self._before = before

    def undo(self) -> None:
        """Set what was before.

        Raises:
            SystemdError: as of `make`.
        """
        if self._before:
            with Manager(user=self._user) as manager:
                manager.set_properties(self._unit, list(_anew(self._before)))
            self._before = []


def _anew(properties: list[Property]) -> Iterable[Property]:
    """An entry of a list is added to those that are there, and an empty list removes them all."""
    for name, (signature, value) in properties:
        if signature.startswith("a("):
            yield name, (signature, [])
        if value or not signature.startswith("a("):
            yield name, (signature, value)
