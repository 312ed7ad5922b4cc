# SPDX-License-Identifier: Apache-2.0
"""The plan of exec: one more process in a container that exists.

Most of the way down from root is gone outside of the container's PID namespace, where nobody in the container can see
or trace the process; only the child that is already what the program will be goes on inside.
"""

from __future__ import annotations

from pyrun.plan import namespaces, process, root
from pyrun.plan.operations import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config, Problems, Request


def compile_exec(
    config: Config,
    request: Request,
    problems: Problems,
    *,
    cgroup: str | None,
    replaceable: bool,
    by_scope: bool = False,
) -> Plan:
    """Return the plan that carries out ``config["process"]`` in the container that ``config`` describes.

    Args:
        config: the container's, with the new process in the place of its own.
        request: as for create.
        problems: gets what can't be done.
        cgroup: path below the cgroup2 mount, or None to stay in the caller's.
        by_scope: whether the cgroup can be reached only from the container's scope, which systemd lets enter.
        replaceable: whether the cgroup that the container's init has moved itself to may stand in for it.
    """
    plan = Plan()
    plan.add("find_container", "")
    if cgroup is not None:
        if by_scope:
            plan.add("await_scope", "")
        plan.add("open_cgroup", "", request.cgroup_mount or "", cgroup, int(replaceable))
    if (config.get("linux") or {}).get("intelRdt") is not None:
        from pyrun.plan import resctrl

        resctrl.join(plan, config, request)
    process.prepare_outside(plan, config, inherited=True)
    process.label_keyring(plan, config, request)
    process.label(plan, config, problems)
    process.begin_on_processors(plan, config)
    plan.add("clone_entrant", "")
    namespaces.enter_all(plan, config)
    if namespaces.has(config, "mount"):
        plan.add("use_entered_root", "")
    else:
        root.change(plan, config, request)
    process.end_on_processors(plan, config)
    process.join_keyring(plan, request)
    process.open_terminal(plan, config)
    process.find_program(plan, config)
    process.drop_privileges(plan, config, inherited=True)
    plan.add("go_on_inside", "")
    plan.add("new_session", "")
    process.attach_terminal(plan, config)
    process.limit(plan, config)
    process.set_attributes(plan, config, problems, inherited=True)
    filtered = process.filter_early(plan, config, request, problems)
    plan.add("await_go", "")
    if not filtered:
        process.filter_system_calls(plan, config, request, problems)
    process.execute(plan, config, request)
    return plan
