# SPDX-License-Identifier: Apache-2.0
"""What a runtime could leave behind on a host, taken down before and after a test and compared."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Set
from dataclasses import dataclass, fields

from support import kernel
from support.waiting import deadline_in, reap
from support.world import CGROUPS, EMPTIED

SYSCTLS = (
    "kernel/hostname",
    "kernel/domainname",
    "kernel/msgmax",
    "kernel/shmmax",
    "kernel/sem",
    "kernel/core_pattern",
    "fs/mqueue/msg_max",
    "fs/suid_dumpable",
    "net/core/somaxconn",
    "net/ipv4/ip_forward",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ping_group_range",
)

SECONDS_TO_DIE = 2.0

# What tests make for themselves below their directory, and what is therefore not compared.
SCRATCH = "scratch"

# pyrun keeps compiled seccomp filters by this name in the state root; containers' ids have no such character.
SECCOMP_CACHE = "/@seccomp"

Entry = tuple[object, ...]
Tree = dict[str, Entry]


@dataclass(frozen=True)
class Snapshot:
    """The state of a host; every field maps the name of a thing to what is known of it."""

    mounts: Tree
    cgroups: Tree
    processes: Tree
    files: Tree
    links: Tree
    sysctls: Tree
    descriptors: Tree


def take_snapshot(case: str) -> Snapshot:
    """Takes down the host that the caller is in; `case` is the directory of the test at hand."""
    return Snapshot(
        mounts=_mounts(),
        # A systemd starts and stops services of its own when it likes.
        cgroups={directory: () for directory, _, _ in os.walk(CGROUPS) if ".service" not in directory},
        processes=_descendants(),
        files={**_kept_files(case), **_devices()},
        links=_links(),
        sysctls={name: (_read_sysctl(name),) for name in SYSCTLS},
        descriptors=_descriptors(),
    )


def differences(before: Snapshot, after: Snapshot, category: str | None = None) -> list[str]:
    """Returns a line for each thing that appeared, vanished or changed (in one category only, if given)."""
    lines: list[str] = []
    for field in fields(Snapshot):
        if category in (None, field.name):
            lines += compare(field.name, getattr(before, field.name), getattr(after, field.name))
    return lines


def compare(category: str, before: Tree, after: Tree) -> list[str]:
    """Returns a line for each entry in which two trees of one category differ."""
    lines = [f"{category}: left behind: {name} {after[name]}" for name in after if name not in before]
    lines += [f"{category}: vanished: {name} {before[name]}" for name in before if name not in after]
    lines += [
        f"{category}: changed: {name} {before[name]} -> {after[name]}"
        for name in before
        if name in after and before[name] != after[name]
    ]
    return lines


def tree(top: str, prefix: str | None = None, *, but: str | None = None) -> Tree:
    """Describes `top` and what is below it, without following symbolic links or entering other file systems.

    Names begin with `prefix` in the place of `top`, if it is given; `but` and what is below it are left out.
    """
    described: Tree = {}
    _describe(top, top if prefix is None else prefix, os.lstat(top).st_dev, described, but)
    return described


def _describe(path: str, name: str, device: int, described: Tree, but: str | None) -> None:
    if path == but:
        return
    status = os.lstat(path)
    entry: Entry = (stat.filemode(status.st_mode), status.st_uid, status.st_gid)
    if stat.S_ISLNK(status.st_mode):
        entry += (os.readlink(path),)
    elif stat.S_ISREG(status.st_mode):
        entry += (status.st_size, status.st_mtime_ns)
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        entry += (status.st_rdev,)
    described[name] = entry
    if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
        for child in os.listdir(path):
            _describe(os.path.join(path, child), os.path.join(name, child), device, described, but)


def _mounts() -> Tree:
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return {line.rstrip("\n"): () for line in table}


def _kept_files(case: str) -> Tree:
    """Describes what was empty when the private host was made, and the test's directory.

    What is meant to stay is left out: the test's own scratch directory, and compiled filters in the state root.
    """
    files = tree(case, but=os.path.join(case, SCRATCH))
    for directory in EMPTIED:
        files.update(tree(directory, but=os.path.dirname(case)))
    return {name: entry for name, entry in files.items() if SECCOMP_CACHE not in name}


def _devices() -> Tree:
    """Names in /dev, with owner and mode of the devices that containers get, which are easily shared by mistake."""
    described: Tree = {f"/dev/{name}": () for name in os.listdir("/dev")}
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        described.update(tree(f"/dev/{name}"))
    return described


def _links() -> Tree:
    with open("/proc/thread-self/net/dev", encoding="ascii") as table:
        return {line.split(":")[0].strip(): () for line in table if ":" in line}


def _read_sysctl(name: str) -> str | None:
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def _descriptors() -> Tree:
    described: Tree = {}
    for descriptor in os.listdir("/proc/thread-self/fd"):
        try:
            described[descriptor] = (os.readlink(f"/proc/thread-self/fd/{descriptor}"),)
        except FileNotFoundError:
            pass  # the one that listed the directory
    return described


def process_table() -> dict[int, tuple[int, str, str]]:
    """Maps each process of the machine to its parent, its state and its name."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    head, _, tail = file.read().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, parent = tail.split()[:2]
            parents[int(entry)] = (int(parent), state, head.partition("(")[2])
    return parents


def _descendants() -> Tree:
    """Returns the living descendants of this process by pid; zombies among its children are reaped."""
    parents = process_table()
    found: Tree = {}
    generation = {os.getpid()}
    while generation:
        generation = {pid for pid, (parent, _, _) in parents.items() if parent in generation}
        for pid in generation:
            _, state, name = parents[pid]
            if state == "Z":
                reap(pid)
            else:
                found[str(pid)] = (name, _command_line(pid))
    return found


def _command_line(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def clean_up(before: Snapshot, after: Snapshot) -> None:
    """Removes processes, mounts and cgroups that a failed test left, so that later tests start from nothing."""
    for pid in after.processes.keys() - before.processes.keys():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    for directory in sorted(after.cgroups.keys() - before.cgroups.keys()):
        _write_if_there(os.path.join(directory, "cgroup.freeze"), "0")
        _write_if_there(os.path.join(directory, "cgroup.kill"), "1")
    _unmount(after.mounts.keys() - before.mounts.keys())
    deadline = deadline_in(SECONDS_TO_DIE)
    while not _remove_cgroups(after.cgroups.keys() - before.cgroups.keys()) and time.monotonic() < deadline:
        _descendants()  # reaps
        time.sleep(0.01)


def unmount_below(directory: str) -> None:
    """Detaches what is mounted below `directory`, so that its files can be removed without harm to others."""
    _unmount({line for line in _mounts() if _mount_point(line).startswith(directory + "/")})


def _unmount(mounts: Set[str]) -> None:
    """Detaches mounts given as lines of mountinfo, the youngest first."""
    for line in sorted(mounts, key=lambda line: -int(line.split()[0])):
        try:
            kernel.unmount(_mount_point(line))
        except OSError:
            pass


def _mount_point(line: str) -> str:
    """Returns the mount point of a line of mountinfo, in which space and backslash are octal escapes."""
    return line.split()[4].encode().decode("unicode_escape")


def _write_if_there(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        pass


def _remove_cgroups(directories: Set[str]) -> bool:
    """Removes cgroups, children first; returns whether all are gone."""
    for directory in sorted(directories, key=len, reverse=True):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
