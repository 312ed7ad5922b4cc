# SPDX-License-Identifier: Apache-2.0
"""The processes of a cgroup: list, freeze and kill them, and remove the cgroup.

Every path here is a directory of a mounted cgroup2 file system. A cgroup that is not there has no processes,
is not frozen, and counts as killed and removed. The root cgroup and what is no cgroup at all, which lack the
files that this needs, are left alone with an error.

Waiting is on ``cgroup.events``, whose changes wake poll(2) with POLLPRI
(Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files").
"""

from __future__ import annotations

import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENODEV)
"""What the kernel says of a cgroup that was removed: by its path, and by a file of it held open."""

_POPULATED, _FROZEN = b"populated 1", b"frozen 1"
"""Lines of ``cgroup.events``."""

_SIGKILL = 9
_KILL_ROUNDS = 50
_LONGEST_POLL_SECONDS = 1.0


class CgroupError(OSError):
    """The kernel refused something on a cgroup, or did not get it done in time.

    Attributes:
        errno: the kernel's error number; ETIMEDOUT or EBUSY when waiting came to its end.
        filename: the cgroup.
        words: what was to be done.
    """

    def __init__(self, error: int, words: str, path: str) -> None:
        super().__init__(error, os.strerror(error), path)
        self.words = words

    def __str__(self) -> str:
        return f"{self.filename}: {self.words}: {self.strerror}"


def processes(path: str, recursive: bool = True) -> list[int]:
    """Return the ids of the processes in a cgroup, sorted, as this process's PID namespace has them.

    Processes of other PID namespaces, which have no id here, are left out. Those in a threaded cgroup count
    as members of the domain above it, where the kernel lists them.

    Args:
        path: the cgroup.
        recursive: also those in the cgroups below it.

    Raises:
        CgroupError: it is a threaded cgroup itself, or cannot be read.
    """
    try:
        listed = _members(path)
        if recursive:
            for parent, name in _below(path):
                listed += _members_below(parent, name)
    except OSError as error:
        raise _error(error, "processes cannot be listed", path) from error
    return sorted(set(map(int, listed)) - {0})


def is_populated(path: str) -> bool:
    """Return whether there is a live process in a cgroup or below it; zombies do not count.

    Raises:
        CgroupError: it is the root cgroup or no cgroup.
    """
    return not _reaches(path, _POPULATED, False, 0.0)


def is_frozen(path: str) -> bool:
    """Return whether a cgroup is frozen with all its processes: a moment after `freeze` asked for it.

    Raises:
        CgroupError: it is the root cgroup or no cgroup.
    """
    return not _reaches(path, _FROZEN, False, 0.0)


def freeze(path: str, timeout_seconds: float = 10.0) -> None:
    """Stop all processes of a cgroup and below, and return when they stand still.

    When time runs out, or the caller is interrupted, they are let go again. The caller must not be one of them.

    Raises:
        CgroupError: ETIMEDOUT, or what the kernel said.
    """
    _write(path, "cgroup.freeze", b"1", "cannot be frozen")
    frozen = False
    try:
        frozen = _reaches(path, _FROZEN, True, timeout_seconds)
    finally:
        if not frozen:
            _write(path, "cgroup.freeze", b"0", "cannot be thawed")
    if not frozen:
        raise CgroupError(errno.ETIMEDOUT, f"not frozen after {timeout_seconds:g} s", path)


def thaw(path: str, timeout_seconds: float = 10.0) -> None:
    """Let the processes of a cgroup run, and return when they do.

    Raises:
        CgroupError: ETIMEDOUT, as when a cgroup above is frozen, or what the kernel said.
    """
    _write(path, "cgroup.freeze", b"0", "cannot be thawed")
    if not _reaches(path, _FROZEN, False, timeout_seconds):
        raise CgroupError(errno.ETIMEDOUT, f"still frozen after {timeout_seconds:g} s", path)


def kill_all(path: str) -> None:
    """Send SIGKILL to every process in a cgroup and below it, and to those forked meanwhile.

    It does not wait for them to be gone: see `remove`.

    Raises:
        CgroupError: the kernel refuses, or it is the root cgroup or no cgroup.
    """
    try:
        _write(path, "cgroup.kill", b"1", "processes cannot be killed")
    except CgroupError as error:
        if error.errno not in _GONE:
            raise
        if os.path.isdir(path):
            _kill_each(path)
    else:
        _kill_listed(path)


