# SPDX-License-Identifier: Apache-2.0
"""create: from a bundle to an init that waits at the gate."""

from __future__ import annotations

import os

from pyrun.container.descriptors import keep
from pyrun.container.launch import Conversation, launch
from pyrun.container.recipients import Recipients, check_console
from pyrun.errors import PyrunError
from pyrun.plan.cgroup import path_of as cgroup_of
from pyrun.plan.create import awaits_runtime, compile_config, request_for
from pyrun.plan.namespaces import has, is_new, path_of
from pyrun.plan.root import path_of as root_of
from pyrun.state import CREATING, OCI_VERSION, StateDirectory, check_id, hook_state
from pyrun_spec.load import checked_config, read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.container.scope import Scope
    from pyrun.container.seccomp_agent import Agent
    from pyrun.network.devices import NetworkDevices
    from pyrun.plan import Config, Request
    from pyrun.plan.operations import Plan


class CreationOptions:
    """What the command line says about a container that is to be made.

    Attributes:
        pid_file: where to write the init's pid, or None.
        no_pivot: cover the old root instead of pivoting away from it.
        new_keyring: give the container a session keyring of its own.
        console_socket: path of the socket that gets the terminal, or None.
        pidfd_socket: path of the socket that gets a pidfd of the init, or None.
        preserve_descriptors: how many of the caller's descriptors from 3 on the container keeps.
        terminal: True for a terminal whatever process.terminal says.
        rootless: "true", "false" or "auto": whether cgroups may be done without.
        systemd_cgroup: have systemd make the cgroup.
    """

    __slots__ = (
        "console_socket",
        "new_keyring",
        "no_pivot",
        "pid_file",
        "pidfd_socket",
        "preserve_descriptors",
        "rootless",
        "systemd_cgroup",
        "terminal",
    )

    def __init__(
        self,
        *,
        pid_file: str | None = None,
        no_pivot: bool = False,
        new_keyring: bool = True,
        console_socket: str | None = None,
        pidfd_socket: str | None = None,
        preserve_descriptors: int = 0,
        terminal: bool = False,
        rootless: str = "auto",
        systemd_cgroup: bool = False,
    ) -> None:
        self.pid_file = pid_file
        self.no_pivot = no_pivot
        self.new_keyring = new_keyring
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.preserve_descriptors = preserve_descriptors
        self.terminal = terminal
        self.rootless = rootless
        self.systemd_cgroup = systemd_cgroup


def create(root: str, container_id: str, bundle: str, options: CreationOptions) -> int:
    """Create the container that ``bundle``/config.json describes; it waits for start.

    Args:
        root: directory of the state directories.
        container_id: the new container's id.
        bundle: absolute path of the bundle.
        options: what else was asked for.

    Returns:
        The pid of the container's init, a child of this process.

    Raises:
        PyrunError, pyrun_spec.errors.SpecError, OSError: nothing of the container is left then.
    """
    creation = Creation(root, container_id, bundle, options, detached=True)
    pid = creation.finish()
    creation.state.close()
    return pid


class Creation:
    """A container that is being created: while pyrun-init works, its maker can do something else.

    Attributes:
        state: the container's state directory.
        config: its checked config.json.
        terminal: the master of its terminal, where nobody else gets it, else None.
    """

    def __init__(self, root: str, container_id: str, bundle: str, options: CreationOptions, *, detached: bool) -> None:
        """Compile the plan, make the state directory and let pyrun-init begin; arguments and errors as of create."""
        check_id(container_id)
        kept = keep(options.preserve_descriptors)
        text = read_config(bundle)
        self.config = checked_config(text, bundle)
        process = self.config.get("process") or {}
        if options.terminal:
            process["terminal"] = True
        check_console(process.get("terminal", False), detached, options.console_socket)
        self._scope = _scope(self.config, container_id, options)
        request = request_for(
            container_id,
            bundle,
            seccomp_cache=f"{root}/@seccomp",  # no id of a container has this character
            no_pivot=options.no_pivot,
            new_keyring=options.new_keyring,
            rootless=options.rootless,
            scope=None if self._scope is None else self._scope.path,
            listen_descriptors=kept.listen,
            listen_names=kept.names,
            notify_directory=f"{root}/{container_id}/notify" if os.environ.get("NOTIFY_SOCKET") else None,
        )
        _check_caller(self.config, request)
        plan = compile_config(self.config, request)
        self._known = _description(self.config, request)
        if self._scope is not None:
            self._scope.describe(self._known)
        agent = _agent(self.config, request, self._known, plan)
        self.terminal: int | None = None
        self._devices: NetworkDevices | None = None
        self._conversation: Conversation | None = None
        self._recipients = Recipients(options.console_socket, options.pidfd_socket, options.pid_file)
        try:
            self.state = StateDirectory.make(root, container_id)
        except BaseException:
            self._recipients.close()
            raise
        try:
            self.state.write_state(self._known)
            self.state.write("config.json", text)
            self.state.write("plan", plan.encode())
            if request.notify_directory is not None:
                from pyrun.container import notify

                notify.prepare(self.state)
            self._conversation = launch(self.state, kept.count)
            self._conversation.agent = agent
        except BaseException:
            self._undo()
            raise

    def finish(self) -> int:
        """Wait until the container is created; result and errors as of create."""
        conversation = self._conversation
        assert conversation is not None
        try:
            if self._scope is not None:
                self._scope.start(conversation, self.state, self._known["cgroup"])
            conversation.wait_for_init()
            conversation.go()
            self._act_outside(conversation)
            pid = conversation.wait_for(b"created")
            self.terminal = self._recipients.take_terminal(conversation.take_terminal())
            self._recipients.take_process(pid, "standard")
            self.state.finish_gate()
            self.state.unlock()
        except BaseException:
            self._undo()
            raise
        if self._devices is not None:
            self._devices.close()
        conversation.close()
        self._recipients.close()
        return pid

    def _act_outside(self, conversation: Conversation) -> None:
        """Do what the container needs from pyrun's namespaces, if anything: network devices, then hooks."""
        if not awaits_runtime(self.config):
            return
        hooks = _hooks_outside(self.config)
        if hooks:  # loaded while pyrun-init works
            from pyrun.container.hooks import run_hooks
        pid = conversation.wait_for(b"hooks")
        self._move_devices(f"/proc/{pid}/ns/net")
        for kind, listed in hooks.items():
            run_hooks(listed, kind, hook_state(self._known, CREATING, pid), self.state)
        conversation.go()

    def _move_devices(self, namespace: str) -> None:
        devices = (self.config.get("linux") or {}).get("netDevices")
        if devices:
            from pyrun.network.devices import NetworkDevices

            self._devices = NetworkDevices(devices, namespace, self.state)
            self._devices.move()

    def _undo(self) -> None:
        from pyrun.container.delete import destroy

        if self._devices is not None:
            self._devices.put_back()
        if self._conversation is not None:
            self._conversation.break_off()
        if self.terminal is not None:
            os.close(self.terminal)
        destroy(self.state)
        self.state.close()
        if self._conversation is not None:
            self._conversation.reap()
        self._recipients.close()


