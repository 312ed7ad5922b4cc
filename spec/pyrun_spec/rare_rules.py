# SPDX-License-Identifier: Apache-2.0
"""The rules of `rules.py` about properties that few configurations have; loaded only for one that has them."""

from __future__ import annotations

from pyrun_spec.errors import join_pointer, quote
from pyrun_spec.rules import NAMESPACES, namespaces_of, needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun_spec.rules import Config, Report, Rule

LEAST_RUNTIME = 1024  # nanoseconds (sched(7))
LONGEST_TIME = 2**63 - 1  # nanoseconds (sched_setattr(2))
LARGEST_OFFSET = 9223372036  # seconds: the nanoseconds are a signed 64-bit integer (linux/ktime.h, KTIME_SEC_MAX)
LONGEST_INTERFACE_NAME = 15  # bytes (netdevice(7), IFNAMSIZ without the NUL)
RESCTRL_NAMES = frozenset((".", "..", "info", "mon_groups", "mon_data"))  # the filesystem's own directories
LARGEST_PROCESSOR = 8191  # of the largest kernels (NR_CPUS); nodes have smaller numbers


def numbers_of_list(text: str) -> list[int]:
    """Returns the numbers of a list of processors or memory nodes, such as "0-3,7" (cpuset(7), "List format").

    Spaces around numbers and empty parts are allowed, as by runc.

    Raises:
        ValueError: it is something else, a range runs backwards, or a number is larger than any machine has.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        if not part.strip():
            continue
        first, dash, last = part.partition("-")
        start = _processor(first)
        end = _processor(last) if dash else start
        if end < start:
            raise ValueError(part)
        numbers.update(range(start, end + 1))
    return sorted(numbers)


def _processor(text: str) -> int:
    digits = text.strip(" ")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 9 and int(digits) <= LARGEST_PROCESSOR):
        raise ValueError(text)
    return int(digits)


def _check_list(text: str, pointer: str, report: Report) -> list[int]:
    try:
        return numbers_of_list(text)
    except ValueError:
        report(pointer, f'{quote(text)} is not a list of numbers up to {LARGEST_PROCESSOR} (such as "0-3,7")')
        return []


def check_scheduler(config: Config, report: Report) -> None:
    """sched(7): which attribute goes with which policy."""
    scheduler = (config.get("process") or {}).get("scheduler")
    if scheduler is None:
        return
    policy, nice, priority = scheduler["policy"], scheduler.get("nice") or 0, scheduler.get("priority") or 0
    if policy in ("SCHED_OTHER", "SCHED_BATCH") and not -20 <= nice <= 19:
        report("/process/scheduler/nice", f"{nice} is not from -20 to 19")
    if policy in ("SCHED_FIFO", "SCHED_RR"):
        if not 1 <= priority <= 99:
            report("/process/scheduler/priority", f"{policy} needs a priority from 1 to 99, not {priority}")
    elif priority:
        report("/process/scheduler/priority", f"{policy} has no priority: only SCHED_FIFO and SCHED_RR have")
    if policy == "SCHED_DEADLINE":
        _check_deadline(scheduler, report)
        return
    for name in ("runtime", "deadline", "period"):
        if scheduler.get(name):
            report(f"/process/scheduler/{name}", f"{policy} has no {name}: only SCHED_DEADLINE has")


def _check_deadline(scheduler: Config, report: Report) -> None:
    """sched(7): runtime <= deadline <= period, which is the deadline when absent; none is too short or too long."""
    place = "/process/scheduler"
    times = {name: scheduler.get(name) or 0 for name in ("runtime", "deadline", "period")}
    runtime, deadline, period = times.values()
    for name, time in times.items():
        if time > LONGEST_TIME:
            report(f"{place}/{name}", f"{time} is more than {LONGEST_TIME} nanoseconds")
            return
    if runtime < LEAST_RUNTIME:
        report(f"{place}/runtime", f"SCHED_DEADLINE needs a runtime of at least {LEAST_RUNTIME} nanoseconds")
    elif runtime > deadline:
        report(f"{place}/deadline", f"SCHED_DEADLINE needs one that is not below the runtime, {runtime}")
    elif period and deadline > period:
        report(f"{place}/period", f"{period} is below the deadline, {deadline}")


def check_exec_affinity(config: Config, report: Report) -> None:
    """Spec: lists of processors."""
    affinity = (config.get("process") or {}).get("execCPUAffinity") or {}
    for name in ("initial", "final"):
        _check_list(affinity.get(name) or "", f"/process/execCPUAffinity/{name}", report)


def check_time_offsets(config: Config, report: Report) -> None:
    """time_namespaces(7): offsets are set before a process enters the namespace, and have a range."""
    offsets = (config.get("linux") or {}).get("timeOffsets")
    if not offsets:
        return
    namespaces = namespaces_of(config)
    if "time" not in namespaces:
        report("/linux/timeOffsets", needs("time"))
    elif namespaces["time"] is not None:
        report("/linux/timeOffsets", "the clocks of a time namespace that is joined can't be set (remove them)")
    for clock, offset in offsets.items():
        if clock not in ("monotonic", "boottime"):
            place = join_pointer("/linux/timeOffsets", clock)
            report(place, "is no clock of a time namespace: these are monotonic and boottime")
            continue
        seconds = offset.get("secs") or 0
        if abs(seconds) > LARGEST_OFFSET:
            report(f"/linux/timeOffsets/{clock}/secs", f"{seconds} is not from -{LARGEST_OFFSET} to {LARGEST_OFFSET}")


def check_net_devices(config: Config, report: Report) -> None:
    """Spec: devices are moved into the container's network namespace, and have names of their own there."""
    devices = (config.get("linux") or {}).get("netDevices")
    if not devices:
        return
    if "network" not in namespaces_of(config):
        report("/linux/netDevices", needs("network"))
    taken = {"lo": "the loopback device"}
    for host_name, device in devices.items():
        pointer = join_pointer("/linux/netDevices", host_name)
        if not _is_interface_name(host_name):
            report(pointer, f"{quote(host_name)} is not the name of a network device")
        name, place = device.get("name") or host_name, f"{pointer}/name" if device.get("name") else pointer
        if name != host_name and not (_is_interface_name(name) and _is_template(name)):
            report(place, f"{quote(name)} is not the name of a network device")
        if name in taken:
            report(place, f"{quote(name)} is the name of {taken[name]} in the container (choose another one)")
        elif "%" not in name:
            taken[name] = pointer


