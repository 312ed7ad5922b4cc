# SPDX-License-Identifier: Apache-2.0
"""An ordinary user's pyrun, its outer stage and its init, killed while newuidmap and newgidmap have work."""

from __future__ import annotations

import subprocess

import pytest

from support import stages, strace
from support.remains import Remains
from support.runtime import Container, runtime_under_test
from support.strace import SystemCall
from support.users import USER, MakeUsersContainer, UsersRuntime, map_range, missing_mapper

pytestmark = [
    pytest.mark.pyrun_only("runc 1.1.5 leaves things behind when it is killed"),
    pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper())),
]
AT_MOST = 20
SECONDS = 10
PYRUN, OUTER, INIT = 0, 1, 2


def traced(case: str, process: int, *options: str) -> UsersRuntime:
    """Returns the runtime below strace, which stays root: only so the setuid programs keep their privileges.

    A created container would keep strace waiting, if it followed pyrun's children.
    """
    follow = [] if process == PYRUN else ["-f"]
    before = ("strace", *follow, "-qq", "-o", strace.log_of(case), *options)
    return UsersRuntime(runtime_under_test(), case, USER, before=before)


@pytest.fixture
def container(make_users_container: MakeUsersContainer) -> Container:
    made = make_users_container("/bin/true")
    map_range(made.bundle.config, USER)
    made.bundle.seal()
    return made


def calls_of(case: str, words: list[str], process: int) -> list[SystemCall]:
    """Returns the calls of one process that can be aimed at: no earlier one reaches their count."""
    traced(case, process).call(*words).succeeded()
    processes = strace.read_trace(case)
    own = processes[process]
    begin = strace.first(own, r'mkdir\(".*/pyrun/' if process == PYRUN else r"") + 1
    end = strace.first(own, r"execve\(|exit_group\(", begin if process != OUTER else strace.first(own, "execve") + 1)
    return [
        call
        for call in own[begin:end]
        if all(call.occurrence > sum(each.name == call.name for each in other) for other in processes[:process])
        and not call.name.startswith("rt_sig")
    ]


@pytest.mark.parametrize("process", [PYRUN, OUTER, INIT], ids=["pyrun", "outer stage", "init"])
def test_killed(users_runtime: UsersRuntime, container: Container, case: str, process: int) -> None:
    words = ["run", "--bundle", container.bundle.path, container.id]
    users_runtime.call(*words).succeeded()
    remains = Remains(case, users_runtime)
    for call in stages.sample(calls_of(case, words, process), AT_MOST):
        fault = traced(case, process, "-e", f"inject={call.name}:signal=SIGKILL:when={call.occurrence}")
        try:
            result = fault.call(*words, seconds=SECONDS)
            if result.status == 0:
                remains.note(call, "run says that the program succeeded")
        except subprocess.TimeoutExpired:
            remains.note(call, "pyrun does not come to an end")
        users_runtime.call("delete", "--force", container.id).succeeded()
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
