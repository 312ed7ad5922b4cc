# SPDX-License-Identifier: Apache-2.0
"""What the container's view of the kernel is: host and domain name, sysctl, read-only and masked paths."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config, Problems
    from pyrun.plan.operations import Plan


def set_all(plan: Plan, config: Config, problems: Problems) -> None:
    """Add names, then sysctl (which read-only paths would forbid), then the covers."""
    linux = config.get("linux") or {}
    for name in ("hostname", "domainname"):
        if config.get(name):
            plan.add(f"set_{name}", f"/{name}", config[name])
    for key, value in (linux.get("sysctl") or {}).items():
        pointer = f"/linux/sysctl/{key.replace('~', '~0').replace('/', '~1')}"
        path = _sysctl_path(key)
        if any(part in ("", ".", "..") for part in path.split("/")):
            problems.add(pointer, f'"{key}" is not the name of a kernel parameter')
        plan.add("write_sysctl", pointer, f"sys/{path}", value)
    for number, path in enumerate(linux.get("readonlyPaths") or ()):
        plan.add("readonly_path", f"/linux/readonlyPaths/{number}", path)
    for number, path in enumerate(linux.get("maskedPaths") or ()):
        plan.add("mask_path", f"/linux/maskedPaths/{number}", path)


def _sysctl_path(key: str) -> str:
    """Translate as sysctl(8) does: the separator that stands first separates, the other one is part of a name."""
    first = next((character for character in key if character in "./"), "")
    return key if first == "/" else key.translate({ord("."): "/", ord("/"): "."})
