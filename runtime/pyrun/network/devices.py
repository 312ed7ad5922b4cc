# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: devices of pyrun's network namespace become the container's (config-linux.md, "Network Devices").

They stay the container's, whatever becomes of it. Only where it is not created after all, they are put back.
"""

from __future__ import annotations

import errno
import os

from pyrun.errors import PyrunError, error_words
from pyrun.jsontext import encode_compactly
from pyrun_spec.errors import join_pointer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.network.links import Links
    from pyrun.state import StateDirectory

    # A device that is on its way: its name here, the one it has until it gets its own, its number in the container's
    # namespace (0 until it is there), whether it was on, and its addresses.
    Device = dict[str, Any]

POINTER = "/linux/netDevices"
OWN_NAMESPACE = "/proc/self/ns/net"
RECORD = "netdevices"


class NetworkDevices:
    """The devices that a container which is being created gets."""

    def __init__(self, asked: dict[str, dict[str, Any]], namespace: str, state: StateDirectory) -> None:
        """Prepare to move devices; nothing is changed yet.

        Args:
            asked: linux.netDevices.
            namespace: path of the container's network namespace.
            state: where it is noted what has to be put back, should this process be killed.

        Raises:
            PyrunError: pyroute2 is missing, or the namespace is pyrun's own.
            OSError: the namespace can't be opened.
        """
        self._asked = asked
        self._state = state
        self._moved: list[Device] = []
        # An open namespace lives on, and with it the devices, when the container's processes have ended.
        self._passage = _Passage(namespace)

    def move(self) -> None:
        """Move all devices, rename them, give them their addresses, and switch them on.

        Raises:
            PyrunError: with the place of the device that can't be moved; those before it have been.
        """
        for name, device in self._asked.items():
            self._check(name, device.get("name") or name)
        for name, device in self._asked.items():
            self._move(name, device.get("name") or name)

    def put_back(self) -> None:
        """Put the devices that have been moved back, and close."""
        _put_back(self._passage, self._moved)
        self.close()

    def close(self) -> None:
        """Let the devices and their namespace go."""
        self._passage.close()

    def _check(self, name: str, new_name: str) -> None:
        """Find the usual mistakes before the first device is touched."""
        if self._passage.outside.find(name) is None:
            raise _error(name, "there is no such network device in pyrun's network namespace; make it first")
        if "%" not in new_name and self._passage.inside.find(new_name) is not None:
            raise _error(name, _taken(new_name))

    def _move(self, name: str, new_name: str) -> None:
        outside, inside = self._passage.outside, self._passage.inside
        try:
            found = outside.find(name)
            if found is None:
                raise OSError(errno.ENODEV, "")
            device: Device = {"name": name, "transit": f"pyrun{os.urandom(5).hex()}", "index": 0, "up": found.is_up}
            device["nature"] = found.nature
            device["addresses"] = outside.lasting_addresses(found.index)
            self._note(device)
            # A name that nobody else has: the device is found again, and one that is taken is no half-done move.
            outside.move(found.index, self._passage.container, device["transit"])
            arrived = inside.find(device["transit"])
            if arrived is None:
                raise OSError(errno.ENODEV, "")
            device["index"] = arrived.index
            self._note()
            inside.rename(arrived.index, new_name)
            for address in device["addresses"]:
                inside.add_address(arrived.index, address)
            inside.switch_on(arrived.index)
        except OSError as error:
            raise _error(name, _refusal(error.errno or 0, new_name)) from None

    def _note(self, *devices: Device) -> None:
        self._moved += devices
        self._state.write(RECORD, encode_compactly(self._moved).encode())


class _Passage:
    """Connections to pyrun's network namespace and to the container's.

    Attributes:
        outside, inside: the devices here, and there.
        host, container: descriptors of the namespaces.
    """

    def __init__(self, namespace: str) -> None:
        opened = []
        try:
            for path in (OWN_NAMESPACE, namespace):
                opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            self.host, self.container = opened
            if os.path.samestat(os.fstat(self.host), os.fstat(self.container)):
                raise _error("", "the container's network namespace is pyrun's own; devices move to another one")
            links = _import_links()
            self.outside, self.inside = links(self.host), links(self.container)
        except BaseException:
            for descriptor in opened:
                os.close(descriptor)
            raise

    def close(self) -> None:
        self.outside.close()
        self.inside.close()
        os.close(self.host)
        os.close(self.container)


def put_back_noted(state: StateDirectory, namespace: str) -> None:
    """Put back what a pyrun that was killed had moved into a namespace that outlives it.

    Args:
        state: the state directory of the container, which has not been created.
        namespace: path of the network namespace that it was to join.
    """
    text = state.read(RECORD)
    if not text:
        return
    from pyrun_spec.load import parse_json

    try:
        passage = _Passage(namespace)
    except (OSError, PyrunError):
        return  # the namespace is gone, and what was in it
    try:
        _put_back(passage, parse_json(text, RECORD))
    finally:
        passage.close()


def _put_back(passage: _Passage, devices: list[Device]) -> None:
    for device in reversed(devices):
        try:
            _put_one_back(passage, device)
        except OSError as error:
            from pyrun.cli import log

            log.warning(f"network device {device['name']} is not put back: {error_words(error.errno or 0)}")


def _put_one_back(passage: _Passage, device: Device) -> None:
    outside, inside, name = passage.outside, passage.inside, device["name"]
    away = (inside.find_index(device["index"]) if device["index"] else None) or inside.find(device["transit"])
    if away is not None and away.nature != device["nature"]:
        # Who owns the namespace can have put another device in its place.
        raise OSError(errno.ENODEV, "")
    if away is not None:
        inside.move(away.index, passage.host, name)
    here = outside.find(name)
    if here is None and away is None and not device["index"]:
        return  # somebody else was faster, and has it
    if here is None:
        raise OSError(errno.ENODEV, "")
    for address in device["addresses"]:
        try:
            outside.add_address(here.index, address)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
    if device["up"]:
        outside.switch_on(here.index)


def _import_links() -> type[Links]:
    try:
        from pyrun.network.links import Links
    except ImportError:
        raise _error("", "network devices need pyroute2: install the Python package pyroute2") from None
    return Links


def _refusal(number: int, new_name: str) -> str:
    if number == errno.EEXIST:
        return _taken(new_name)
    hints = {
        errno.EINVAL: "; this kind of device can't leave its namespace",
        errno.EPERM: "; only root of the host can move its devices",
    }
    return f"the network device can't be moved: {error_words(number)}{hints.get(number, '')}"


def _taken(name: str) -> str:
    return f'the container\'s network namespace has a network device "{name}"; choose another name, or one with %d'


def _error(name: str, message: str) -> PyrunError:
    pointer = join_pointer(POINTER, name) if name else POINTER
    return PyrunError(message, source="config.json", pointer=pointer)
