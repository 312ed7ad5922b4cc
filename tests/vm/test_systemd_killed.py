# SPDX-License-Identifier: Apache-2.0
"""pyrun killed while it talks with systemd: `delete --force` leaves no scope, no cgroup and no process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from support import configs, strace
from support.managed import ManagedRuntime
from support.runtime import Call, MakeBundle, Runtime
from support.waiting import wait_until
from support.world import CGROUPS, SHOWS_SYSTEMD
from vm.cgroups.conftest import runtime_of
from vm.test_systemd import is_loaded

pytestmark = [
    pytest.mark.machine("systemd"),
    pytest.mark.skipif(not SHOWS_SYSTEMD, reason="runs in the virtual machine that systemd boots"),
]

UNIT = "pyrun-killed.scope"
CGROUP = f"{CGROUPS}/system.slice/{UNIT}"
SYSTEMD = ["--systemd-cgroup"]
CREATE_BOUNDARIES = {
    "systemd is not asked yet": r"connect\(.*bus",
    "the bus is asked for its name": r"sendto\(.*BEGIN",
    "systemd is about to be asked": r'rename(at|at2)?\(.*"scope"',
    "the scope is there": r'write\(\d+, "\d+", \d+\)',
    "the outer stage has not been let go": r'write\(.*"go"',
    "the container is created": r"exit_group\(",
}
DELETE_BOUNDARIES = {
    "systemd is not asked yet": r"connect\(.*bus",
    "the state is still there": r'unlink(at)?\(.*"state.json"',
}


@pytest.fixture
def runtime(case: str) -> Iterator[ManagedRuntime]:
    """pyrun with the systemd manager."""
    if not strace.available():
        pytest.skip("needs strace: apt-get install strace")
    yield runtime_of("pyrun", case, "systemd")


@pytest.fixture
def words(make_bundle: MakeBundle) -> list[str]:
    """The words of create."""
    bundle = make_bundle(configs.default("/bin/sleep", "1000"))
    bundle.seal()
    return ["create", "--bundle", bundle.path, "killed"]


def killed_before(runtime: Runtime, case: str, words: list[str], pattern: str, trace: list[strace.SystemCall]) -> None:
    call = trace[strace.first(trace, pattern)]
    traced = strace.traced(runtime, case, f"{call.name}:signal=SIGKILL:when={call.occurrence}")
    started = traced.start(*words, options=SYSTEMD)
    started.wait()
    assert started.process.returncode == -signal.SIGKILL


def trace_of(runtime: Runtime, case: str, words: list[str]) -> list[strace.SystemCall]:
    strace.traced(runtime, case).call(*words, options=SYSTEMD).succeeded()
    return strace.read_trace(case)[0]


def check_deleted(runtime: Runtime) -> None:
    """Deletes with force, and finds nothing left; the outer stage ends when it notices that it is alone."""
    runtime.call("delete", "--force", "killed").succeeded()
    wait_until(lambda: not os.path.lexists(CGROUP), "the cgroup is gone")
    wait_until(lambda: not is_loaded(UNIT), "the unit is gone")


def test_create(runtime: ManagedRuntime, case: str, words: list[str]) -> None:
    runtime.call(*words).succeeded()
    check_deleted(runtime)
    trace = trace_of(runtime, case, words)
    check_deleted(runtime)
    for pattern in CREATE_BOUNDARIES.values():
        killed_before(runtime, case, words, pattern, trace)
        check_deleted(runtime)


def test_delete(runtime: ManagedRuntime, case: str, words: list[str]) -> None:
    deleting = ["delete", "--force", "killed"]
    runtime.call(*words).succeeded()
    trace = trace_of(runtime, case, deleting)
    for pattern in DELETE_BOUNDARIES.values():
        runtime.call(*words).succeeded()
        killed_before(runtime, case, deleting, pattern, trace)
        check_deleted(runtime)


def test_create_as_soon_as_the_scope_is_there(runtime: ManagedRuntime, words: list[str]) -> None:
    """At whatever it is about then."""
    for _ in range(3):
        call: Call = runtime.start(*words)
        wait_until(lambda: os.path.lexists(CGROUP), "the cgroup is there")
        call.process.kill()
        call.process.wait()
        check_deleted(runtime)
