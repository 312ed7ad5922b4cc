# SPDX-License-Identifier: Apache-2.0
"""A container's scope: the unit of systemd that its cgroup belongs to.

The state directory's file ``scope`` has the inode number of the scope's cgroup, as another unit may have its name
later; until systemd has answered, it says that it was asked.
"""

from __future__ import annotations

import os
import time

from pyrun.caller import this_caller
from pyrun.errors import PyrunError
from pyrun.plan.cgroup import resources_of
from pyrun_cgroups.systemd.names import UnitNameError, unit_of
from pyrun_cgroups.systemd.properties import properties_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.container.launch import Conversation
    from pyrun.plan import Config
    from pyrun.state import StateDirectory
    from pyrun_cgroups.systemd.manager import Manager
    from pyrun_cgroups.systemd.names import Property

RECORD, ASKED = "scope", b"asked"
SECONDS_TO_VANISH = 10.0
SECONDS_TO_NOTICE = 2.0


class Scope:
    """The scope of a container that is being created.

    Attributes:
        path: path of its cgroup below the cgroup2 mount.
    """

    def __init__(self, config: Config, container_id: str, rootless: str) -> None:
        """Find its name and place; a user's manager, whose cgroup that depends on, is asked.

        Args:
            config: the container's configuration, valid as the schema has it.
            container_id: the container's id.
            rootless: "true", "false" or "auto": whether it is a unit of this user's manager, not of the system's.

        Raises:
            PyrunError: config.json names no scope or no properties of one, or the user has no manager.
        """
        self._user = _is_users(rootless)
        self._container_id = container_id
        self._manager: Manager | None = None
        path = (config.get("linux") or {}).get("cgroupsPath")
        try:
            self._unit = unit_of(path, container_id, user=self._user)
        except UnitNameError as error:
            raise PyrunError(str(error), source="config.json", pointer="/linux/cgroupsPath") from None
        if self._unit.is_slice:
            words = f'"{path}" names a slice, in which no process can be: leave .slice out'
            raise PyrunError(words, source="config.json", pointer="/linux/cgroupsPath")
        self._properties = [*_limits(config), *_annotated(config)]
        self.path = self._unit.path(self._control_group() if self._user else "/")

    def describe(self, known: dict[str, Any]) -> None:
        """Enter into state.json what delete needs."""
        known["systemdUnit"] = self._unit.name
        if self._user:
            known["systemdUser"] = True

    def start(self, conversation: Conversation, state: StateDirectory, cgroup: str) -> None:
        """Have systemd make the scope around the outer stage, which waits for it, and record it.

        Args:
            conversation: with pyrun-init.
            state: the container's state directory.
            cgroup: absolute path of the cgroup that it is to have.

        Raises:
            PyrunError: systemd is not there or refuses; or the outer stage has failed.
        """
        manager = self._connect()
        try:
            pid = conversation.wait_for_scope()
            properties = self._unit.properties(f"pyrun container {self._container_id}", [pid])
            state.write(RECORD, ASKED)
            manager.start(self._unit.name, [*properties, *self._properties])
        except _systemd_error() as error:
            raise _refusal(error, state) from None
        finally:
            self.close()
        number = _inode(cgroup)
        if number is not None:  # else it is somewhere else, as pyrun-init will say
            state.write(RECORD, number)
        conversation.go()

    def close(self) -> None:
        """End the connection to systemd."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _connect(self) -> Manager:
        if self._manager is None:
            self._manager = _connect(self._user)
        return self._manager

    def _control_group(self) -> str:
        try:
            return self._connect().control_group
        except _systemd_error() as error:
            self.close()
            raise PyrunError(str(error)) from None


def end(state: StateDirectory, known: dict[str, Any]) -> None:
    """Stop the scope of a container whose processes are dead, and see to it that its cgroup is gone.

    Raises:
        PyrunError: systemd can't be reached, or refuses, and the cgroup stays.
        pyrun_cgroups.control.CgroupError: it has processes, or can't be removed.
    """
    from pyrun_cgroups import control

    cgroup, recorded = known["cgroup"], state.read(RECORD)
    if recorded == ASKED:
        _await_its_end(cgroup)
    if recorded is None or is_anothers(state, cgroup):
        return
    error = _stop(state, known)
    try:
        if not is_anothers(state, cgroup):
            control.remove(cgroup, SECONDS_TO_VANISH)
    except control.CgroupError:
        if error is not None:
            raise error from None
        raise
    if error is not None:
        from pyrun.cli import log

        log.warning(str(error))


def is_anothers(state: StateDirectory, cgroup: str) -> bool:
    """Return whether a cgroup, where there is one, is not that of the container's scope: its name was taken again.

    Before systemd has answered no process of the container's is there for long.
    """
    recorded, number = state.read(RECORD), _inode(cgroup)
    if recorded == ASKED:
        from pyrun_cgroups.control import is_populated

        return is_populated(cgroup)
    return number is not None and number != recorded


def _await_its_end(cgroup: str) -> None:
    """Wait until the outer stage has noticed that its creator is gone.

    The scope ends with it, but not if it was dead already when systemd put it there, and only waited to be reaped.
    """
    from pyrun_cgroups.control import is_populated

    deadline = time.monotonic() + SECONDS_TO_NOTICE
    while is_populated(cgroup) and time.monotonic() < deadline:
        time.sleep(0.01)


def enter(conversation: Conversation, known: dict[str, Any]) -> None:
    """Have the user's systemd move the outer stage of an exec, which waits for it, into the container's scope.

    Raises:
        PyrunError: systemd is not there or refuses; or the outer stage has failed.
    """
    manager = _connect(True)
    try:
        pid = conversation.wait_for_scope()
        manager.attach(known["systemdUnit"], [pid])
    except _systemd_error() as error:
        raise PyrunError(str(error)) from None
    finally:
        manager.close()
    conversation.go()


def must_be_entered(known: dict[str, Any]) -> bool:
    """Return whether an ordinary user can't clone a process into the container's cgroup from where pyrun is.

    That takes write access to the list of processes of the cgroup above both (cgroups(7), "Cgroup delegation
    containment"), which is root's where pyrun is not below the user's manager itself.
    """
    from pyrun_cgroups.placement import own_cgroup

    mount, cgroup = known["cgroupMount"], known["cgroup"]
    parts = zip(own_cgroup().split("/"), cgroup[len(mount) :].split("/"), strict=False)
    common = mount
    for own, other in parts:
        if own != other:
            break
        common = f"{common}/{own}".rstrip("/")
    return not os.access(f"{common}/cgroup.procs", os.W_OK, effective_ids=True)


def _stop(state: StateDirectory, known: dict[str, Any]) -> PyrunError | None:
    """Forget that the unit failed, and stop it if it is there; or return why that is not possible.

    The answer to the first comes after systemd has seen all that a killed pyrun has asked for.
    """
    unit, cgroup = known["systemdUnit"], known["cgroup"]
    try:
        manager = _connect(bool(known.get("systemdUser")))
    except PyrunError as error:
        return error
    try:
        manager.reset_failed(unit)
        if os.path.isdir(cgroup) and not is_anothers(state, cgroup):
            manager.stop(unit)
    except _systemd_error() as error:
        return PyrunError(str(error))
    finally:
        manager.close()
    return None


def _connect(user: bool) -> Manager:
    try:
        from pyrun_cgroups.systemd.manager import Manager
    except ImportError as error:
        raise PyrunError(f"--systemd-cgroup needs Python's package {error.name}: install it") from None
    try:
        return Manager(user=user)
    except _systemd_error() as error:
        raise PyrunError(str(error)) from None


def _systemd_error() -> type[Exception]:
    from pyrun_cgroups.systemd.bus import SystemdError

    return SystemdError


def _refusal(error: Any, state: StateDirectory) -> PyrunError:
    from pyrun_cgroups.systemd.manager import UNIT_EXISTS

    if error.name:  # then nothing was started
        os.unlink(RECORD, dir_fd=state.descriptor)
    if error.name == UNIT_EXISTS:
        return PyrunError(error.message, source="config.json", pointer="/linux/cgroupsPath")
    return PyrunError(error.message)


def _is_users(rootless: str) -> bool:
    if rootless != "auto":
        return rootless == "true"
    if this_caller().is_host_root:
        return False
    from pyrun_cgroups.systemd.bus import owns_the_system

    return not owns_the_system()


def _limits(config: Config) -> list[Property]:
    """Return the limits as properties; those that make no sense are reported when the plan is compiled."""
    from pyrun_cgroups.limits import writes_of

    return properties_of(writes_of(resources_of(config))[0])


def _annotated(config: Config) -> list[Property]:
    annotations = config.get("annotations") or {}
    if not any(key.startswith("org.systemd.property.") for key in annotations):
        return []
    from pyrun_cgroups.systemd.annotations import AnnotationError
    from pyrun_cgroups.systemd.annotations import properties_of as annotated

    try:
        return annotated(annotations)
    except AnnotationError as error:
        pointer = f"/annotations/{error.key.replace('~', '~0').replace('/', '~1')}"
        raise PyrunError(error.message, source="config.json", pointer=pointer) from None


def _inode(path: str) -> bytes | None:
    try:
        return b"%d" % os.stat(path, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None