def signal_all(path: str, signal: int) -> set[int]:
    """Send a signal to the processes that are in a cgroup and below it now, and return their ids.

    Those that are forked meanwhile do not get it; for SIGKILL there is `kill_all`.

    Args:
        path: the cgroup.
        signal: number of the signal.

    Raises:
        CgroupError: the kernel refuses, or it is a threaded cgroup.
    """
    # The public module signal makes enums of the constants, which cost more than the call.
    from _signal import pidfd_send_signal  # type: ignore[import-not-found]

    pidfds = {}
    try:
        for pid in processes(path):
            try:
                pidfds[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
        members = set(processes(path))  # again: an id that is still here now belongs to what its pidfd holds
        for pid in members & pidfds.keys():
            try:
                pidfd_send_signal(pidfds[pid], signal)
            except ProcessLookupError:
                continue
        return members
    except OSError as error:
        raise _error(error, f"processes cannot get signal {signal}", path) from error
    finally:
        for pidfd in pidfds.values():
            os.close(pidfd)


def remove(path: str, timeout_seconds: float = 10.0) -> None:
    """Remove a cgroup and all below it, waiting for its processes to go away.

    Args:
        path: the cgroup.
        timeout_seconds: how long its processes may take; with 0 there is no waiting.

    Raises:
        CgroupError: EBUSY when it still has processes, or what the kernel said.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = 0.001
    while not _is_removed(path):
        if not _reaches(path, _POPULATED, False, deadline - time.monotonic()):
            members = ", ".join(map(str, processes(path)[:5])) or "of another PID namespace"
            raise CgroupError(errno.EBUSY, f"cannot be removed with processes in it ({members})", path)
        if _are_removed_below(path) and _is_removed(path):
            return
        # Without live processes and yet busy: one is on its last steps, or cgroups are made meanwhile.
        if time.monotonic() + pause > deadline:
            raise CgroupError(errno.EBUSY, "cannot be removed", path)
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _kill_listed(path: str) -> None:
    """Kill processes whose first thread has ended while others go on: Linux 6.18 spares them in `cgroup.kill`."""
    try:
        signal_all(path, _SIGKILL)
    except CgroupError:
        pass  # the others have been killed; who is left shows when the cgroup is removed


def _kill_each(path: str) -> None:
    """Kill as `kill_all` does, for Linux before 5.14: frozen processes do not fork, yet SIGKILL ends them."""
    if not is_populated(path):
        return
    if os.getpid() in processes(path):
        raise CgroupError(errno.EDEADLK, "this process would freeze itself", path)
    _write(path, "cgroup.freeze", b"1", "processes cannot be killed")
    try:
        killed: set[int] = set()
        for _ in range(_KILL_ROUNDS):
            members = signal_all(path, _SIGKILL)
            if members <= killed:
                return
            killed |= members
        raise CgroupError(errno.ETIMEDOUT, "processes fork faster than they are killed", path)
    finally:
        _write(path, "cgroup.freeze", b"0", "cannot be thawed")


def _is_removed(path: str) -> bool:
    """Remove a cgroup that has none below it, and return whether it is gone."""
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        if error.errno not in _GONE:
            raise _error(error, "cannot be removed", path) from error
    return True


def _are_removed_below(path: str) -> bool:
    """Remove all cgroups below one, and return whether none was in use."""
    try:
        for parent, name in _below(path):
            os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EBUSY or error.errno in _GONE:
            return False
        raise _error(error, "cannot be removed with those below it", path) from error
    return True


def _below(path: str) -> Iterator[tuple[int, str]]:
    """Yield every cgroup below one, children first, as an open parent and a name in it.

    It holds one descriptor however deep the tree is, which a container may have made deeper than any path is
    long. What is mounted over a cgroup is not entered.
    """
    try:
        current = os.open(path, _DIRECTORY)
    except OSError as error:
        if error.errno in _GONE:
            return
        raise
    try:
        device = os.fstat(current).st_dev
        names: list[str] = []
        unvisited = [_children(current)]
        while True:
            if unvisited[-1]:
                name = unvisited[-1].pop()
                try:
                    child = os.open(name, _DIRECTORY, dir_fd=current)
                except FileNotFoundError:
                    continue
                if os.fstat(child).st_dev != device:
                    os.close(child)
                    continue
                os.close(current)
                current = child
                names.append(name)
                unvisited.append(_children(current))
            elif names:
                parent = os.open("..", _DIRECTORY, dir_fd=current)
                os.close(current)
                current = parent
                unvisited.pop()
                yield current, names.pop()
            else:
                return
    finally:
        os.close(current)


def _children(directory: int) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []  # removed since it was opened


def _members(path: str, parent: int | None = None) -> list[bytes]:
    """Return the entries of ``cgroup.procs`` of a cgroup, none if it is gone."""
    try:
        return _read(path + "/cgroup.procs", parent).split()
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise


def _members_below(parent: int, name: str) -> list[bytes]:
    """Return what `_members` does, and nothing for a threaded cgroup: its domain has those."""
    try:
        return _members(name, parent)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def _reaches(path: str, state: bytes, wanted: bool, timeout_seconds: float) -> bool:
    """Wait until a line is in ``cgroup.events``, or is not, and return whether it came to that in time."""
    import select

    try:
        events = os.open(path + "/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _GONE and not os.path.isdir(path):
            return not wanted
        raise CgroupError(errno.EINVAL, "is not a cgroup below the root", path) from error
    try:
        deadline = time.monotonic() + timeout_seconds
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while True:
            try:
                lines = os.pread(events, 4096, 0).split(b"\n")
            except OSError as error:
                if error.errno in _GONE:
                    return not wanted
                raise _error(error, "its events cannot be read", path) from error
            if (state in lines) == wanted:
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            poll.poll(1000 * min(remaining, _LONGEST_POLL_SECONDS) + 1)
    finally:
        os.close(events)


def _read(path: str, directory: int | None = None) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        content = b""
        while chunk := os.read(descriptor, 65536):
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _write(path: str, name: str, value: bytes, words: str) -> None:
    try:
        descriptor = os.open(f"{path}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _error(error, words, path) from error


def _error(error: OSError, words: str, path: str) -> CgroupError:
    return CgroupError(error.errno or 0, words, path)
