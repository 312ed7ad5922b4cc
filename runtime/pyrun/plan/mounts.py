# SPDX-License-Identifier: Apache-2.0
"""mounts: which operations make them: a bind, a new file system, or a change of the mount that stands there."""

from __future__ import annotations

from pyrun.plan import idmaps
from pyrun.plan.mount_options import (
    BIND,
    MS_PRIVATE,
    MS_UNBINDABLE,
    NO_SLOT,
    NODEV,
    NOEXEC,
    NOSUID,
    PROPAGATION,
    RDONLY,
    SHARED,
    Attributes,
    Options,
    check,
    is_mapped,
    read_options,
)
from pyrun.plan.namespaces import has, is_new
from pyrun.plan.process import NOTIFY_DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

    Mount = dict[str, Any]

# Flags of mounts, as runtime/init/mounts.h takes them, beside those of mount_options.
INSIDE_PROCFS, NO_SYMLINKS, REMEMBERED = 1, 2, 4

UNBINDABLE = frozenset(("unbindable", "runbindable"))
# What lxcfs and engines mount over single files of procfs; anything else there would answer for the kernel.
PROCFS_FILES = frozenset(
    """/proc/cpuinfo /proc/diskstats /proc/loadavg /proc/meminfo /proc/net/dev /proc/slabinfo /proc/stat /proc/swaps
    /proc/sys/kernel/ns_last_pid /proc/uptime""".split()
)


def open_sources(plan: Plan, config: Config, request: Request, problems: Problems) -> bool:
    """Add the opening of sources by the outer stage, which can reach and map what a user namespace's root can't.

    Returns whether any is opened.
    """
    mappings = _mappings(config, request)
    if mappings:
        from pyrun.plan import mount_mappings

        mount_mappings.open_all(plan, config, request, problems)
    opened = _opened(config, mappings)
    for number in opened:
        mount = config["mounts"][number]
        mapping = mappings.get(number, NO_SLOT)
        if is_bind(mount):
            recursive = int("rbind" in mount["options"])
            plan.add("open_bind_source", f"/mounts/{number}/source", _source(mount, request), recursive, mapping)
        else:
            _open_filesystem(plan, config, number, mapping, request)
    if request.notify_directory is not None and is_new(config, "user"):
        plan.add("open_bind_source", "", request.notify_directory, 0, NO_SLOT)
    return bool(opened)


