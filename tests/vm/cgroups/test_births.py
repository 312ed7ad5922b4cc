# SPDX-License-Identifier: Apache-2.0
"""A limit of one process, where the runtime itself has to be in the cgroup for a moment."""

from __future__ import annotations

import pytest

from integration.test_namespaces import process_in_new_namespaces
from support import configs
from support.managed import MakeManaged, limited
from support.waiting import wait_until


@pytest.mark.pyrun_only("how pyrun does it")
@pytest.mark.parametrize("kind", ["cgroup", "user"])
def test_one_process_in_a_joined_namespace(make_managed: MakeManaged, kind: str) -> None:
    options = ["--cgroup"] if kind == "cgroup" else ["--user", "--map-root-user"]
    with process_in_new_namespaces(*options, "--fork", "--kill-child") as holder:
        config = limited({"pids": {"limit": 1}}, "echo one; sleep 1000 & echo two")
        configs.with_namespace(config, kind, f"/proc/{holder}/ns/{kind}")
        if kind == "user":
            configs.mount_at(config, "/dev/pts")["options"].remove("gid=5")
        container = make_managed(config)
        container.created()
        assert container.value("pids.max") == "1"
        container.start().succeeded()
        wait_until(lambda: "can't fork" in container.errors, "the fork is refused")
        assert container.output == "one\n"
        container.deleted()
