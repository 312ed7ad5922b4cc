# SPDX-License-Identifier: Apache-2.0
"""What to do about an operation that the kernel refused."""

from __future__ import annotations

import errno

HINTS = {
    ("make_cgroup", errno.EBUSY): "choose another linux.cgroupsPath",
    ("make_cgroup", errno.EACCES): "choose a linux.cgroupsPath below a cgroup that was delegated to you",
    ("make_cgroup", errno.EROFS): "mount cgroup2 writable",
    ("make_cgroup", errno.EAGAIN): "raise cgroup.max.depth or cgroup.max.descendants of a cgroup above it",
    (
        "write_cgroup_file",
        errno.ENOENT,
    ): "the kernel does not have it; the sizes of huge pages are in /sys/kernel/mm/hugepages",
    ("write_cgroup_file", errno.EINVAL): "the kernel's admin-guide/cgroup-v2 says what the file takes",
    ("write_cgroup_file", errno.EBUSY): "more is in use already",
    ("write_cgroup_file", errno.ERANGE): "the kernel's admin-guide/cgroup-v2 says what the file takes",
    ("write_cgroup_file", errno.ENODEV): "there is no such device; in blockIO name a whole disk by its numbers (lsblk)",
    (
        "write_cgroup_file",
        errno.EOPNOTSUPP,
    ): "nothing weighs the device's I/O: choose bfq in /sys/block/NAME/queue/scheduler, or enable io.cost.qos",
    ("open_namespace", errno.ENOENT): "the process or the file that held the namespace is gone",
    ("clone_init", errno.ENOSPC): "the disk of --root is full, or a limit in /proc/sys/user/ is reached",
    ("clone_init", errno.ENOENT): "with the mount option nsdelegate no process gets out of its cgroup namespace:"
    " choose a linux.cgroupsPath below pyrun's own cgroup",
    ("clone_init", errno.EACCES): "a user can start a process in a cgroup only below one that is delegated to him and"
    " that pyrun is in: systemd-run --user --scope -p Delegate=yes",
    ("clone_init", errno.EPERM): "namespaces can't be made here; look at /proc/sys/user/",
    ("clone_init", errno.EAGAIN): "too many processes; raise the limit (ulimit -u, pids.max)",
    ("map_ids", 0): "allow the ids in /etc/subuid and /etc/subgid, or map only your own id",
    ("map_ids", errno.ENOENT): "install it (Debian's package uidmap), or map only your own id",
    ("map_ids", errno.EACCES): "install it (Debian's package uidmap), or map only your own id",
    ("map_ids", errno.EPERM): "map ids that pyrun's own user namespace has",
    ("join_namespaces", errno.EPERM): "a user other than root joins the user namespace that owns them as well",
    ("unshare_time", errno.EPERM): "only root can make one",
    ("make_resctrl_group", errno.ENOENT): "make the group, or say with schemata what it is to be",
    ("make_resctrl_group", errno.EEXIST): "remove it, or choose another id for the container",
    ("make_resctrl_group", errno.ENOSPC): "all classes or monitoring groups of the hardware are in use",
    ("make_resctrl_group", errno.EACCES): "only root can make one",
    ("join_resctrl_groups", errno.EACCES): "only root can move a process there",
    ("set_time_offsets", errno.ERANGE): "no clock may be negative, nor ahead by more than 146 years:"
    " what is taken away is at most what the host's clock shows (/proc/uptime)",
    ("set_identity", errno.EINVAL): "the user namespace does not map the user or a group",
    ("set_identity", errno.EPERM): "a user namespace with one group id has no additional groups",
    ("bind_root", errno.ENOENT): "make the directory or correct root.path",
    ("bind_root", errno.ENOTDIR): "root.path must be a directory",
    ("overlay_root", errno.ENOENT): "make the directory or correct the annotation",
    (
        "overlay_root",
        errno.EINVAL,
    ): "upper and work directory must be on one file system that overlayfs accepts",
    (
        "mount_filesystem",
        errno.EPERM,
    ): "in a user namespace it takes a new namespace of its kind, and for proc and sysfs that nothing covers the"
    " host's; else bind the host's with the option rbind",
    ("mount_filesystem", errno.ENODEV): "this kernel does not have the file system",
    ("mount_filesystem", errno.ENOSPC): "give the tmpfs a larger size= or nr_inodes=",
    ("remount", errno.EINVAL): "name a mount point that an earlier mount made, and options that the file system knows",
    ("remount", errno.EPERM): "in a user namespace it takes a file system that was mounted there, or the option bind",
    ("bind_mount", errno.ENOENT): "make the source or remove the mount",
    ("open_bind_source", errno.ENOENT): "make the source or remove the mount",
    ("open_filesystem", errno.ENODEV): "this kernel does not have the file system",
    ("open_id_mapping", errno.EPERM): "map ids that pyrun's own user namespace has",
    ("open_id_mapping", errno.ENODATA): "the user namespace maps no ids",
    ("open_id_mapping", errno.ENOSPC): "the limit user.max_user_namespaces is reached; raise it with sysctl",
    ("open_id_mapping", errno.EINVAL): "a user namespace that is joined must be another than the host's",
    ("delegate_cgroup", errno.EINVAL): "the user namespace does not map the user",
    ("make_device", errno.EEXIST): "remove it from the image, or the device from linux.devices",
    ("make_device", errno.EINVAL): "the user namespace does not map its uid or gid",
    ("make_device", errno.ENOENT): "in a user namespace the host's device of that path is bound; make it on the host",
    ("make_device", errno.ENODEV): "in a user namespace the host's device of that path is bound; name that one's path",
    ("make_device", errno.EROFS): "its directory is on a read-only mount: put the device elsewhere",
    ("pivot_to_root", errno.EINVAL): "if the root is in an initramfs, use --no-pivot",
    ("run_hook", errno.ENOENT): "correct its path, or install the interpreter that its first line names",
    ("run_hook", errno.EACCES): "make it an executable file",
    ("run_hook", errno.ENOEXEC): "it is for another machine, or a script without #!",
    ("set_label", errno.ENOENT): "load the profile (apparmor_parser), or leave it out",
    ("set_label", errno.EINVAL): "the host's policy does not have it",
    ("set_scheduler", errno.EPERM): "it takes CAP_SYS_NICE on the host, or limits that allow it (ulimit -e, -r); "
    "SCHED_DEADLINE also takes all processors, and no user namespace",
    ("set_scheduler", errno.EINVAL): "the kernel has no such policy (none has SCHED_ISO), or not with these values",
    ("set_scheduler", errno.EBUSY): "no processor has that much time left for SCHED_DEADLINE",
    ("set_scheduler", errno.EOPNOTSUPP): "the kernel does not have this flag",
    ("set_io_priority", errno.EPERM): "only CAP_SYS_NICE or CAP_SYS_ADMIN on the host allows IOPRIO_CLASS_RT",
    ("set_affinity", errno.EINVAL): "none of these processors is there, or in the container's cpuset",
    ("set_memory_policy", errno.EINVAL): "none of the nodes has memory and is in the container's cpuset, or the kernel "
    "has no such mode",
    ("set_memory_policy", errno.ENOSYS): "the kernel is made without NUMA",
    ("set_personality", errno.EINVAL): "this machine can't execute 32-bit programs",
    ("open_terminal", errno.ENOENT): "a terminal needs a mount of type devpts on /dev/pts",
    ("set_oom_score_adj", errno.EACCES): "only CAP_SYS_RESOURCE may lower it",
    ("set_resource_limit", errno.EPERM): "only CAP_SYS_RESOURCE may raise a hard limit",
    ("raise_resource_limit", errno.EPERM): "only CAP_SYS_RESOURCE may raise a hard limit",
    ("load_seccomp", errno.EINVAL): "the kernel lacks one of linux.seccomp.flags:"
    " SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV came with Linux 5.19",
    ("load_seccomp", errno.EBUSY): "pyrun itself runs below a filter with an agent; the kernel has one agent at most",
    ("load_seccomp", errno.EAGAIN): "an agent takes one more thread for a moment: raise pids.max and RLIMIT_NPROC,"
    " and give SCHED_DEADLINE the flag SCHED_FLAG_RESET_ON_FORK",
    (
        "execute_program",
        errno.ENOENT,
    ): "its interpreter, named in the file's first line or its ELF header, is missing",
    ("execute_program", errno.ENOEXEC): "the program is for another machine, or it is a script without #!",
}


def hint(operation: str, number: int) -> str | None:
    """Return what the reader of the error can do, or None when the error says it all."""
    return HINTS.get((operation, number))
