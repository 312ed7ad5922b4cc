# SPDX-License-Identifier: Apache-2.0
"""System calls that fail: one clear line, exit status 1, nothing left; or the call did not matter.

What may fail without consequence is listed by name; that a protection of the container was not applied is none of it.
"""

from __future__ import annotations

import subprocess

import pytest

from support import configs, stages, strace
from support.remains import Remains
from support.runtime import MakeBundle, Runtime
from support.strace import SystemCall

pytestmark = pytest.mark.pyrun_only("the calls are pyrun's own")
SECONDS = 20
STAGE_CALLS = 36

# Calls of pyrun itself that only ask, or for which there is another way (memfd_create: without MFD_EXEC).
HARMLESS = {
    "geteuid",
    "getegid",
    "getrandom",
    "ioctl",
    "lseek",
    "memfd_create",
    "munmap",
    "newfstatat",
    "fstat",
    "prlimit64",
    "readlink",
}
# Calls of pyrun-init that cannot fail there, or for which there is another way.
HARMLESS_IN_STAGES = {
    "getcwd",  # the working directory is looked at again by chdir
    "keyctl",  # the keyring keeps its first permissions
    "mknodat",  # the host's own node is bound instead
    "openat2",  # a mount point that cannot be opened is made
    "ppoll",  # an init that is frozen is waited for then
    "prctl",  # names, and capabilities beyond the last
    "sched_setaffinity",  # the processors stay the caller's, with a warning
    "sendto",  # write is tried then
    "setgroups",  # of no groups: a joined user namespace may deny it
    "umask",
    "umount2",
}
# strace only pretends that a descriptor could not be closed; the kernel always closes it.
PRETENDED = strace.INTERPRETER_CALLS - {"clone", "clone3", "vfork"} | {"close"}
# What a container is protected by: none of these may fail unnoticed.
PROTECTIONS = {"openat2", "open_tree", "mount_setattr", "move_mount", "fsopen", "fsmount", "umount2", "mount", "chdir"}


def call_with_error(
    runtime: Runtime, case: str, words: list[str], call: SystemCall, error: str, remains: Remains, *, follow: bool
) -> bool:
    """Calls the runtime while one of its calls fails; returns whether the runtime succeeded all the same."""
    fault = f"{call} -> {error}"
    injection = f"{call.name}:error={error}:when={call.occurrence}"
    traced = strace.traced(runtime, case, injection, follow=follow)
    try:
        result = traced.call(*words, seconds=SECONDS)
    except subprocess.TimeoutExpired:
        remains.note(fault, "pyrun does not come to an end")
        return False
    if result.status == 0:
        return True
    lines = result.errors.splitlines()
    if result.status != 1 or len(lines) != 1 or not lines[0].startswith("pyrun: "):
        remains.note(fault, f"exit status {result.status}, {result.errors[-400:]!r}")
    elif "internal error" in lines[0]:
        remains.note(fault, lines[0])
    return False


@pytest.mark.parametrize("error", ["ENOSPC", "EMFILE", "EPERM"])
def test_calls_of_create(runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains, error: str) -> None:
    bundle = make_bundle(configs.default("/bin/true"))
    bundle.seal()
    words = ["create", "--bundle", bundle.path, "test"]
    for each in (runtime, strace.traced(runtime, case)):
        each.call(*words).succeeded()
        runtime.call("delete", "--force", "test").succeeded()
    calls = strace.read_trace(case)[0]
    begin = strace.first(calls, r'mkdir\(".*/root/test"')
    for call in stages.sample(calls[begin:], len(calls)):
        if call.name in PRETENDED:
            continue
        if call_with_error(runtime, case, words, call, error, remains, follow=False):
            if call.name not in HARMLESS:
                remains.note(f"{call} -> {error}", "create succeeds all the same")
            remains.check(call, after_delete=True)
        else:
            remains.check(f"{call} -> {error}", after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)


@pytest.mark.parametrize("error", ["EPERM", "ENOMEM"])
@pytest.mark.parametrize("stage", [stages.OUTER, stages.INIT], ids=["outer stage", "init"])
def test_calls_of_a_stage(
    runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains, stage: int, error: str
) -> None:
    bundle = make_bundle(configs.default("/bin/true"))
    bundle.seal()
    words = ["run", "--bundle", bundle.path, "test"]
    for call in stages.sample(stages.calls_of(runtime, case, words, stage), STAGE_CALLS):
        if call.name in PRETENDED or call.failed():
            continue
        succeeded = call_with_error(runtime, case, words, call, error, remains, follow=True)
        if succeeded and call.name not in HARMLESS_IN_STAGES:
            remains.note(f"{call} -> {error}", "run succeeds all the same")
        remains.check(f"{call} -> {error}", after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)


def test_protections_do_not_fail_unnoticed(
    runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains
) -> None:
    """Everything between the change of root and the gate that masks a path or makes it read-only."""
    bundle = make_bundle(configs.default("/bin/true"))
    bundle.seal()
    words = ["run", "--bundle", bundle.path, "test"]
    calls = stages.calls_of(runtime, case, words, stages.INIT)
    begin, end = strace.first(calls, "pivot_root"), strace.first(calls, "accept4")
    guarding = [call for call in calls[begin:end] if call.name in PROTECTIONS and not call.failed()]
    # Standard input that is the host's /dev/null stays so when the container's own cannot be opened; HOME is "/"
    # when there is no passwd to be read.
    guarding = [call for call in guarding if "O_RDWR" not in call.text and "passwd" not in call.text]
    assert len(guarding) > 20
    for call in guarding[::2]:
        if call_with_error(runtime, case, words, call, "EPERM", remains, follow=True):
            remains.note(call, "run succeeds all the same")
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
