# SPDX-License-Identifier: Apache-2.0
"""What a process can see of its container, as text that two runtimes can be compared by."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

Observation = dict[str, list[str]]

# Each section is printed below a line "=== NAME". Everything that is read belongs to the container's first process.
PROBE = r"""
section() { echo "=== $1"; }
exec 2>&1
section status; cat /proc/$$/status
section stat; cut -d' ' -f4-8,18-20 /proc/$$/stat; echo "self $$"
section mountinfo; cat /proc/$$/mountinfo
section cgroup; cat /proc/$$/cgroup
section uid_map; cat /proc/$$/uid_map
section gid_map; cat /proc/$$/gid_map
section setgroups; cat /proc/$$/setgroups
section limits; cat /proc/$$/limits
section oom_score_adj; cat /proc/$$/oom_score_adj
section coredump_filter; cat /proc/$$/coredump_filter
section personality; cat /proc/$$/personality
section namespaces; for n in /proc/$$/ns/*; do echo "${n##*/} $(readlink $n)"; done
section timens_offsets; cat /proc/$$/timens_offsets
section commandline; tr '\0' '\n' </proc/$$/cmdline; readlink /proc/$$/exe; cat /proc/$$/comm
section environment; tr '\0' '\n' </proc/$$/environ | sort
section directory; pwd; readlink /proc/$$/cwd; readlink /proc/$$/root
section identity; id; umask; hostname; cat /proc/sys/kernel/domainname
section descriptors; ls /proc/$$/fd
section dev; stat -c '%N %A %u %g %t:%T' /dev /dev/* /dev/pts/* /dev/shm/* /dev/mqueue/*
section root; stat -c '%N %A %u %g' / /* /run/* /etc/*
section links; ip addr; ip route; cat /proc/net/dev | cut -d: -f1; ls /sys/class/net
section sysctl
for s in net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range kernel/shmmax kernel/msgmax; do
    echo "$s $(cat /proc/sys/$s)"
done
section masked
for p in /proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats \
    /proc/sched_debug /sys/firmware /proc/scsi; do
    [ -e $p ] || { echo "$p is missing"; continue; }
    stat -c '%N %A %u %g %t:%T' $p
    if [ -d $p ]; then ls -a $p; touch $p/x; elif [ $(wc -c <$p) = 0 ]; then echo empty; else echo not empty; fi
done
section readonly
for p in /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger /proc/sys/kernel/hostname /sys /sys/fs/cgroup /; do
    if [ -w $p ]; then echo "$p is writable"; else echo "$p is read-only"; fi
done
section cgroupfs; ls -an /sys/fs/cgroup | wc -l; wc -l </sys/fs/cgroup/cgroup.procs
section attributes; cat /proc/$$/attr/current; cat /proc/$$/timerslack_ns; cat /proc/$$/loginuid
section open; for d in null zero full random urandom tty ptmx; do
    if (: <>/dev/$d); then echo "$d opens"; else echo "$d does not open"; fi
done
section mknod; mknod /dev/disk b 7 0 && (: </dev/disk); mknod /dev/null2 c 1 3 && (: </dev/null2)
section links-of-proc; ls -l /proc/self/fd/ | wc -l
section end
"""

# Lines of /proc/PID/status that tell of the moment or the machine rather than of the container.
_STATUS_OF_THE_MOMENT = re.compile(
    r"(Pid|PPid|Tgid|Ngid|TracerPid|FDSize|SigQ|Vm\w+|Rss\w+|HugetlbPages|CoreDumping|THP_enabled|untag_mask"
    r"|(non)?voluntary_ctxt_switches|State|Threads|NS\w+|x86_Thread\w+):"
)


def observe(output: str, host_namespaces: dict[str, str]) -> Observation:
    """Splits what PROBE printed into sections, without what differs between any two runs."""
    sections: Observation = {}
    for line in output.splitlines():
        if line.startswith("=== "):
            sections[line[4:]] = current = []
        else:
            current.append(line)
    assert "end" in sections, f"the probe did not end: {output[-2000:]}"
    for name, normalise in _NORMALISE.items():
        sections[name] = normalise(sections[name])
    sections["namespaces"] = [_namespace(line, host_namespaces) for line in sections["namespaces"]]
    return sections


def namespaces_of_this_process() -> dict[str, str]:
    """Maps the names in /proc/self/ns to what they point to."""
    return {name: os.readlink(f"/proc/thread-self/ns/{name}") for name in os.listdir("/proc/thread-self/ns")}


def _namespace(line: str, host_namespaces: dict[str, str]) -> str:
    name, link = line.split()
    return f"{name} {'of the host' if host_namespaces.get(name) == link else 'its own'}"


def _status(lines: list[str]) -> list[str]:
    kept = [_without_library_signals(line) for line in lines if not _STATUS_OF_THE_MOMENT.match(line)]
    depth = [f"depth of pid namespaces {len(line.split()) - 1}" for line in lines if line.startswith("NSpid")]
    return kept + depth


def _without_library_signals(line: str) -> str:
    """Leaves out signals 32 and 33: glibc's posix_spawn, which make uses, ignores them, and runc hands that on."""
    name, _, value = line.partition(":")
    return f"{name}:\t{int(value, 16) & ~(3 << 31):016x}" if name == "SigIgn" else line


def _mountinfo(lines: list[str]) -> list[str]:
    """Sorts by mount points: the order of lines tells which mount was made first, not which was first in its place."""
    return sorted((mount_without_numbers(line) for line in lines), key=lambda mount: mount.split()[1])


def mount_without_numbers(line: str) -> str:
    """Takes mount ids, device numbers and numbers of peer groups out of a line of mountinfo."""
    before, _, after = line.partition(" - ")
    root, point, options, *propagation = before.split()[3:]
    root = re.sub(r"^(pid|net|ipc|uts|mnt|user|cgroup|time):\[\d+\]", r"\1", root)
    kinds = [re.sub(r":\d+", "", kind) for kind in propagation]
    return " ".join([root, point, options, *kinds, "-", after])


def _stat(lines: list[str]) -> list[str]:
    """Names the process itself and its parent, whose numbers are any outside a pid namespace."""
    fields, own = lines[0].split(), lines[1].split()[1]
    fields[0] = "parent" if fields[0] != "0" else "no parent"
    return [" ".join("self" if field == own and own != "1" else field for field in fields)]


def _link_indexes_blurred(lines: list[str]) -> list[str]:
    return [re.sub(r"@if\d+|link-netnsid \d+", "", line) for line in lines]


_NORMALISE: dict[str, Callable[[list[str]], list[str]]] = {
    "status": _status,
    "mountinfo": _mountinfo,
    "links": _link_indexes_blurred,
    "stat": _stat,
}


def differences(ours: Observation, theirs: Observation) -> dict[tuple[str, str], None]:
    """Returns the lines that only one of two observations has, as ("section: -line" of theirs or "+line" of ours)."""
    found: dict[tuple[str, str], None] = {}
    for section in theirs:
        mine, other = ours.get(section, []), theirs[section]
        if mine == other:
            continue
        for line in other:
            if line not in mine:
                found[(section, f"-{line}")] = None
        for line in mine:
            if line not in other:
                found[(section, f"+{line}")] = None
        if not any(key[0] == section for key in found):
            found[(section, "the order or number of equal lines differs")] = None
    return found