def _scope(config: Config, container_id: str, options: CreationOptions) -> Scope | None:
    if not options.systemd_cgroup:
        return None
    from pyrun.container.scope import Scope

    return Scope(config, container_id, options.rootless)


def _hooks_outside(config: Config) -> dict[str, list[Any]]:
    hooks = config.get("hooks") or {}
    return {kind: hooks[kind] for kind in ("prestart", "createRuntime") if hooks.get(kind)}


def _agent(config: Config, request: Request, known: dict[str, Any], plan: Plan) -> Agent | None:
    """Look after the agent that decides about system calls; return it if it is asked before the container is created.

    Otherwise it becomes part of what is ``known``, for start.

    Raises:
        PyrunError: there is no such agent.
    """
    profile = (config.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from pyrun.plan.seccomp import notifies

    if not notifies(profile):
        return None
    from pyrun.container.seccomp_agent import Agent, agent_of, is_asked_on_start

    described = agent_of(profile, request.bundle)
    agent = Agent(described, known, CREATING)
    agent.check()
    if not is_asked_on_start(plan):
        return agent
    known["seccompAgent"] = described
    return None


def _check_caller(config: Config, request: Request) -> None:
    """Refuse what an ordinary user can't have, whatever the config asks for; a plan is compiled for everybody."""
    if request.caller.user and not has(config, "user"):
        raise PyrunError(
            "rootless container requires user namespaces: add one with id mappings (pyrun spec --rootless), or be root",
            source="config.json",
            pointer="/linux/namespaces",
        )


def _description(config: Config, request: Request) -> dict[str, Any]:
    path = cgroup_of(config, request)
    cgroup = None if path is None else f"{request.cgroup_mount}{path}"
    description = {
        "ociVersion": OCI_VERSION,
        "id": request.container_id,
        "bundle": request.bundle,
        "rootfs": root_of(config, request),
        "annotations": config.get("annotations") or {},
        "cgroup": cgroup,
        "cgroupMount": request.cgroup_mount,
        "cgroupsMade": 0 if cgroup is None else _missing_components(cgroup, request.cgroup_mount or ""),
        "pidNamespace": "new" if is_new(config, "pid") else "joined" if has(config, "pid") else "host",
        "keyring": request.keyring,
    }
    linux = config.get("linux") or {}
    if linux.get("intelRdt") is not None:
        from pyrun.plan.resctrl import to_remove

        description["resctrl"] = to_remove(config, request)
    if linux.get("netDevices") and not is_new(config, "network"):
        description["networkNamespace"] = path_of(config, "network")
    hooks = {kind: value for kind, value in (config.get("hooks") or {}).items() if kind.startswith("post") and value}
    if hooks:
        description["hooks"] = hooks
    if not config.get("process"):
        description["withoutProcess"] = True
    return description


def _missing_components(path: str, mount: str) -> int:
    """Count the trailing components that do not exist: those that this container makes and delete removes."""
    count = 0
    while path != mount and not os.path.lexists(path):
        path = path.rpartition("/")[0]
        count += 1
    return count
