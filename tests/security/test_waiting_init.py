# SPDX-License-Identifier: Apache-2.0
"""A created container waits, perhaps for long, where others may trace it: it has no more rights than its program.

Root with CAP_SYS_PTRACE in a joined PID namespace, or brought in by exec, can make it do whatever it has the right to.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from security.attackers import with_capabilities
from support import configs, process
from support.notifying import MakeAgent, waiting
from support.runtime import Container, MakeContainer
from support.waiting import wait_for_exit, wait_until

CAPABILITIES = ["CAP_CHOWN", "CAP_SYS_PTRACE"]
USER, GROUP, ADDITIONAL = 1000, 1001, 1002


def created(make_container: MakeContainer, kind: str) -> Container:
    """Creates a container whose PID namespace is new, the host's, or that of another container."""
    config = with_capabilities(configs.default("/bin/sleep", "1000"), *CAPABILITIES)
    config["process"]["user"] = {"uid": USER, "gid": GROUP, "additionalGids": [ADDITIONAL]}
    if kind == "joined":
        holder = make_container(configs.default("/bin/sleep", "1000"), "holder").started()
        config = configs.with_namespace(config, "pid", f"/proc/{holder.pid}/ns/pid")
    elif kind == "host":
        config = configs.without_namespace(config, "pid")
    return make_container(config, "waiting").created()


@pytest.mark.parametrize("kind", ["new", "joined", "host"])
def test_privileges_at_the_gate(make_container: MakeContainer, kind: str) -> None:
    container = created(make_container, kind)
    pid = container.pid
    status = process.status(pid)
    container.delete("--force").succeeded()
    wait_for_exit(pid)  # reaped, so that a joined PID namespace can end
    assert status["Uid"].split() == [str(USER)] * 4
    assert status["Gid"].split() == [str(GROUP)] * 4
    assert status["Groups"].split() == [str(ADDITIONAL)]
    assert status["NoNewPrivs"] == "1"
    for name in ("CapPrm", "CapBnd"):
        assert process.capability_names(status[name]) == CAPABILITIES, name
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0


@pytest.mark.parametrize("kind", ["new", "joined"])
def test_filter_at_the_gate(make_container: MakeContainer, kind: str) -> None:
    """Without no_new_privs, as with Docker's defaults: CAP_SYS_ADMIN, which loading takes, is not there any more."""
    config = configs.default("/bin/sleep", "1000")
    config["process"]["noNewPrivileges"] = False
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    }
    if kind == "joined":
        holder = make_container(configs.default("/bin/sleep", "1000"), "holder").started()
        config = configs.with_namespace(config, "pid", f"/proc/{holder.pid}/ns/pid")
    container = make_container(config, "waiting").created()
    pid = container.pid
    status = process.status(pid)
    container.delete("--force").succeeded()
    wait_for_exit(pid)
    assert status["Seccomp"] == "2"
    assert "CAP_SYS_ADMIN" not in process.capability_names(status["CapPrm"])


def capabilities_of_init(creator: int) -> dict[str, list[str]]:
    """Returns what each thread of the init that ``creator`` is making may do, by whether it is filtered ("2")."""
    try:
        with open(f"/proc/{creator}/task/{creator}/children", encoding="ascii") as children:
            found = [
                process.status(f"{child}/task/{thread}")
                for child in children.read().split()
                for thread in os.listdir(f"/proc/{child}/task")
            ]
    except (FileNotFoundError, ProcessLookupError):
        return {}  # the outer stage has ended meanwhile
    return {status["Seccomp"]: process.capability_names(status["CapPrm"]) for status in found}


@pytest.mark.pyrun_only("runc takes the listener out of the init by pidfd_getfd(2)")
def test_thread_that_hands_the_listener_over(make_container: MakeContainer, make_agent: MakeAgent) -> None:
    """It is not filtered, and the agent can take its time: neither thread has what loading the filter takes."""
    agent = make_agent(deaf=True)  # and more than its socket takes until it reads
    config = waiting(agent.path, early=True, listenerMetadata="x" * (1 << 20))
    bundle = (container := make_container(with_capabilities(config, *CAPABILITIES))).bundle
    bundle.seal()
    words = [
        container.runtime.path,
        "--root",
        str(container.runtime.root),
        "create",
        "--bundle",
        bundle.path,
        "waiting",
    ]
    expected = {"0": [], "2": CAPABILITIES}
    with subprocess.Popen(words, stderr=subprocess.PIPE) as creator:
        try:
            wait_until(lambda: capabilities_of_init(creator.pid) == expected, "neither thread can do more")
        finally:
            creator.kill()
    container.runtime.call("delete", "--force", "waiting").succeeded()
