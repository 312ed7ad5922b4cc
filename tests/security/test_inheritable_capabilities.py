# SPDX-License-Identifier: Apache-2.0
"""Capabilities that come by files: a program of the image gains what its user may have, and nothing by inheritance."""

from __future__ import annotations

import os
import shutil
import struct

import pytest

from support import configs, process
from support.runtime import MakeBundle, Runtime

# struct vfs_cap_data (linux/capability.h): revision 2 with the effective bit, then permitted and inheritable.
REVISION_AND_EFFECTIVE = 0x02000001
SETS = {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}


@pytest.mark.parametrize("ambient", [False, True], ids=["", "ambient"])
def test_program_that_inherits(runtime: Runtime, make_bundle: MakeBundle, ambient: bool) -> None:
    """CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: with inheritable sets a user's program had what root was given.

    An ambient capability, which needs to be inheritable, is refused with them (CVE-2016-8867).
    """
    config = configs.default("/opt/grep", "Cap", "/proc/self/status")
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config["process"]["capabilities"] = {**SETS, "ambient": ["CAP_KILL"]} if ambient else dict(SETS)
    config["process"]["noNewPrivileges"] = False
    bundle = make_bundle(config)
    os.mkdir(os.path.join(bundle.rootfs, "opt"))
    program = shutil.copy(os.path.join(bundle.rootfs, "bin/busybox"), os.path.join(bundle.rootfs, "opt/grep"))
    kill = 1 << configs.CAPABILITIES.index("CAP_KILL")
    os.setxattr(program, "security.capability", struct.pack("<5I", REVISION_AND_EFFECTIVE, 0, kill, 0, 0))
    status = dict(line.split(":\t") for line in runtime.run("test", bundle).succeeded().output.splitlines())
    assert process.capability_names(status["CapBnd"]) == ["CAP_KILL"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert process.capability_names(status[name]) == [], name
