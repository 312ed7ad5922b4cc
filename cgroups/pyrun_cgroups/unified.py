# SPDX-License-Identifier: Apache-2.0
"""``linux.resources.unified``: any file of a cgroup, by its name (runtime-spec config-linux.md, "Unified").

It reaches controllers and files that have no property of their own, such as ``misc.max`` or ``memory.high``.
"""

from __future__ import annotations

from pyrun_cgroups.writes import LimitError, Write, escape

_ABOUT_PROCESSES = {
    "cgroup.freeze",
    "cgroup.kill",
    "cgroup.procs",
    "cgroup.subtree_control",
    "cgroup.threads",
    "cgroup.type",
}
"""They move, stop or exclude processes, the container's first one among them, and limit nothing."""


def writes(files: dict[str, str]) -> list[Write]:
    """Return what ``unified`` asks for: each line of a value is written by itself, as the kernel wants it.

    Nothing is optional, whatever the value: the specification makes a controller that is not there an error.

    Raises:
        LimitError: a name that is not ``CONTROLLER.REST`` or ``cgroup.REST``, that leads out of the cgroup, or that
            is about processes.
    """
    return [
        Write(f"/unified/{escape(name)}", name, line)
        for name, value in files.items()
        for line in _lines(_checked(name), value)
    ]


def _checked(name: str) -> str:
    pointer = f"/unified/{escape(name)}"
    if "/" in name or "\0" in name:
        raise LimitError(
            pointer, "this is not the name of a file in a cgroup: it can't have a slash or a NUL character"
        )
    controller, _, rest = name.partition(".")
    if not controller or not rest:
        raise LimitError(pointer, "name a file of a controller, such as memory.high")
    if name in _ABOUT_PROCESSES:
        raise LimitError(pointer, f"{name} is about processes and limits nothing: remove it")
    return name


def _lines(name: str, value: str) -> list[str]:
    if "\0" in value:
        raise LimitError(f"/unified/{escape(name)}", "a value can't have a NUL character")
    return [line for line in value.split("\n") if line] or ["\n"]
