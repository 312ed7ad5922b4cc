# SPDX-License-Identifier: Apache-2.0
"""Run a container on an overlay of host programs and show it beside the host.

Everything is made here: a root filesystem from what the host has, a bundle with the default config, and an
overlay that keeps what the container writes apart. Needs root and Linux; downloads nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence

from pyrun_rootfs import RootfsError, root_filesystem_from_host

# One script for both sides, so that what differs is the container's doing. It uses what every sh has built in
# and readlink, and prints KEY=VALUE lines.
PROBE = r"""
echo "pid=$$"
read -r hostname </proc/sys/kernel/hostname; echo "hostname=$hostname"
mounts=0
while read -r id parent device root point rest; do
    mounts=$((mounts + 1))
    if [ "$point" = / ]; then set -- ${rest#* - }; root_mount=$1; fi
done </proc/$$/mountinfo
echo "mounts=$mounts"; echo "root=$root_mount"
interfaces=
while IFS=': ' read -r name rest; do
    case $name$rest in *'|'*) ;; *) interfaces="$interfaces $name" ;; esac
done </proc/$$/net/dev
echo "interfaces=$interfaces"
while read -r inside outside length; do echo "uid_map=$inside $outside $length"; done </proc/$$/uid_map
while read -r name value; do
    case $name in
    CapEff:) echo "capabilities=$value" ;;
    Seccomp:) echo "seccomp=$value" ;;
    NoNewPrivs:) echo "no_new_privs=$value" ;;
    esac
done </proc/$$/status
while IFS=: read -r number controllers path; do
    if [ "$number" = 0 ]; then echo "cgroup=$path"; fi
done </proc/$$/cgroup
for kind in cgroup ipc mnt net pid time user uts; do
    echo "$kind namespace=$(readlink /proc/$$/ns/$kind)"
done
"""
WRITES = r"""
echo 'written by the container' >/root/note
echo '192.0.2.1 changed-by-the-container' >>/etc/hosts
"""
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
SECCOMP_MODES = {"0": "off", "1": "strict", "2": "filter"}
# Bit numbers of linux/capability.h.
CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable "
    "net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot "
    "sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease "
    "audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read "
    "perfmon bpf checkpoint_restore"
).split()
MANY = 6

Facts = dict[str, str]


class DemoError(Exception):
    """The demonstration cannot go on: one line that says why."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    beside = os.path.join(os.path.dirname(sys.executable), "pyrun")
    parser.add_argument("--pyrun", metavar="PATH", default=beside, help="default: the pyrun beside this Python")
    pyrun = os.path.abspath(parser.parse_args().pyrun)
    try:
        _check_needs(pyrun)
        bundle = _new_directory()
        try:
            _demonstrate(pyrun, bundle)
        except BaseException:
            shutil.rmtree(bundle)
            raise
    except (DemoError, RootfsError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _check_needs(pyrun: str) -> None:
    if not sys.platform.startswith("linux"):
        raise DemoError("containers need Linux")
    if os.geteuid() != 0:
        raise DemoError("a container with an overlay root needs root: try sudo")
    if not os.access(pyrun, os.X_OK):
        raise DemoError(f'there is no "{pyrun}": install this checkout first, or name one with --pyrun')


def _new_directory() -> str:
    """An empty directory that only root can enter, in place of that of the last demonstration."""
    path = os.path.join(_directory_for_overlays(), "pyrun-demo")
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o077:
            raise DemoError(f'"{path}" is not from an earlier demonstration: remove it')
        shutil.rmtree(path)
    os.mkdir(path, 0o700)
    return path


def _directory_for_overlays() -> str:
    """A directory whose filesystem can hold an overlay's upper directory, which an overlay itself cannot."""
    for path in ("/tmp", "/run", "/dev/shm"):
        if os.path.isdir(path) and _filesystem_type(path) != "overlay":
            return path
    raise DemoError("/tmp, /run and /dev/shm are all on an overlay, where no other overlay can keep its files")


def _filesystem_type(path: str) -> str | None:
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, filesystem = line.partition(" - ")
            if fields.split()[2] == number:
                return filesystem.split()[0]
    return None


def _demonstrate(pyrun: str, bundle: str) -> None:
    files = root_filesystem_from_host(os.path.join(bundle, "lower"))
    before = _contents(os.path.join(bundle, "lower"))
    print(f"A root filesystem of {len(files)} files from this host, the default config, an overlay as root.\n")
    _write_config(pyrun, bundle, ["/bin/sh", "-c", PROBE + WRITES])
    host = _facts(_output(["/bin/sh", "-c", PROBE]))
    begin = time.perf_counter()
    container = _facts(_output([pyrun, "run", "--bundle", bundle, f"pyrun-demo-{os.getpid()}"]))
    milliseconds = (time.perf_counter() - begin) * 1000
    print(_table(host, container))
    print(f"\nIt lived for {milliseconds:.0f} ms, start and clean-up included.\n")
    print(_where_writes_went(bundle, before))
    _write_config(pyrun, bundle, ["/bin/sh"])
    print(_next_commands(pyrun, bundle))


def _write_config(pyrun: str, bundle: str, arguments: list[str]) -> None:
    """The default config, with an overlay for its root, no terminal, and ``arguments`` to run."""
    path = os.path.join(bundle, "config.json")
    if not os.path.exists(path):
        _output([pyrun, "spec", "--bundle", bundle])
        for directory in ("rootfs", "upper", "work"):
            os.mkdir(os.path.join(bundle, directory))
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["process"] |= {"args": arguments, "terminal": False}
    config["root"] = {"path": "rootfs", "readonly": False}
    config["annotations"] = {
        "org.pyrun.rootfs.lowerdir": os.path.join(bundle, "lower"),
        "org.pyrun.rootfs.upperdir": os.path.join(bundle, "upper"),
        "org.pyrun.rootfs.workdir": os.path.join(bundle, "work"),
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=4)


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip() or 'no message'}")
    return done.stdout


