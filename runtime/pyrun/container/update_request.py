# SPDX-License-Identifier: Apache-2.0
"""What `update` is asked for: by options, with runc's names and units, or by a file of linux.resources."""

from __future__ import annotations

from pyrun.errors import PyrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
UNLIMITED = "-1"
LARGEST = {"int64": 2**63 - 1, "uint64": 2**64 - 1, "uint16": 2**16 - 1}
SCHEMATA = {"l3_cache_schema": "l3CacheSchema", "mem_bw_schema": "memBwSchema"}
IGNORED = ("kernel_memory", "kernel_memory_tcp")


class UpdateRequest:
    """What is to change, and how errors name it.

    Attributes:
        resources: the properties of linux.resources that are to change, valid as the schema has it.
        source: the file that they are from; None for options.
        schemata: the properties l3CacheSchema and memBwSchema of linux.intelRdt that are to change.
    """

    __slots__ = ("resources", "schemata", "source")

    def __init__(
        self, resources: dict[str, Any], source: str | None = None, *, schemata: dict[str, str] | None = None
    ) -> None:
        self.resources = resources
        self.source = source
        self.schemata = schemata or {}

    def error(self, pointer: str, message: str) -> PyrunError:
        """Return an error about a property, given by its pointer below linux.resources."""
        if self.source is not None:
            return PyrunError(message, source=self.source, pointer=pointer)
        return PyrunError(message, source=OPTIONS_BY_POINTER.get(pointer, pointer))


def request_of(values: dict[str, Any]) -> UpdateRequest:
    """Return what the options of the command line ask for.

    With a file the options for resources are ignored, as runc does; those for resctrl are not.

    Args:
        values: options by name with underscores, each a text or None.

    Raises:
        PyrunError: a value that is none.
        pyrun_spec.errors.SpecError: the file can't be read, or is not a valid resources object.
    """
    schemata = {
        member: _text(values[name], _spelling(name)) for name, member in SCHEMATA.items() if values[name] is not None
    }
    if values["resources"] is not None:
        from pyrun_spec.resources_file import load_resources, source_of

        return UpdateRequest(load_resources(values["resources"]), source_of(values["resources"]), schemata=schemata)
    resources: dict[str, Any] = {}
    for name, (group, member, read) in OPTIONS.items():
        text = values[name]
        if text is not None:
            resources.setdefault(group, {})[member] = read(text, _spelling(name))
    for name in IGNORED:
        if values[name] is not None:
            from pyrun.cli.log import warning

            warning(f"Setting {_spelling(name)} is ignored: cgroup v2 counts all memory together")
    return UpdateRequest(resources, schemata=schemata)


def size_of(text: str, option: str) -> int:
    """Return the bytes of a size as runc takes it: ``512m``, ``1.5 GiB``, ``65536``; -1 for no limit.

    Units are powers of 1024, in any case, with or without ``b`` or ``ib`` behind them.

    Raises:
        PyrunError: it is none.
    """
    if text == UNLIMITED:
        return -1
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(digits) :].lower()
    number = digits.removesuffix(" ")
    factor = 1 if unit in ("", "b") else UNITS.get(unit[0]) if unit[1:] in ("", "b", "ib") else None
    whole, point, fraction = number.partition(".")
    if factor is None or not _are_digits(whole) or (point and not _are_digits(fraction)):
        raise PyrunError(f'invalid size: "{text}" (write bytes, or a number with k, m, g or t)', source=option)
    size = int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if point else 0)
    return _at_most(size, "int64", text, option)


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20


def _number(kind: str) -> Callable[[str, str], int]:
    def read(text: str, option: str) -> int:
        digits = text.removeprefix("-") if kind == "int64" else text
        if not _are_digits(digits):
            sign = "" if kind == "int64" else ", 0 or more"
            raise PyrunError(f'"{text}" is not a whole number{sign}', source=option)
        return _at_most(int(text), kind, text, option)

    return read


def _at_most(number: int, kind: str, text: str, option: str) -> int:
    if not -LARGEST[kind] <= number <= LARGEST[kind]:
        raise PyrunError(f"{text} is too large", source=option)
    return number


def _text(text: str, option: str) -> str:
    if not text.isprintable():
        raise PyrunError("it has characters that can't be printed", source=option)
    return text


def _spelling(name: str) -> str:
    return f"--{name.replace('_', '-')}"


OPTIONS: dict[str, tuple[str, str, Callable[[str, str], Any]]] = {
    "blkio_weight": ("blockIO", "weight", _number("uint16")),
    "cpu_burst": ("cpu", "burst", _number("uint64")),
    "cpu_idle": ("cpu", "idle", _number("int64")),
    "cpu_period": ("cpu", "period", _number("uint64")),
    "cpu_quota": ("cpu", "quota", _number("int64")),
    "cpu_rt_period": ("cpu", "realtimePeriod", _number("uint64")),
    "cpu_rt_runtime": ("cpu", "realtimeRuntime", _number("int64")),
    "cpu_share": ("cpu", "shares", _number("uint64")),
    "cpuset_cpus": ("cpu", "cpus", _text),
    "cpuset_mems": ("cpu", "mems", _text),
    "memory": ("memory", "limit", size_of),
    "memory_reservation": ("memory", "reservation", size_of),
    "memory_swap": ("memory", "swap", size_of),
    "pids_limit": ("pids", "limit", _number("int64")),
}
"""By option: group and member of linux.resources, and what reads a value."""

OPTIONS_BY_POINTER = {f"/{group}/{member}": _spelling(name) for name, (group, member, _) in OPTIONS.items()}
