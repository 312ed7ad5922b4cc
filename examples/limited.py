# SPDX-License-Identifier: Apache-2.0
"""Run a command with limits, and show what it has used: pyrun_cgroups without a container.

    sudo python examples/limited.py /sys/fs/cgroup/experiment sh -c 'head -c 10M /dev/zero | sha1sum'

Needs root, or a cgroup that is delegated to you (systemd-run --user --scope -p Delegate=yes). Limits whose controller
cgroup v2 does not have here are left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from pyrun_cgroups.cgroup import Cgroup
from pyrun_cgroups.devices import DEFAULT_RULES
from pyrun_cgroups.statistics import plain

LIMITS = {
    "memory": {"memory": {"limit": 256 << 20, "swap": 256 << 20}},  # bytes: no swap beyond the memory
    "cpu": {"cpu": {"quota": 50_000, "period": 100_000}},  # microseconds: half a CPU
    "pids": {"pids": {"limit": 64}},
}
"""By controller."""


def run(path: str, command: list[str]) -> int:
    """Runs a command in a new cgroup, which is removed with all of its processes; returns the exit status."""
    with Cgroup.make(path) as group:
        for controller, limits in LIMITS.items():
            if controller in group.controllers:
                group.limit(limits)
        if os.geteuid() == 0:
            group.allow_devices(DEFAULT_RULES)
        ended = subprocess.run(command, preexec_fn=lambda: group.add(0), check=False)
        print(json.dumps(plain(group.stat())), file=sys.stderr)
    return ended.returncode


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} CGROUP COMMAND [ARGUMENT...]")
    sys.exit(run(sys.argv[1], sys.argv[2:]))
