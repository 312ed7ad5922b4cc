# SPDX-License-Identifier: Apache-2.0
"""The table of what containers use, as lines of text."""

from __future__ import annotations

from pyrun_cgroups.statistics import UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrun.watch.usage import Usage

_TITLES = ("CONTAINER", "CPU %", "MEMORY", "TASKS", "OOM", "READ/s", "WRITE/s", "WAIT cpu/mem/io")
# Wide enough for almost everything, so that columns stay where they are; with the spaces between them 80 columns.
_WIDTHS = (10, 6, 11, 7, 4, 6, 7, 15)
_GAP = "  "
_UNITS = ("B", "K", "M", "G", "T", "P", "E")
_UNKNOWN = "-"
_CUT = "~"


def table(usages: Sequence[Usage], columns: int | None = None) -> list[str]:
    """Return the table: the line of titles, and one for each container.

    Args:
        usages: what containers use.
        columns: where there is so little room, long ids are cut off, to no less than ten characters.
    """
    width = max([_WIDTHS[0], *[len(usage.container_id) for usage in usages]])
    if columns is not None:
        width = max(_WIDTHS[0], min(width, columns - sum(_WIDTHS[1:]) - len(_GAP) * len(_WIDTHS[1:])))
    return [_line(cells, width) for cells in (_TITLES, *[_cells(usage) for usage in usages])]


def _line(cells: Sequence[str], width: int) -> str:
    name = cells[0] if len(cells[0]) <= width else cells[0][: width - 1] + _CUT
    numbers = [cell.rjust(size) for cell, size in zip(cells[1:], _WIDTHS[1:], strict=True)]
    return _GAP.join([name.ljust(width), *numbers])


def _cells(usage: Usage) -> tuple[str, ...]:
    return (
        usage.container_id,
        _UNKNOWN if usage.cpu_percent is None else f"{usage.cpu_percent:.1f}",
        _of(_bytes(usage.memory_bytes), _bytes(usage.memory_limit_bytes)),
        _of(_count(usage.tasks), _count(usage.task_limit)),
        _count(usage.oom_kills),
        _bytes(usage.read_bytes_per_second),
        _bytes(usage.written_bytes_per_second),
        "/".join([_UNKNOWN if wait is None else f"{wait:.0f}%" for wait in usage.waits_percent]),
    )


def _of(used: str, limit: str) -> str:
    """What is used of a limit, if there is one."""
    return used if limit == _UNKNOWN else f"{used}/{limit}"


def _count(value: int | None) -> str:
    return _UNKNOWN if value is None or value == UNLIMITED else str(value)


def _bytes(value: float | None) -> str:
    """A number of bytes in units of 1024, with at least two digits above one unit."""
    if value is None or value == UNLIMITED:
        return _UNKNOWN
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.1f}{_UNITS[unit]}" if unit and value < 99.95 else f"{value:.0f}{_UNITS[unit]}"
