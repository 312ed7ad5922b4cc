# SPDX-License-Identifier: Apache-2.0
"""The plan: a flat list of kernel operations, and the encoding in which pyrun-init takes it.

The table below is the wire format: an operation's number is its place. ``runtime/init/operations.c`` holds the same
table, ``pyrun-init --operations`` prints it, and a test compares the two. The encoding is described in
``runtime/init/plan.c``.
"""

from __future__ import annotations

VERSION = 1
MAGIC = b"PYRUNPLN"

# Who carries an operation out: the outer stage up to the clone, the init up to the gate, the init after the start.
OUTER, INIT, START = "outer stage", "init", "start"

# name: (stage, signature, names of the arguments). In a signature u is an unsigned 64-bit number, s a string, b bytes,
# l a list of strings and n a list of numbers.
OPERATIONS = {
    "open_gate": (OUTER, "", ()),
    "await_scope": (OUTER, "", ()),
    "use_own_cgroup": (OUTER, "ssl", ("mount", "path", "controllers")),
    "limit_at_birth": (OUTER, "ss", ("file", "value")),
    "make_cgroup": (OUTER, "ssl", ("mount", "path", "controllers")),
    "write_cgroup_file": (OUTER, "llu", ("files", "values", "optional")),
    "attach_device_filter": (OUTER, "b", ("program",)),
    "make_resctrl_group": (OUTER, "ssulls", ("mount", "group", "flags", "agreed", "further", "monitor")),
    "join_resctrl_groups": (OUTER, "l", ("directories",)),
    "delegate_cgroup": (OUTER, "us", ("uid", "user_namespace")),
    "enter_cgroup": (OUTER, "", ()),
    "set_oom_score_adj": (OUTER, "s", ("value",)),
    "raise_resource_limit": (OUTER, "uu", ("resource", "hard")),
    "open_id_mapping": (OUTER, "sss", ("uid_map", "gid_map", "path")),
    "open_bind_source": (OUTER, "suu", ("source", "recursive", "mapping")),
    "open_filesystem": (
        OUTER,
        "sssluuu",
        ("destination", "type", "source", "parameters", "attributes", "flags", "mapping"),
    ),
    "open_namespace": (OUTER, "us", ("type", "path")),
    "refuse_own_namespace": (OUTER, "us", ("type", "path")),
    "open_bind_sources_early": (OUTER, "", ()),
    "join_namespaces": (OUTER, "u", ("types",)),
    "unshare_time": (OUTER, "", ()),
    "set_time_offsets": (OUTER, "s", ("lines",)),
    "find_container": (OUTER, "", ()),
    "open_cgroup": (OUTER, "ssu", ("mount", "path", "replaceable")),
    "set_label": (OUTER, "ls", ("files", "label")),
    "set_affinity": (OUTER, "b", ("processors",)),
    "set_scheduler": (OUTER, "uuuuuuu", ("policy", "flags", "nice", "priority", "runtime", "deadline", "period")),
    "set_io_priority": (OUTER, "uu", ("class", "priority")),
    "clone_entrant": (OUTER, "", ()),
    "clone_init": (OUTER, "ussss", ("flags", "uid_map", "gid_map", "uid_mapper", "gid_mapper")),
    "prepare_pid_namespace": (INIT, "", ()),
    "become_root": (INIT, "", ()),
    "unshare_namespaces": (INIT, "u", ("flags",)),
    "enter_namespaces": (INIT, "u", ("types",)),
    "use_entered_root": (INIT, "", ()),
    "reset_affinity": (INIT, "", ()),
    "new_session": (INIT, "", ()),
    "join_session_keyring": (INIT, "s", ("name",)),
    "loopback_up": (INIT, "", ()),
    "propagate_root": (INIT, "u", ("flags",)),
    "open_own_procfs": (INIT, "", ()),
    "isolate_root": (INIT, "s", ("path",)),
    "bind_root": (INIT, "s", ("path",)),
    "overlay_root": (INIT, "slssl", ("path", "lower", "upper", "work", "parameters")),
    "use_root": (INIT, "s", ("path",)),
    "mount_filesystem": (
        INIT,
        "ssslunuuu",
        ("destination", "type", "source", "parameters", "attributes", "propagation", "flags", "mapping", "slot"),
    ),
    "bind_mount": (
        INIT,
        "ussuuuuunuu",
        (
            "slot",
            "source",
            "destination",
            "recursive",
            "set",
            "clear",
            "recursive_set",
            "recursive_clear",
            "propagation",
            "flags",
            "mapping",
        ),
    ),
    "remount": (
        INIT,
        "sluuuunu",
        (
            "destination",
            "parameters",
            "set",
            "clear",
            "recursive_set",
            "recursive_clear",
            "propagation",
            "flags",
        ),
    ),
    "label_mount": (INIT, "ss", ("destination", "label")),
    "make_directory": (INIT, "su", ("path", "mode")),
    "make_device": (INIT, "suuuuuu", ("path", "type", "major", "minor", "mode", "uid", "gid")),
    "make_symlink": (INIT, "ssu", ("target", "path", "flags")),
    "await_runtime_hooks": (INIT, "", ()),
    # On start as well.
    "run_hook": (INIT, "slluuss", ("path", "args", "env", "home", "timeout", "before_pid", "after_pid")),
    "pivot_to_root": (INIT, "", ()),
    "move_to_root": (INIT, "", ()),
    "change_root": (INIT, "", ()),
    "open_terminal": (INIT, "uuu", ("rows", "columns", "uid")),
    "bind_console": (INIT, "", ()),
    "readonly_root": (INIT, "", ()),
    "readonly_mount": (INIT, "s", ("path",)),
    "propagate_mount": (INIT, "sn", ("destination", "propagation")),
    "set_hostname": (INIT, "s", ("name",)),
    "set_domainname": (INIT, "s", ("name",)),
    "write_sysctl": (INIT, "ss", ("path", "value")),
    "readonly_path": (INIT, "s", ("path",)),
    "mask_path": (INIT, "ss", ("path", "label")),
    "reopen_null": (INIT, "", ()),
    "own_stdio": (INIT, "u", ("uid",)),
    "find_home": (INIT, "u", ("uid",)),
    "find_program": (INIT, "sss", ("name", "search_path", "cwd")),
    "join_pid_namespace": (INIT, "", ()),
    "limit_bounding_set": (INIT, "u", ("kept",)),
    "change_directory": (INIT, "s", ("path",)),
    "set_identity": (INIT, "uun", ("uid", "gid", "additional_gids")),
    "set_capabilities": (INIT, "uuuu", ("effective", "permitted", "inheritable", "ambient")),
    "set_memory_policy": (INIT, "ub", ("mode", "nodes")),
    "set_personality": (INIT, "u", ("persona",)),
    "log_warning": (INIT, "s", ("words",)),
    "set_no_new_privileges": (INIT, "", ()),
    "enter_pid_namespace": (INIT, "", ()),
    "go_on_inside": (INIT, "", ()),
    "attach_terminal": (INIT, "", ()),
    "await_go": (INIT, "", ()),
    "wait_at_gate": (INIT, "", ()),
    "set_resource_limit": (START, "uuu", ("resource", "soft", "hard")),
    "set_umask": (START, "u", ("umask",)),
    "keep_seccomp_for_hooks": (START, "ub", ("flags", "filter")),
    "load_seccomp": (START, "ub", ("flags", "filter")),
    "execute_program": (START, "llu", ("args", "env", "listen_descriptors")),
}
NUMBERS = {name: number for number, name in enumerate(OPERATIONS)}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Argument = int | str | bytes | list[str] | list[int]
    Operation = tuple[str, str, tuple[Argument, ...]]


