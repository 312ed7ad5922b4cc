# SPDX-License-Identifier: Apache-2.0
"""Config to plan: which kernel operations make the container that config.json describes, and in which order.

Compiling is pure: what it needs to know of the host and of the command line comes in a :class:`Request`.
"""

from __future__ import annotations

from pyrun.errors import PyrunError
from pyrun.plan import cgroup, devices, kernel, mounts, namespaces, process, root, unsupported
from pyrun.plan.operations import Plan
from pyrun_cgroups import placement
from pyrun_spec.load import load_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Config = dict[str, Any]


class Request:
    """What a plan depends on beside config.json.

    Attributes:
        container_id: the container's id.
        bundle: absolute path of the bundle.
        cgroup_mount: where cgroup2 is mounted on the host, or None.
        own_cgroup: pyrun's own cgroup below that mount; relative cgroup paths start beside it.
        seccomp_cache: directory of compiled filters, or None.
        no_pivot: cover the old root instead of pivoting away from it (for a root in an initramfs).
        new_keyring: give the container a session keyring of its own.
    """

    __slots__ = (
        "bundle",
        "cgroup_mount",
        "container_id",
        "new_keyring",
        "no_pivot",
        "own_cgroup",
        "seccomp_cache",
    )

    def __init__(
        self,
        container_id: str,
        bundle: str,
        *,
        cgroup_mount: str | None = None,
        own_cgroup: str = "/",
        seccomp_cache: str | None = None,
        no_pivot: bool = False,
        new_keyring: bool = True,
    ) -> None:
        self.container_id = container_id
        self.bundle = bundle
        self.cgroup_mount = cgroup_mount
        self.own_cgroup = own_cgroup
        self.seccomp_cache = seccomp_cache
        self.no_pivot = no_pivot
        self.new_keyring = new_keyring


class Problems:
    """What can't be compiled, gathered so that one look at the config finds everything.

    Attributes:
        found: (JSON pointer, message) of each problem, in the order of discovery.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, pointer: str, message: str) -> None:
        """Remember that the property at ``pointer`` can't be obeyed, and why."""
        self.found.append((pointer, message))


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
        problems.add("/process", "a container needs a process; add one with args and cwd")
        return plan, problems
    unsupported.find(config, problems)
    _plan_outer_stage(plan, config, request, problems)
    _plan_init(plan, config, request, problems)
    _plan_start(plan, config, request, problems)
    return plan, problems


def _plan_outer_stage(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    plan.add("open_gate", "")
    cgroup.place(plan, config, request, problems)
    process.prepare_outside(plan, config)
    if namespaces.is_new(config, "user"):
        mounts.open_sources(plan, config, request)
    namespaces.join_and_clone(plan, config)


def _plan_init(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    namespaces.settle(plan, config)
    process.open_session(plan, config, request)
    kernel.open_procfs(plan, config)
    if namespaces.has(config, "mount"):
        root.attach(plan, config, request, problems)
        mounts.add_all(plan, config, request, problems)
        devices.add_all(plan, config)
        root.enter(plan, config, request)
        process.make_cwd(plan, config)
        mounts.make_readonly(plan, config)
        root.finish(plan, config)
    else:
        root.use(plan, config, request, problems)
    kernel.set_all(plan, config)
    process.find_program(plan, config)
    namespaces.enter_pid_namespace(plan, config)
    plan.add("wait_at_gate", "")


def _plan_start(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    process.limit(plan, config)
    process.drop_privileges(plan, config)
    process.filter_system_calls(plan, config, request, problems)
    process.execute(plan, config)


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
) -> Request:
    """Return a request for this host: the one place where compiling looks at it.

    Args:
        container_id, bundle, seccomp_cache, no_pivot, new_keyring: as in :class:`Request`.
    """
    mount = placement.find_cgroup2()
    return Request(
        container_id,
        bundle,
        cgroup_mount=mount,
        own_cgroup=placement.own_cgroup() if mount else "/",
        seccomp_cache=seccomp_cache,
        no_pivot=no_pivot,
        new_keyring=new_keyring,
    )
