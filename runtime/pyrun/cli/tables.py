# SPDX-License-Identifier: Apache-2.0
"""The command line, defined once: every verb, argument and option as plain tuples.

Two readers share these tables: :mod:`pyrun.cli.reader` for a well-formed invocation, and
:mod:`pyrun.cli.commands` for help and for saying what is wrong. Names and defaults are runc's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The default says what an option's values are: a number if it is one, and () that it may be given several times.
    Default = str | bool | int | tuple[()] | None
    # (name, one-letter name or "", metavar or "" for a switch, choices or (), default, help)
    Option = tuple[str, str, str, tuple[str, ...], Default, str]
    # (name in code, metavar, required, whether it takes all words that are left, also those that look like options)
    Argument = tuple[str, str, bool, bool]
    # (summary, description, arguments, options)
    Verb = tuple[str, str, tuple[Argument, ...], tuple[Option, ...]]

GLOBAL_OPTIONS: tuple[Option, ...] = (
    ("debug", "", "", (), False, "Log what is done, and print a traceback on an internal error."),
    ("log", "", "FILE", (), None, "Append log lines to FILE instead of writing them to standard error."),
    ("log-format", "", "FORMAT", ("text", "json"), "text", "Form of a log line: text or json."),
    (
        "root",
        "",
        "DIR",
        (),
        None,
        "Keep the state of containers in DIR, which should be on a tmpfs"
        " (default: /run/pyrun, for users other than root $XDG_RUNTIME_DIR/pyrun).",
    ),
    (
        "systemd-cgroup",
        "",
        "",
        (),
        False,
        "Let systemd make the cgroups; cgroupsPath then reads slice:prefix:name.",
    ),
    (
        "rootless",
        "",
        "WHEN",
        ("true", "false", "auto"),
        "auto",
        "Tolerate cgroups that may not be written: true, false or auto.",
    ),
    ("version", "v", "", (), False, "Show the version and exit."),
    ("help", "h", "", (), False, "Show this message and exit."),
)

_CONTAINER_ID: Argument = ("container_id", "CONTAINER-ID", True, False)
_BUNDLE: Argument = ("bundle", "BUNDLE", True, False)

_CONSOLE_SOCKET: Option = (
    "console-socket",
    "",
    "SOCKET",
    (),
    None,
    "Send the master of the process's terminal to the AF_UNIX socket SOCKET.",
)
_PIDFD_SOCKET: Option = (
    "pidfd-socket",
    "",
    "SOCKET",
    (),
    None,
    "Send a pidfd of the process to the AF_UNIX socket SOCKET.",
)
_PRESERVE_FDS: Option = (
    "preserve-fds",
    "",
    "N",
    (),
    0,
    "Pass on N descriptors after the standard ones and those of LISTEN_FDS.",
)

_CREATE_OPTIONS: tuple[Option, ...] = (
    ("bundle", "b", "DIR", (), None, "The bundle directory (default: the current directory)."),
    _CONSOLE_SOCKET,
    _PIDFD_SOCKET,
    ("pid-file", "", "FILE", (), None, "Write the pid of the container's first process to FILE."),
    (
        "no-pivot",
        "",
        "",
        (),
        False,
        "Move the root mount instead of calling pivot_root, for a root filesystem on a ramdisk.",
    ),
    (
        "no-new-keyring",
        "",
        "",
        (),
        False,
        "Keep the caller's session keyring instead of making one for the container.",
    ),
    _PRESERVE_FDS,
)

_EXEC_OPTIONS: tuple[Option, ...] = (
    _CONSOLE_SOCKET,
    _PIDFD_SOCKET,
    ("cwd", "", "DIR", (), None, "Working directory in the container."),
    ("env", "e", "NAME=VALUE", (), (), "Set an environment variable; may be given several times."),
    ("tty", "t", "", (), False, "Give the process a terminal."),
    ("user", "u", "USER", (), None, "User and group, UID[:GID] (default: as process.user has them)."),
    ("additional-gids", "g", "GID", (), (), "Add a supplementary group; may be given several times."),
    ("process", "p", "FILE", (), None, "Take the whole process from FILE, which holds what process is in config.json."),
    ("detach", "d", "", (), False, "Return as soon as the process runs."),
    ("pid-file", "", "FILE", (), None, "Write the pid of the process to FILE."),
    ("process-label", "", "LABEL", (), None, "SELinux label of the process."),
    ("apparmor", "", "PROFILE", (), None, "AppArmor profile of the process."),
    ("no-new-privs", "", "", (), False, "Let the process never gain privileges by execve."),
    ("cap", "c", "CAPABILITY", (), (), "Give the process another capability; may be given several times."),
    ("preserve-fds", "", "N", (), 0, "Pass on N descriptors after the standard ones."),
    ("cgroup", "", "PATH", (), None, "Put the process into a cgroup that exists below the container's."),
    ("ignore-paused", "", "", (), False, "Execute in a paused container too: the process runs when that is resumed."),
)

_UPDATE_OPTIONS: tuple[Option, ...] = (
    (
        "resources",
        "r",
        "FILE",
        (),
        None,
        "Take the limits from FILE, which holds what linux.resources is in config.json, or from standard input (-);"
        " options for single limits are ignored then.",
    ),
    ("blkio-weight", "", "WEIGHT", (), None, "Share of disk time, 10 to 1000."),
    ("cpu-period", "", "MICROSECONDS", (), None, "Period of the CPU quota (0: the default)."),
    ("cpu-quota", "", "MICROSECONDS", (), None, "CPU time in each period (-1: no limit)."),
    ("cpu-burst", "", "MICROSECONDS", (), None, "CPU time that may be saved up for use beyond the quota."),
    ("cpu-share", "", "SHARES", (), None, "Share of CPU time, 2 to 262144 (default of the kernel: 1024)."),
    ("cpu-rt-period", "", "MICROSECONDS", (), None, "Has no effect in cgroup v2."),
    ("cpu-rt-runtime", "", "MICROSECONDS", (), None, "Only 0 and -1: cgroup v2 has no budget for realtime processes."),
    ("cpuset-cpus", "", "LIST", (), None, "CPUs to run on, such as 0-3,7."),
    ("cpuset-mems", "", "LIST", (), None, "Memory nodes to allocate from, such as 0,1."),
    ("kernel-memory", "", "SIZE", (), None, "Ignored: cgroup v2 counts all memory together."),
    ("kernel-memory-tcp", "", "SIZE", (), None, "Ignored: cgroup v2 counts all memory together."),
    ("memory", "", "SIZE", (), None, "Memory limit in bytes, or as 512m (-1: none, of swap neither)."),
    ("cpu-idle", "", "0|1", (), None, "1: run only when nothing else does."),
    ("memory-reservation", "", "SIZE", (), None, "Memory that is not taken away as long as others have more."),
    ("memory-swap", "", "SIZE", (), None, "Limit of memory and swap together (-1: no limit of the swap)."),
    ("pids-limit", "", "NUMBER", (), None, "Most processes and threads (-1: no limit)."),
    ("l3-cache-schema", "", "SCHEMA", (), None, "Part of the L3 cache, such as L3:0=ff (Intel RDT)."),
    ("mem-bw-schema", "", "SCHEMA", (), None, "Part of the memory bandwidth, such as MB:0=50 (Intel RDT)."),
)

VERBS: dict[str, Verb] = {
    "create": (
        "Create a container and stop short of its program.",
        "Create a container from a bundle: a directory with a config.json and a root filesystem. Its first"
        ' process waits until "pyrun start" lets it execute the program that process.args names.',
        (_CONTAINER_ID,),
        _CREATE_OPTIONS,
    ),
    "start": (
        "Let a created container execute its program.",
        "Let the first process of a created container execute the program that process.args names."
        " Returns once the program runs, or says why it could not be executed.",
        (_CONTAINER_ID,),
        (),
    ),
    "state": (
        "Print the state of a container as JSON.",
        "Print the state of a container as JSON: its status, pid, bundle and annotations.",
        (_CONTAINER_ID,),
        (),
    ),
    "kill": (
        "Send a signal to a container.",
        "Send SIGNAL to the first process of a container. SIGNAL is a name with or without SIG, in any case,"
        " or a number from 1 to 64 (default: TERM).",
        (_CONTAINER_ID, ("signal", "SIGNAL", False, False)),
        (("all", "a", "", (), False, "Send the signal to every process of the container."),),
    ),
    "delete": (
        "Remove what a stopped container has left.",
        "Remove all that is kept for a stopped container: its cgroup and its state.",
        (_CONTAINER_ID,),
        (
            (
                "force",
                "f",
                "",
                (),
                False,
                "Kill a container that still runs; one that does not exist is no error.",
            ),
        ),
    ),
    "pause": (
        "Let all processes of a container stand still.",
        "Freeze all processes of a created or running container, until it is resumed. Signals wait until then, but for"
        " KILL.",
        (_CONTAINER_ID,),
        (),
    ),
    "resume": (
        "Let the processes of a paused container go on.",
        "Let all processes of a paused container go on from where they were frozen.",
        (_CONTAINER_ID,),
        (),
    ),
    "exec": (
        "Execute another process in a running container.",
        "Execute COMMAND in a running container, in its namespaces and its cgroup, or the process that --process"
        " describes. All words after CONTAINER-ID are the command's. The exit status is that of the process, or"
        " 128 and the number of the signal that killed it; 255 if it could not be executed.",
        (_CONTAINER_ID, ("args", "COMMAND [ARGUMENT...]", False, True)),
        _EXEC_OPTIONS,
    ),
    "ps": (
        "List the processes of a container.",
        "List the processes of a container with ps(1), by their pids on the host. All words after CONTAINER-ID"
        " are options of ps (default: -ef); what they choose must have a column PID.",
        (_CONTAINER_ID, ("ps_options", "PS-OPTION...", False, True)),
        (
            (
                "format",
                "f",
                "FORMAT",
                ("table", "json"),
                "table",
                "Form of the list: table or json, which has pids only.",
            ),
        ),
    ),
    "update": (
        "Change the limits of a container.",
        "Change the limits of a container that is created, runs or is paused. What is not asked for stays; if one"
        " limit can't be set, none is changed. Sizes are in bytes, or with k, m, g or t for powers of 1024.",
        (_CONTAINER_ID,),
        _UPDATE_OPTIONS,
    ),
    "list": (
        "List the containers.",
        "List the containers whose state is kept in the directory that --root names.",
        (),
        (
            ("format", "f", "FORMAT", ("table", "json"), "table", "Form of the list: table or json."),
            ("quiet", "q", "", (), False, "Print container ids only, one a line."),
        ),
    ),
    "events": (
        "Print what a container uses, and when it runs out of memory.",
        "Print the statistics of a container as JSON after each interval, and a line whenever the kernel's OOM killer"
        " has killed one of its processes, until the container has ended. With --watch, show a table for people"
        " instead; without CONTAINER-ID it has all running containers.",
        (("container_id", "CONTAINER-ID", False, False),),
        (
            (
                "interval",
                "",
                "DURATION",
                (),
                None,
                "Time between statistics, such as 500ms or 1m30s (default: 5s, with --watch 1s).",
            ),
            ("stats", "", "", (), False, "Print the statistics once, now."),
            ("watch", "", "", (), False, "Show a table, on a terminal drawn in place until q is pressed."),
        ),
    ),
    "run": (
        "Create, start and wait for a container, then delete it.",
        "Create a container from a bundle, start it, pass signals on to it and wait for it. The exit status"
        " is that of the container's program, or 128 and the number of the signal that killed it.",
        (_CONTAINER_ID,),
        (
            *_CREATE_OPTIONS,
            ("detach", "d", "", (), False, "Return as soon as the container runs."),
            ("keep", "", "", (), False, "Do not delete the container when it has exited."),
            ("no-subreaper", "", "", (), False, "Do not become the parent of the container's orphaned processes."),
            ("tty", "t", "", (), False, "Give the process a terminal, whatever process.terminal says."),
        ),
    ),
    "spec": (
        "Write a config.json to begin with.",
        "Write a config.json that runs sh on a terminal, in a root filesystem called rootfs beside it. A"
        " config.json that exists is never overwritten.",
        (),
        (
            ("bundle", "b", "DIR", (), None, "The bundle directory (default: the current directory)."),
            ("rootless", "", "", (), False, "Write a config that runs without root."),
        ),
    ),
    "features": (
        "Print what this runtime knows as JSON.",
        "Print what this runtime knows as JSON, in the form of the features document of the OCI runtime"
        " specification. A list has what is understood in a config.json, whether or not this host has it.",
        (),
        (),
    ),
    "plan": (
        "Print the kernel operations that a bundle compiles to.",
        "Print the plan that create would carry out for BUNDLE: each kernel operation in order, with the"
        " JSON pointer of the property that asked for it. Nothing is created.",
        (_BUNDLE,),
        (("json", "", "", (), False, "Print JSON instead of text."),),
    ),
    "validate": (
        "List every error in a bundle's config.json.",
        "List every error in BUNDLE's config.json, one a line, with its JSON pointer. The exit status is 1"
        " if there is any.",
        (_BUNDLE,),
        (),
    ),
}
