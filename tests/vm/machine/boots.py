# SPDX-License-Identifier: Apache-2.0
"""The kinds of machines that a test can ask for: `@pytest.mark.machine("systemd")`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Boot:
    """How a machine is started; `parameters` are more of the kernel's.

    More than one processor makes everything slower: they wait for each other, and QEMU emulates them one by one where
    the host has none to spare.
    """

    name: str
    systemd: bool = False
    parameters: tuple[str, ...] = ()
    processors: int = 1


BOOTS = {
    boot.name: boot
    for boot in (
        Boot("plain"),
        Boot("systemd", systemd=True),
        Boot("processors", systemd=True, processors=2),
        Boot("selinux", parameters=("security=selinux",)),
    )
}
