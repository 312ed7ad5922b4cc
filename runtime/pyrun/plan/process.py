# SPDX-License-Identifier: Apache-2.0
"""process: limits, session, identity, capabilities, the seccomp filter, and the program."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

# capabilities(7); the place in the list is the number.
CAPABILITIES = """CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID
CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK
CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT
CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL
CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON
CAP_BPF CAP_CHECKPOINT_RESTORE""".split()
BITS = {name: 1 << number for number, name in enumerate(CAPABILITIES)}

# getrlimit(2), as numbered on x86-64 and aarch64.
RESOURCES = {
    f"RLIMIT_{name}": number
    for number, name in enumerate(
        """CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO
        RTTIME""".split()
    )
}
DEFAULT_UMASK = 0o022
# Of a container that is made without a process (runtime-spec, config.md: only start needs one).
NO_PROCESS: Config = {"cwd": "/", "args": []}

# What pyrun-init still does when it has gone down from root: the rest of the capabilities, the gate, limits, execve.
CALLS_OF_THE_END = frozenset(
    """accept4 brk capget capset close close_range execve exit exit_group getpid getsockopt listen mmap munmap prctl
    prlimit64 read rt_sigaction rt_sigprocmask rt_sigreturn sendto setrlimit setsockopt umask write""".split()
)

# Beside the flags of seccomp(2), as runtime/init/seccomp.c takes it.
THEN_GIVE_UP_ADMIN = 1 << 63

# Where the program finds the socket that it notifies the service manager by.
NOTIFY_DIRECTORY, NOTIFY_SOCKET = "/run/notify", "notify.sock"


def prepare_outside(plan: Plan, config: Config, *, inherited: bool) -> None:
    """Add what only the outer stage may do: the OOM score, and hard limits that are above those of the caller.

    Args:
        inherited: whether the process gets its scheduling by inheritance, because it has no privileges of the host.
    """
    process = config["process"]
    if process.get("oomScoreAdj") is not None:
        plan.add("set_oom_score_adj", "/process/oomScoreAdj", str(process["oomScoreAdj"]))
    for number, limit in enumerate(process.get("rlimits") or ()):
        plan.add("raise_resource_limit", f"/process/rlimits/{number}/hard", RESOURCES[limit["type"]], limit["hard"])
    if inherited and _is_scheduled(process):
        from pyrun.plan.scheduling import begin_outside

        begin_outside(plan, process)


def open_session(plan: Plan, config: Config, request: Request) -> None:
    """Add the processors of the container's cgroup, the new session and its keyring."""
    plan.add("reset_affinity", "")
    plan.add("new_session", "")
    label_keyring(plan, config, request)
    join_keyring(plan, request)


def label_keyring(plan: Plan, config: Config, request: Request) -> None:
    """Add the security module's label of the keyring."""
    if config["process"].get("selinuxLabel"):
        from pyrun.plan import labels

        labels.label_keyring(plan, config, request)


def join_keyring(plan: Plan, request: Request) -> None:
    """Add the session keyring: a new one, or the container's, which has the same name."""
    if request.keyring:
        plan.add("join_session_keyring", "", request.keyring)


def make_cwd(plan: Plan, config: Config) -> None:
    """Add the making of process.cwd, which engines expect to exist whatever the image holds."""
    plan.add("make_directory", "/process/cwd", config["process"]["cwd"], 0o755)


def open_terminal(plan: Plan, config: Config) -> None:
    """Add the making of the terminal, which belongs to the process's user."""
    process = config["process"]
    if process.get("terminal"):
        size = process.get("consoleSize") or {}
        uid = (process.get("user") or {}).get("uid") or 0
        plan.add("open_terminal", "/process/terminal", size.get("height") or 0, size.get("width") or 0, uid)


def bind_console(plan: Plan, config: Config) -> None:
    """Add the terminal's second name, /dev/console."""
    if config["process"].get("terminal"):
        plan.add("bind_console", "/process/terminal")


def attach_terminal(plan: Plan, config: Config) -> None:
    """Add what makes the terminal the controlling one and standard input, output and error."""
    if config["process"].get("terminal"):
        plan.add("attach_terminal", "/process/terminal")


