# SPDX-License-Identifier: Apache-2.0
"""The number of processes, limited when the init is born: until then the outer stage may have to be in its cgroup too.

It is there under systemd, whose scopes begin with a process; where a user or cgroup namespace is joined; and where its
own cgroup was killed (see ``clone_into_cgroup`` in ``runtime/init/namespaces.c``).
"""

from __future__ import annotations

from pyrun_cgroups.writes import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan.operations import Plan

NUMBER_OF_PROCESSES = "pids.max"


def postpone(plan: Plan, limits: list[Write]) -> list[Write]:
    """Add the limit that is set at birth, if there is one, and return those to be written before, which lift it."""
    numbers = [limit for limit in limits if limit.file == NUMBER_OF_PROCESSES]
    if not numbers:
        return limits
    last = numbers[-1]
    if last.value != "max":
        plan.add("limit_at_birth", f"/linux/resources{last.pointer}", last.file, last.value)
    free = Write(last.pointer, last.file, "max", optional=last.optional)
    return [*[limit for limit in limits if limit.file != NUMBER_OF_PROCESSES], free]
