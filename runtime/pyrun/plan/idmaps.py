# SPDX-License-Identifier: Apache-2.0
"""linux.uidMappings and gidMappings: who writes the maps of a new user namespace, and what can't be had in it."""

from __future__ import annotations

from pyrun.plan.namespaces import is_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems, Request

    Mappings = list[dict[str, int]]

UID, GID = "uidMappings", "gidMappings"
# Options of file systems that name an id, and the mappings that must have it.
OPTIONS = {"uid": UID, "gid": GID}


def arguments(config: Config, request: Request) -> tuple[str, str, str, str]:
    """Return what clone_init takes: uid_map, gid_map, and the programs that write them, "" for pyrun-init itself."""
    if not is_new(config, "user"):
        return "", "", "", ""
    caller, users, groups = request.caller, _mappings(config, UID), _mappings(config, GID)
    return (
        as_text(users),
        as_text(groups),
        "" if _may_write(users, caller.user, request) else caller.uid_mapper,
        "" if _may_write(groups, caller.group, request) else caller.gid_mapper,
    )


def check(config: Config, request: Request, problems: Problems) -> None:
    """Report groups that can't be set: who maps nothing but their own group must deny setgroups(2)."""
    asked = (config["process"].get("user") or {}).get("additionalGids")
    groups = _mappings(config, GID)
    if asked and request.caller.user and is_new(config, "user") and _may_write(groups, request.caller.group, request):
        problems.add(
            "/process/user/additionalGids",
            "cannot set any additional groups in a rootless container with one group id; map more in linux.gidMappings",
        )


def check_options(config: Config, mount: dict[str, Any], pointer: str, problems: Problems) -> None:
    """Report options of a file system, such as gid=5, that name an id which the new user namespace does not have."""
    if not is_new(config, "user"):
        return
    for number, option in enumerate(mount.get("options") or ()):
        name, _, value = option.partition("=")
        key = OPTIONS.get(name)
        if key and value.isascii() and value.isdigit() and not _maps(_mappings(config, key), int(value)):
            problems.add(f"{pointer}/options/{number}", f"{value} is not in /linux/{key}; map it, or remove the option")


def _maps(mappings: Mappings, number: int) -> bool:
    return any(0 <= number - each["containerID"] < each["size"] for each in mappings)


def _may_write(mappings: Mappings, own: int, request: Request) -> bool:
    """An ordinary user may map one id, their own (user_namespaces(7))."""
    return request.caller.user == 0 or [(each["hostID"], each["size"]) for each in mappings] == [(own, 1)]


def _mappings(config: Config, key: str) -> Mappings:
    mappings: Mappings = (config.get("linux") or {}).get(key) or []
    return mappings


def as_text(mappings: Mappings) -> str:
    """Return mappings as the kernel's files uid_map and gid_map take them (user_namespaces(7))."""
    return "".join(f"{each['containerID']} {each['hostID']} {each['size']}\n" for each in mappings)