def find_program(plan: Plan, config: Config) -> None:
    """Add what depends on the root filesystem: HOME, the program's path; and hand stdio to its user."""
    process = config["process"]
    uid = (process.get("user") or {}).get("uid") or 0
    environment = _environment(config)
    if not process.get("terminal"):
        plan.add("reopen_null", "")
        plan.add("own_stdio", "/process/user/uid", uid)
    if not environment.get("HOME"):
        plan.add("find_home", "/process/env", uid)
    if process["args"]:
        plan.add("find_program", "/process/args/0", process["args"][0], environment.get("PATH", ""), process["cwd"])


def label(plan: Plan, config: Config, problems: Problems) -> None:
    """Add the labels of the security modules, which the kernel applies when the next program is executed."""
    process = config["process"]
    if process.get("apparmorProfile") or process.get("selinuxLabel"):
        from pyrun.plan.labels import label_program

        label_program(plan, config, problems)


def begin_on_processors(plan: Plan, config: Config) -> None:
    """Add the processors that exec begins on."""
    if config["process"].get("execCPUAffinity"):
        from pyrun.plan import scheduling

        scheduling.begin_on_processors(plan, config["process"])


def end_on_processors(plan: Plan, config: Config) -> None:
    """Add the processors of exec's process, which would else be those of the caller."""
    if config["process"].get("execCPUAffinity"):
        from pyrun.plan import scheduling

        scheduling.end_on_processors(plan, config["process"])
    else:
        plan.add("reset_affinity", "")


def limit(plan: Plan, config: Config) -> None:
    """Add the resource limits and the umask."""
    process = config["process"]
    for number, each in enumerate(process.get("rlimits") or ()):
        pointer = f"/process/rlimits/{number}"
        plan.add("set_resource_limit", pointer, RESOURCES[each["type"]], each["soft"], each["hard"])
    umask = (process.get("user") or {}).get("umask")
    plan.add("set_umask", "/process/user/umask", DEFAULT_UMASK if umask is None else umask)


def drop_privileges(plan: Plan, config: Config, *, inherited: bool) -> None:
    """Add the descent: bounding set, working directory as root and as the user, identity, capabilities.

    Args:
        inherited: as in prepare_outside.
    """
    process = config["process"]
    user = process.get("user") or {}
    _warn_of_unknown_capabilities(plan, config)
    plan.add("limit_bounding_set", "/process/capabilities/bounding", _capability_set(config, "bounding"))
    plan.add("change_directory", "/process/cwd", process["cwd"])
    groups = user.get("additionalGids") or []
    plan.add("set_identity", "/process/user", user.get("uid") or 0, user.get("gid") or 0, groups)
    plan.add("change_directory", "/process/cwd", process["cwd"])
    _set_capabilities(plan, config, kept=_kept_for_seccomp(config) | _kept_for_scheduling(config, inherited=inherited))
    if process.get("noNewPrivileges"):
        plan.add("set_no_new_privileges", "/process/noNewPrivileges")


def set_attributes(plan: Plan, config: Config, problems: Problems, *, inherited: bool) -> None:
    """Add scheduling, memory policy and personality: behind the last clone, so that they are the program's alone.

    Args:
        inherited: as in prepare_outside.
    """
    process, linux = config["process"], config.get("linux") or {}
    if _is_scheduled(process):
        from pyrun.plan.scheduling import finish_inside

        finish_inside(plan, config, problems, begun=inherited)
        if _kept_for_scheduling(config, inherited=inherited):
            _set_capabilities(plan, config, kept=_kept_for_seccomp(config))
    if linux.get("memoryPolicy"):
        from pyrun.plan.memory_policy import set_policy

        set_policy(plan, linux["memoryPolicy"])
    if linux.get("personality"):
        from pyrun.plan.personality import set_persona

        set_persona(plan, linux["personality"], problems)


def _is_scheduled(process: dict[str, Any]) -> bool:
    return bool(process.get("scheduler") or process.get("ioPriority"))


def _kept_for_scheduling(config: Config, *, inherited: bool) -> int:
    """Return the capability that is kept until the scheduling is set."""
    if not _is_scheduled(config["process"]):
        return 0
    from pyrun.plan.scheduling import takes_privilege

    return BITS["CAP_SYS_NICE"] if takes_privilege(config["process"], begun=inherited) else 0


def _kept_for_seccomp(config: Config) -> int:
    """Return the capability that is kept until the filter is loaded; execve computes the sets anew, without it."""
    return BITS["CAP_SYS_ADMIN"] if _needs_admin_for_seccomp(config) else 0


