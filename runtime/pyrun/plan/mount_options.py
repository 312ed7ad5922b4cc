# SPDX-License-Identifier: Apache-2.0
"""The options of mounts (runtime-spec, config: Linux mount options): what each asks for, and how they are read."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Problems

# mount_setattr(2). The access time is a field of three values: changing it means clearing the whole field.
RDONLY, NOSUID, NODEV, NOEXEC, NODIRATIME, NOSYMFOLLOW = 0x1, 0x2, 0x4, 0x8, 0x80, 0x200000
ATIME, RELATIME, NOATIME, STRICTATIME = 0x70, 0x00, 0x10, 0x20

SETTING = {
    "ro": RDONLY,
    "nosuid": NOSUID,
    "nodev": NODEV,
    "noexec": NOEXEC,
    "nodiratime": NODIRATIME,
    "nosymfollow": NOSYMFOLLOW,
}
CLEARING = {
    "rw": RDONLY,
    "suid": NOSUID,
    "dev": NODEV,
    "exec": NOEXEC,
    "diratime": NODIRATIME,
    "symfollow": NOSYMFOLLOW,
}
ACCESS_TIMES = {"relatime": RELATIME, "noatime": NOATIME, "strictatime": STRICTATIME}
# The kernel's default, which is relatime, instead of this one.
NO_ACCESS_TIMES = {"atime": NOATIME, "nostrictatime": STRICTATIME, "norelatime": RELATIME}
ATTRIBUTES = frozenset((*SETTING, *CLEARING, *ACCESS_TIMES, *NO_ACCESS_TIMES))
# The same for all mounts of a tree, which the specification spells with an r before it.
RECURSIVE_ATTRIBUTES = {f"r{name}": name for name in ATTRIBUTES}

# Of the superblock: fsconfig(2) knows them by these names, for every file system. A bind mount has no say about them.
SUPERBLOCK = frozenset(("sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime"))
# Of the superblock as well, but only mount(2) takes them: (flags to set, flags to clear).
SILENT, IVERSION, NOIVERSION = 0x10, 0x20, 0x40
BY_MOUNT = {
    "silent": (SILENT, 0),
    "loud": (0, SILENT),
    "iversion": (IVERSION, NOIVERSION),
    "noiversion": (NOIVERSION, IVERSION),
}

# mount(2)
MS_REC = 1 << 14
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
PROPAGATION = {
    "unbindable": MS_UNBINDABLE,
    "private": MS_PRIVATE,
    "slave": MS_SLAVE,
    "shared": MS_SHARED,
    "runbindable": MS_UNBINDABLE | MS_REC,
    "rprivate": MS_PRIVATE | MS_REC,
    "rslave": MS_SLAVE | MS_REC,
    "rshared": MS_SHARED | MS_REC,
}
RECURSIVE = 1 << 63

# File systems of which every mount, on the host as well, is of the same one.
SHARED = frozenset(
    """binfmt_misc cgroup cgroup2 configfs debugfs devtmpfs efivarfs fusectl nfsd pstore resctrl rpc_pipefs securityfs
    selinuxfs smackfs tracefs""".split()
)

BIND = {"bind": 0, "rbind": 1}
IDMAP = {"idmap": 0, "ridmap": 1}
COPY_UP = 0x8
# No mapping, and no source that is opened already.
NO_SLOT = (1 << 64) - 1
OTHERS = ("defaults", "remount", "tmpcopyup")


class Attributes:
    """What mount_setattr(2) sets and clears.

    Attributes:
        set, clear: bits of struct mount_attr; what is set counts more.
    """

    def __init__(self) -> None:
        self.set = 0
        self.clear = 0

    def take(self, option: str) -> None:
        """Add one of :data:`ATTRIBUTES`; the last one about an attribute counts."""
        if option in SETTING:
            self.set |= SETTING[option]
        elif option in CLEARING:
            self.set &= ~CLEARING[option]
            self.clear |= CLEARING[option]
        elif option in ACCESS_TIMES:
            self._choose(ACCESS_TIMES[option])
        elif option != "norelatime" and (not self.clear & ATIME or self.set & ATIME == NO_ACCESS_TIMES[option]):
            self._choose(RELATIME)

    def _choose(self, access_time: int) -> None:
        self.set = (self.set & ~ATIME) | access_time
        self.clear |= ATIME


class Options:
    """A mount's options, sorted by what applies them.

    Attributes:
        attributes, recursive: of the mount, and of all mounts of its tree.
        bind: None, or whether what is mounted below the source comes along.
        idmap: None, or whether what is mounted below is mapped too.
        mapping: the number of the opened id mapping, or NO_SLOT.
        slot: the number among what the outer stage opens, or NO_SLOT.
        remount: whether it is about the mount that stands at the destination.
        propagation: changes, as runtime/init/mounts.c takes them.
        parameters: what the file system gets, in the order of the config.
        flags: COPY_UP, SILENT, IVERSION and NOIVERSION.
    """

    def __init__(self) -> None:
        self.attributes = Attributes()
        self.recursive = Attributes()
        self.bind: int | None = None
        self.idmap: int | None = None
        self.mapping = NO_SLOT
        self.slot = NO_SLOT
        self.remount = False
        self.propagation: list[int] = []
        self.parameters: list[str] = []
        self.flags = 0


def read_options(mount: dict[str, Any]) -> Options:
    """Sort the options of ``mount``; what is no option of a mount is a parameter of its file system."""
    result = Options()
    for option in mount.get("options") or ():
        if option in ATTRIBUTES:
            result.attributes.take(option)
        elif option in BIND:
            result.bind = BIND[option]
        elif option in PROPAGATION:
            result.propagation.append(propagation(option))
        elif option in RECURSIVE_ATTRIBUTES:
            result.recursive.take(RECURSIVE_ATTRIBUTES[option])
        elif option in IDMAP:
            result.idmap = IDMAP[option]
        elif option in BY_MOUNT:
            added, removed = BY_MOUNT[option]
            result.flags = (result.flags & ~removed) | added
        elif option == "tmpcopyup":
            result.flags |= COPY_UP
        elif option == "remount":
            result.remount = True
        elif '="' in option:
            from pyrun.plan.mount_label import unquoted

            result.parameters.append(unquoted(option))
        elif option != "defaults":
            result.parameters.append(option)
    return result


def is_mapped(mount: dict[str, Any]) -> bool:
    """Whether the ids of ``mount`` are to be mapped: mappings ask for that even without an option."""
    options = mount.get("options") or ()
    return bool(mount.get("uidMappings")) or "idmap" in options or "ridmap" in options


def propagation(option: str) -> int:
    """Return a change of propagation as runtime/init/mounts.c takes it."""
    flags = PROPAGATION[option]
    return (flags & ~MS_REC) | (RECURSIVE if flags & MS_REC else 0)


def known_options() -> list[str]:
    """Return every option that is not passed on to a file system as its own; `pyrun features` lists them."""
    return sorted(
        (*ATTRIBUTES, *RECURSIVE_ATTRIBUTES, *SUPERBLOCK, *BY_MOUNT, *PROPAGATION, *BIND, *IDMAP, *OTHERS),
    )


def check(mount: dict[str, Any], options: Options, pointer: str, problems: Problems) -> None:
    """Report options that contradict the kind of mount: each would have no effect."""
    if options.bind is not None:
        for parameter in options.parameters:
            if parameter not in SUPERBLOCK:
                problems.add(_pointer(mount, parameter, pointer), _unknown(parameter))
    if options.flags & COPY_UP and (options.bind is not None or options.remount or mount.get("type") != "tmpfs"):
        problems.add(_pointer(mount, "tmpcopyup", pointer), "only a new tmpfs can take up what it covers")


def _pointer(mount: dict[str, Any], option: str, pointer: str) -> str:
    return f"{pointer}/options/{mount['options'].index(option)}"


def _unknown(option: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(option, known_options(), 1)
    hint = f' (did you mean "{close[0]}"?)' if close else ""
    return f'"{option}" is not an option of a bind mount{hint}'
