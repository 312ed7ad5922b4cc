# SPDX-License-Identifier: Apache-2.0
"""What happens to cgroups: processes killed for want of memory, and the end of the last process.

The kernel tells of changes of ``memory.events`` and ``cgroup.events`` by inotify(7)
(Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files" and "Memory Interface Files").
"""

from __future__ import annotations

import os
import select

from pyrun_cgroups.control import CgroupError
from pyrun_cgroups.inotify import Inotify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OOM, END = "oom", "end"

_SECONDS_BETWEEN_LOOKS = 1.0
"""The kernel does not tell of the removal of a cgroup that had no process."""


class Event:
    """Something that happened to a cgroup.

    Attributes:
        path: the cgroup, as it was given.
        kind: `OOM`: the OOM killer has killed processes in it or below; `END`: it has no process any more, or is gone.
        kills: how many the OOM killer has killed since the last event of this kind, or since the cgroup is watched;
            0 where that can't be known, as the cgroup is gone already.
    """

    __slots__ = ("kills", "kind", "path")

    def __init__(self, path: str, kind: str, kills: int = 0) -> None:
        self.path = path
        self.kind = kind
        self.kills = kills


class Watch:
    """Watches any number of cgroups. It can be waited for with poll(2): :meth:`read` then has something new."""

    def __init__(self) -> None:
        """Begin with no cgroup.

        Raises:
            OSError: the kernel has no inotify instance for this user any more.
        """
        self._inotify = Inotify()
        self._watched: dict[str, _Watched] = {}

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._inotify.fileno()

    def add(self, path: str) -> None:
        """Watch one more cgroup; what has happened to it before does not count.

        Without the memory controller there is no `OOM` to tell of, only the `END`.

        Raises:
            CgroupError: it is gone, or it is the root cgroup or no cgroup.
            OSError: the kernel lets this user watch no more files.
        """
        if path not in self._watched:
            self._watched[path] = _Watched(path, self._inotify)

    def paths(self) -> list[str]:
        """Return the cgroups that are watched and have not ended."""
        return list(self._watched)

    def read(self) -> list[Event]:
        """Return what has happened since it was called last, without waiting. A cgroup that ended is dropped."""
        changed = self._inotify.read()
        found = []
        for path, watched in list(self._watched.items()):
            kills = watched.new_kills(watched.memory_watch in changed)
            if kills is not None:
                found.append(Event(path, OOM, kills))
            if watched.has_ended(watched.core_watch in changed):
                found.append(Event(path, END))
                self._watched.pop(path).close()
        return found

    def close(self) -> None:
        """Watch nothing any more."""
        while self._watched:
            self._watched.popitem()[1].close()
        self._inotify.close()


def watch_oom(*paths: str) -> Iterator[Event]:
    """Wait for the OOM killer, and yield an `OOM` event each time that it has killed in one of some cgroups.

    It ends when all of them have lost their last process, or are gone.

    Raises:
        CgroupError: one is gone from the beginning, or it is the root cgroup or no cgroup.
        OSError: the kernel has no inotify instance or watch for this user any more.
    """
    with Watch() as watch:
        for path in paths:
            watch.add(path)
        poll = select.poll()
        poll.register(watch.fileno(), select.POLLIN)
        while watch.paths():
            poll.poll(1000 * _SECONDS_BETWEEN_LOOKS)
            yield from (event for event in watch.read() if event.kind == OOM)


class _Watched:
    """One cgroup, whose files are held open: so they are never those of a later one of the same name."""

    __slots__ = ("_core", "_inotify", "_kills", "_memory", "core_watch", "memory_watch", "path")

    def __init__(self, path: str, inotify: Inotify) -> None:
        self.path = path
        self._inotify = inotify
        self.core_watch = self.memory_watch = self._kills = 0
        self._memory: int | None = None
        try:
            self._core = os.open(f"{path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise CgroupError(error.errno or 0, "its events cannot be watched", path) from error
        try:
            self.core_watch = inotify.add(f"{path}/cgroup.events")
            self._memory = _open_if_there(f"{path}/memory.events")
            if self._memory is not None:
                self.memory_watch = inotify.add(f"{path}/memory.events")
                self._kills = _counter(self._memory, b"oom_kill") or 0
        except BaseException:
            self.close()
            raise

    def new_kills(self, changed: bool) -> int | None:
        """Return how many processes the OOM killer has killed since this was asked last, None if none.

        Args:
            changed: whether the kernel has told of a change. When the cgroup is gone by now that is all there is to
                know, and rather counts as a kill than as none.
        """
        if self._memory is None:
            return None
        kills = _counter(self._memory, b"oom_kill")
        if kills is None:
            return 0 if changed else None
        before, self._kills = self._kills, kills
        return kills - before if kills > before else None

    def has_ended(self, changed: bool) -> bool:
        """Return whether the last process has ended, or the cgroup is gone.

        Args:
            changed: whether the kernel has told of a change; else one without processes has not had any yet.
        """
        populated = _counter(self._core, b"populated")
        return populated is None or (changed and not populated)

    def close(self) -> None:
        for descriptor in (self._core, self._memory):
            if descriptor is not None:
                os.close(descriptor)
        for watch in (self.core_watch, self.memory_watch):
            if watch:
                self._inotify.forget(watch)


def _open_if_there(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None


def _counter(descriptor: int, name: bytes) -> int | None:
    """The value of a line, 0 if there is no such line; None when the cgroup is gone."""
    try:
        lines = os.pread(descriptor, 4096, 0).split(b"\n")
    except OSError:
        return None
    values = [line.partition(b" ")[2] for line in lines if line.startswith(name + b" ")]
    return int(values[0]) if values else 0
