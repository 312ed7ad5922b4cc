# SPDX-License-Identifier: Apache-2.0
"""A cgroup as an object: the face of this library for people.

    with Cgroup.make("/sys/fs/cgroup/experiment") as group:
        group.limit({"memory": {"limit": 256 << 20}, "pids": {"limit": 32}})
        group.add(os.getpid())

Everything that it does is in modules that stand alone, and can be used without it.
"""

from __future__ import annotations

import errno
import os

from pyrun_cgroups import control
from pyrun_cgroups.control import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pyrun_cgroups.events import Event
    from pyrun_cgroups.statistics import Statistics

_SUBTREE = "cgroup.subtree_control"


class Cgroup:
    """A cgroup of version 2.

    An object does not own its cgroup: it names it. As a context manager it kills and removes it in the end.

    Attributes:
        path: absolute path of its directory.
    """

    def __init__(self, path: str) -> None:
        """Take an existing cgroup.

        Args:
            path: its directory, of a mounted cgroup2 file system (`placement.find_cgroup2` finds the mount).

        Raises:
            CgroupError: there is none (ENOENT), or the directory is of another file system (EINVAL).
        """
        self.path = os.path.abspath(path)
        if not os.path.exists(f"{self.path}/cgroup.controllers"):
            number = errno.EINVAL if os.path.isdir(self.path) else errno.ENOENT
            raise CgroupError(number, "is not a cgroup of version 2", self.path)

    @classmethod
    def make(cls, path: str, controllers: Iterable[str] | None = None) -> Cgroup:
        """Make a cgroup, and those above it that are missing.

        Controllers are passed down to it from above, as cgroups(7), "Managing controllers", describes. A cgroup
        with processes of its own can't pass on any ("no internal processes").

        Args:
            path: its directory.
            controllers: names of those that it needs, such as ``memory``; without them, all that can be had.

        Raises:
            CgroupError: it exists (EEXIST); a controller can't be had, which the text explains; or what the kernel
                said. Nothing is left of it then.
        """
        path = os.path.abspath(path)
        made: list[str] = []
        try:
            for directory in _missing(path):
                parent = os.path.dirname(directory)
                _pass_down(parent, controllers)
                os.mkdir(directory)
                made.append(directory)
            if not made:
                raise CgroupError(errno.EEXIST, "cannot be made", path)
            group = cls(path)
            group._check_controllers(controllers or ())
        except OSError as error:
            for directory in reversed(made):
                os.rmdir(directory)
            if isinstance(error, CgroupError):
                raise
            raise CgroupError(error.errno or 0, "cannot be made", path) from error
        return group

    def __enter__(self) -> Cgroup:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.remove()

    def __repr__(self) -> str:
        return f"Cgroup({self.path!r})"

    @property
    def controllers(self) -> list[str]:
        """Names of the controllers that it has, such as ``memory``.

        Raises:
            OSError: it is gone.
        """
        return _words(f"{self.path}/cgroup.controllers")

    def processes(self, recursive: bool = True) -> list[int]:
        """Return the ids of its processes, sorted: see `control.processes`."""
        return control.processes(self.path, recursive)

    def add(self, pid: int) -> None:
        """Move a process into it, with all of its threads; what it has allocated stays charged where it was.

        A process that is to be limited from its first moment is better born there, with clone3(2)'s
        CLONE_INTO_CGROUP.

        Args:
            pid: its id; 0 for this process.

        Raises:
            CgroupError: no such process (ESRCH), no right to move it (EACCES), or what the kernel said.
        """
        self._write("cgroup.procs", str(pid), f"cannot take process {pid}")

    def limit(self, resources: dict[str, Any]) -> None:
        """Limit what its processes can use: all of the limits are set, or none.

        What is not mentioned stays. A property that depends on another which is not mentioned, as ``swap`` does on
        ``limit``, takes that from the cgroup's files.

        Args:
            resources: ``linux.resources`` of the OCI runtime specification (config-linux.md), with its names and
                units: sizes in bytes, times in microseconds, -1 for no limit. ``devices`` are for `allow_devices`.

        Raises:
            LimitError: a limit that means nothing, or that cgroup v2 can't set.
            executor.ApplyError: the kernel refuses a value, or a controller is not there.
        """
        from pyrun_cgroups.changes import writes_for
        from pyrun_cgroups.executor import apply

        writes, errors = writes_for(resources, {}, self.path)
        if errors:
            raise errors[0]
        apply(self.path, writes)

    def allow_devices(self, rules: Iterable[dict[str, Any]]) -> None:
        """Let its processes use the devices that some rules allow, and no others.

        The rules replace those of an earlier call; at no moment is there no rule.

        Args:
            rules: as in ``linux.resources.devices`` (runtime-spec config-linux.md, "Allowed Device list"); see
                `devices`, whose ``DEFAULT_RULES`` are what a container needs.

        Raises:
            devices.DeviceRuleError: a rule that means nothing.
            OSError: the kernel refuses (bpf(2)), as it does without CAP_BPF and CAP_NET_ADMIN.
        """
        from pyrun_cgroups.bpf import attach_device_filter
        from pyrun_cgroups.devices import device_filter

        attach_device_filter(self.path, device_filter(rules))

    def freeze(self, timeout_seconds: float = 10.0) -> None:
        """Stop all of its processes, and return when they stand still: see `control.freeze`."""
        control.freeze(self.path, timeout_seconds)

    def thaw(self, timeout_seconds: float = 10.0) -> None:
        """Let its processes run again: see `control.thaw`."""
        control.thaw(self.path, timeout_seconds)

    @property
    def frozen(self) -> bool:
        """Whether all of its processes stand still."""
        return control.is_frozen(self.path)

    @property
    def populated(self) -> bool:
        """Whether there is a live process in it or below it."""
        return control.is_populated(self.path)

    def kill(self) -> None:
        """Send SIGKILL to all of its processes, and those below it: see `control.kill_all`."""
        control.kill_all(self.path)

    def remove(self, timeout_seconds: float = 10.0) -> None:
        """Remove it with all below it, once its processes are gone: see `control.remove`."""
        control.remove(self.path, timeout_seconds)

    def stat(self) -> Statistics:
        """Return what its processes use and have used: see `statistics.Statistics`.

        Raises:
            OSError: it is gone.
        """
        from pyrun_cgroups.statistics import read

        return read(self.path)

    def watch_oom(self) -> Iterator[Event]:
        """Wait for the OOM killer, and yield each time that it has killed here or below: see `events.watch_oom`.

        It ends when the last process has ended. To wait for other things too, there is `events.Watch`.
        """
        from pyrun_cgroups.events import watch_oom

        return watch_oom(self.path)

    def _check_controllers(self, wanted: Iterable[str]) -> None:
        missing = [name for name in wanted if name not in self.controllers]
        if missing:
            from pyrun_cgroups.executor import why_missing

            raise CgroupError(errno.ENOENT, why_missing(self.path, f"{missing[0]}.*"), self.path)

    def _write(self, name: str, value: str, words: str) -> None:
        try:
            _write(f"{self.path}/{name}", value)
        except OSError as error:
            raise CgroupError(error.errno or 0, words, self.path) from error


def _missing(path: str) -> list[str]:
    """Return the directories that are to be made, the highest first."""
    found: list[str] = []
    while not os.path.isdir(path):
        found.insert(0, path)
        path = os.path.dirname(path)
    return found


def _pass_down(parent: str, controllers: Iterable[str] | None) -> None:
    """Let cgroups below one have controllers, as far as it can; one that is refused lets a whole write fail."""
    available = _words(f"{parent}/cgroup.controllers")
    passed = _words(f"{parent}/{_SUBTREE}")
    if os.path.exists(f"{parent}/cgroup.type") and _words(f"{parent}/cgroup.procs"):
        return  # it could pass on some, but only as the head of a threaded subtree
    for name in available if controllers is None else controllers:
        if name in available and name not in passed:
            try:
                _write(f"{parent}/{_SUBTREE}", f"+{name}")
            except OSError:
                continue  # told when it matters: by _check_controllers, or with a limit


def _words(path: str) -> list[str]:
    with open(path, encoding="ascii") as file:
        return file.read().split()


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode("ascii"))
    finally:
        os.close(descriptor)
