# SPDX-License-Identifier: Apache-2.0
"""mounts: options to attributes, propagation and parameters of the file system; bind or new file system."""

from __future__ import annotations

from pyrun.plan import idmaps
from pyrun.plan.namespaces import has, is_new
from pyrun.plan.process import NOTIFY_DIRECTORY
from pyrun.plan.root import MS_PRIVATE, MS_REC, PROPAGATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

# mount_setattr(2). The access time is a field of three values: changing it means clearing the whole field.
RDONLY, NOSUID, NODEV, NOEXEC, NODIRATIME, NOSYMFOLLOW = 0x1, 0x2, 0x4, 0x8, 0x80, 0x200000
ATIME, RELATIME, NOATIME, STRICTATIME = 0x70, 0x00, 0x10, 0x20

# option: (attributes to set, attributes to clear)
ATTRIBUTES = {
    "ro": (RDONLY, 0),
    "rw": (0, RDONLY),
    "nosuid": (NOSUID, 0),
    "suid": (0, NOSUID),
    "nodev": (NODEV, 0),
    "dev": (0, NODEV),
    "noexec": (NOEXEC, 0),
    "exec": (0, NOEXEC),
    "nodiratime": (NODIRATIME, 0),
    "diratime": (0, NODIRATIME),
    "nosymfollow": (NOSYMFOLLOW, 0),
    "symfollow": (0, NOSYMFOLLOW),
    "relatime": (RELATIME, ATIME),
    "norelatime": (RELATIME, ATIME),
    "noatime": (NOATIME, ATIME),
    "atime": (RELATIME, ATIME),
    "strictatime": (STRICTATIME, ATIME),
    "nostrictatime": (RELATIME, ATIME),
    "defaults": (0, 0),
}
# Options of the superblock: fsconfig(2) knows them by these names, for every file system.
SUPERBLOCK = frozenset(("sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime"))
BIND = {"bind": 0, "rbind": 1}
# Options of the specification that this version can't apply.
LATER = frozenset(
    """remount iversion noiversion silent loud tmpcopyup idmap ridmap rro rrw rsuid rnosuid rdev rnodev rexec rnoexec
    rdiratime rnodiratime ratime rnoatime rrelatime rnorelatime rstrictatime rnostrictatime rsymfollow
    rnosymfollow""".split()
)

RECURSIVE = 1 << 63
NO_SLOT = (1 << 64) - 1
# Flags of both kinds of mounts, as runtime/init/mounts.c takes them.
INSIDE_PROCFS, NO_SYMLINKS, COVERED_LATER, READONLY_BELOW = 1, 2, 4, 8

# What lxcfs and engines mount over single files of procfs; anything else there would answer for the kernel.
PROCFS_FILES = frozenset(
    """/proc/cpuinfo /proc/diskstats /proc/loadavg /proc/meminfo /proc/net/dev /proc/slabinfo /proc/stat /proc/swaps
    /proc/sys/kernel/ns_last_pid /proc/uptime""".split()
)


class Options:
    """A mount's options, sorted by what applies them."""

    def __init__(self) -> None:
        self.set = 0
        self.clear = 0
        self.bind: int | None = None
        self.propagation: list[int] = []
        self.parameters: list[str] = []
        self.flags = 0


def read_options(mount: dict[str, Any], pointer: str, problems: Problems | None) -> Options:
    """Sort the options of ``mount``; what is no option of a mount is a parameter of its file system."""
    result = Options()
    for number, option in enumerate(mount.get("options") or ()):
        if option in ATTRIBUTES:
            attributes, cleared = ATTRIBUTES[option]
            result.set = (result.set & ~cleared) | attributes
            result.clear |= cleared
        elif option in PROPAGATION:
            flags = PROPAGATION[option]
            result.propagation.append((flags & ~MS_REC) | (RECURSIVE if flags & MS_REC else 0))
        elif option in BIND:
            result.bind = BIND[option]
        elif option in LATER:
            if problems:
                problems.add(f"{pointer}/options/{number}", f'"{option}" is not supported by this version of pyrun')
        else:
            result.parameters.append(option)
    return result


def open_sources(plan: Plan, config: Config, request: Request) -> None:
    """Add the opening of bind sources by the outer stage, which can reach what a user namespace's root can't."""
    for number, mount in _binds(config):
        source = _source(mount, request)
        plan.add("open_bind_source", f"/mounts/{number}/source", source, int("rbind" in mount["options"]))
    if request.notify_directory is not None:
        plan.add("open_bind_source", "", request.notify_directory, 0)


