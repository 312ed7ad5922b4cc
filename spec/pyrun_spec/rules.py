# SPDX-License-Identifier: Apache-2.0
"""What the OCI runtime specification demands of a configuration and a JSON Schema can't say.

Each rule looks at properties that depend on each other, and tells by `report(pointer, message)` what is
wrong. A rule is here because the specification has it (config.md, config-linux.md; "spec" below), because the
kernel refuses anything else, or because runc does, which engines are written for. What depends on the
host is not here. The rules about properties that few configurations have are in `rare_rules.py`: importing a
module takes longer than asking the rules in it.
"""

from __future__ import annotations

from pyrun_spec.errors import join_pointer, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Config = dict[str, Any]
    Report = Callable[[str, str], None]
    # A rule, and the properties that it reads: it must not be asked while one of these has the wrong shape.
    Rule = tuple[Callable[[Config, Report], None], tuple[str, ...]]

LARGEST_ID = 4294967294  # 2^32 - 1 is no ID but "unchanged" (chown(2))
MOST_ID_MAPPINGS = 340  # user_namespaces(7)
LONGEST_NAME = 64  # bytes of host and domain name (uname(2), __NEW_UTS_LEN)
LARGEST_MAJOR, LARGEST_MINOR = 4095, 1048575  # what makes a device number of 32 bits (makedev(3), linux/kdev_t.h)
WAIT_FLAG = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
LARGEST_SCREEN = 65535  # lines or columns (ioctl_tty(2), struct winsize)

NAMESPACES = "/linux/namespaces"
# The properties that rare_rules.py is about.
RARE_IN_PROCESS = frozenset(("scheduler", "execCPUAffinity"))
RARE_IN_LINUX = frozenset(("timeOffsets", "netDevices", "intelRdt", "memoryPolicy"))

IPC_SYSCTLS = {
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
}


def check_rules(config: Config, report: Report) -> None:
    """Calls `report(pointer, message)` for each rule that a configuration breaks.

    Args:
        config: a configuration that satisfies the schema and has no members that are null.
        report: takes a JSON pointer and words for a person.
    """
    for rule, _ in rules_for(config):
        rule(config, report)


def rules_for(config: Config) -> tuple[Rule, ...]:
    """Returns the rules that a configuration of the right shape may break, with the places that each reads."""
    process, linux = config.get("process") or {}, config.get("linux") or {}
    if RARE_IN_PROCESS.isdisjoint(process) and RARE_IN_LINUX.isdisjoint(linux):
        return RULES
    from pyrun_spec.rare_rules import RARE_RULES

    return RULES + RARE_RULES


def check_version(config: Config, report: Report) -> None:
    """Spec: ociVersion is a semantic version; versions with the same major number are compatible.

    Of the drafts before 1.0.0 what has the right shape means the same; runc takes them too.
    """
    version = config["ociVersion"]
    if not is_semantic_version(version):
        report("/ociVersion", f'{quote(version)} is not a semantic version (write "1.3.0")')
    elif not version.startswith(("1.", "0.")):
        report("/ociVersion", f'{quote(version)} is not a version that pyrun knows: 0.x, 1.x (write "1.3.0")')


def is_semantic_version(version: str) -> bool:
    """Whether `version` follows Semantic Versioning 2.0.0: MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]."""
    version, plus, build = version.partition("+")
    core, minus, prerelease = version.partition("-")
    numbers = core.split(".")
    return (
        len(numbers) == 3
        and all(_is_version_number(number) for number in numbers)
        and (not minus or all(_is_prerelease(name) for name in prerelease.split(".")))
        and (not plus or all(_is_version_name(name) for name in build.split(".")))
    )


def _is_version_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0")


def _is_version_name(text: str) -> bool:
    return text.isascii() and text.replace("-", "0").isalnum()


def _is_prerelease(text: str) -> bool:
    return _is_version_number(text) if text.isdecimal() else _is_version_name(text)


def check_program(config: Config, report: Report) -> None:
    """Spec: args has at least one entry. runc: the program is not the empty string."""
    process = config.get("process")
    if process is None:
        return
    arguments = process.get("args")
    if not arguments:
        report("/process/args", 'the program to run is missing (such as ["/bin/sh"])')
    elif not arguments[0]:
        report("/process/args/0", "the name of the program is empty")


def check_environment(config: Config, report: Report) -> None:
    """Spec: entries are NAME=value. runc refuses those without "=" or without a name."""
    for index, variable in enumerate((config.get("process") or {}).get("env") or ()):
        if variable.find("=") < 1:
            report(f"/process/env/{index}", f"{quote(variable)} has not the form NAME=value")


