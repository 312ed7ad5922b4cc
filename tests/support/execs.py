# SPDX-License-Identifier: Apache-2.0
"""What tests of exec have in common: process files, and who is in a container's cgroup."""

from __future__ import annotations

import contextlib
import json
import os
import signal

from support import configs
from support.runtime import Container
from support.waiting import wait_for_exit, wait_until
from support.world import CGROUPS


def process_file(directory: str, *args: str, **members: object) -> str:
    """Writes process.json, a process object for a program; returns its path."""
    path = os.path.join(directory, "process.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"args": args, "cwd": "/", "env": [configs.PATH], **members}, file)
    return path


def cgroup_of(container: Container) -> str:
    """Returns the directory of the cgroup that a container without cgroupsPath gets."""
    return os.path.join(CGROUPS, container.id)


def members(container: Container) -> set[int]:
    """Returns the processes in a container's cgroup, without those in cgroups below it."""
    with open(os.path.join(cgroup_of(container), "cgroup.procs"), encoding="ascii") as file:
        return {int(line) for line in file}


def the_other(container: Container) -> int:
    """Returns the one process in a container's cgroup beside its first one."""
    (pid,) = members(container) - {container.pid}
    return pid


def wait_until_alone(container: Container) -> None:
    """Waits until a container's first process is the only one in its cgroup."""
    only = {container.pid}
    wait_until(lambda: members(container) == only, f"only the first process is left of {members(container)}")


def end_others(container: Container) -> None:
    """Kills the processes in a container's cgroup but the first, and reaps those that are this process's children."""
    for pid in members(container) - {container.pid}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for_exit(pid)


def reap_orphans() -> None:
    """Reaps what has ended of the processes that became this one's children when their runtime ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def set_frozen(container: Container, frozen: bool) -> None:
    """Freezes or thaws a container by its cgroup, and waits until it is done."""
    cgroup = cgroup_of(container)
    with open(os.path.join(cgroup, "cgroup.freeze"), "w", encoding="ascii") as file:
        file.write(str(int(frozen)))

    def is_done() -> bool:
        with open(os.path.join(cgroup, "cgroup.events"), encoding="ascii") as file:
            return f"frozen {int(frozen)}" in file.read()

    wait_until(is_done, "the cgroup is frozen or thawed")
