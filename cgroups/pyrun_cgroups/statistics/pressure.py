# SPDX-License-Identifier: Apache-2.0
"""Pressure stall information: for how long processes had to wait for a resource.

Files: Documentation/accounting/psi.rst; ``cpu.pressure``, ``memory.pressure``, ``io.pressure`` and, where the kernel
accounts for interrupts, ``irq.pressure``. They do not need the controller of the resource.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.statistics.files import CgroupFiles


class Stalls:
    """One line of a pressure file.

    Attributes:
        average10_percent: share of the last 10 seconds, in percent.
        average60_percent: share of the last 60 seconds, in percent.
        average300_percent: share of the last 300 seconds, in percent.
        total_microseconds: time altogether since the cgroup was made.
    """

    __slots__ = ("average10_percent", "average60_percent", "average300_percent", "total_microseconds")

    def __init__(self, line: dict[str, str]) -> None:
        """Take the values of a line.

        Raises:
            ValueError: one is no number.
        """
        self.average10_percent = float(line.get("avg10", "0"))
        self.average60_percent = float(line.get("avg60", "0"))
        self.average300_percent = float(line.get("avg300", "0"))
        self.total_microseconds = int(line.get("total", "0"))


class Pressure:
    """The pressure on one resource.

    Attributes:
        some: time in which at least one process had to wait; None where the kernel does not tell, as for interrupts.
        full: time in which all processes that could have run had to wait; None where the kernel does not tell.
    """

    __slots__ = ("full", "some")

    def __init__(self, some: Stalls | None, full: Stalls | None) -> None:
        self.some = some
        self.full = full


class PressureStatistics:
    """The pressure on all resources; None for what the kernel does not account, or was told not to.

    Attributes:
        cpu: processors (``cpu.pressure``).
        memory: memory (``memory.pressure``).
        io: input and output (``io.pressure``).
        irq: processors, of which interrupts take time (``irq.pressure``, Linux 6.1, only ``full``).
    """

    __slots__ = ("cpu", "io", "irq", "memory")

    def __init__(self, files: CgroupFiles) -> None:
        """Read them.

        Raises:
            CgroupError: they can't be read.
        """
        self.cpu = _read(files, "cpu.pressure")
        self.memory = _read(files, "memory.pressure")
        self.io = _read(files, "io.pressure")
        self.irq = _read(files, "irq.pressure")


def _read(files: CgroupFiles, name: str) -> Pressure | None:
    lines = files.tables(name)
    return Pressure(_stalls(lines, "some"), _stalls(lines, "full")) if lines else None


def _stalls(lines: dict[str, dict[str, str]], name: str) -> Stalls | None:
    try:
        return Stalls(lines[name])
    except (KeyError, ValueError):
        return None
