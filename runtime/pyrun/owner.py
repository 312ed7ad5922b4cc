# SPDX-License-Identifier: Apache-2.0
"""Root and the containers of ordinary users, whose state is theirs to write: read with care, and acted on as theirs."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Numbers of the system call, which the C library has no function for.
KEYCTL = {"x86_64": 250, "aarch64": 219}
KEYCTL_JOIN_SESSION_KEYRING = 1


def act_as(user: int, group: int) -> None:
    """Go on as another user, for good, with nothing of root's: no groups, no keys.

    Raises:
        OSError: the kernel refuses.
    """
    _leave_session_keyring()
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def is_sound(state: dict[str, Any]) -> bool:
    """Whether state that another user could have written has the right types, and its cgroup is one, without traps."""
    from pyrun_cgroups.placement import find_cgroup2

    cgroup, annotations, agent = state.get("cgroup"), state.get("annotations", {}), state.get("seccompAgent", {})
    texts = [state.get(name, "") for name in ("ociVersion", "bundle", "rootfs")]
    return (
        isinstance(annotations, dict)
        and isinstance(agent, dict)
        and agent.keys() in (set(), {"path", "metadata"})
        and all(isinstance(text, str) for text in [*texts, *annotations.values(), *agent.values()])
        and _is_sound_scope(state)
        and (cgroup is None or (isinstance(cgroup, str) and _is_below(cgroup, find_cgroup2())))
    )


def _is_sound_scope(state: dict[str, Any]) -> bool:
    """Whether the unit that delete stops, if there is one, has the name of a scope."""
    if not state.keys() & {"systemdUnit", "systemdUser"}:
        return True
    from pyrun_cgroups.systemd.names import is_scope

    return is_scope(state.get("systemdUnit")) and isinstance(state.get("systemdUser", False), bool)


def _leave_session_keyring() -> None:
    """Join a new session keyring (keyctl(2)): whoever acts for another user must not take their own keys along.

    Raises:
        OSError: the kernel refuses.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(KEYCTL[os.uname().machine], KEYCTL_JOIN_SESSION_KEYRING, None) < 0:
        error = ctypes.get_errno()
        if error != errno.ENOSYS:
            raise OSError(error, os.strerror(error), "session keyring")


def _is_below(path: str, directory: str | None) -> bool:
    if directory is None or not path.startswith(f"{directory}/") or ".." in path.split("/"):
        return False
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False