def _facts(output: str) -> Facts:
    """The probe's lines; of a key that comes again, all values."""
    facts: Facts = {}
    for line in output.splitlines():
        key, _, value = line.partition("=")
        facts[key] = f"{facts[key]}; {value}" if key in facts else value.strip()
    return facts


def _table(host: Facts, container: Facts) -> str:
    rows = [("", "host", "container"), *_plain_rows(host, container), *_namespace_rows(host, container)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _plain_rows(host: Facts, container: Facts) -> list[tuple[str, str, str]]:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        known = int(file.read()) + 1

    def both(name: str, key: str) -> tuple[str, str, str]:
        return name, host[key], container[key]

    return [
        both("process id", "pid"),
        both("hostname", "hostname"),
        both("mounts", "mounts"),
        both("root filesystem", "root"),
        both("interfaces", "interfaces"),
        ("uid map", _uid_map(host["uid_map"]), _uid_map(container["uid_map"])),
        (
            "capabilities",
            _capabilities(host["capabilities"], known),
            _capabilities(container["capabilities"], known),
        ),
        ("seccomp", SECCOMP_MODES[host["seccomp"]], SECCOMP_MODES[container["seccomp"]]),
        ("no new privileges", _yes_or_no(host["no_new_privs"]), _yes_or_no(container["no_new_privs"])),
        both("cgroup", "cgroup"),
    ]


def _namespace_rows(host: Facts, container: Facts) -> list[tuple[str, str, str]]:
    rows = []
    for kind in NAMESPACES:
        key = f"{kind} namespace"
        outside, inside = (facts[key].partition("[")[2].rstrip("]") for facts in (host, container))
        rows.append((key, outside, "the host's" if inside == outside else inside))
    return rows


def _uid_map(value: str) -> str:
    if value == "0 0 4294967295":
        return "every id is itself"
    ranges = (line.split() for line in value.split(";"))
    return ", ".join(f"{length} from {inside} are {outside}" for inside, outside, length in ranges)


def _capabilities(mask: str, known: int) -> str:
    bits = [bit for bit in range(known) if int(mask, 16) >> bit & 1]
    if not bits or len(bits) > MANY:
        return f"{len(bits)} of {known}"
    return " ".join(CAPABILITIES[bit] if bit < len(CAPABILITIES) else str(bit) for bit in bits)


def _yes_or_no(flag: str) -> str:
    return "yes" if flag == "1" else "no"


def _contents(directory: str) -> dict[str, bytes | str]:
    """Every file below the directory with what is in it, every link with where it points."""
    contents: dict[str, bytes | str] = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                contents[os.path.relpath(path, directory)] = os.readlink(path)
            else:
                with open(path, "rb") as file:
                    contents[os.path.relpath(path, directory)] = file.read()
    return contents


def _where_writes_went(bundle: str, lower_before: dict[str, bytes | str]) -> str:
    lower, upper, mount_point = (os.path.join(bundle, name) for name in ("lower", "upper", "rootfs"))
    if _contents(lower) != lower_before:
        raise DemoError(f'the container changed "{lower}"')
    if os.listdir(mount_point):
        raise DemoError(f'something is left in "{mount_point}"')
    written = ", ".join(f"/{path}" for path in sorted(_contents(upper)))
    return f"It wrote {written}: all of it is in {upper}; {lower} is unchanged, {mount_point} empty."


def _next_commands(pyrun: str, bundle: str) -> str:
    create, state, delete = (
        f"{pyrun} create -b {bundle} demo",
        f"{pyrun} state demo",
        f"{pyrun} delete -f demo",
    )
    return "\n".join(
        [
            "",
            "Three commands to try next, as root:",
            "a shell in that container, until exit",
            f"    {pyrun} run -b {bundle} demo",
            "everything the kernel is asked for, and what in config.json asks for it",
            f"    {pyrun} plan {bundle}",
            "a container that is created, looked at, and removed before it was started",
            f"    {create} </dev/null && {state}; {delete}",
            "",
            f"They use {bundle}; when done: rm -r {bundle}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
