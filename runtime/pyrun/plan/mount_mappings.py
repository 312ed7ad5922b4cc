# SPDX-License-Identifier: Apache-2.0
"""mounts[].uidMappings and gidMappings, idmap and ridmap: which mapping a mount gets, and who applies it."""

from __future__ import annotations

from pyrun.plan import idmaps
from pyrun.plan.mount_options import BIND, RECURSIVE, is_mapped
from pyrun.plan.namespaces import path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

    Mount = dict[str, Any]
    # uid_map and gid_map of a user namespace to be made, or the path of one that exists (user_namespaces(7)).
    Mapping = tuple[str, str, str]

# Who mounts one of these gets what belongs to a namespace of the mounter; the kernel maps the ids of none of them.
NAMESPACED = frozenset("binfmt_misc cgroup cgroup2 devpts mqueue nfsd proc rpc_pipefs sysfs".split())


def assign(config: Config, request: Request) -> dict[int, int]:
    """Return what operations take as the mapping of a mount, by the number of the mount in the config."""
    mapped = _mapped(config, request)
    mappings = list(dict.fromkeys(_mapping_of(config, mount) for _, mount in mapped))
    return {
        number: mappings.index(_mapping_of(config, mount)) | (RECURSIVE if _is_recursive(mount) else 0)
        for number, mount in mapped
    }


def open_all(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    """Add the making, or opening, of the user namespaces that stand for mappings; report what can't be mapped."""
    opened: list[Mapping] = []
    for number, mount in _mapped(config, request):
        pointer = f"/mounts/{number}/{_asking(mount)}"
        _check(mount, pointer, request, problems)
        mapping = _mapping_of(config, mount)
        if mapping not in opened:
            opened.append(mapping)
            plan.add("open_id_mapping", pointer, *mapping)


def separate_layers(parameters: list[str], bundle: str) -> list[str]:
    """Return the parameters of an overlay with each lower layer by itself, and paths that don't begin in ``bundle``.

    overlayfs can't be id-mapped itself; its layers can, one by one (since Linux 5.19).
    """
    separated: list[str] = []
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key == "lowerdir":
            from pyrun.plan.root import split_layers

            lower, *data = value.split("::")
            separated += [f"lowerdir+={_absolute(path, bundle)}" for path in split_layers(lower)]
            separated += [f"datadir+={_absolute(path, bundle)}" for each in data for path in split_layers(each)]
        elif key in ("lowerdir+", "datadir+", "upperdir", "workdir"):
            separated.append(f"{key}={_absolute(value, bundle)}")
        else:
            separated.append(parameter)
    return separated


def _mapped(config: Config, request: Request) -> list[tuple[int, Mount]]:
    mounts = enumerate(config.get("mounts") or ())
    return [(number, mount) for number, mount in mounts if is_mapped(mount) and not _is_mapped_by_birth(mount, request)]


def _is_mapped_by_birth(mount: Mount, request: Request) -> bool:
    """A file system that an ordinary user mounts has the mapping of the user namespace that it is mounted in."""
    is_bind = any(option in BIND for option in mount.get("options") or ())
    return bool(request.caller.user) and not mount.get("uidMappings") and not is_bind


def _mapping_of(config: Config, mount: Mount) -> Mapping:
    """Spec: the mount's own mappings, or else those of the container's user namespace."""
    if not mount.get("uidMappings"):
        path = path_of(config, "user")
        if path:
            return "", "", path
        mount = config.get("linux") or {}
    return idmaps.as_text(mount.get(idmaps.UID) or []), idmaps.as_text(mount.get(idmaps.GID) or []), ""


def _is_recursive(mount: Mount) -> bool:
    return [option for option in mount.get("options") or () if option in ("idmap", "ridmap")][-1:] == ["ridmap"]


def _asking(mount: Mount) -> str:
    """Return the place in ``mount`` of what asks for a mapping."""
    if mount.get("uidMappings"):
        return "uidMappings"
    return next(f"options/{index}" for index, name in enumerate(mount["options"]) if name in ("idmap", "ridmap"))


def _check(mount: Mount, pointer: str, request: Request, problems: Problems) -> None:
    remedy = "remove the mappings, and the options idmap and ridmap"
    options = mount.get("options") or ()
    if "remount" in options:
        problems.add(pointer, f"a mount that is there can't get other ids; {remedy}, or remount")
    elif mount.get("type") in NAMESPACED and not any(option in BIND for option in options):
        problems.add(pointer, f"the filesystem {mount['type']} can't be id-mapped; {remedy}")
    elif request.caller.user:
        problems.add(pointer, f"the kernel lets only root map the ids of a mount; {remedy}, or be root")


def _absolute(path: str, bundle: str) -> str:
    return path if path.startswith("/") else f"{bundle}/{path}"
