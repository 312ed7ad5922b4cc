# SPDX-License-Identifier: Apache-2.0
"""pyrun killed before each of its system calls that change something, in every verb that has such.

What it leaves must be removed wholly by `pyrun delete --force`. The calls before the state directory is opened change
nothing; those after it are tried in order.
"""

from __future__ import annotations

import os
import signal

import pytest

from support import configs, stages, strace
from support.bundle import Bundle
from support.remains import Remains
from support.runtime import Call, MakeBundle, Runtime
from support.strace import SystemCall

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 leaves things behind when it is killed")

# The steps of create in which pyrun itself acts (DESIGN: who does what, in order), by the call that ends each.
BOUNDARIES = {
    "nothing is there yet": r'mkdir\(".*/root/test"',
    "the state directory is made": r'openat\(.*"\S*/root/test"',
    "the state directory is not locked yet": r"flock\(",
    "state.json is not there yet": r'openat\(.*"state.json.new"',
    "state.json is half written": r"write\(.*version",
    "state.json is written": r'rename(at|at2)?\(.*"state.json"',
    "the plan is not there yet": r'openat\(.*"plan.new"',
    "the plan is written": r'rename(at|at2)?\(.*"plan"',
    "the outer stage is not spawned yet": r"(clone3?|vfork)\(",
    "the outer stage is spawned": r"wait4\(|waitid\(|poll\(",
    "the init's pid has not been read": r'(read|recvmsg|recvfrom)\(.*"pid ',
    "the init has not been let go": r'(write|sendmsg|sendto)\(.*"go"',
    "the init has been let go": r'(read|recvmsg|recvfrom)\(.*"created',
    "the pid file is not there yet": r"openat\(.*pid-file",
    "the pid file is written": r"rename(at|at2)?\(.*pid-file",
    "the container is created": r"exit_group\(",
}


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    """A bundle whose program waits to be killed."""
    made = make_bundle(configs.default("/bin/sleep", "1000"))
    made.seal()
    return made


@pytest.fixture
def create_words(bundle: Bundle, scratch: str) -> list[str]:
    return ["create", "--pid-file", os.path.join(scratch, "pid-file"), "--bundle", bundle.path, "test"]


@pytest.fixture
def calls_of_create(runtime: Runtime, case: str, create_words: list[str]) -> list[SystemCall]:
    """The system calls of a create that succeeds, the second one, for which all modules are compiled."""
    for each in (runtime, strace.traced(runtime, case)):
        each.call(*create_words).succeeded()
        runtime.call("delete", "--force", "test").succeeded()
    return strace.read_trace(case)[0]


def kill_before(runtime: Runtime, case: str, call: SystemCall, words: list[str]) -> Call:
    """Calls the runtime with `words`, killed before it executes `call`; returns when it is dead."""
    traced = strace.traced(runtime, case, f"{call.name}:signal=SIGKILL:when={call.occurrence}")
    started = traced.start(*words)
    started.wait()
    return started


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_create_killed_when(
    runtime: Runtime,
    case: str,
    create_words: list[str],
    calls_of_create: list[SystemCall],
    remains: Remains,
    boundary: str,
) -> None:
    call = calls_of_create[strace.first(calls_of_create, BOUNDARIES[boundary])]
    assert kill_before(runtime, case, call, create_words).process.returncode == -signal.SIGKILL
    remains.check(call, after_delete=True)
    assert not remains.failures, "\n".join(remains.failures)


def kill_at_each(
    runtime: Runtime, case: str, calls: list[SystemCall], words: list[str], remains: Remains, *preparation: list[str]
) -> None:
    """Prepares, calls the runtime killed before one call, deletes, and compares: for each of `calls`."""
    changing = [call for call in calls if call.changes_something()]
    for call in stages.sample(changing, len(changing)):
        for each in preparation:
            runtime.call(*each).succeeded()
        kill_before(runtime, case, call, words)
        remains.check(call, after_delete=True)
    assert not remains.failures, "\n".join(remains.failures)


def trace_of(runtime: Runtime, case: str, words: list[str], *preparation: list[str]) -> list[SystemCall]:
    """Returns the calls of a verb from the one that opens the container's state directory on."""
    for each in preparation:
        runtime.call(*each).succeeded()
    strace.traced(runtime, case).call(*words).succeeded()
    runtime.call("delete", "--force", "test").succeeded()
    calls = strace.read_trace(case)[0]
    return calls[strace.first(calls, r'(mkdir|openat)\(.*"\S*/root/test"') :]


def test_create_killed_at_each_call(
    runtime: Runtime, case: str, create_words: list[str], calls_of_create: list[SystemCall], remains: Remains
) -> None:
    begin = strace.first(calls_of_create, BOUNDARIES["nothing is there yet"])
    kill_at_each(runtime, case, calls_of_create[begin:], create_words, remains)


def test_start_killed_at_each_call(runtime: Runtime, case: str, create_words: list[str], remains: Remains) -> None:
    words = ["start", "test"]
    calls = trace_of(runtime, case, words, create_words)
    kill_at_each(runtime, case, calls, words, remains, create_words)


@pytest.mark.parametrize("started", [False, True])
def test_forced_delete_killed_at_each_call(
    runtime: Runtime, case: str, create_words: list[str], remains: Remains, started: bool
) -> None:
    preparation = [create_words, *([["start", "test"]] if started else [])]
    words = ["delete", "--force", "test"]
    calls = trace_of(runtime, case, words, *preparation)
    kill_at_each(runtime, case, calls, words, remains, *preparation)


def test_kill_killed_at_each_call(runtime: Runtime, case: str, create_words: list[str], remains: Remains) -> None:
    words = ["kill", "test", "KILL"]
    calls = trace_of(runtime, case, words, create_words)
    kill_at_each(runtime, case, calls, words, remains, create_words)


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_run_killed_at_each_call(
    runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains, options: list[str]
) -> None:
    short = make_bundle(configs.default("/bin/true"))
    short.seal()
    words = ["run", *options, "--bundle", short.path, "test"]
    kill_at_each(runtime, case, trace_of(runtime, case, words), words, remains)
