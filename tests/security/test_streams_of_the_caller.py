# SPDX-License-Identifier: Apache-2.0
"""What a container has as standard streams is its caller's, and the host's: it does not become the user's by that."""

from __future__ import annotations

import os
import stat

import pytest

from support import configs
from support.runtime import MakeContainer, Runtime

USER = 1000
FULL = os.makedev(1, 7)


@pytest.mark.pyrun_only("runc 1.1.5 gives all but the null device away")
@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_device_of_the_host(runtime: Runtime, make_container: MakeContainer, scratch: str, verb: str) -> None:
    """Its owner could read or write it from then on, in any container and on the host."""
    path = os.path.join(scratch, "device")
    os.mknod(path, stat.S_IFCHR | 0o600, FULL)
    config = configs.default("/bin/sleep", "1000" if verb == "exec" else "0")
    config["process"]["user"] = {"uid": USER, "gid": USER}
    container = make_container(config)
    with open(path, "rb") as device:
        if verb == "create":
            container.started(stdin=device).wait_for_end()
        elif verb == "run":
            runtime.run(container.id, container.bundle, stdin=device).succeeded()
        else:
            container.started().exec("true", stdin=device).succeeded()
    status = os.stat(path)
    os.unlink(path)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 0, 0o600)
