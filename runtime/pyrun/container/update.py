# SPDX-License-Identifier: Apache-2.0
"""update: other limits for a container, all of what is asked for or nothing of it."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack

from pyrun.caller import is_in_initial_user_namespace
from pyrun.container.hints import hint
from pyrun.errors import PyrunError, error_words
from pyrun.plan.cgroup import resources_of
from pyrun.state import StateDirectory
from pyrun_cgroups.changes import merged, writes_for
from pyrun_cgroups.devices import DeviceRuleError, container_rules, device_filter
from pyrun_cgroups.executor import ApplyError, Change
from pyrun_spec.load import parsed_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from pyrun.container.update_request import UpdateRequest
    from pyrun_cgroups.bpf import Replacement
    from pyrun_cgroups.writes import Write

    Config = dict[str, Any]
    Result = TypeVar("Result")

CONFIG, UPDATED = "config.json", "config.json.updated"


def update(root: str, container_id: str, request: UpdateRequest) -> None:
    """Change the limits of a container that is created, runs or is paused; what is not asked for stays.

    Args:
        root: directory of the state directories.
        container_id: the container's id.
        request: what is to change.

    Raises:
        PyrunError: there is no such container, it does not run, or something can't be changed; then nothing is.
    """
    state = StateDirectory.open_as_owner(root, container_id)
    try:
        state.lock()
        Update(state, request).carry_out()
    finally:
        state.close()


class Update:
    """The steps of one update: each can still fail, and those before it are undone then."""

    def __init__(self, state: StateDirectory, request: UpdateRequest) -> None:
        """Work out what is to change; errors as of update."""
        _check_status(state)
        self._state, self._request = state, request
        self._known = state.read_state() or {}
        text = state.read(CONFIG)
        if text is None:
            raise PyrunError("the pyrun that made this container kept no config.json; update needs it")
        self._config = parsed_config(text)
        linux = self._config.get("linux") or {}
        self._before: Config = linux.get("resources") or {}
        self._schemata_before: Config | None = linux.get("intelRdt")
        self._cgroup: str | None = self._known.get("cgroup")
        self._writes = self._limits()
        self._after = merged(self._before, request.resources, self._writes)
        self._filter = self._program(self._after) if self._has_new_device_rules() else None

    def carry_out(self) -> None:
        """Change everything, or nothing; errors as of update."""
        self._state.write(UPDATED, self._updated_config())
        with ExitStack() as opened, ExitStack() as undo:
            undo.callback(self._forget_config)
            replacement = self._load_device_filter(opened)
            if self._cgroup is not None and self._writes:
                self._limit(self._cgroup, undo, opened)
            if self._request.schemata:
                self._set_schemata(undo)
            if replacement is not None:
                undo.callback(replacement.undo)
                self._refusing_device_rules(replacement.make)
            os.rename(UPDATED, CONFIG, src_dir_fd=self._state.descriptor, dst_dir_fd=self._state.descriptor)
            undo.pop_all()

    def _limits(self) -> list[Write]:
        asked = resources_of({**self._config, "linux": {"resources": self._request.resources}})
        writes, errors = writes_for(asked, resources_of(self._config), self._cgroup or "")
        if errors:
            raise self._request.error(errors[0].pointer, errors[0].message)
        if self._cgroup is None:
            for write in writes:
                if not write.optional:
                    words = f"{write.file} is a file of a cgroup, and the container has none of its own"
                    raise self._request.error(write.pointer, words)
        return writes

    def _limit(self, cgroup: str, undo: ExitStack, opened: ExitStack) -> None:
        unit = self._known.get("systemdUnit")
        try:
            change = Change(cgroup, self._writes, _files_of_systemd() if unit else ())
            opened.callback(change.close)
            undo.callback(change.undo)
            if unit:
                self._tell_systemd(unit, undo)
                change.restore_others()
            change.make()
        except ApplyError as error:
            raise self._refusal(error) from None

    def _tell_systemd(self, unit: str, undo: ExitStack) -> None:
        """Let systemd know the limits before they are written: it writes them too, but rounds some of them."""
        from pyrun_cgroups.systemd.change import PropertyChange

        change = PropertyChange(unit, self._writes, user=bool(self._known.get("systemdUser")))
        _ask_systemd(change.make)
        undo.callback(_ask_systemd, change.undo)

    def _set_schemata(self, undo: ExitStack) -> None:
        from pyrun.container.resctrl_update import SchemataChange

        change = SchemataChange(self._state, self._known, self._schemata_before, self._request.schemata)
        change.make()
        undo.callback(change.undo)

    def _has_new_device_rules(self) -> bool:
        """Whether the device filter is another one; only the host's root may attach one, also when it is made."""
        asked = self._request.resources.get("devices")
        if not asked or asked == self._before.get("devices") or self._cgroup is None:
            return False
        return os.geteuid() == 0 and is_in_initial_user_namespace()

    def _program(self, resources: Config) -> bytes:
        try:
            return device_filter(container_rules(resources.get("devices")))
        except DeviceRuleError as error:
            raise self._request.error(f"/devices{error.pointer}", error.message) from None

    def _load_device_filter(self, opened: ExitStack) -> Replacement | None:
        if self._filter is None or self._cgroup is None:
            return None
        from pyrun_cgroups.bpf import Replacement

        path, program, old = self._cgroup, self._filter, self._program(self._before)
        replacement = self._refusing_device_rules(lambda: Replacement(path, program, old))
        opened.callback(replacement.close)
        return replacement

    def _refusing_device_rules(self, act: Callable[[], Result]) -> Result:
        try:
            return act()
        except OSError as error:
            words = error_words(error.errno or 0)
            said = str(error.strerror).partition(": ")[2]
            message = f"replace the device filter: {words}" + (f": {said}" if said else "")
            raise self._request.error("/devices", message) from None

    def _refusal(self, error: ApplyError) -> PyrunError:
        words = error.words
        if not error.explains_itself:
            remedy = hint("write_cgroup_file", error.errno or 0)
            words += f": {error_words(error.errno or 0)}" + (f"; {remedy}" if remedy else "")
        if error.not_restored:
            words += f" ({', '.join(error.not_restored)} could not be put back)"
        return self._request.error(error.pointer, words)

    def _updated_config(self) -> bytes:
        linux = {**(self._config.get("linux") or {}), "resources": self._after}
        if self._request.schemata:
            linux["intelRdt"] = {**(self._schemata_before or {}), **self._request.schemata}
        return json.dumps({**self._config, "linux": linux}).encode()

    def _forget_config(self) -> None:
        os.unlink(UPDATED, dir_fd=self._state.descriptor)


def _files_of_systemd() -> tuple[str, ...]:
    from pyrun_cgroups.systemd.change import WRITTEN

    return WRITTEN


def _ask_systemd(act: Callable[[], None]) -> None:
    from pyrun_cgroups.systemd.bus import SystemdError

    try:
        act()
    except SystemdError as error:
        raise PyrunError(str(error)) from None


def _check_status(state: StateDirectory) -> None:
    process = state.read_process()
    if process is None or not process.is_alive():
        raise PyrunError("container not running")
    if state.has_unfinished_gate():
        raise PyrunError("cannot update a container that is not created completely")
