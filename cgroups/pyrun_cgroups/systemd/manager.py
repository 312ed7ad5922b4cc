# SPDX-License-Identifier: Apache-2.0
"""Units of systemd: started for processes that run already, changed, and stopped (org.freedesktop.systemd1(5))."""

from __future__ import annotations

import time

from pyrun_cgroups.systemd.bus import SYSTEMD, Connection, SystemdError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

_OBJECT = "/org/freedesktop/systemd1"
_MANAGER = f"{SYSTEMD}.Manager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_JOB_REMOVED = "JobRemoved"
UNIT_EXISTS, NO_SUCH_UNIT = f"{SYSTEMD}.UnitExists", f"{SYSTEMD}.NoSuchUnit"
"""Names of errors."""

_KNOWS_IDLE = 252
"""The first version for which a CPUWeight of 0 is cpu.idle."""


class Manager:
    """A connection to the manager of the system's units, or of a user's; ``with`` closes it."""

    def __init__(self, *, user: bool = False, timeout_seconds: float = 30.0) -> None:
        """Connect.

        Args:
            user: connect to the manager of this user.
            timeout_seconds: how long systemd may take to answer, and to get a job done.

        Raises:
            SystemdError: it is not there.
        """
        self._connection = Connection(user=user, timeout_seconds=timeout_seconds)
        self._listens = False

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @property
    def control_group(self) -> str:
        """The manager's own cgroup, below which its units' are: "/" for the system's; as /proc/PID/cgroup has it."""
        return str(self._get("ControlGroup")) or "/"

    @property
    def version(self) -> int:
        """Its version, without what comes after the number; 0 if it says none."""
        digits = str(self._get("Version")).lstrip("v")
        number = digits[: len(digits) - len(digits.lstrip("0123456789"))]
        return int(number or 0)

    def start(self, unit: str, properties: list[Property]) -> None:
        """Start a transient unit and return when it runs.

        A unit of this name that has failed, and stays for somebody to look at it, is replaced.

        Args:
            unit: its name, as "pyrun-ID.scope".
            properties: what it is; of several of one name the last counts.

        Raises:
            SystemdError: there is such a unit already, or systemd refuses; nothing was started.
        """
        known = self._known(properties)
        try:
            try:
                self._do("StartTransientUnit", "ssa(sv)a(sa(sv))", (unit, "fail", known, []))
            except SystemdError as error:
                if error.name != UNIT_EXISTS:
                    raise
                self.reset_failed(unit)
                self._do("StartTransientUnit", "ssa(sv)a(sa(sv))", (unit, "fail", known, []))
        except SystemdError as error:
            if error.name == UNIT_EXISTS:
                raise SystemdError(
                    f"there is a unit {unit} already: choose another name for this one", error.name
                ) from None
            raise

    def stop(self, unit: str) -> None:
        """Stop a unit, if there is one, return when it has stopped, and forget that it failed.

        systemd kills its processes, with SIGTERM first.

        Raises:
            SystemdError: it takes too long, or systemd refuses.
        """
        try:
            self._do("StopUnit", "ss", (unit, "replace"))
        except SystemdError as error:
            if error.name != NO_SUCH_UNIT:
                raise
        self.reset_failed(unit)

    def reset_failed(self, unit: str) -> None:
        """Forget that a unit failed, if there is one that did; it is gone then.

        Raises:
            SystemdError: systemd refuses.
        """
        try:
            self._call("ResetFailedUnit", "s", (unit,))
        except SystemdError as error:
            if error.name != NO_SUCH_UNIT:
                raise

    def set_properties(self, unit: str, properties: list[Property]) -> None:
        """Change properties of a unit until it is stopped, and return when they have been written to its cgroup.

        Raises:
            SystemdError: there is no such unit, or systemd refuses; then nothing is changed.
        """
        self._call("SetUnitProperties", "sba(sv)", (unit, True, self._known(properties)))
        # systemd answers before it has written them, and reads no further message until it has.
        self._get("Version")

    def properties_of_scope(self, unit: str, names: Iterable[str]) -> list[Property]:
        """Return properties of a scope as they are now; what is not set has a value that stands for that.

        Raises:
            SystemdError: there is no such scope, or systemd does not know a property.
        """
        (path,) = self._call("GetUnit", "s", (unit,))
        found = []
        for name in names:
            (variant,) = self._connection.call(path, _PROPERTIES, "Get", "ss", (f"{SYSTEMD}.Scope", name))
            found.append((name, variant))
        return found

    def attach(self, unit: str, pids: list[int]) -> None:
        """Move processes into the cgroup of a unit that is delegated, as a user may not do by hand from outside.

        Raises:
            SystemdError: there is no such unit or process, or systemd refuses.
        """
        self._call("AttachProcessesToUnit", "ssau", (unit, "", pids))

    def _known(self, properties: list[Property]) -> list[Property]:
        """Leave out what this systemd does not know."""
        idle = ("CPUWeight", ("t", 0))
        if idle in properties and self.version < _KNOWS_IDLE:
            return [each for each in properties if each != idle]
        return properties

    def _get(self, name: str) -> Any:
        (variant,) = self._connection.call(_OBJECT, _PROPERTIES, "Get", "ss", (_MANAGER, name))
        return variant[1]

    def _call(self, member: str, signature: str, body: tuple[Any, ...]) -> tuple[Any, ...]:
        try:
            return self._connection.call(_OBJECT, _MANAGER, member, signature, body)
        except SystemdError as error:
            if not error.name:
                raise
            about = f" of {body[0]}" if body else ""
            raise SystemdError(f"systemd refuses {member}{about}: {error.message}", error.name) from None

    def _do(self, member: str, signature: str, body: tuple[Any, ...]) -> None:
        """Call a method that queues a job, and return when the job is done."""
        self._listen()
        (job,) = self._call(member, signature, body)
        deadline = time.monotonic() + self._connection.timeout_seconds
        while True:
            signal = self._connection.next_signal(deadline)
            # The job's number, its object, the unit, the result.
            if len(signal.body) == 4 and signal.body[1] == job:
                break
        result = signal.body[3]
        if result != "done":
            raise SystemdError(f"systemd could not do {member} of {body[0]}: the job's result is {result}")

    def _listen(self) -> None:
        if self._listens:
            return
        self._connection.match(f"type='signal',sender='{SYSTEMD}',interface='{_MANAGER}',member='{_JOB_REMOVED}'")
        self._call("Subscribe", "", ())
        self._listens = True