class Plan:
    """Operations in the order in which they are carried out.

    Attributes:
        operations: (name, JSON pointer of the property that asked for it, or "", arguments).
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(self, name: str, pointer: str, *arguments: Argument) -> None:
        """Append the operation ``name``, asked for by the property at ``pointer`` of config.json."""
        self.operations.append((name, pointer, arguments))

    def encode(self) -> bytes:
        """Return the bytes that pyrun-init reads.

        Raises:
            ValueError: a string has a NUL byte.
            OverflowError: a number is negative or longer than 64 bits.
        """
        parts: list[bytes] = []
        for name, pointer, arguments in self.operations:
            parts += (_u32(NUMBERS[name]), _text(pointer))
            for letter, value in zip(OPERATIONS[name][1], arguments, strict=True):
                parts.append(ENCODERS[letter](value))
        body = b"".join(parts)
        length = len(MAGIC) + 12 + len(body)
        return MAGIC + _u32(VERSION) + _u32(len(self.operations)) + _u32(length) + body


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _blob(data: bytes) -> bytes:
    return _u32(len(data)) + data + b"\0"


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError(f"a NUL byte in {value!r}")
    return _blob(data)


def _texts(values: list[str]) -> bytes:
    return _u32(len(values)) + b"".join([_text(value) for value in values])


def _numbers(values: list[int]) -> bytes:
    return _u32(len(values)) + b"".join([_u64(value) for value in values])


ENCODERS: dict[str, Callable[[Any], bytes]] = {"u": _u64, "s": _text, "b": _blob, "l": _texts, "n": _numbers}
