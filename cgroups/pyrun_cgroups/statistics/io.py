# SPDX-License-Identifier: Apache-2.0
"""What was read from and written to block devices: ``io.stat``.

Files: Documentation/admin-guide/cgroup-v2.rst, "IO Interface Files".
"""

from __future__ import annotations

from pyrun_cgroups.statistics.files import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_cgroups.statistics.files import CgroupFiles


class DeviceStatistics:
    """The use of one block device since the cgroup was made; None for what the kernel does not say.

    Attributes:
        major: the device's major number.
        minor: its minor number.
        read_bytes: bytes read (``rbytes``).
        written_bytes: bytes written (``wbytes``).
        reads: operations (``rios``).
        writes: operations (``wios``).
        discarded_bytes: bytes given back to the device (``dbytes``).
        discards: operations (``dios``).
        others: what controllers of latency and cost add, as they write it: ``cost.usage`` and its kind in
            microseconds, ``cost.vrate`` in percent, ``use_delay``, ``delay_nsec`` in nanoseconds, ``depth``,
            ``avg_lat`` and ``win`` in microseconds.
    """

    __slots__ = (
        "discarded_bytes",
        "discards",
        "major",
        "minor",
        "others",
        "read_bytes",
        "reads",
        "writes",
        "written_bytes",
    )

    def __init__(self, major: int, minor: int, values: dict[str, str]) -> None:
        self.major = major
        self.minor = minor
        others = dict(values)
        self.read_bytes = number_of(others.pop("rbytes", ""))
        self.written_bytes = number_of(others.pop("wbytes", ""))
        self.reads = number_of(others.pop("rios", ""))
        self.writes = number_of(others.pop("wios", ""))
        self.discarded_bytes = number_of(others.pop("dbytes", ""))
        self.discards = number_of(others.pop("dios", ""))
        self.others = others


class IoStatistics:
    """The use of block devices.

    Attributes:
        devices: each that was used, by "MAJOR:MINOR", in the order of these numbers.
    """

    __slots__ = ("devices",)

    def __init__(self, lines: dict[str, dict[str, str]]) -> None:
        numbers = {name: _device_numbers(name) for name in lines}
        known = [(pair, name) for name, pair in numbers.items() if pair]
        self.devices = {name: DeviceStatistics(*pair, lines[name]) for pair, name in sorted(known)}


def read(files: CgroupFiles) -> IoStatistics | None:
    """Return the use of block devices, or None without the controller.

    Raises:
        CgroupError: it can't be read.
    """
    lines = files.tables("io.stat")
    return None if lines is None else IoStatistics(lines)


def _device_numbers(name: str) -> tuple[int, int] | None:
    """Major and minor number; None for a device that has gone, whose line says "(unknown)"."""
    major, _, minor = name.partition(":")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
