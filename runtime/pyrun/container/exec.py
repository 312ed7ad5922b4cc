# SPDX-License-Identifier: Apache-2.0
"""exec: one more process in a container."""

from __future__ import annotations

import os

from pyrun.container.descriptors import keep
from pyrun.container.exec_process import process_for
from pyrun.container.launch import launch, place_of
from pyrun.container.recipients import Recipients, check_console
from pyrun.errors import PyrunError
from pyrun.plan import Problems, Request
from pyrun.plan.exec import compile_exec
from pyrun.plan.process import NO_PROCESS
from pyrun.state import CREATING, PAUSED, STOPPED, StateDirectory
from pyrun_spec.load import parsed_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.container.seccomp_agent import Agent
    from pyrun.container.supervise import Supervisor
    from pyrun.plan import Config
    from pyrun.plan.operations import Plan


class ExecOptions:
    """What the command line says about the process; values are as they stand there, paths absolute.

    Attributes:
        args: the program and its arguments; empty with a process file.
        process_file: path of a file with an OCI process object, or None.
        env: further variables, each NAME=value.
        cwd: the working directory, or None for the container's.
        user: UID[:GID], or None for the container's.
        additional_gids: further groups, each a number.
        capabilities: names of further capabilities.
        no_new_privileges: whether no_new_privs is set, whatever the container's process has.
        apparmor: name of an AppArmor profile, or None.
        process_label: an SELinux label, or None.
        terminal: whether the process gets a terminal.
        detach: whether to return when the process has started.
        pid_file: where to write its pid, or None.
        console_socket: path of the socket that gets the terminal, or None.
        pidfd_socket: path of the socket that gets a pidfd of the process, or None.
        preserve_descriptors: how many of the caller's descriptors from 3 on the process keeps.
        ignore_paused: whether a paused container is entered; the process waits until it is resumed.
        cgroup: an existing cgroup below the container's to start in, or None.
    """

    __slots__ = (
        "additional_gids",
        "apparmor",
        "args",
        "capabilities",
        "cgroup",
        "console_socket",
        "cwd",
        "detach",
        "env",
        "ignore_paused",
        "no_new_privileges",
        "pid_file",
        "pidfd_socket",
        "preserve_descriptors",
        "process_file",
        "process_label",
        "terminal",
        "user",
    )

    def __init__(
        self,
        *,
        args: list[str] | None = None,
        process_file: str | None = None,
        env: list[str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        additional_gids: list[str] | None = None,
        capabilities: list[str] | None = None,
        no_new_privileges: bool = False,
        apparmor: str | None = None,
        process_label: str | None = None,
        terminal: bool = False,
        detach: bool = False,
        pid_file: str | None = None,
        console_socket: str | None = None,
        pidfd_socket: str | None = None,
        preserve_descriptors: int = 0,
        ignore_paused: bool = False,
        cgroup: str | None = None,
    ) -> None:
        self.args = args or []
        self.process_file = process_file
        self.env = env or []
        self.cwd = cwd
        self.user = user
        self.additional_gids = additional_gids or []
        self.capabilities = capabilities or []
        self.no_new_privileges = no_new_privileges
        self.apparmor = apparmor
        self.process_label = process_label
        self.terminal = terminal
        self.detach = detach
        self.pid_file = pid_file
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.preserve_descriptors = preserve_descriptors
        self.ignore_paused = ignore_paused
        self.cgroup = cgroup


def execute(root: str, container_id: str, options: ExecOptions) -> int:
    """Execute a program in a container that is created, runs, or, where that is asked for, is paused.

    Args:
        root: directory of the state directories.
        container_id: the container's id.
        options: the process.

    Returns:
        The exit status of the program, 128 + N if signal N ended it; 0 if detached.

    Raises:
        PyrunError, pyrun_spec.errors.SpecError, OSError: the program was not executed, and nothing of it is left.
    """
    supervisor = None
    if not options.detach:
        from pyrun.container.supervise import Supervisor

        supervisor = Supervisor()  # from now on a signal waits until it can be forwarded
    state = StateDirectory.open_as_owner(root, container_id)
    try:
        entrant = Entrant(state, options)
    finally:
        state.close()
    pid = entrant.go_inside()
    if supervisor is None:
        entrant.execute()
        return 0
    return _wait(supervisor, entrant, pid)


class Entrant:
    """A process on its way into a container."""

    def __init__(self, state: StateDirectory, options: ExecOptions) -> None:
        """Compile the plan and let pyrun-init begin; errors as of execute."""
        kept = keep(options.preserve_descriptors, activation=False)
        known = state.read_state() or {}
        _check_status(state, known, options)
        text = state.read("config.json")
        if text is None:
            raise PyrunError("the pyrun that made this container kept no config.json; exec needs it")
        config = {"process": NO_PROCESS, **parsed_config(text)}
        config["process"] = process_for(config, options)
        check_console(config["process"].get("terminal", False), options.detach, options.console_socket)
        self._by_scope = bool(known.get("systemdUser")) and _must_enter_scope(known)
        plan = _compile(config, known, state, options, by_scope=self._by_scope)
        agent = _agent(config, known, state)
        self.terminal: int | None = None
        self._recipients = Recipients(options.console_socket, options.pidfd_socket, options.pid_file)
        try:
            self._conversation = launch(state, kept.count, plan.encode())
        except BaseException:
            self._recipients.close()
            raise
        self._known = known
        self._conversation.source = options.process_file
        self._conversation.agent = agent

    def go_inside(self) -> int:
        """Return the process's pid when it is in the container and waits; errors as of execute."""
        try:
            if self._by_scope:
                from pyrun.container.scope import enter

                enter(self._conversation, self._known)
            self._conversation.wait_for_init()
            pid = self._conversation.wait_for(b"inside")
            self.terminal = self._recipients.take_terminal(self._conversation.take_terminal())
            self._recipients.take_process(pid, "setns")
        except BaseException:
            self.end()
            raise
        return pid

    def execute(self) -> None:
        """Let the process become the program; errors as of execute."""
        try:
            self._conversation.go()
            self._conversation.wait_until_executed()
        except BaseException:
            self.end()
            raise
        self._conversation.close()
        self._recipients.close()

    def end(self) -> None:
        """Break the entrance off, and leave nothing of it."""
        self._conversation.break_off()
        self._conversation.kill()
        self._recipients.close()


def _wait(supervisor: Supervisor, entrant: Entrant, pid: int) -> int:
    """Let the process become the program and wait for its end, with this process's terminal as its own."""
    if entrant.terminal is None:
        entrant.execute()
        return supervisor.wait(pid)
    from pyrun.container.terminal import Terminal

    try:
        terminal = Terminal(entrant.terminal)
    except BaseException:
        entrant.end()
        raise
    try:
        entrant.execute()
        return supervisor.wait(pid, terminal)
    finally:
        terminal.close()


def _agent(config: Config, known: dict[str, Any], state: StateDirectory) -> Agent | None:
    """Return the agent that decides about system calls of the process, where there is one."""
    profile = (config.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from pyrun.plan.seccomp import notifies

    if not notifies(profile):
        return None
    from pyrun.container.seccomp_agent import Agent, agent_of

    described = agent_of(profile, known["bundle"])
    process = state.read_process()
    if process is None:
        return None
    agent = Agent(described, known, state.status(process, known.get("cgroup")), process.pid)
    agent.connect()
    return agent


def _check_status(state: StateDirectory, known: dict[str, Any], options: ExecOptions) -> None:
    status = state.status(state.read_process(), known.get("cgroup"))
    if status == STOPPED:
        raise PyrunError("cannot exec in a stopped container")
    if status == CREATING:
        raise PyrunError("cannot exec in a container that is not created completely")
    if status == PAUSED and not options.ignore_paused:
        raise PyrunError("cannot exec in a paused container (use --ignore-paused to override)")


def _compile(
    config: Config, known: dict[str, Any], state: StateDirectory, options: ExecOptions, *, by_scope: bool
) -> Plan:
    request = Request(
        state.container_id,
        known["bundle"],
        cgroup_mount=known.get("cgroupMount"),
        seccomp_cache=f"{os.path.dirname(state.path)}/@seccomp",
        keyring=known.get("keyring"),
    )
    problems = Problems()
    cgroup = _cgroup(known, options)
    plan = compile_exec(config, request, problems, cgroup=cgroup, replaceable=options.cgroup is None, by_scope=by_scope)
    if problems.found:
        pointer, message = problems.found[0]
        source, place = place_of(pointer, options.process_file)
        raise PyrunError(message, source=source, pointer=place)
    return plan


def _must_enter_scope(known: dict[str, Any]) -> bool:
    from pyrun.container.scope import must_be_entered

    return must_be_entered(known)


def _cgroup(known: dict[str, Any], options: ExecOptions) -> str | None:
    """Return the cgroup to be born in, below the mount; None where the container has none."""
    cgroup, mount = known.get("cgroup"), known.get("cgroupMount")
    if cgroup is None or mount is None:
        if options.cgroup is not None:
            raise PyrunError("--cgroup: the container has no cgroup of its own; leave the option out")
        return None
    path: str = cgroup[len(mount) :]
    parts = [part for part in (options.cgroup or "").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise PyrunError(f"--cgroup {options.cgroup}: not below the container's cgroup; leave out the ..")
    return "/".join([path, *parts])