def add_all(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    """Add all mounts, in the order of the config."""
    opened = [number for number, _ in _binds(config)] if is_new(config, "user") else []
    covered = _covered_paths(config)
    for number, mount in enumerate(config.get("mounts") or ()):
        pointer = f"/mounts/{number}"
        options = read_options(mount, pointer, problems)
        options.flags = _flags(destination(mount), covered)
        if options.bind is not None:
            # CVE-2023-25809: the host's cgroups are below, and who maps a user to root may own some.
            if options.bind and options.set & RDONLY and destination(mount) == "/sys" and has(config, "user"):
                options.flags |= READONLY_BELOW
            slot = opened.index(number) if opened else NO_SLOT
            _add_bind(plan, mount, pointer, slot, _source(mount, request), options, problems)
        elif mount.get("type") in ("cgroup", "cgroup2"):
            _add_cgroup(plan, config, mount, pointer, request, options, problems)
        else:
            idmaps.check_options(config, mount, pointer, problems)
            _add_filesystem(plan, mount, pointer, mount.get("type") or "", options, problems)
    if request.notify_directory is not None:
        slot = len(opened) if is_new(config, "user") else NO_SLOT
        _add_notify_directory(plan, request.notify_directory, slot, covered)


def make_readonly(plan: Plan, config: Config) -> None:
    """Add what was put off: a read-only tmpfs took the devices and mount points of the others before."""
    for number, mount in enumerate(config.get("mounts") or ()):
        if _is_late_readonly(mount):
            plan.add("readonly_mount", f"/mounts/{number}/options", destination(mount))


def destination(mount: dict[str, Any]) -> str:
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


def is_bind(mount: dict[str, Any]) -> bool:
    """Whether the options make the mount a bind, whatever its type says."""
    return any(option in BIND for option in mount.get("options") or ())


def _binds(config: Config) -> list[tuple[int, dict[str, Any]]]:
    return [(number, mount) for number, mount in enumerate(config.get("mounts") or ()) if is_bind(mount)]


def _source(mount: dict[str, Any], request: Request) -> str:
    source: str = mount.get("source") or ""
    return source if source.startswith("/") or not source else f"{request.bundle}/{source}"


def _is_late_readonly(mount: dict[str, Any]) -> bool:
    return mount.get("type") == "tmpfs" and not is_bind(mount) and bool(read_options(mount, "", None).set & RDONLY)


def _covered_paths(config: Config) -> list[str]:
    linux = config.get("linux") or {}
    return [normal_path(path) for name in ("readonlyPaths", "maskedPaths") for path in linux.get(name) or ()]


def _flags(path: str, covered: list[str]) -> int:
    inside = INSIDE_PROCFS if path in PROCFS_FILES else 0
    return inside | (COVERED_LATER if any(f"{each}/".startswith(f"{path}/") for each in covered) else 0)


def _add_bind(
    plan: Plan,
    mount: dict[str, Any],
    pointer: str,
    slot: int,
    source: str,
    options: Options,
    problems: Problems,
) -> None:
    for parameter in options.parameters:
        if parameter not in SUPERBLOCK:
            number = mount["options"].index(parameter)
            problems.add(f"{pointer}/options/{number}", _unknown_option(parameter))
    if not source:
        problems.add(f"{pointer}/source", "a bind mount needs a source")
    path = destination(mount)
    recursive = options.bind or 0
    plan.add(
        "bind_mount",
        pointer,
        slot,
        source,
        path,
        recursive,
        options.set,
        options.clear,
        options.propagation,
        options.flags,
    )


def _add_notify_directory(plan: Plan, source: str, slot: int, covered: list[str]) -> None:
    """Add the mount of the directory with the notification socket: all that the container can do there is connect."""
    attributes = RDONLY | NOSUID | NODEV | NOEXEC
    flags = _flags(NOTIFY_DIRECTORY, covered)
    plan.add("bind_mount", "", slot, source, NOTIFY_DIRECTORY, 0, attributes, 0, [MS_PRIVATE], flags)


def _add_cgroup(
    plan: Plan,
    config: Config,
    mount: dict[str, Any],
    pointer: str,
    request: Request,
    options: Options,
    problems: Problems,
) -> None:
    # A new mount from the host's cgroup namespace would change the options of the host's own (kernels before 6.0).
    if is_new(config, "cgroup"):
        _add_filesystem(plan, mount, pointer, "cgroup2", options, problems)
    else:
        options.parameters = []
        options.propagation = options.propagation or [MS_PRIVATE]
        _add_bind(plan, mount, pointer, NO_SLOT, request.cgroup_mount or "/sys/fs/cgroup", options, problems)


def _add_filesystem(
    plan: Plan, mount: dict[str, Any], pointer: str, kind: str, options: Options, problems: Problems
) -> None:
    if not kind:
        problems.add(f"{pointer}/type", "a mount needs a type, or the option bind or rbind")
    elif kind == "bind":
        problems.add(f"{pointer}/options", 'a mount of type "bind" needs the option bind or rbind')
    late = _is_late_readonly(mount)
    attributes = options.set & ~RDONLY if late else options.set
    parameters = options.parameters if late or not options.set & RDONLY else ["ro", *options.parameters]
    path = destination(mount)
    flags = options.flags | (NO_SYMLINKS if kind in ("proc", "sysfs") else 0)
    plan.add(
        "mount_filesystem",
        pointer,
        path,
        kind,
        mount.get("source") or kind,
        parameters,
        attributes,
        options.propagation,
        flags,
    )


def _unknown_option(option: str) -> str:
    from difflib import get_close_matches

    known = [*ATTRIBUTES, *PROPAGATION, *BIND, *SUPERBLOCK]
    close = get_close_matches(option, known, 1)
    hint = f' (did you mean "{close[0]}"?)' if close else ""
    return f'"{option}" is not an option of a bind mount{hint}'
