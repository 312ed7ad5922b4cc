# SPDX-License-Identifier: Apache-2.0
"""The schemata of a container's resctrl group, changed while it runs (Documentation/filesystems/resctrl.rst)."""

from __future__ import annotations

import fcntl
import os

from pyrun.container import resctrl
from pyrun.container.members import pids_of
from pyrun.errors import PyrunError, error_words
from pyrun.plan.resctrl import DEFAULT_CLASS, find_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.state import StateDirectory

OPTIONS = {"l3CacheSchema": "--l3-cache-schema", "memBwSchema": "--mem-bw-schema"}
_ROUNDS = 50


class SchemataChange:
    """New schemata, and a group for a container that had none of its own; both can be taken back."""

    def __init__(
        self, state: StateDirectory, known: dict[str, Any], settings: dict[str, Any] | None, asked: dict[str, str]
    ) -> None:
        """Find the group; nothing changes yet.

        Args:
            state: the container's locked state directory.
            known: what ``state.json`` holds.
            settings: ``linux.intelRdt`` of the container as it is now, or None.
            asked: new lines for the schemata, by their property of ``linux.intelRdt``.

        Raises:
            PyrunError: resctrl is not mounted.
        """
        mount = find_mount()
        if mount is None:
            raise PyrunError(
                "no resctrl file system is mounted: mount -t resctrl resctrl /sys/fs/resctrl",
                source=OPTIONS[next(iter(asked))],
            )
        self._state, self._known, self._mount = state, known, mount
        name = (settings or {}).get("closID") or state.container_id
        self._group = mount if name == DEFAULT_CLASS else f"{mount}/{name}"
        self._is_new, self._is_made = settings is None, False
        self._asked = asked
        self._before: list[str] = []

    def make(self) -> None:
        """Set the schemata.

        Raises:
            PyrunError: the kernel refuses; nothing has changed then.
        """
        lock = os.open(self._mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_new:
                self._make_group()
            self._before = _read(f"{self._group}/schemata").splitlines()
            for member, lines in self._asked.items():
                self._set(lines, OPTIONS[member])
            if self._is_new:
                self._enter_group()
        except BaseException:
            self.undo()
            raise
        finally:
            os.close(lock)

    def undo(self) -> None:
        """Put the schemata back, or remove the group that was made, whose tasks then are where they were."""
        if self._is_new:
            if self._is_made:
                resctrl.remove({"made": [self._group], "undone": []}, created=True)
                self._state.write_state(self._known)
            return
        for line in self._before:
            if line not in _read(f"{self._group}/schemata").splitlines():
                _write(f"{self._group}/schemata", f"{line.strip()}\n")

    def _make_group(self) -> None:
        if os.path.lexists(self._group):
            raise PyrunError(f"the resctrl group {self._group} exists already, and is not the container's: remove it")
        # First the record: what a killed update leaves is removed with the container.
        self._state.write_state({**self._known, "resctrl": {"made": [self._group], "undone": []}})
        try:
            os.mkdir(self._group, 0o755)
        except OSError as error:
            self._state.write_state(self._known)
            raise PyrunError(f"make the resctrl group {self._group}: {error_words(error.errno or 0)}") from None
        self._is_made = True

    def _set(self, lines: str, option: str) -> None:
        for line in lines.splitlines():
            try:
                _write(f"{self._group}/schemata", f"{line}\n")
            except OSError as error:
                words = _read(f"{self._mount}/info/last_cmd_status").strip() or error_words(error.errno or 0)
                raise PyrunError(f'write "{line}" to schemata: {words}', source=option) from None

    def _enter_group(self) -> None:
        """Move all threads of the container; those that are made meanwhile are born where their maker is."""
        moved: set[str] = set()
        for _ in range(_ROUNDS):
            threads = {thread for pid in pids_of(self._state) for thread in _threads(pid)}
            if threads <= moved:
                return
            for thread in threads - moved:
                try:
                    _write(f"{self._group}/tasks", thread)
                except ProcessLookupError:
                    continue
            moved |= threads
        raise PyrunError("the container makes threads faster than they can be moved to its resctrl group")


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
