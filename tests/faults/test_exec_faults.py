# SPDX-License-Identifier: Apache-2.0
"""exec with pyrun, or one of the processes of pyrun-init, killed, and with system calls that fail.

The container is as it was afterwards: its program runs, nobody else is in it, and the next exec works.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from support import configs, stages, strace
from support.remains import Remains
from support.runtime import MakeBundle, Runtime
from support.strace import SystemCall

pytestmark = pytest.mark.pyrun_only("the processes are pyrun's own")

WORDS = ["exec", "test", "sh", "-c", "exit 7"]
OUTER, ENTRANT, PROGRAM = 1, 2, 3
STAGE_NAMES = ["outer stage", "entrant", "program's process"]
# The container's files, by the names of which pyrun's own calls can be told from those of imports.
STATE = re.compile(r'"\S*/root/test"|"(state\.json|config\.json|process|gate\S*)"')
AT_MOST = 60
SECONDS = 10

# Calls that only ask, or for which there is another way.
HARMLESS = {
    *("getrandom", "ioctl", "lseek", "memfd_create", "munmap", "newfstatat", "fstat", "prlimit64", "readlink"),
    "getcwd",  # the working directory is looked at again by chdir
    "keyctl",  # the keyring keeps its first permissions
    "sched_setaffinity",  # the processors stay the caller's, with a warning
    "sendto",  # write is tried then
    "setgroups",  # of no groups
    "getpid",
    "umask",
}
# HOME is "/" when there is no passwd to be read; what the C library makes sure of once more; names of processes,
# capabilities beyond the last, and calls that never fail with their arguments.
HARMLESS_TEXT = re.compile(
    r'"/etc/passwd"|^fstatfs|F_SETFD, FD_CLOEXEC|PR_SET_NAME|CAP_\?\?\?|PR_SET_DUMPABLE|PR_CAP_AMBIENT_CLEAR_ALL'
)
# strace only pretends that a descriptor could not be closed; the kernel always closes it.
PRETENDED = strace.INTERPRETER_CALLS - {"clone", "clone3", "vfork"} | {"close", "rt_sigtimedwait", "wait4"}


@pytest.fixture
def entered(runtime: Runtime, make_bundle: MakeBundle) -> Runtime:
    """The runtime with a container "test", which has been entered twice, so that all modules are compiled."""
    runtime.container("test", make_bundle(configs.default("/bin/sleep", "1000"))).started()
    for _ in range(2):
        assert runtime.call(*WORDS).status == 7
    return runtime


@pytest.fixture
def remains(case: str, entered: Runtime) -> Remains:
    """What is left beside the container after each fault: `assert not remains.failures`."""
    return Remains(case, entered)


def calls_of_pyrun(runtime: Runtime, case: str, *options: str) -> list[SystemCall]:
    """Returns the calls of pyrun itself, from the state directory on, without those that load modules."""
    strace.traced(runtime, case).call("exec", *options, *WORDS[1:])
    calls = strace.read_trace(case)[0]
    begin, launch = strace.first(calls, r'openat\(.*"\S*/root/test"'), strace.first(calls, "socketpair")
    return [call for call in calls[begin:launch] if STATE.search(call.text)] + calls[launch:]


def is_harmless(call: SystemCall) -> bool:
    """Tells whether exec may succeed although this call fails."""
    return call.name in HARMLESS or HARMLESS_TEXT.search(call.text) is not None


def calls_of_stage(runtime: Runtime, case: str, stage: int) -> list[SystemCall]:
    """Returns the calls of one process of pyrun-init, before the program's own, that can be aimed at."""
    words = ["exec", "test", "true"]
    return stages.sample(stages.calls_of(runtime, case, words, stage), AT_MOST)


def end_with_fault(runtime: Runtime, case: str, injection: str, fault: object, remains: Remains) -> int | None:
    """Executes with a fault in any process; returns the status, after noting what is not as it must be."""
    try:
        result = strace.traced(runtime, case, injection, follow=True).call(*WORDS, seconds=SECONDS)
    except subprocess.TimeoutExpired:
        remains.note(fault, "pyrun does not come to an end")
        return None
    lines = result.errors.splitlines()
    if result.status == 255 and not (len(lines) == 1 and lines[0].startswith("pyrun: ")):
        remains.note(fault, f"not one line of error: {result.errors!r}")
    elif "internal error" in result.errors or result.status not in (7, 137, 255):
        remains.note(fault, f"exit status {result.status}, {result.errors!r}")
    return result.status


@pytest.mark.parametrize("options", [[], ["--detach"]], ids=["", "detached"])
def test_pyrun_is_killed(entered: Runtime, case: str, remains: Remains, options: list[str]) -> None:
    for call in filter(SystemCall.changes_something, calls_of_pyrun(entered, case, *options)):
        injection = f"{call.name}:signal=SIGKILL:when={call.occurrence}"
        strace.traced(entered, case, injection).call("exec", *options, *WORDS[1:])
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
    assert entered.call(*WORDS).status == 7


@pytest.mark.parametrize("stage", [OUTER, ENTRANT, PROGRAM], ids=STAGE_NAMES)
def test_stage_is_killed(entered: Runtime, case: str, remains: Remains, stage: int) -> None:
    for call in calls_of_stage(entered, case, stage):
        injection = f"{call.name}:signal=SIGKILL:when={call.occurrence}"
        if end_with_fault(entered, case, injection, call, remains) == 7 and stage == PROGRAM:
            remains.note(call, "the program has run")
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
    assert entered.call(*WORDS).status == 7


@pytest.mark.parametrize("stage", [OUTER, ENTRANT, PROGRAM], ids=STAGE_NAMES)
def test_call_of_a_stage_fails(entered: Runtime, case: str, remains: Remains, stage: int) -> None:
    for call in calls_of_stage(entered, case, stage):
        if call.name in PRETENDED or call.failed():
            continue
        injection = f"{call.name}:error=EPERM:when={call.occurrence}"
        if end_with_fault(entered, case, injection, call, remains) == 7 and not is_harmless(call):
            remains.note(call, "exec succeeds all the same")
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)


@pytest.mark.parametrize("error", ["EMFILE", "EPERM"])
def test_call_of_pyrun_fails(entered: Runtime, case: str, remains: Remains, error: str) -> None:
    for call in calls_of_pyrun(entered, case):
        if call.name in PRETENDED or call.failed():
            continue
        injection = f"{call.name}:error={error}:when={call.occurrence}"
        if end_with_fault(entered, case, injection, call, remains) == 7 and not is_harmless(call):
            remains.note(call, "exec succeeds all the same")
        remains.check(f"{call} -> {error}", after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
