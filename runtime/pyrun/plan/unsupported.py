# SPDX-License-Identifier: Apache-2.0
"""What OCI runtime-spec 1.3.0 defines and this version of pyrun can't do yet: refused, never ignored."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems

# Path of the property, and the values that ask for nothing beside the empty ones.
PROPERTIES: tuple[tuple[tuple[str, ...], tuple[object, ...]], ...] = (
    (("process", "apparmorProfile"), ("unconfined",)),
    (("process", "selinuxLabel"), ()),
    (("process", "scheduler"), ()),
    (("process", "ioPriority"), ()),
    (("linux", "intelRdt"), ()),
    (("linux", "memoryPolicy"), ()),
    (("linux", "mountLabel"), ()),
    (("linux", "netDevices"), ()),
    (("linux", "personality"), ()),
    (("linux", "timeOffsets"), ()),
)


def find(config: Config, problems: Problems) -> None:
    """Report every property of ``config`` that asks for something this version can't do."""
    for path, harmless in PROPERTIES:
        value: Any = config
        for name in path:
            value = value.get(name) if value else None
        if value and value not in harmless:
            problems.add("/" + "/".join(path), _words(path[-1]))
    for number, mount in enumerate(config.get("mounts") or ()):
        if mount.get("uidMappings"):
            problems.add(f"/mounts/{number}/uidMappings", _words("uidMappings"))


def _words(name: str) -> str:
    return f"{name} is not supported by this version of pyrun; remove it"
