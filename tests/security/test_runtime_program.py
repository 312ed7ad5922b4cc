# SPDX-License-Identifier: Apache-2.0
"""The runtime's own programs stay as they are, whatever a container does with the ones that it can reach."""

from __future__ import annotations

import os
import time

import pytest

from security.attackers import intruding, plant_program
from support import configs
from support.configs import Config
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("programs_stay")

# The intruder needs much less for a round.
SECONDS_OF_SCANNING = 0.3


@pytest.mark.parametrize("target", ["/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3", "/proc/self/fd/5"])
@pytest.mark.parametrize("kind", ["link", "script", "two links"])
def test_entry_point_is_the_runtime(make_container: MakeContainer, kind: str, target: str) -> None:
    """CVE-2019-5736: the image's program is a link to, or a script for, the executable of the runtime itself."""
    container = make_container(configs.default("/entry"))
    plant_program(container.bundle, kind, target)
    if container.create().status == 0:
        container.start()
        container.wait_for_end()
        container.delete().succeeded()
    assert "root" not in container.output


def in_pid_namespace_of(holder: Container, *args: str) -> Config:
    return configs.with_namespace(configs.default(*args), "pid", f"/proc/{holder.pid}/ns/pid")


@pytest.mark.pyrun_only("runc 1.1.5 gives the container a copy under another name")
def test_executable_reached_from_a_shared_pid_namespace(
    make_container: MakeContainer, intruder: str, canary: str
) -> None:
    """CVE-2019-5736: it cannot be written to, neither while it waits nor when it is no longer executed.

    The intruder may trace any process, and keeps what it has opened until later.
    """
    capabilities = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]
    holder = intruding(make_container, intruder, canary, *capabilities)
    victim = make_container(in_pid_namespace_of(holder, "/bin/sleep", "1000"), "victim").created()
    holder.wait_for_output("held: /memfd:pyrun-init")
    victim.start().succeeded()
    wait_until(lambda: "busybox" in os.readlink(f"/proc/{victim.pid}/exe"), "the program is executed")
    time.sleep(SECONDS_OF_SCANNING)
    victim.stop()
    victim.delete().succeeded()
    assert "opened for writing" not in holder.output and "written" not in holder.output, holder.output


@pytest.mark.parametrize(
    "capabilities",
    [
        pytest.param(["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"], id="plain"),
        pytest.param(["CAP_SYS_PTRACE"], id="may trace", marks=pytest.mark.pyrun_only("runc 1.1.5 joins too early")),
    ],
)
def test_host_behind_a_process_that_joins(
    runtime: Runtime,
    make_bundle: MakeBundle,
    make_container: MakeContainer,
    intruder: str,
    canary: str,
    capabilities: list[str],
) -> None:
    """CVE-2016-9962: what joins a PID namespace can be looked into from there, and must not lead to the host by then.

    Root without CAP_SYS_PTRACE reaches nothing at all of a process that is not dumpable; with it, only the container.
    """
    holder = intruding(make_container, intruder, canary, *capabilities)
    bundle = make_bundle(in_pid_namespace_of(holder, "/bin/true"))
    for _ in range(40):
        runtime.run("test", bundle).succeeded()
    found = {line.split(":")[0] for line in holder.output.splitlines()} - {"scanning", "held"}
    assert "host file" not in found, holder.output
    if "CAP_SYS_PTRACE" not in capabilities:
        assert found == set(), holder.output
