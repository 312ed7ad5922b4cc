# SPDX-License-Identifier: Apache-2.0
"""ps: the processes of a container, as ps(1) shows those of the host."""

from __future__ import annotations

import subprocess

from pyrun.container import members
from pyrun.errors import PyrunError
from pyrun.state import StateDirectory

_ALL_PROCESSES = ["-ef"]


def pids_of(root: str, container_id: str) -> list[int]:
    """Return the pids of a container's processes on the host, sorted.

    Raises:
        PyrunError: there is no such container.
        pyrun_cgroups.control.CgroupError: its cgroup can't be read.
    """
    state = StateDirectory(root, container_id)
    try:
        return members.pids_of(state)
    finally:
        state.close()


def table_of(root: str, container_id: str, options: list[str]) -> list[str]:
    """Return the lines of ps that are about a container's processes, after the line of titles.

    Args:
        root: directory of the state directories.
        container_id: the container's id.
        options: words for ps, which must show the column PID; without any, as ``ps -ef``.

    Raises:
        PyrunError: there is no such container; ps is missing, fails, or shows no pids.
        pyrun_cgroups.control.CgroupError: its cgroup can't be read.
    """
    pids = set(pids_of(root, container_id))
    titles, *rows = _output_of_ps(options or _ALL_PROCESSES).split("\n")
    if "PID" not in titles.split():
        raise PyrunError("couldn't find PID field in ps output")
    column = titles.split().index("PID")
    return [titles, *[row for row in rows if row and _pid_in(row, column) in pids]]


def _output_of_ps(options: list[str]) -> str:
    try:
        ended = subprocess.run(["ps", *options], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        raise PyrunError("the program ps is not in PATH; install procps") from None
    except OSError as error:
        error.filename = "ps"
        raise
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "surrogateescape").strip().partition("\n")[0]
        raise PyrunError(f"ps {' '.join(options)}: {said or f'exit status {ended.returncode}'}")
    return ended.stdout.decode("utf-8", "surrogateescape")


def _pid_in(row: str, column: int) -> int:
    """The pid in a row; words are counted, so that no column before it may have spaces in it."""
    words = row.split()
    if column >= len(words) or not words[column].isdigit():
        raise PyrunError(f'unable to parse pid in "{row.strip()}"; let ps show the PID before what may have spaces')
    return int(words[column])
