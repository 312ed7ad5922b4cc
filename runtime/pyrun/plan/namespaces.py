# SPDX-License-Identifier: Apache-2.0
"""linux.namespaces and the id mappings: what is joined, what is made, and the clone of the init."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

# clone(2), in the order in which they are joined: the user namespace first, because it decides what else is allowed;
# the mount namespace last, because it changes what a path means.
CLONE_FLAGS = {
    "user": 0x10000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "network": 0x40000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
    "pid": 0x20000000,
    "mount": 0x00020000,
}
CLOCKS = ("monotonic", "boottime")


def has(config: Config, kind: str) -> bool:
    """Whether the container has a namespace of its own of this kind, new or joined."""
    return _entry(config, kind) is not None


def is_new(config: Config, kind: str) -> bool:
    """Whether a namespace of this kind is made for the container."""
    entry = _entry(config, kind)
    return entry is not None and not entry[1].get("path")


def check_devices(config: Config, request: Request, problems: Problems) -> None:
    """Report network devices that an ordinary user asks for: they belong to the host."""
    if request.caller.user and (config.get("linux") or {}).get("netDevices"):
        problems.add("/linux/netDevices", "only root can move network devices of the host into a container")


def path_of(config: Config, kind: str) -> str:
    """Return the path of the namespace of this kind that is joined, or ""."""
    entry = _entry(config, kind)
    return str(entry[1].get("path") or "") if entry else ""


def join_and_clone(plan: Plan, config: Config, maps: tuple[str, str, str, str], *, placed: bool, opened: bool) -> None:
    """Add the outer stage's part: join what has a path, and clone the init into the rest.

    Args:
        maps: what :func:`pyrun.plan.idmaps.arguments` returns.
        placed: whether the container has a cgroup of its own.
        opened: whether the outer stage opens sources of mounts.
    """
    joined = [(kind, entry) for kind in CLONE_FLAGS if (entry := _entry(config, kind)) and entry[1].get("path")]
    for kind, (pointer, namespace) in joined:
        plan.add("open_namespace", f"{pointer}/path", CLONE_FLAGS[kind], namespace["path"])
    if joined and config["linux"].get("sysctl"):
        from pyrun.plan import sysctl

        sysctl.guard(plan, config)
    if opened and path_of(config, "user"):
        plan.add("open_bind_sources_early", "/linux/namespaces")
    if placed and any(kind in ("user", "cgroup") for kind, _ in joined):
        plan.add("enter_cgroup", "/linux/namespaces")
    now = sum(CLONE_FLAGS[kind] for kind, _ in joined if kind != "pid" or not _enters_pid_late(config))
    if now:
        plan.add("join_namespaces", "/linux/namespaces", now)
    if is_new(config, "time"):
        plan.add("unshare_time", "/linux/namespaces")
        _set_clocks(plan, config)
    plan.add("clone_init", "/linux/namespaces", _new_flags(config, _kinds_of_clone(config)), *maps)


def _set_clocks(plan: Plan, config: Config) -> None:
    """Add the offsets of a new time namespace, in the form of /proc/PID/timens_offsets (time_namespaces(7))."""
    offsets = config["linux"].get("timeOffsets") or {}
    lines = [
        f"{clock} {offset.get('secs') or 0} {offset.get('nanosecs') or 0}\n"
        for clock in CLOCKS
        if (offset := offsets.get(clock)) is not None
    ]
    if lines:
        plan.add("set_time_offsets", "/linux/timeOffsets", "".join(lines))


def settle(plan: Plan, config: Config) -> None:
    """Add the init's part: be root in the user namespace, make what the clone did not, bring loopback up."""
    if _enters_pid_late(config):
        plan.add("prepare_pid_namespace", "/linux/namespaces")
    become_root(plan, config)
    # The time namespace was made before the clone.
    later = _new_flags(config, CLONE_FLAGS.keys() - {*_kinds_of_clone(config), "time"})
    if later:
        plan.add("unshare_namespaces", "/linux/namespaces", later)
    if is_new(config, "network"):
        plan.add("loopback_up", "/linux/namespaces")


def become_root(plan: Plan, config: Config) -> None:
    """Add the change to the root of the user namespace, which a namespace that is joined is expected to map."""
    linux = config.get("linux") or {}
    if is_new(config, "user"):
        if _maps_root(linux.get("uidMappings")) and _maps_root(linux.get("gidMappings")):
            plan.add("become_root", "/linux/uidMappings")
    elif has(config, "user"):
        plan.add("become_root", "/linux/namespaces")


def enter_all(plan: Plan, config: Config) -> None:
    """Add the entering of a container's namespaces by a process from outside."""
    types = sum(flag for kind, flag in CLONE_FLAGS.items() if has(config, kind))
    if types:
        plan.add("enter_namespaces", "/linux/namespaces", types)
    become_root(plan, config)


def join_pid_namespace(plan: Plan, config: Config) -> None:
    """Add the joining of a PID namespace, which takes privileges; only children are in it."""
    if _enters_pid_late(config):
        plan.add("join_pid_namespace", "/linux/namespaces")


def enter_pid_namespace(plan: Plan, config: Config) -> None:
    """Add the entering of a joined PID namespace, once nothing of the host can be seen from there any more."""
    if _enters_pid_late(config):
        plan.add("enter_pid_namespace", "/linux/namespaces")


def await_go(plan: Plan, config: Config) -> None:
    """Add the wait of the process that has entered, until pyrun has noted that it is the init."""
    if _enters_pid_late(config):
        plan.add("await_go", "/linux/namespaces")


def _enters_pid_late(config: Config) -> bool:
    """In a user namespace nobody there may trace a process that still belongs to the host."""
    return has(config, "pid") and not is_new(config, "pid") and not has(config, "user")


def _kinds_of_clone(config: Config) -> set[str]:
    """The kinds that the clone makes; in a user namespace its root makes the others, so that they are its own."""
    return {"user", "pid", "mount"} if has(config, "user") else CLONE_FLAGS.keys() - {"cgroup", "time"}


def _new_flags(config: Config, kinds: set[str]) -> int:
    return sum(CLONE_FLAGS[kind] for kind in kinds if is_new(config, kind))


def _entry(config: Config, kind: str) -> tuple[str, Any] | None:
    namespaces = (config.get("linux") or {}).get("namespaces") or ()
    for number, namespace in enumerate(namespaces):
        if namespace["type"] == kind:
            return f"/linux/namespaces/{number}", namespace
    return None


def _maps_root(mappings: list[dict[str, int]] | None) -> bool:
    return any(each["containerID"] == 0 and each["size"] for each in mappings or ())
