# SPDX-License-Identifier: Apache-2.0
"""Values for files of a cgroup as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)).

systemd keeps the properties, and writes them to the files again when it likes. What has no property (hugetlb, rdma,
misc, cpu.max.burst), and what systemd would have to guess, is left out: it stands in the files alone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyrun_cgroups.writes import Write

    Variant = tuple[str, Any]
    Property = tuple[str, Variant]

INFINITY = 0xFFFF_FFFF_FFFF_FFFF
_DEFAULT_PERIOD_MICROSECONDS = 100_000
_SECOND, _PERCENT = 1_000_000, 10_000  # microseconds; of a second
_MOST_NUMBERS = 8192
_LARGEST_WEIGHT = 10_000
_SUFFIXES = {"k": 10, "m": 20, "g": 30, "t": 40}

# File: property, and the lowest value that systemd takes.
_SIZES = {
    "memory.min": ("MemoryMin", 0),
    "memory.low": ("MemoryLow", 0),
    "memory.high": ("MemoryHigh", 1),
    "memory.max": ("MemoryMax", 1),
    "memory.swap.max": ("MemorySwapMax", 0),
}
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
_RATES = {
    "rbps": "IOReadBandwidthMax",
    "wbps": "IOWriteBandwidthMax",
    "riops": "IOReadIOPSMax",
    "wiops": "IOWriteIOPSMax",
}


def properties_of(writes: Iterable[Write]) -> list[Property]:
    """Return the properties that say the same as writes to the files of a cgroup; of several to a file the last counts.

    A value that is not understood is left out: the kernel says what is wrong with it when it is written. A CPUWeight
    of 0, for cpu.idle, is known since systemd 252.
    """
    values: dict[str, Variant] = {}
    for write in writes:
        choices = [(write.file, write.value), *([write.instead] if write.instead else [])]
        for file, value in choices:
            try:
                for name, variant in _properties(file, value.strip()):
                    values[name] = _merged(values.get(name), variant)
            except ValueError:
                continue
    return list(values.items())


def _properties(file: str, value: str) -> list[Property]:
    """Return what stands for one value.

    Raises:
        ValueError: it is not understood.
    """
    if file in _SIZES:
        name, lowest = _SIZES[file]
        return [(name, ("t", _size(value, lowest)))]
    if file in _SETS:
        return [(_SETS[file], ("ay", _bits(value)))]
    if file == "pids.max":
        return [("TasksMax", ("t", _number(value, 1)))]
    if file == "cpu.max":
        return _quota(value)
    if file == "cpu.weight":
        return [("CPUWeight", ("t", _weight(value)))]
    if file == "cpu.idle":
        return [("CPUWeight", ("t", 0))] if value == "1" else []
    if file == "io.weight":
        return _io_weight(value)
    if file == "io.max":
        return _io_rates(value)
    return []


def _merged(before: Variant | None, new: Variant) -> Variant:
    """Return the new value; of a list of devices also the others in the old one."""
    if before is None or new[0] != "a(st)":
        return new
    return "a(st)", list({**dict(before[1]), **dict(new[1])}.items())


def _number(text: str, lowest: int = 0, highest: int = INFINITY) -> int:
    number = INFINITY if text == "max" else int(text)
    if not lowest <= number <= highest:
        raise ValueError(text)
    return number


def _weight(text: str) -> int:
    return _number(text, 1, _LARGEST_WEIGHT)


def _size(text: str, lowest: int) -> int:
    """Bytes as the kernel reads them, with K, M, G or T (memparse)."""
    shift = _SUFFIXES.get(text[-1:].lower())
    return _number(text, lowest) if shift is None else min(_number(text[:-1], lowest) << shift, INFINITY)


def _bits(text: str) -> bytes:
    """A list as ``0-3,7`` (cpuset(7), "List format"), the lowest bit of the first byte for 0; none lifts the limit."""
    bits = 0
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        low, high = _number(first), _number(last if dash else first)
        if not low <= high < _MOST_NUMBERS:
            raise ValueError(text)
        bits |= (1 << high + 1) - (1 << low)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _quota(text: str) -> list[Property]:
    """``cpu.max`` has microseconds a period, systemd microseconds a second, and rounds those to whole percents."""
    quota, _, period = text.partition(" ")
    length = _number(period, 1) if period else _DEFAULT_PERIOD_MICROSECONDS
    share = INFINITY
    if quota != "max":
        share = -(-(_number(quota, 1) * _SECOND // length) // _PERCENT) * _PERCENT
    return [("CPUQuotaPeriodUSec", ("t", length)), ("CPUQuotaPerSecUSec", ("t", share))]


def _io_weight(text: str) -> list[Property]:
    words = text.split()
    if len(words) == 2 and words[0] != "default":
        return [("IODeviceWeight", ("a(st)", [(_device(words[0]), _weight(words[1]))]))]
    return [("IOWeight", ("t", _weight(words[-1] if words else "")))]


def _io_rates(text: str) -> list[Property]:
    device, *rates = text.split() or [""]
    pairs = [rate.partition("=") for rate in rates]
    path = _device(device)
    return [(_RATES[key], ("a(st)", [(path, _number(value))])) for key, _, value in pairs if key in _RATES]


def _device(numbers: str) -> str:
    major, minor = map(_number, numbers.split(":"))
    return f"/dev/block/{major}:{minor}"
