# SPDX-License-Identifier: Apache-2.0
"""The caller's additional groups have rights to files of the host, also where ids are mapped: they stay outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from support import configs
from support.process import namespace
from support.runtime import MakeContainer, Runtime
from support.users import USER
from support.waiting import wait_until


@pytest.fixture
def denying() -> Iterator[int]:
    """A process in a user namespace of one user, in which setgroups(2) is denied."""
    command = [*USER.dropping, "unshare", "--user", "sleep", "1000"]
    with subprocess.Popen(command) as holder:
        wait_until(lambda: namespace(holder.pid, "user") != namespace("self", "user"), "it has its namespace")
        own_id = f"0 {USER.number} 1\n"
        for name, text in {"setgroups": "deny", "uid_map": own_id, "gid_map": own_id}.items():
            with open(f"/proc/{holder.pid}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        yield holder.pid
        holder.kill()


@pytest.mark.pyrun_only("runc 1.1.5 joins no user namespace without mappings in the configuration")
def test_user_namespace_that_denies_setgroups(runtime: Runtime, make_container: MakeContainer, denying: int) -> None:
    """Once inside, nobody could give them up any more."""
    config = configs.shell("grep Groups: /proc/self/status; exec sleep 1000")
    config["mounts"] = [configs.mount_at(config, "/proc")]
    config["root"]["readonly"] = False
    container = make_container(configs.with_namespace(config, "user", f"/proc/{denying}/ns/user"))
    container.bundle.may_change.add("rootfs")
    USER.owns(*(directory for directory, _, _ in os.walk(container.bundle.rootfs)))
    runtime.wrapper = ("setpriv", "--groups", "4,27")
    container.started().wait_for_output("Groups:")
    assert container.output.split() == ["Groups:"]
    assert container.exec("grep", "Groups:", "/proc/self/status").succeeded().output.split() == ["Groups:"]