def check_console_size(config: Config, report: Report) -> None:
    """Spec: ignored without a terminal. ioctl_tty(2): what a size of a terminal can be."""
    process = config.get("process") or {}
    size = process.get("consoleSize")
    if size is None or not process.get("terminal"):
        return
    for name in ("height", "width"):
        if size[name] > LARGEST_SCREEN:
            report(f"/process/consoleSize/{name}", f"{size[name]} is more than {LARGEST_SCREEN}")


def check_rlimits(config: Config, report: Report) -> None:
    """Spec: no type twice. setrlimit(2): the soft limit is at most the hard limit."""
    seen: dict[str, int] = {}
    for index, limit in enumerate((config.get("process") or {}).get("rlimits") or ()):
        kind, soft, hard = limit["type"], limit["soft"], limit["hard"]
        if seen.setdefault(kind, index) != index:
            report(
                f"/process/rlimits/{index}",
                f"{kind} is limited twice, first in /process/rlimits/{seen[kind]}",
            )
        if soft > hard:
            report(f"/process/rlimits/{index}/soft", f"the soft limit {soft} is above the hard limit {hard}")


def check_capabilities(config: Config, report: Report) -> None:
    """capset(2): what is effective has to be permitted."""
    capabilities = (config.get("process") or {}).get("capabilities") or {}
    permitted = capabilities.get("permitted") or ()
    for index, name in enumerate(capabilities.get("effective") or ()):
        if name not in permitted:
            report(
                f"/process/capabilities/effective/{index}",
                f'{quote(name)} is effective but not permitted (add it to "permitted" too)',
            )


def namespaces_of(config: Config) -> dict[str, str | None]:
    """Returns the namespaces of the container by type: the path of the one to join, or None for a new one."""
    listed = (config.get("linux") or {}).get("namespaces") or ()
    return {namespace["type"]: namespace.get("path") for namespace in listed}


def check_namespaces(config: Config, report: Report) -> None:
    """Spec: no type twice."""
    seen: dict[str, int] = {}
    for index, namespace in enumerate((config.get("linux") or {}).get("namespaces") or ()):
        kind = namespace["type"]
        if seen.setdefault(kind, index) != index:
            report(
                f"/linux/namespaces/{index}",
                f'a second namespace of type "{kind}" (remove it or /linux/namespaces/{seen[kind]})',
            )


def check_names(config: Config, report: Report) -> None:
    """Spec, runc: names of the container need a uts namespace. sethostname(2): their length."""
    for name in ("hostname", "domainname"):
        value = config.get(name)
        if not value:
            continue
        if "uts" not in namespaces_of(config):
            report(f"/{name}", needs("uts"))
        if len(value.encode()) > LONGEST_NAME:
            report(f"/{name}", f"{quote(value)} is longer than {LONGEST_NAME} bytes")


def needs(kind: str) -> str:
    return f'needs a namespace of type "{kind}" (add {{"type": "{kind}"}} to /linux/namespaces)'


def check_id_mappings(config: Config, report: Report) -> None:
    """user_namespaces(7): a new user namespace needs mappings. runc: and one of root."""
    linux, namespaces = config.get("linux") or {}, namespaces_of(config)
    for name in ("uidMappings", "gidMappings"):
        mappings = linux.get(name) or []
        pointer = f"/linux/{name}"
        _check_ranges(mappings, pointer, report)
        if "user" not in namespaces:
            if mappings:
                report(pointer, needs("user"))
        elif namespaces["user"] is None:
            if not mappings:
                report(pointer, "a new user namespace needs mappings")
            elif not _maps(mappings, 0):
                report(pointer, "ID 0 is not mapped, but root of the container sets it up (map it too)")


def _maps(mappings: list[Config], container_id: int) -> bool:
    return any(0 <= container_id - mapping["containerID"] < mapping["size"] for mapping in mappings)


def _check_ranges(mappings: list[Config], pointer: str, report: Report) -> None:
    """user_namespaces(7): ranges are not empty, end below 2^32 - 1, don't overlap, and are at most 340."""
    if len(mappings) > MOST_ID_MAPPINGS:
        report(pointer, f"{len(mappings)} mappings are more than the {MOST_ID_MAPPINGS} that the kernel takes")
    for index, mapping in enumerate(mappings):
        if mapping["size"] == 0:
            report(f"{pointer}/{index}/size", "no ID is mapped (the least size is 1)")
    for side in ("containerID", "hostID"):
        end = 0
        for index, mapping in sorted(enumerate(mappings), key=lambda entry: entry[1][side]):
            first, size = mapping[side], mapping["size"]
            if first < end:
                report(f"{pointer}/{index}/{side}", f"the range from {first} on overlaps with another one")
            end = max(end, first + size)
            if first + size - 1 > LARGEST_ID:
                report(f"{pointer}/{index}/{side}", f"the range of {size} from {first} on exceeds {LARGEST_ID}")


