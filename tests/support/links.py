# SPDX-License-Identifier: Apache-2.0
"""Network devices of the private host, as ip(8) makes and shows them.

They are ifb devices, which need no other machine and are there wherever the kernel has traffic control, unless a test
asks for another kind.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from support.waiting import PATIENCE

# What a test gets to make devices with: a name, addresses, and words for another kind.
MakeDevice = Callable[..., None]


def ip(*words: str, namespace: int | None = None) -> str:
    """Runs ip(8), in the network namespace of a process if one is given, and returns its output."""
    entering = () if namespace is None else ("nsenter", f"--net=/proc/{namespace}/ns/net")
    ended = subprocess.run([*entering, "ip", *words], capture_output=True, text=True, timeout=PATIENCE * 30)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def devices(namespace: int | None = None) -> dict[str, dict[str, Any]]:
    """Returns the network devices of a namespace by name, as ip(8) shows them."""
    return {each["ifname"]: each for each in json.loads(ip("-json", "address", "show", namespace=namespace))}


def addresses(device: dict[str, Any]) -> list[str]:
    """Returns the addresses of global scope that a device has, in their order."""
    return [f"{each['local']}/{each['prefixlen']}" for each in device["addr_info"] if each["scope"] == "global"]


def is_up(device: dict[str, Any]) -> bool:
    """Tells whether a device is switched on."""
    return "UP" in device["flags"]


@contextlib.contextmanager
def devices_for_a_while() -> Iterator[MakeDevice]:
    """Yields a function that makes a device; it is switched on if it gets addresses, and removed afterwards."""
    made: list[str] = []

    def make(name: str, *given: str, kind: tuple[str, ...] = ("type", "ifb")) -> None:
        ip("link", "add", name, *kind)
        made.append(name)
        if given:
            ip("link", "set", name, "up")
        for address in given:
            ip("address", "add", address, "dev", name)

    try:
        yield make
    finally:
        for name in made:
            with contextlib.suppress(AssertionError):
                ip("link", "delete", name)
