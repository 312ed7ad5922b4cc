# SPDX-License-Identifier: Apache-2.0
"""The removal of a container's resctrl groups (runtime-spec, config-linux.md, "IntelRdt")."""

from __future__ import annotations

import fcntl
import os

from pyrun.errors import PyrunError, error_words


def remove(groups: dict[str, list[str]], *, created: bool) -> None:
    """Remove the directories that create has made; the container's processes have ended.

    Args:
        groups: what :func:`pyrun.plan.resctrl.to_remove` returned before the container was made.
        created: whether the container has been created; else a class of service that the config names goes as well.

    Raises:
        PyrunError: one can't be removed.
    """
    for path in groups["made"]:
        _remove(path)
    for path in () if created else groups["undone"]:
        _remove_unused(path)


def _remove(path: str) -> None:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise PyrunError(f"remove the resctrl group {path}: {error_words(error.errno or 0)}") from None


def _remove_unused(path: str) -> None:
    """Remove a group without tasks, under the lock of the file system: removal takes no heed of them."""
    try:
        lock = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(f"{path}/tasks", "rb") as tasks:
            if not tasks.read():
                _remove(path)
    except FileNotFoundError:
        pass
    finally:
        os.close(lock)