def check_user(config: Config, report: Report) -> None:
    """setuid(2), setgid(2), setgroups(2): the IDs exist in a new user namespace."""
    linux, namespaces = config.get("linux") or {}, namespaces_of(config)
    if "user" not in namespaces or namespaces["user"] is not None:
        return
    user = (config.get("process") or {}).get("user") or {}
    for name, mappings in (("uid", linux.get("uidMappings")), ("gid", linux.get("gidMappings"))):
        if mappings and not _maps(mappings, user.get(name) or 0):
            report(f"/process/user/{name}", f"{user.get(name) or 0} is not in /linux/{name}Mappings")
    for index, group in enumerate(user.get("additionalGids") or ()):
        if linux.get("gidMappings") and not _maps(linux["gidMappings"], group):
            report(f"/process/user/additionalGids/{index}", f"{group} is not in /linux/gidMappings")


def check_mounts(config: Config, report: Report) -> None:
    """Spec: an id-mapped mount has mappings of both kinds, or takes those of the user namespace."""
    for index, mount in enumerate(config.get("mounts") or ()):
        users, groups = mount.get("uidMappings") or [], mount.get("gidMappings") or []
        if users or groups:
            pointer = f"/mounts/{index}"
            if not groups:
                report(f"{pointer}/uidMappings", "needs gidMappings too")
            if not users:
                report(f"{pointer}/gidMappings", "needs uidMappings too")
            _check_ranges(users, f"{pointer}/uidMappings", report)
            _check_ranges(groups, f"{pointer}/gidMappings", report)
            continue
        for position, option in enumerate(mount.get("options") or ()):
            if option in ("idmap", "ridmap") and "user" not in namespaces_of(config):
                report(
                    f"/mounts/{index}/options/{position}",
                    f'"{option}" needs uidMappings and gidMappings of the mount, or a user namespace',
                )


def check_hidden_paths(config: Config, report: Report) -> None:
    """runc: paths are hidden by mounts, which must not be made on the host."""
    for name in ("maskedPaths", "readonlyPaths"):
        if (config.get("linux") or {}).get(name) and "mount" not in namespaces_of(config):
            report(f"/linux/{name}", needs("mount"))


def sysctl_path(name: str) -> str:
    """Returns the path below /proc/sys of a kernel parameter (sysctl.d(5)).

    The first separator decides: if it is ".", the characters "." and "/" change places, otherwise all stays.
    So `net.ipv4.conf.eth0/100.forwarding` and `net/ipv4/conf/eth0.100/forwarding` are the same.
    """
    separators = name.replace(".", "/")
    first = separators.find("/")
    if first < 0 or name[first] == "/":
        return name
    return name.translate({ord("."): "/", ord("/"): "."})


def check_sysctl(config: Config, report: Report) -> None:
    """runc: only parameters that belong to a namespace of the container."""
    parameters = (config.get("linux") or {}).get("sysctl")
    if not parameters:
        return
    namespaces = namespaces_of(config)
    for name in parameters:
        pointer = join_pointer("/linux/sysctl", name)
        path = sysctl_path(name)
        kind = namespace_of_sysctl(path)
        if not {"", ".", ".."}.isdisjoint(path.split("/")):
            report(pointer, f"{quote(name)} is not the name of a kernel parameter")
        elif path == "kernel/hostname":
            report(pointer, 'is what the property "hostname" is for')
        elif kind is None:
            report(pointer, f"{quote(name)} belongs to no namespace: it would be changed for the whole host")
        elif kind not in namespaces:
            report(pointer, needs(kind))


def namespace_of_sysctl(path: str) -> str | None:
    if path.startswith("net/"):
        return "network"
    if path.startswith("fs/mqueue/") or path in IPC_SYSCTLS:
        return "ipc"
    if path.startswith("user/"):
        return "user"
    return "uts" if path == "kernel/domainname" else None


def check_devices(config: Config, report: Report) -> None:
    """Spec: all devices but fifos have numbers, and no two are one file. makedev(3): which numbers there are."""
    seen: dict[str, tuple[int, tuple[object, ...]]] = {}
    for index, device in enumerate((config.get("linux") or {}).get("devices") or ()):
        kind, path, pointer = device["type"], device["path"], f"/linux/devices/{index}"
        if kind != "p":
            for name, largest in (("major", LARGEST_MAJOR), ("minor", LARGEST_MINOR)):
                _check_device_number(device.get(name), largest, kind, f"{pointer}/{name}", report)
        node = ("p",) if kind == "p" else (kind.replace("u", "c"), device.get("major"), device.get("minor"))
        first, other = seen.setdefault(path, (index, node))
        if other != node:
            report(f"{pointer}/path", f"{quote(path)} is another device already, that of /linux/devices/{first}")


