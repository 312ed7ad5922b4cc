# SPDX-License-Identifier: Apache-2.0
"""A view of the host in which every runtime can work: nothing but cgroup v2 at /sys/fs/cgroup."""

from __future__ import annotations

import os
import sys

from measure import BenchError

ONLY_CGROUP_V2 = 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'


def enter() -> None:
    """Execute this very script anew in a private mount namespace, unless the host is as needed already.

    A host with version 1 hierarchies has its version 2 hierarchy elsewhere, where crun does not look for it.

    Raises:
        BenchError: not root.
    """
    if os.geteuid() != 0:
        raise BenchError("the benchmarks need root")
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        anew = [sys.executable, *sys.argv]
        os.execvp("unshare", ["unshare", "--mount", "sh", "-c", ONLY_CGROUP_V2, "sh", *anew])