def _is_interface_name(name: str) -> bool:
    """Whether the kernel takes it (netdevice(7))."""
    return (
        0 < len(name.encode()) <= LONGEST_INTERFACE_NAME
        and name not in (".", "..")
        and not any(character in "/:" or character.isspace() for character in name)
    )


def _is_template(name: str) -> bool:
    """Whether a name has no "%", or one %d, for which the kernel puts the first number that is free."""
    return "%" not in name.replace("%d", "", 1)


def check_intel_rdt(config: Config, report: Report) -> None:
    """Spec: closID is a directory of resctrl, or "/" for the default class; schemata has no line breaks."""
    settings = (config.get("linux") or {}).get("intelRdt") or {}
    name = settings.get("closID") or ""
    if name != "/" and (name in RESCTRL_NAMES or "/" in name or "\n" in name):
        words = f'{quote(name)} is not the name of a class of service (nor "/", the default class)'
        report("/linux/intelRdt/closID", words)
    for index, line in enumerate(settings.get("schemata") or ()):
        if "\n" in line:
            report(f"/linux/intelRdt/schemata/{index}", f"{quote(line)} is more than one line (split it)")


def check_memory_policy(config: Config, report: Report) -> None:
    """set_mempolicy(2): which modes have nodes, and which flags go together."""
    policy = (config.get("linux") or {}).get("memoryPolicy")
    if policy is None:
        return
    pointer, mode, flags = "/linux/memoryPolicy", policy["mode"], list(policy.get("flags") or ())
    listed = policy.get("nodes") or ""
    nodes = _check_list(listed, f"{pointer}/nodes", report)
    if mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        if nodes:
            report(f"{pointer}/nodes", f"{mode} has no nodes (remove them)")
    elif mode != "MPOL_PREFERRED" and not nodes and not listed:
        report(f"{pointer}/nodes", f'{mode} needs nodes (such as "0")')
    for index, flag in enumerate(flags):
        words = _why_not(flag, mode, flags, nodes)
        if words:
            report(f"{pointer}/flags/{index}", f"{flag} {words}")


def _why_not(flag: str, mode: str, flags: list[str], nodes: list[int]) -> str:
    """Returns why a flag can't be set, or nothing."""
    if flag == "MPOL_F_NUMA_BALANCING":
        balanced = mode in ("MPOL_BIND", "MPOL_PREFERRED_MANY")
        return "" if balanced else f"is for MPOL_BIND and MPOL_PREFERRED_MANY, not for {mode} (remove it)"
    if flag == "MPOL_F_RELATIVE_NODES" and "MPOL_F_STATIC_NODES" in flags:
        return "contradicts MPOL_F_STATIC_NODES (remove one)"
    if mode == "MPOL_LOCAL" or (mode == "MPOL_PREFERRED" and not nodes):
        return f"is about nodes, and {mode} has none here (remove it)"
    return ""


RARE_RULES: tuple[Rule, ...] = (
    (check_scheduler, ("/process/scheduler",)),
    (check_exec_affinity, ("/process/execCPUAffinity",)),
    (check_time_offsets, (NAMESPACES, "/linux/timeOffsets")),
    (check_net_devices, (NAMESPACES, "/linux/netDevices")),
    (check_intel_rdt, ("/linux/intelRdt",)),
    (check_memory_policy, ("/linux/memoryPolicy",)),
)
