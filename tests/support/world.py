# SPDX-License-Identifier: Apache-2.0
"""A private copy of the host, in which containers are made.

The tests share a machine with other work, and must still notice everything that a runtime leaves behind. So they
run in namespaces of their own (mount, network, uts, ipc, cgroup) below a cgroup of their own: whatever changes
there was changed by the test. Orphaned processes become children of the test process, which is their subreaper.

The copy differs from the machine in what a runtime must cope with anyway: cgroup v2 alone is mounted at
/sys/fs/cgroup, and every mount is shared, as systemd makes them, so that a mount or unmount which a runtime lets
slip shows up here. /run, /dev/shm, /var/tmp and /tmp are empty tmpfs, but for one that the tests themselves come from.

In a machine that was booted for tests of systemd (PYRUN_MACHINE=systemd, see vm.machine) the copy shows that: its
sockets, and the whole tree of cgroups, whose paths must mean the same to both.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial

from support import kernel
from support.waiting import wait_until

CGROUPS = "/sys/fs/cgroup"
# What would hide the tests or the interpreter is left as it is on the machine.
EMPTIED = tuple(
    directory
    for directory in ("/run", "/dev/shm", "/var/tmp", "/tmp")
    if not any(os.path.realpath(path).startswith(directory + "/") for path in (__file__, sys.prefix))
)

SHOWS_SYSTEMD = os.environ.get("PYRUN_MACHINE") == "systemd"
OF_SYSTEMD = ("/run/systemd", "/run/dbus")

_NAMESPACES = {
    "mnt": kernel.CLONE_NEWNS,
    "net": kernel.CLONE_NEWNET,
    "uts": kernel.CLONE_NEWUTS,
    "ipc": kernel.CLONE_NEWIPC,
    **({} if SHOWS_SYSTEMD else {"cgroup": kernel.CLONE_NEWCGROUP}),
}


def cgroup2_mount() -> str:
    """Returns where this machine has mounted cgroup v2; the last mount covers earlier ones."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        points = [line.split()[4] for line in table if " - cgroup2 " in line]
    if not points:
        raise RuntimeError("cgroup v2 is not mounted here")
    return points[-1]


def controllers() -> list[str]:
    """Returns the controllers that a runtime has in the private host."""
    with open(os.path.join(CGROUPS, "cgroup.controllers"), encoding="ascii") as file:
        return file.read().split()


class World:
    """The private copy of the host.

    `directory` is an empty tmpfs for bundles and state. Use `with world.entered():` to act inside; every process
    started meanwhile stays inside. `close` gives everything back.
    """

    def __init__(self) -> None:
        kernel.become_subreaper()
        self.directory = tempfile.mkdtemp(prefix="pyrun-test-")
        self._home = self._open_namespaces()
        self._cgroup = os.path.join(cgroup2_mount(), os.path.basename(self.directory))
        with open("/proc/self/cgroup", encoding="ascii") as memberships:
            (self._home_cgroup,) = (line[3:].strip() for line in memberships if line.startswith("0::"))
        self._cgroup_root = cgroup2_mount()
        os.mkdir(self._cgroup)
        self._move_to(self._cgroup)
        kernel.unshare(kernel.CLONE_FS)
        working_directory = os.getcwd()
        kernel.unshare(sum(_NAMESPACES.values()))
        self._furnish()
        self._inside = self._open_namespaces()
        self._enter(self._home, working_directory)

    def _furnish(self) -> None:
        kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("sysfs", "/sys", "sysfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        kernel.mount("cgroup2", CGROUPS, "cgroup2")
        shown = {path: os.open(path, os.O_PATH) for path in OF_SYSTEMD} if SHOWS_SYSTEMD else {}
        for directory in EMPTIED:
            kernel.mount("tmpfs", directory, "tmpfs", data="mode=755" if directory == "/run" else "mode=1777")
        for path, descriptor in shown.items():
            os.mkdir(path, 0o755)
            kernel.mount(f"/proc/self/fd/{descriptor}", path, flags=kernel.MS_BIND)
            os.close(descriptor)
        os.makedirs(self.directory, 0o700, exist_ok=True)
        kernel.mount("tmpfs", self.directory, "tmpfs", data="mode=755")
        kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_SHARED)
        # A cgroup with processes of its own can give no controllers to its children: only the root may.
        leaf = os.path.join(CGROUPS, os.path.basename(self._cgroup) if SHOWS_SYSTEMD else "", "tests")
        os.mkdir(leaf)
        self._move_to(leaf)

    @staticmethod
    def _move_to(cgroup: str) -> None:
        with open(os.path.join(cgroup, "cgroup.procs"), "w", encoding="ascii") as members:
            members.write(str(os.getpid()))

    @staticmethod
    def _open_namespaces() -> dict[str, int]:
        return {name: os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY) for name in _NAMESPACES}

    @staticmethod
    def _enter(namespaces: dict[str, int], working_directory: str) -> None:
        # A thread that has been joined may have its part in the working directory and root for a moment yet, and who
        # shares them can't change its mount namespace (setns(2)).
        kernel.unshare(kernel.CLONE_FS)
        for name, descriptor in namespaces.items():
            kernel.setns(descriptor, _NAMESPACES[name])
        os.chdir(working_directory)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Moves the calling thread inside, and into `directory`, for a while."""
        working_directory = os.getcwd()
        self._enter(self._inside, self.directory)
        try:
            yield
        finally:
            self._enter(self._home, working_directory)

    def close(self) -> None:
        """Leaves and removes the copy; the cgroup must be empty of other processes by then."""
        self._move_to(os.path.join(self._cgroup_root, self._home_cgroup.lstrip("/")))
        for descriptor in (*self._home.values(), *self._inside.values()):
            os.close(descriptor)
        for directory, _, _ in os.walk(self._cgroup, topdown=False):
            wait_until(partial(_removed, directory), f"{directory} can be removed")
        os.rmdir(self.directory)


def _removed(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except OSError:
        return False
    return True
