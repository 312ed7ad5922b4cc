# SPDX-License-Identifier: Apache-2.0
"""pyrun killed while it hands a seccomp listener to the agent."""

from __future__ import annotations

import signal

import pytest

from support import execs, stages, strace
from support.notifying import MakeAgent, waiting
from support.remains import Remains
from support.runtime import MakeContainer, Runtime
from support.strace import SystemCall

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 leaves things behind when it is killed")
AT_MOST = 12


@pytest.mark.parametrize(("verb", "early"), [("start", False), ("create", True), ("run", False)])
def test_killed(
    runtime: Runtime, case: str, make_container: MakeContainer, make_agent: MakeAgent, verb: str, early: bool
) -> None:
    """pyrun is killed before each call from the connection to the agent on; nothing stays, nothing hangs."""
    agent = make_agent()
    bundle = make_container(waiting(agent.path, early=early), "test").bundle
    bundle.seal()
    create = ["create", "--bundle", bundle.path, "test"]
    words = {"create": create, "run": ["run", "-d", *create[1:]], "start": ["start", "test"]}[verb]
    remains = Remains(case, runtime)

    def prepare() -> None:
        if verb == "start":
            runtime.call(*create).succeeded()

    for each in (runtime, strace.traced(runtime, case)):  # in the second all modules are compiled
        prepare()
        each.call(*words).succeeded()
        runtime.call("delete", "--force", "test").succeeded()
    for call in calls_of_delivery(strace.read_trace(case)[0]):
        prepare()
        killed = strace.traced(runtime, case, f"{call.name}:signal=SIGKILL:when={call.occurrence}").call(*words)
        if killed.status != -signal.SIGKILL:
            remains.note(call, f"status {killed.status}")
        remains.check(call, after_delete=True)
    assert not remains.failures, "\n".join(remains.failures)


def test_killed_exec(runtime: Runtime, case: str, make_container: MakeContainer, make_agent: MakeAgent) -> None:
    container = make_container(waiting(make_agent().path), "test").started()
    container.wait_for_output("made")
    words = ["exec", "test", "/bin/true"]
    for each in (runtime, strace.traced(runtime, case)):
        each.call(*words).succeeded()
    remains = Remains(case, runtime)
    for call in calls_of_delivery(strace.read_trace(case)[0]):
        killed = strace.traced(runtime, case, f"{call.name}:signal=SIGKILL:when={call.occurrence}").call(*words)
        if killed.status != -signal.SIGKILL:
            remains.note(call, f"status {killed.status}")
        execs.wait_until_alone(container)
        execs.reap_orphans()
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
    container.stop()


def calls_of_delivery(calls: list[SystemCall]) -> list[SystemCall]:
    """Returns the calls from when the agent is connected to until the filtered process may go on."""
    begin = strace.first(calls, r"connect\(.*/proc/self/fd/")
    end = strace.first(calls, r"sendmsg\(", begin)
    return stages.sample([call for call in calls[begin : end + 8] if call.changes_something()], AT_MOST)
