# SPDX-License-Identifier: Apache-2.0
"""The plan of a container: from the outer stage to the execution of its program."""

from __future__ import annotations

import os

from pyrun.caller import this_caller
from pyrun.errors import PyrunError
from pyrun.plan import (
    Problems,
    Request,
    cgroup,
    devices,
    idmaps,
    kernel,
    mounts,
    namespaces,
    process,
    root,
)
from pyrun.plan.operations import Plan
from pyrun_cgroups import placement
from pyrun_spec.load import load_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config


def compile_config(config: Config, request: Request) -> Plan:
    """Return the plan for ``config``, which has passed pyrun_spec's checks.

    Raises:
        PyrunError: with the place of the first thing that can't be done, and the number of others.
    """
    plan, problems = _compile(config, request)
    if problems.found:
        pointer, message = problems.found[0]
        raise PyrunError(
            message,
            source="config.json",
            pointer=pointer,
            more=len(problems.found) - 1,
            bundle=request.bundle,
        )
    return plan


def find_problems(config: Config, request: Request) -> list[tuple[str, str]]:
    """Return JSON pointer and message of everything in ``config`` that can't be done."""
    return _compile(config, request)[1].found


def _compile(config: Config, request: Request) -> tuple[Plan, Problems]:
    plan, problems = Plan(), Problems()
    if not config.get("process"):
        config = {**config, "process": process.NO_PROCESS}
    _plan_outer_stage(plan, config, request, problems)
    _plan_init(plan, config, request, problems)
    _plan_start(plan, config, request, problems)
    return plan, problems


def _plan_outer_stage(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    plan.add("open_gate", "")
    placed = cgroup.place(plan, config, request, problems)
    if placed:
        _plan_delegation(plan, config, request)
    if (config.get("linux") or {}).get("intelRdt") is not None:
        from pyrun.plan import resctrl

        resctrl.place(plan, config, request, problems)
    process.prepare_outside(plan, config, inherited=namespaces.has(config, "user"))
    opened = mounts.open_sources(plan, config, request, problems)
    idmaps.check(config, request, problems)
    namespaces.check_devices(config, request, problems)
    namespaces.join_and_clone(plan, config, idmaps.arguments(config, request), placed=placed, opened=opened)


def _plan_delegation(plan: Plan, config: Config, request: Request) -> None:
    mounts = config.get("mounts") or ()
    if any(mount.get("source") == "cgroup" and "ro" not in (mount.get("options") or ()) for mount in mounts):
        from pyrun.plan import delegation

        delegation.add(plan, config, request)


def _plan_init(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    namespaces.settle(plan, config)
    kernel.open_procfs(plan, config)
    process.open_session(plan, config, request)
    if namespaces.has(config, "mount"):
        root.attach(plan, config, request, problems)
        mounts.add_all(plan, config, request, problems)
        devices.add_all(plan, config, problems)
        _plan_hooks_before_pivot(plan, config, request)
        root.enter(plan, config, request)
        process.make_cwd(plan, config)
        process.open_terminal(plan, config)
        process.bind_console(plan, config)
        mounts.make_readonly(plan, config)
        root.finish(plan, config)
    else:
        _plan_hooks_before_pivot(plan, config, request)
        root.use(plan, config, request, problems)
        devices.add_all_unmounted(plan, config, problems)
        process.open_terminal(plan, config)
    kernel.set_all(plan, config)
    root.propagate(plan, config)
    process.label(plan, config, problems)
    process.find_program(plan, config)
    namespaces.join_pid_namespace(plan, config)
    process.drop_privileges(plan, config, inherited=namespaces.has(config, "user"))
    namespaces.enter_pid_namespace(plan, config)
    process.attach_terminal(plan, config)
    process.set_attributes(plan, config, problems, inherited=namespaces.has(config, "user"))


def _plan_start(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    filtered = process.filter_early(plan, config, request, problems)
    namespaces.await_go(plan, config)
    plan.add("wait_at_gate", "")
    process.limit(plan, config)
    _plan_hooks_on_start(plan, config, request, problems)
    if not filtered:
        process.filter_system_calls(plan, config, request, problems)
    process.execute(plan, config, request)


def awaits_runtime(config: Config) -> bool:
    """Whether the init waits, when its mounts stand, for what pyrun does from outside: network devices, hooks."""
    hooks = config.get("hooks") or {}
    devices = (config.get("linux") or {}).get("netDevices")
    return bool(devices or hooks.get("prestart") or hooks.get("createRuntime"))


def _plan_hooks_before_pivot(plan: Plan, config: Config, request: Request) -> None:
    if awaits_runtime(config):
        plan.add("await_runtime_hooks", "/hooks" if config.get("hooks") else "/linux/netDevices")
    if config.get("hooks"):
        from pyrun.plan import hooks

        hooks.before_pivot(plan, config, request)


def _plan_hooks_on_start(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    if config.get("hooks"):
        from pyrun.plan import hooks

        hooks.on_start(plan, config, request, problems)


def compile_bundle(bundle: str, container_id: str = "ID") -> Plan:
    """Load ``bundle``/config.json and compile it for this host, as ``pyrun create`` would.

    Raises:
        PyrunError, pyrun_spec.errors.SpecError: the config can't be loaded, is not valid or can't be obeyed.
    """
    return compile_config(load_config(bundle), request_for(container_id, bundle))


def request_for(
    container_id: str,
    bundle: str,
    *,
    seccomp_cache: str | None = None,
    no_pivot: bool = False,
    new_keyring: bool = True,
    listen_descriptors: int = 0,
    listen_names: str = "",
    notify_directory: str | None = None,
    rootless: str = "auto",
    scope: str | None = None,
) -> Request:
    """Return a request for this host: the one place where compiling looks at it.

    Args:
        container_id, bundle, seccomp_cache, no_pivot, listen_descriptors, listen_names, notify_directory, scope: as in
            :class:`Request`.
        new_keyring: give the container a session keyring of its own.
        rootless: "true", "false" or "auto": whether a container may be without a cgroup of its own.
    """
    caller = this_caller()
    mount, controllers = placement.mounted() or (None, None)
    own_cgroup = placement.own_cgroup() if mount else "/"
    may_be_denied = rootless == "true" or (rootless == "auto" and not caller.is_host_root)
    return Request(
        container_id,
        bundle,
        cgroup_mount=mount,
        cgroup_controllers=controllers,
        own_cgroup=own_cgroup,
        scope=scope,
        seccomp_cache=seccomp_cache,
        no_pivot=no_pivot,
        keyring=_keyring(container_id) if new_keyring else None,
        listen_descriptors=listen_descriptors,
        listen_names=listen_names,
        notify_directory=notify_directory,
        caller=caller,
        cgroup_denied=may_be_denied and scope is None and not (mount and placement.may_have_sibling(mount, own_cgroup)),
    )


def _keyring(container_id: str) -> str:
    """Return a name that nobody guesses: who knows it, and has the user id of the container's root, can join."""
    return f"_ses.{container_id}.{os.urandom(8).hex()}"
