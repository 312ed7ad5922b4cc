# SPDX-License-Identifier: Apache-2.0
"""Network devices of one network namespace, by rtnetlink(7)."""

from __future__ import annotations

import errno
import os

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted, NetlinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # What makes an address anew on another device: numbers, and attributes by the kernel's names.
    Address = dict[str, int | str]

IFF_UP = 0x1  # netdevice(7)
IFA_F_NODAD, IFA_F_PERMANENT, IFA_F_NOPREFIXROUTE = 0x02, 0x80, 0x200  # linux/if_addr.h
RT_SCOPE_UNIVERSE = 0  # rtnetlink(7)
KEPT_FLAGS = IFA_F_NODAD | IFA_F_NOPREFIXROUTE
KEPT_ATTRIBUTES = ("IFA_ADDRESS", "IFA_LOCAL", "IFA_BROADCAST", "IFA_RT_PRIORITY")
HARDWARE = ("IFLA_PERM_ADDRESS", "IFLA_PARENT_DEV_NAME", "IFLA_PHYS_PORT_ID")
MOST_TRIES = 10


class Link:
    """A network device as it was when it was looked for.

    Attributes:
        index: its number in the namespace.
        is_up: whether it was switched on.
        nature: its kind and what it is called and addressed by as hardware, which nobody can change.
    """

    __slots__ = ("index", "is_up", "nature")

    def __init__(self, index: int, is_up: bool, nature: list[str]) -> None:
        self.index = index
        self.is_up = is_up
        self.nature = nature


class Links:
    """The devices of a network namespace; methods raise OSError when the kernel refuses."""

    def __init__(self, namespace: int) -> None:
        """Connect to the namespace that the descriptor ``namespace`` stands for."""
        # A socket stays in the namespace in which it was made.
        netns.pushns(namespace)
        try:
            self._socket = IPRoute()
        finally:
            netns.popns()

    def find(self, name: str) -> Link | None:
        """Return the device of that name, or None."""
        return self._find(ifname=name)

    def find_index(self, index: int) -> Link | None:
        """Return the device of that number, or None."""
        return self._find(index=index)

    def switch_on(self, index: int) -> None:
        """Switch the device on."""
        self._call(self._socket.link, "set", index=index, state="up")

    def rename(self, index: int, name: str) -> None:
        """Give the device, which is off, another name; for a %d in it the kernel puts the first number that is free."""
        self._call(self._socket.link, "set", index=index, ifname=name)

    def move(self, index: int, namespace: int, name: str) -> None:
        """Move the device into another namespace, where it is called ``name``; it loses its addresses and is off."""
        self._call(self._socket.link, "set", index=index, net_ns_fd=namespace, ifname=name)

    def lasting_addresses(self, index: int) -> list[Address]:
        """Return the addresses that somebody has given to the device for the world to see, in their order."""
        return [
            _anew(each)
            for each in self._call(self._socket.get_addr, index=index)
            if each.get_attr("IFA_FLAGS") & IFA_F_PERMANENT and each["scope"] == RT_SCOPE_UNIVERSE
        ]

    def add_address(self, index: int, address: Address) -> None:
        """Give the device an address."""
        self._call(self._socket.addr, "add", index=index, **address)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _find(self, **asked: str | int) -> Link | None:
        try:
            (found,) = self._call(self._socket.link, "get", **asked)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return Link(found["index"], bool(found["flags"] & IFF_UP), _nature(found))

    @staticmethod
    def _call(method: Callable[..., Any], *words: str, **values: Any) -> list[Any]:
        for _ in range(MOST_TRIES):
            try:
                return list(method(*words, **values))
            except NetlinkDumpInterrupted:
                continue  # something was changed while the kernel listed it
            except NetlinkError as error:
                raise OSError(error.code, os.strerror(error.code)) from None
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _nature(message: Any) -> list[str]:
    """Return rtnetlink's words for what a device is; "" for each that it has none of."""
    described = message.get_attr("IFLA_LINKINFO")
    kind = described.get_attr("IFLA_INFO_KIND") if described else None
    return [str(each or "") for each in (kind, *(message.get_attr(name) for name in HARDWARE))]


def _anew(message: Any) -> Address:
    """Return what is to be said of an address that a message of the kernel describes, to make it anew."""
    address: Address = {name: message[name] for name in ("family", "prefixlen", "scope")}
    address["IFA_FLAGS"] = message.get_attr("IFA_FLAGS") & KEPT_FLAGS
    for name in KEPT_ATTRIBUTES:
        if message.get_attr(name) is not None:
            address[name] = message.get_attr(name)
    return address
