# SPDX-License-Identifier: Apache-2.0
"""pyrun-init's outer stage and the container's init, killed while they work.

pyrun itself lives on: it must say in one line what happened, and leave nothing, without being asked to delete.
"""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from support import configs, stages, strace
from support.remains import Remains
from support.runtime import MakeBundle, Runtime
from support.snapshot import process_table
from support.strace import SystemCall
from support.waiting import wait_until

pytestmark = pytest.mark.pyrun_only("the stages are pyrun's own")
AT_MOST = 36
SECONDS = 10


def run_with_fault(runtime: Runtime, case: str, words: list[str], call: SystemCall, remains: Remains) -> None:
    traced = strace.traced(runtime, case, f"{call.name}:signal=SIGKILL:when={call.occurrence}", follow=True)
    try:
        result = traced.call(*words, seconds=SECONDS)
    except subprocess.TimeoutExpired:
        remains.note(call, "pyrun does not come to an end")
        return
    if result.status == 0:
        remains.note(call, "run says that the program succeeded")
    elif len(result.errors.splitlines()) != 1 and result.status != 137:
        remains.note(call, f"not one line of error: {result.errors!r}")


@pytest.mark.parametrize("stage", [stages.OUTER, stages.INIT], ids=["outer stage", "init"])
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_killed(
    runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains, stage: int, user_namespace: bool
) -> None:
    config = configs.default("/bin/true")
    if user_namespace:
        configs.with_user_namespace(config)
    bundle = make_bundle(config)
    bundle.seal()
    words = ["run", "--bundle", bundle.path, "test"]
    calls = stages.calls_of(runtime, case, words, stage)
    for call in stages.sample(calls, AT_MOST if not user_namespace else AT_MOST // 3):
        run_with_fault(runtime, case, words, call, remains)
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)


def processes_named(name: str) -> list[int]:
    """Returns this process's descendants of that name, the oldest first."""
    table = process_table()

    def is_descendant(pid: int) -> bool:
        return pid == os.getpid() or (pid in table and is_descendant(table[pid][0]))

    return sorted(pid for pid, (_, state, own) in table.items() if own == name and state != "Z" and is_descendant(pid))


@pytest.mark.parametrize("creator_too", [False, True], ids=["outer stage", "outer stage and pyrun"])
def test_killed_after_the_init_is_made_and_before_that_is_recorded(
    runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains, creator_too: bool
) -> None:
    """Nobody knows of the init then: it must notice by itself that it is alone."""
    bundle = make_bundle(configs.default("/bin/sleep", "1000"))
    bundle.seal()
    runtime.call("run", "--detach", "--bundle", bundle.path, "test").succeeded()
    runtime.call("delete", "--force", "test").succeeded()
    # Every clone3 returns late, so that the outer stage rests just after it.
    call = strace.traced(runtime, case, strace.delay("clone3", "exit", 0.5), follow=True).start(
        "create", "--bundle", bundle.path, "test"
    )
    outer, _ = wait_until(lambda: (found := processes_named("pyrun-init"))[1:] and found, "the init has been made")
    assert not os.path.exists(os.path.join(str(runtime.root), "test", "process"))
    if creator_too:
        table = process_table()
        os.kill(table[outer][0], signal.SIGKILL)
    os.kill(outer, signal.SIGKILL)
    result = call.wait(SECONDS)
    if not creator_too:
        assert result.status == 1
        assert "the outer stage was killed" in result.errors  # beside a line of strace's own
    remains.check("outer stage killed", after_delete=creator_too)
    assert not remains.failures, "\n".join(remains.failures)