def _set_capabilities(plan: Plan, config: Config, *, kept: int) -> None:
    effective, permitted, inheritable, ambient = (
        _capability_set(config, each) for each in ("effective", "permitted", "inheritable", "ambient")
    )
    plan.add("set_capabilities", "/process/capabilities", effective | kept, permitted | kept, inheritable, ambient)


def _capability_set(config: Config, name: str) -> int:
    sets = config["process"].get("capabilities") or {}
    return sum(BITS.get(each, 0) for each in set(sets.get(name) or ()))


def _warn_of_unknown_capabilities(plan: Plan, config: Config) -> None:
    """Spec, config.md, "Linux Process": what maps to nothing that the kernel has is a warning, and no error."""
    unknown: dict[str, None] = {}
    sets = config["process"].get("capabilities") or {}
    for kind in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        unknown |= {name: None for name in sets.get(kind) or () if name not in BITS}
    if unknown:
        plan.add("log_warning", "/process/capabilities", f"{', '.join(unknown)}: not known to pyrun, and left out")


def filter_early(plan: Plan, config: Config, request: Request, problems: Problems) -> bool:
    """Add the seccomp filter ahead of its time, and the loss of CAP_SYS_ADMIN, which is kept for it until then.

    Without no_new_privs a process that waits would have that capability for as long, and whoever may trace it too.

    Returns:
        Whether this was both useful and possible: the filter has to allow all that pyrun-init does after it.
    """
    if not _needs_admin_for_seccomp(config) or (config.get("hooks") or {}).get("startContainer"):
        return False
    from pyrun.plan.seccomp import allows

    if not allows(config["linux"]["seccomp"], CALLS_OF_THE_END):
        return False
    granted = _capability_set(config, "permitted") & BITS["CAP_SYS_ADMIN"]
    filter_system_calls(plan, config, request, problems, more=0 if granted else THEN_GIVE_UP_ADMIN)
    _set_capabilities(plan, config, kept=0)
    return True


def filter_system_calls(
    plan: Plan, config: Config, request: Request, problems: Problems, operation: str = "load_seccomp", more: int = 0
) -> None:
    """Add the seccomp filter, the last thing before the program; another operation has the same for hooks.

    Args:
        more: a flag for a filter that notifies: whoever loads it then waits for the agent.
    """
    profile = (config.get("linux") or {}).get("seccomp")
    if not profile:
        return
    from pyrun.errors import PyrunError
    from pyrun.plan.seccomp import compile_filter, notifies

    try:
        flags, program = compile_filter(profile, request.seccomp_cache)
    except PyrunError as error:
        problems.add(error.pointer or "/linux/seccomp", error.message)
    else:
        plan.add(operation, "/linux/seccomp", flags | (more if notifies(profile) else 0), program)


def execute(plan: Plan, config: Config, request: Request) -> None:
    """Add the execution of the program, which a container that can't be started does not have."""
    if not config["process"]["args"]:
        return
    environment = {**_environment(config), **_of_the_service_manager(request)}
    if request.listen_descriptors:
        # pyrun-init adds it: only the process itself knows its pid in the container.
        environment.pop("LISTEN_PID", None)
    words = list(config["process"]["args"])
    plan.add("execute_program", "/process/args", words, _entries(environment), request.listen_descriptors)


def _needs_admin_for_seccomp(config: Config) -> bool:
    return bool((config.get("linux") or {}).get("seccomp")) and not config["process"].get("noNewPrivileges")


def _of_the_service_manager(request: Request) -> dict[str, str]:
    """Return the variables of sd_listen_fds(3) and sd_notify(3), which count more than those of the config."""
    environment = {}
    if request.listen_descriptors:
        environment["LISTEN_FDS"] = str(request.listen_descriptors)
    if request.listen_names:
        environment["LISTEN_FDNAMES"] = request.listen_names
    if request.notify_directory is not None:
        environment["NOTIFY_SOCKET"] = f"{NOTIFY_DIRECTORY}/{NOTIFY_SOCKET}"
    return environment


def environment_of(config: Config) -> list[str]:
    """Return process.env without names that stand twice, for others than the program itself."""
    return _entries(_environment(config))


def _entries(environment: dict[str, str]) -> list[str]:
    """An empty HOME is none: pyrun-init adds the one that it finds."""
    return [f"{name}={value}" for name, value in environment.items() if value or name != "HOME"]


def _environment(config: Config) -> dict[str, str]:
    """Of a name that stands twice the last value counts, as for runc."""
    environment = {}
    for entry in config["process"].get("env") or ():
        name, _, value = entry.partition("=")
        environment[name] = value
    return environment
