# SPDX-License-Identifier: Apache-2.0
"""The state directory of a container: what create knew, who the init is, and in which state it stands.

``ROOT/ID/`` holds

- ``state.json``: what was known before anything was made, so that a killed create can be undone;
- ``config.json``: as create read it, for exec: later changes in the bundle are none of the container's;
- ``plan``: the encoded plan, read by pyrun-init;
- ``process``: "PID STARTTIME CREATED", written by pyrun-init's outer stage (by pyrun when the init changes);
- ``hook``: the same of a hook in pyrun's own namespaces, while it runs;
- ``gate``: the socket at which the created init waits for start; ``gate.new`` until it is created;
- ``notify/``: mounted in the container where NOTIFY_SOCKET was set: the socket for its notifications.

The directory itself is the lock. A container's status is never stored: it is computed from the process.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import stat
import sys
import time

from pyrun.errors import PyrunError
from pyrun.jsontext import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
OCI_VERSION = "1.3.0"
ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.")
ID_LENGTH = 255  # bytes: it is the name of a directory
PATIENCE = b"".join([number.to_bytes(8, sys.byteorder) for number in (1, 0)])  # struct timeval
CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"


class ContainerMissing(PyrunError):
    """There is no container of this id."""


class StateDamaged(PyrunError):
    """The file state.json is not what was written."""


class Process:
    """The container's init.

    Attributes:
        pid: in pyrun's own PID namespace.
        start_time: clock ticks since boot (/proc/PID/stat, field 22): with the pid, unique until the next boot.
        created: seconds since 1970, with nine decimals, as text.
    """

    __slots__ = ("created", "pid", "start_time")

    def __init__(self, pid: int, start_time: int, created: str) -> None:
        self.pid = pid
        self.start_time = start_time
        self.created = created

    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not, unless only its first thread has ended."""
        fields = stat_fields(self.pid)
        if fields is None or fields[0] == b"X" or (fields[0] == b"Z" and int(fields[17]) < 2):
            return False
        # A joined time namespace is allowed for when the time is recorded, which rounds it.
        return abs(int(fields[19]) - self.start_time) <= 1

    def open(self) -> int | None:
        """Return a pidfd of the init, or None when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return None
        if self.is_alive():
            return descriptor
        os.close(descriptor)
        return None


class StateDirectory:
    """An open state directory.

    Attributes:
        container_id: the container's id.
        path: where the directory stands.
        descriptor: the open directory.
    """

    def __init__(self, root: str, container_id: str) -> None:
        """Open the directory of an existing container.

        Raises:
            ContainerMissing: there is none.
        """
        check_id(container_id)
        self.container_id = container_id
        self.path = f"{root}/{container_id}"
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self.descriptor = os.open(self.path, flags)
        except (FileNotFoundError, NotADirectoryError):
            raise ContainerMissing(f'container does not exist: "{container_id}"') from None

    @classmethod
    def open_as_owner(cls, root: str, container_id: str) -> StateDirectory:
        """Open the directory of a container that is to be changed, and go on as the user who owns it.

        Root may change the containers of others; but which processes their state names, and which hooks, is up to
        them, and must be no more than they could do themselves.

        Raises:
            ContainerMissing: there is none.
        """
        opened = cls(root, container_id)
        owner = os.fstat(opened.descriptor)
        if owner.st_uid and os.geteuid() == 0:
            from pyrun.owner import act_as

            act_as(owner.st_uid, owner.st_gid)
        return opened

    @classmethod
    def make(cls, root: str, container_id: str) -> StateDirectory:
        """Make and lock the directory of a new container.

        Raises:
            PyrunError: the id is malformed or taken, or the directory is another user's, who could put a plan there.
            OSError: the directory can't be made.
        """
        check_id(container_id)
        # What is not sticky may be cleaned away there (XDG Base Directory Specification, "Environment variables").
        sticky = 0o1000 if os.path.dirname(root) == os.environ.get("XDG_RUNTIME_DIR") else 0
        try:
            os.makedirs(root, 0o700 | sticky, exist_ok=True)
        except FileExistsError:
            raise PyrunError(f"{root}: not a directory; name another with --root") from None
        _check_owner(root, os.stat(root).st_uid)
        try:
            os.mkdir(f"{root}/{container_id}", 0o700)
        except FileExistsError:
            raise PyrunError(f'container with given ID already exists: "{container_id}"') from None
        try:
            made = cls(root, container_id)
            _check_owner(made.path, os.fstat(made.descriptor).st_uid)
            made.lock()
        except BaseException:
            os.rmdir(f"{root}/{container_id}")
            raise
        return made

    def lock(self) -> None:
        """Wait until no other pyrun changes this container.

        Raises:
            ContainerMissing: the other one has deleted it.
        """
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        if not self.exists():
            raise ContainerMissing(f'container does not exist: "{self.container_id}"')

    def unlock(self) -> None:
        """Let other commands change this container."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def is_locked(self) -> bool:
        """Whether another pyrun changes this container now."""
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False

    def exists(self) -> bool:
        """Whether the directory has not been deleted since it was opened."""
        return os.fstat(self.descriptor).st_nlink > 0

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically.

        Raises:
            OSError: the disk is full, among others; what was there before is left, and nothing half-written.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(f"{name}.new", flags, 0o600, dir_fd=self.descriptor)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError as error:
            os.unlink(f"{name}.new", dir_fd=self.descriptor)
            error.filename = f"{self.path}/{name}"
            raise
        finally:
            os.close(descriptor)
        os.rename(f"{name}.new", name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None when there is none."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=self.descriptor)
        except FileNotFoundError:
            return None
        try:
            parts = []
            while part := os.read(descriptor, 1 << 20):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def write_state(self, state: dict[str, Any]) -> None:
        """Write ``state.json``."""
        self.write("state.json", encode({"version": VERSION, **state}).encode("utf-8", "surrogateescape") + b"\n")

    def read_state(self) -> dict[str, Any] | None:
        """Return ``state.json``, or None when create was killed before it was written.

        Raises:
            StateDamaged: it is no JSON object.
            PyrunError: it was written by a pyrun of another, newer kind.
        """
        text = self.read("state.json")
        if text is None:
            return None
        from pyrun_spec.errors import SpecError
        from pyrun_spec.load import parse_json

        path = f"{self.path}/state.json"
        try:
            state: Any = parse_json(text, path)
        except SpecError as error:
            raise StateDamaged(f"{error}; remove the container with delete --force") from None
        if not isinstance(state, dict):
            raise StateDamaged("it is no object; remove the container with delete --force", source=path)
        if state.get("version") != VERSION:
            raise PyrunError(
                f"version {state.get('version')} of the state is not known; use the pyrun that made the container",
                source=path,
            )
        if os.fstat(self.descriptor).st_uid != os.geteuid():
            from pyrun.owner import is_sound

            if not is_sound(state):
                raise StateDamaged("it is not what pyrun writes; remove the container with delete --force", source=path)
        return state

    def read_what_is_known(self) -> dict[str, Any]:
        """Return ``state.json``, or nothing when it is missing or damaged: what can still be removed is removed.

        Raises:
            PyrunError: it was written by a pyrun of another, newer kind.
        """
        try:
            return self.read_state() or {}
        except StateDamaged:
            return {}

    def read_process(self, name: str = "process") -> Process | None:
        """Return the init, or None when it was never made; or the process that another file records."""
        text = self.read(name)
        fields = (text or b"").split()
        if len(fields) != 3 or not (fields[0].isdigit() and fields[1].isdigit()):
            return None
        return Process(int(fields[0]), int(fields[1]), fields[2].decode("ascii", "replace"))

    def write_process(self, pid: int, name: str = "process") -> None:
        """Record another process as the init, or one in another file.

        Raises:
            PyrunError: there is no such process.
            OSError: the record can't be written.
        """
        fields = stat_fields(pid)
        if fields is None:
            raise PyrunError(f"process {pid}, which was to be recorded, is gone")
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        self.write(name, b"%d %d %d.%09d\n" % (pid, int(fields[19]), seconds, nanoseconds))

    def connect(self) -> int | None:
        """Return a connection to the init that waits at the gate, or None when nobody waits.

        To receive from it fails with EAGAIN when nothing comes for a second.

        Raises:
            BlockingIOError: it waits, but has not answered others that ask: it is frozen or stopped.
        """
        try:
            mode = os.stat("gate", dir_fd=self.descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISSOCK(mode):
            return None
        gate = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            gate.setblocking(False)
            gate.connect(f"/proc/self/fd/{self.descriptor}/gate")
            gate.setblocking(True)
            gate.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, PATIENCE)
        except (ConnectionRefusedError, FileNotFoundError):
            gate.close()
            return None
        except BlockingIOError:
            gate.close()
            raise
        return gate.detach()

    def finish_gate(self) -> None:
        """Let the container count as created: from now on start finds its gate."""
        os.rename("gate.new", "gate", src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def has_unfinished_gate(self) -> bool:
        """Whether the container is not created completely."""
        try:
            os.stat("gate.new", dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def is_at_gate(self) -> bool:
        """Whether the init waits at the gate."""
        try:
            connection = self.connect()
        except BlockingIOError:
            return True
        if connection is not None:
            os.close(connection)
        return connection is not None

    def status(self, process: Process | None, cgroup: str | None) -> str:
        """Return creating, created, running, paused or stopped.

        Args:
            process: as :meth:`read_process` returned it.
            cgroup: absolute path of the container's cgroup, or None.
        """
        if process is None:
            return CREATING if self.is_locked() or self.read("state.json") is None else STOPPED
        if not process.is_alive():
            return STOPPED
        if self.has_unfinished_gate():
            return CREATING
        status = CREATED if self.is_at_gate() else RUNNING
        return PAUSED if cgroup and _is_frozen(cgroup) else status

    def remove(self) -> None:
        """Remove the directory and what is in it."""
        for name in os.listdir(self.descriptor):
            _remove(self.descriptor, name)
        os.rmdir(self.path)

    def close(self) -> None:
        """Close the directory and with it the lock."""
        os.close(self.descriptor)


def hook_state(known: dict[str, Any], status: str, pid: int = 0) -> dict[str, Any]:
    """Return the state that hooks are told (runtime.md, "State"), in runc's order.

    Args:
        known: what ``state.json`` holds.
        status: the container's status at this point of its life.
        pid: the init's pid as the hook sees it; left out when it is 0, because there is none any more.
    """
    state = {"ociVersion": known["ociVersion"], "id": known["id"], "status": status}
    if pid:
        state["pid"] = pid
    state["bundle"] = known["bundle"]
    if known.get("annotations"):
        state["annotations"] = known["annotations"]
    return state


def check_id(container_id: str) -> None:
    """Accept the ids that runc accepts: letters, digits and ``_+-.``, but not ``.`` and ``..``.

    Raises:
        PyrunError: the id is something else.
    """
    if not container_id or container_id in (".", "..") or not ID_CHARACTERS.issuperset(container_id):
        raise PyrunError(f'invalid container ID format: "{container_id}"; use letters, digits and any of "_+-."')
    if len(container_id) > ID_LENGTH:
        raise PyrunError(f"the container's id is longer than {ID_LENGTH} characters")


def _check_owner(path: str, owner: int) -> None:
    if owner not in (0, os.geteuid()):
        raise PyrunError(f"{path} belongs to user {owner}; name a directory of your own with --root")


def stat_fields(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat (proc(5)) from the third, the state, on; None when there is no process."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # The second field, the command's name, can hold anything.
            return os.read(descriptor, 4096).rpartition(b")")[2].split()
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError):
        return None


def _remove(parent: int, name: str) -> None:
    """Remove a file, or a directory and what is in it."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            for each in os.listdir(directory):
                _remove(directory, each)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=parent)


def _is_frozen(cgroup: str) -> bool:
    from pyrun_cgroups.control import is_frozen

    return is_frozen(cgroup)
