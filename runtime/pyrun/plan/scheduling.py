# SPDX-License-Identifier: Apache-2.0
"""process.scheduler, process.ioPriority, process.execCPUAffinity: when, how urgently and where the process runs.

Realtime policies and what else is above the caller's take CAP_SYS_NICE on the host, or the caller's RLIMIT_NICE and
RLIMIT_RTPRIO (sched(7), ioprio_set(2)). A process of a user namespace has neither, and that of exec has gone down from
root before its last clone: there the outer stage begins, and clones inherit. What they don't inherit is set behind the
last clone: the flag SCHED_FLAG_RESET_ON_FORK, which takes no privilege then, and SCHED_DEADLINE, which does.
"""

from __future__ import annotations

from pyrun.plan.number_lists import mask_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems
    from pyrun.plan.operations import Plan

    Process = dict[str, Any]

# linux/sched.h
POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,  # reserved: no kernel has it
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
RESET_ON_FORK = 0x01
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": RESET_ON_FORK,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
# linux/ioprio.h
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}

# A process that runs only when nothing else does takes no privilege, and would be long about making the container.
BEGUN_INSIDE = ("SCHED_IDLE", "SCHED_DEADLINE")

SCHEDULER, IO_PRIORITY, AFFINITY = "/process/scheduler", "/process/ioPriority", "/process/execCPUAffinity"
NICE_MASK = 0xFFFFFFFF  # a plan's numbers have no sign


def begin_outside(plan: Plan, process: Process) -> None:
    """Add the outer stage's part, for a process that will have no privileges of the host."""
    scheduler, priority = process.get("scheduler"), process.get("ioPriority")
    if scheduler and scheduler["policy"] not in BEGUN_INSIDE:
        plan.add("set_scheduler", SCHEDULER, *_attributes(scheduler, _flags(scheduler) & ~RESET_ON_FORK))
    if priority and priority["class"] == "IOPRIO_CLASS_RT":
        _set_io_priority(plan, priority)


def finish_inside(plan: Plan, config: Config, problems: Problems, *, begun: bool) -> None:
    """Add what is left behind the last clone of the process; ``begun`` tells whether begin_outside came before."""
    process = config["process"]
    scheduler, priority = process.get("scheduler"), process.get("ioPriority")
    if scheduler:
        if _refuses_hooks(config, scheduler):
            words = (
                "a process of SCHED_DEADLINE can't make another one, as hooks of the kind startContainer need "
                "(add SCHED_FLAG_RESET_ON_FORK to flags, or remove the hooks)"
            )
            problems.add(f"{SCHEDULER}/policy", words)
        flags = _flags(scheduler)
        if not begun or scheduler["policy"] in BEGUN_INSIDE or flags & RESET_ON_FORK:
            plan.add("set_scheduler", SCHEDULER, *_attributes(scheduler, flags))
    if priority and not (begun and priority["class"] == "IOPRIO_CLASS_RT"):
        _set_io_priority(plan, priority)


def takes_privilege(process: Process, *, begun: bool) -> bool:
    """Whether finish_inside may take CAP_SYS_NICE."""
    scheduler, priority = process.get("scheduler"), process.get("ioPriority")
    if scheduler and (not begun or scheduler["policy"] == "SCHED_DEADLINE"):
        return True
    return bool(priority and priority["class"] == "IOPRIO_CLASS_RT" and not begun)


def begin_on_processors(plan: Plan, process: Process) -> None:
    """Add the processors that exec begins on, before it enters the container's cgroup."""
    _set_affinity(plan, process, "initial")


def end_on_processors(plan: Plan, process: Process) -> None:
    """Add the processors of exec's process in the container's cgroup: all of the cgroup's if none are named."""
    if not _set_affinity(plan, process, "final"):
        plan.add("reset_affinity", "")


def _set_affinity(plan: Plan, process: Process, name: str) -> bool:
    mask = mask_of(process["execCPUAffinity"].get(name) or "")
    if mask:
        plan.add("set_affinity", f"{AFFINITY}/{name}", mask)
    return bool(mask)


def _set_io_priority(plan: Plan, priority: dict[str, Any]) -> None:
    plan.add("set_io_priority", IO_PRIORITY, IO_CLASSES[priority["class"]], priority.get("priority") or 0)


def _refuses_hooks(config: Config, scheduler: dict[str, Any]) -> bool:
    if scheduler["policy"] != "SCHED_DEADLINE" or _flags(scheduler) & RESET_ON_FORK:
        return False
    return bool((config.get("hooks") or {}).get("startContainer"))


def _flags(scheduler: dict[str, Any]) -> int:
    return sum(FLAGS[flag] for flag in set(scheduler.get("flags") or ()))


def _attributes(scheduler: dict[str, Any], flags: int) -> tuple[int, ...]:
    """Return the operation's arguments; what is absent is 0 (config.md, "Linux Process")."""
    numbers = [scheduler.get(name) or 0 for name in ("nice", "priority", "runtime", "deadline", "period")]
    return POLICIES[scheduler["policy"]], flags, numbers[0] & NICE_MASK, *numbers[1:]
