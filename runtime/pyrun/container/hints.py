# SPDX-License-Identifier: Apache-2.0
"""What to do about an operation that the kernel refused."""

from __future__ import annotations

import errno

HINTS = {
    ("make_cgroup", errno.EBUSY): "choose another linux.cgroupsPath",
    ("make_cgroup", errno.EACCES): "choose a linux.cgroupsPath below a cgroup that was delegated to you",
    ("make_cgroup", errno.EROFS): "mount cgroup2 writable",
    ("open_namespace", errno.ENOENT): "the process or the file that held the namespace is gone",
    ("clone_init", errno.ENOSPC): "the disk of --root is full, or a limit in /proc/sys/user/ is reached",
    ("clone_init", errno.EPERM): "namespaces can't be made here; look at /proc/sys/user/",
    ("clone_init", errno.EAGAIN): "too many processes; raise the limit (ulimit -u, pids.max)",
    ("map_ids", 0): "allow the ids in /etc/subuid and /etc/subgid, or map only your own id",
    ("map_ids", errno.ENOENT): "install it (Debian's package uidmap), or map only your own id",
    ("map_ids", errno.EACCES): "install it (Debian's package uidmap), or map only your own id",
    ("map_ids", errno.EPERM): "map ids that pyrun's own user namespace has",
    ("join_namespaces", errno.EPERM): "a user other than root joins the user namespace that owns them as well",
    ("unshare_time", errno.EPERM): "only root can make one",
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
    ("bind_mount", errno.ENOENT): "make the source or remove the mount",
    ("open_bind_source", errno.ENOENT): "make the source or remove the mount",
    ("pivot_to_root", errno.EINVAL): "if the root is in an initramfs, use --no-pivot",
    ("run_hook", errno.ENOENT): "correct its path, or install the interpreter that its first line names",
    ("run_hook", errno.EACCES): "make it an executable file",
    ("run_hook", errno.ENOEXEC): "it is for another machine, or a script without #!",
    ("set_exec_label", errno.ENOENT): "load the profile (apparmor_parser), or leave the option out",
    ("open_terminal", errno.ENOENT): "a terminal needs a mount of type devpts on /dev/pts",
    ("set_oom_score_adj", errno.EACCES): "only CAP_SYS_RESOURCE may lower it",
    ("set_resource_limit", errno.EPERM): "only CAP_SYS_RESOURCE may raise a hard limit",
    ("raise_resource_limit", errno.EPERM): "only CAP_SYS_RESOURCE may raise a hard limit",
    (
        "execute_program",
        errno.ENOENT,
    ): "its interpreter, named in the file's first line or its ELF header, is missing",
    ("execute_program", errno.ENOEXEC): "the program is for another machine, or it is a script without #!",
}


def hint(operation: str, number: int) -> str | None:
    """Return what the reader of the error can do, or None when the error says it all."""
    return HINTS.get((operation, number))