def add_all(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    """Add all mounts, in the order of the config."""
    mappings = _mappings(config, request)
    opened = _opened(config, mappings)
    remembered = _looked_for_again(config)
    if _label(config):
        from pyrun.plan import mount_label

        mount_label.check(problems, _label(config))
    for number, mount in enumerate(config.get("mounts") or ()):
        options = read_options(mount)
        check(mount, options, f"/mounts/{number}", problems)
        options.flags |= _flags(destination(mount), remembered)
        options.propagation = [change for change in options.propagation if not change & MS_UNBINDABLE]
        if number in opened:
            options.slot = opened.index(number)
        else:
            options.mapping = mappings.get(number, NO_SLOT)
        _add_mount(plan, config, number, request, options, problems)
    if request.notify_directory is not None:
        slot = len(opened) if is_new(config, "user") else NO_SLOT
        _add_notify_directory(plan, request.notify_directory, slot, remembered)


def _add_mount(plan: Plan, config: Config, number: int, request: Request, options: Options, problems: Problems) -> None:
    mount, pointer = config["mounts"][number], f"/mounts/{number}"
    if options.remount:
        from pyrun.plan import shared_filesystems

        shared_filesystems.settle_remount(config, number, options, problems)
        _add_remount(plan, mount, pointer, options)
    elif options.bind is not None:
        # CVE-2023-25809: the host's cgroups are below, and who maps a user to root may own some.
        if options.bind and _is_readonly(options) and destination(mount) == "/sys" and has(config, "user"):
            options.recursive.take("ro")
        _add_bind(plan, mount, pointer, _source(mount, request), options, problems)
    elif mount.get("type") in ("cgroup", "cgroup2"):
        _add_cgroup(plan, config, mount, pointer, request, options, problems)
    else:
        _add_new(plan, config, mount, pointer, request, options, problems)


def _add_new(
    plan: Plan,
    config: Config,
    mount: Mount,
    pointer: str,
    request: Request,
    options: Options,
    problems: Problems,
) -> None:
    if mount.get("type") in SHARED:
        from pyrun.plan import shared_filesystems

        shared_filesystems.settle_new(mount, pointer, options, problems)
    if options.slot == NO_SLOT:
        idmaps.check_options(config, mount, pointer, problems)
    if options.mapping != NO_SLOT:
        _take_layers(mount, options, request)
    if _label(config):
        _add_labelled_filesystem(plan, config, mount, pointer, options, problems)
    else:
        _add_filesystem(plan, mount, pointer, mount.get("type") or "", options, problems)


def _label(config: Config) -> str:
    return (config.get("linux") or {}).get("mountLabel") or ""


def make_readonly(plan: Plan, config: Config) -> None:
    """Add what was put off: a read-only tmpfs took the devices and mount points of the others before."""
    late: dict[str, str] = {}
    for number, mount in enumerate(config.get("mounts") or ()):
        path = destination(mount)
        if _is_late_readonly(mount):
            late[path] = f"/mounts/{number}/options"
        elif path in late and not _leaves_readonly(mount):
            del late[path]
    for path, pointer in late.items():
        plan.add("readonly_mount", pointer, path)


def propagate(plan: Plan, config: Config) -> None:
    """Add what was put off: nothing covers an unbindable mount, and a whole tree's propagation is not each mount's."""
    of_all = _propagates_all(config)
    for number, mount in enumerate(config.get("mounts") or ()):
        if _is_late_propagated(mount, of_all):
            asked = read_options(mount).propagation
            plan.add("propagate_mount", f"/mounts/{number}/options", destination(mount), asked)


def destination(mount: Mount) -> str:
    """Return the destination as :func:`normal_path` writes it; a relative one, which OCI deprecates, is below "/"."""
    return normal_path(mount["destination"])


def normal_path(path: str) -> str:
    """Return ``path`` as an absolute path with no empty, ``.`` or ``..`` component.

    As the root's owner may have made any component a link, the path is resolved again, by the kernel; here ``..``
    only ever means what was written.
    """
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def is_bind(mount: Mount) -> bool:
    """Whether the options make the mount a new bind, whatever its type says."""
    options = mount.get("options") or ()
    return any(option in BIND for option in options) and "remount" not in options


def _binds(config: Config) -> list[tuple[int, Mount]]:
    return [(number, mount) for number, mount in enumerate(config.get("mounts") or ()) if is_bind(mount)]


def _mappings(config: Config, request: Request) -> dict[int, int]:
    """Return what operations take as the mapping of each mount whose ids are mapped, by its number."""
    if not any(map(is_mapped, config.get("mounts") or ())):
        return {}
    from pyrun.plan import mount_mappings

    return mount_mappings.assign(config, request)


def _opened(config: Config, mappings: dict[int, int]) -> list[int]:
    """Return the numbers of the mounts that the outer stage opens, in the order of their slots."""
    if is_new(config, "user"):
        return sorted({number for number, _ in _binds(config)} | mappings.keys())
    return sorted(mappings) if has(config, "user") else []


def _source(mount: Mount, request: Request) -> str:
    source: str = mount.get("source") or ""
    return source if source.startswith("/") or not source else f"{request.bundle}/{source}"


def _is_readonly(options: Options) -> bool:
    return bool((options.attributes.set | options.recursive.set) & RDONLY)


def _is_late_readonly(mount: Mount) -> bool:
    if mount.get("type") != "tmpfs":
        return False
    options = read_options(mount)
    return options.bind is None and _is_readonly(options)


def _leaves_readonly(mount: Mount) -> bool:
    options = read_options(mount)
    return options.remount and not (options.attributes.clear | options.recursive.clear) & RDONLY


def _looked_for_again(config: Config) -> list[str]:
    """Return the paths that later operations look for; they are looked for in the mounts that were made there."""
    linux = config.get("linux") or {}
    paths = [normal_path(path) for name in ("readonlyPaths", "maskedPaths") for path in linux.get(name) or ()]
    of_all = _propagates_all(config)
    for mount in config.get("mounts") or ():
        options = mount.get("options") or ()
        if "remount" in options or _is_late_readonly(mount) or _is_late_propagated(mount, of_all):
            paths.append(destination(mount))
    return paths


def _propagates_all(config: Config) -> bool:
    return ((config.get("linux") or {}).get("rootfsPropagation") or "").startswith("r")


def _is_late_propagated(mount: Mount, of_all: bool) -> bool:
    options = mount.get("options") or ()
    return not UNBINDABLE.isdisjoint(options) or (of_all and not PROPAGATION.keys().isdisjoint(options))


def _flags(path: str, remembered: list[str]) -> int:
    inside = INSIDE_PROCFS if path in PROCFS_FILES else 0
    prefix = "/" if path == "/" else f"{path}/"
    return inside | (REMEMBERED if any(f"{each}/".startswith(prefix) for each in remembered) else 0)


def _open_filesystem(plan: Plan, config: Config, number: int, mapping: int, request: Request) -> None:
    mount = config["mounts"][number]
    options = read_options(mount)
    kind = mount.get("type") or ""
    _take_layers(mount, options, request)
    if _label(config):
        from pyrun.plan import mount_label

        options.parameters += mount_label.parameters(_label(config), kind, options.parameters)
    plan.add(
        "open_filesystem",
        f"/mounts/{number}",
        destination(mount),
        kind,
        mount.get("source") or kind,
        *_parameters_and_attributes(mount, options),
        options.flags,
        mapping,
    )


def _take_layers(mount: Mount, options: Options, request: Request) -> None:
    """Make each layer of an overlay, whose ids are to be mapped, a parameter by itself."""
    if mount.get("type") == "overlay":
        from pyrun.plan import mount_mappings

        options.parameters = mount_mappings.separate_layers(options.parameters, request.bundle)


def _add_labelled_filesystem(
    plan: Plan, config: Config, mount: Mount, pointer: str, options: Options, problems: Problems
) -> None:
    from pyrun.plan import mount_label

    kind, label = mount.get("type") or "", _label(config)
    # The files of the host's IPC namespace are the host's.
    by_attribute = kind == mount_label.BY_ATTRIBUTE and is_new(config, "ipc")
    if by_attribute:
        options.flags |= REMEMBERED
    options.parameters += mount_label.parameters(label, kind, options.parameters)
    _add_filesystem(plan, mount, pointer, kind, options, problems)
    if by_attribute:
        plan.add("label_mount", mount_label.POINTER, destination(mount), label)


def _add_bind(plan: Plan, mount: Mount, pointer: str, source: str, options: Options, problems: Problems) -> None:
    if not source:
        problems.add(f"{pointer}/source", "a bind mount needs a source")
    plan.add(
        "bind_mount",
        pointer,
        options.slot,
        source,
        destination(mount),
        options.bind or 0,
        options.attributes.set,
        options.attributes.clear,
        options.recursive.set,
        options.recursive.clear,
        options.propagation,
        options.flags,
        options.mapping,
    )


def _add_notify_directory(plan: Plan, source: str, slot: int, remembered: list[str]) -> None:
    """Add the mount of the directory with the notification socket: all that the container can do there is connect."""
    attributes = RDONLY | NOSUID | NODEV | NOEXEC
    flags = _flags(NOTIFY_DIRECTORY, remembered)
    plan.add("bind_mount", "", slot, source, NOTIFY_DIRECTORY, 0, attributes, 0, 0, 0, [MS_PRIVATE], flags, NO_SLOT)


def _add_cgroup(
    plan: Plan,
    config: Config,
    mount: Mount,
    pointer: str,
    request: Request,
    options: Options,
    problems: Problems,
) -> None:
    # A new mount from the host's cgroup namespace would change the options of the host's own (kernels before 6.0).
    if has(config, "cgroup"):
        _add_filesystem(plan, mount, pointer, "cgroup2", options, problems)
    else:
        options.parameters = []
        options.propagation = options.propagation or [MS_PRIVATE]
        _add_bind(plan, mount, pointer, request.cgroup_mount or "/sys/fs/cgroup", options, problems)


def _add_filesystem(plan: Plan, mount: Mount, pointer: str, kind: str, options: Options, problems: Problems) -> None:
    if not kind:
        problems.add(f"{pointer}/type", "a mount needs a type, or the option bind or rbind")
    elif kind == "bind":
        problems.add(f"{pointer}/options", 'a mount of type "bind" needs the option bind or rbind')
    plan.add(
        "mount_filesystem",
        pointer,
        destination(mount),
        kind,
        mount.get("source") or kind,
        *_parameters_and_attributes(mount, options),
        options.propagation,
        options.flags | (NO_SYMLINKS if kind in ("proc", "sysfs") else 0),
        options.mapping,
        options.slot,
    )


def _parameters_and_attributes(mount: Mount, options: Options) -> tuple[list[str], int]:
    attributes = _of_one_mount(options)
    if _is_late_readonly(mount):
        return options.parameters, attributes.set & ~RDONLY
    of_file_system = attributes.set & RDONLY and mount.get("type") not in SHARED
    return ["ro", *options.parameters] if of_file_system else options.parameters, attributes.set


def _of_one_mount(options: Options) -> Attributes:
    """Return the attributes of a mount that has none below: the recursive ones count more, as for a tree."""
    result, recursive = options.attributes, options.recursive
    result.set = (result.set & ~recursive.clear) | recursive.set
    result.clear |= recursive.clear
    return result


def _add_remount(plan: Plan, mount: Mount, pointer: str, options: Options) -> None:
    attributes, parameters, late = options.attributes, options.parameters, _is_late_readonly(mount)
    if options.bind is not None:
        parameters = []
        options.flags &= INSIDE_PROCFS | REMEMBERED
    elif attributes.set & RDONLY and not late:
        parameters = ["ro", *parameters]
    elif attributes.clear & RDONLY:
        parameters = ["rw", *parameters]
    plan.add(
        "remount",
        pointer,
        destination(mount),
        parameters,
        attributes.set & ~RDONLY if late else attributes.set,
        attributes.clear,
        options.recursive.set,
        options.recursive.clear,
        options.propagation,
        options.flags,
    )