def _check_device_number(number: int | None, largest: int, kind: str, pointer: str, report: Report) -> None:
    if number is None:
        report(pointer, f'missing: a device of type "{kind}" needs major and minor number')
    elif not 0 <= number <= largest:
        report(pointer, f"{number} is not from 0 to {largest}")


def check_resources(config: Config, report: Report) -> None:
    """Spec: cpu.burst is at most a positive quota; entries of weightDevice and rdma limit something."""
    resources = (config.get("linux") or {}).get("resources") or {}
    cpu = resources.get("cpu") or {}
    quota, burst = cpu.get("quota") or 0, cpu.get("burst") or 0
    if 0 < quota < burst:
        report("/linux/resources/cpu/burst", f"{burst} is above the quota, {quota}")
    for index, device in enumerate((resources.get("blockIO") or {}).get("weightDevice") or ()):
        if device.get("weight") is None and device.get("leafWeight") is None:
            report(f"/linux/resources/blockIO/weightDevice/{index}", "weight is missing")
    for name, limits in (resources.get("rdma") or {}).items():
        if limits.get("hcaHandles") is None and limits.get("hcaObjects") is None:
            report(join_pointer("/linux/resources/rdma", name), "both hcaHandles and hcaObjects are missing")


def check_seccomp(config: Config, report: Report) -> None:
    """Spec: errno only for actions that have one; a listener for SCMP_ACT_NOTIFY. runc: not by default.

    seccomp(2): a wait for its listener only where there is one.
    """
    profile = (config.get("linux") or {}).get("seccomp")
    if profile is None:
        return
    pointer = "/linux/seccomp"
    listener = profile.get("listenerPath")
    rules = profile.get("syscalls") or ()
    if profile["defaultAction"] == "SCMP_ACT_NOTIFY":
        report(
            f"{pointer}/defaultAction",
            "SCMP_ACT_NOTIFY can't be the default: it would hold up every system call",
        )
    if profile.get("listenerMetadata") and not listener:
        report(f"{pointer}/listenerMetadata", "nobody gets it: listenerPath is missing")
    _check_errno(profile.get("defaultErrnoRet"), profile["defaultAction"], f"{pointer}/defaultErrnoRet", report)
    if WAIT_FLAG in (profile.get("flags") or ()) and not any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in rules):
        place = f"{pointer}/flags/{profile['flags'].index(WAIT_FLAG)}"
        report(place, f"{WAIT_FLAG} is for a profile with SCMP_ACT_NOTIFY (remove it)")
    for index, rule in enumerate(rules):
        action = rule["action"]
        if action == "SCMP_ACT_NOTIFY" and not listener:
            report(f"{pointer}/syscalls/{index}/action", "SCMP_ACT_NOTIFY needs /linux/seccomp/listenerPath")
        _check_errno(rule.get("errnoRet"), action, f"{pointer}/syscalls/{index}/errnoRet", report)


def _check_errno(errno: int | None, action: str, pointer: str, report: Report) -> None:
    if errno is not None and action not in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        report(pointer, f"{action} takes no errno (remove it): only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do")


RULES: tuple[Rule, ...] = (
    (check_version, ("/ociVersion",)),
    (check_program, ("/process/args",)),
    (check_environment, ("/process/env",)),
    (check_console_size, ("/process/terminal", "/process/consoleSize")),
    (check_rlimits, ("/process/rlimits",)),
    (check_capabilities, ("/process/capabilities",)),
    (check_namespaces, (NAMESPACES,)),
    (check_id_mappings, (NAMESPACES, "/linux/uidMappings", "/linux/gidMappings")),
    (check_user, ("/process/user", NAMESPACES, "/linux/uidMappings", "/linux/gidMappings")),
    (check_names, ("/hostname", "/domainname", NAMESPACES)),
    (check_mounts, ("/mounts", NAMESPACES)),
    (check_hidden_paths, (NAMESPACES, "/linux/maskedPaths", "/linux/readonlyPaths")),
    (check_sysctl, (NAMESPACES, "/linux/sysctl")),
    (check_devices, ("/linux/devices",)),
    (check_resources, ("/linux/resources",)),
    (check_seccomp, ("/linux/seccomp",)),
)
