# SPDX-License-Identifier: Apache-2.0
"""System calls that fail while hooks are run: one clear line and nothing left, or the call did not matter."""

from __future__ import annotations

import pytest

from support import configs, stages, strace
from support.remains import Remains
from support.runtime import MakeBundle, Runtime

from .test_failing_calls import HARMLESS, HARMLESS_IN_STAGES, PRETENDED, call_with_error

pytestmark = pytest.mark.pyrun_only("the calls are pyrun's own")

ERROR = "ENOMEM"
# Calls of pyrun that only ask (fcntl: what the caller left open), or that need not succeed (chdir: into the bundle).
ALSO_HARMLESS = {"chdir", "fcntl"}
# Of pyrun-init: memfd_create is tried without MFD_NOEXEC_SEAL, poll waits without a limit, getpid can't fail.
ALSO_HARMLESS_IN_STAGES = {"getpid", "memfd_create", "poll"}


def test_calls_of_create(runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains) -> None:
    bundle = make_bundle(configs.default("/bin/true"))
    bundle.config["hooks"] = {"prestart": [{"path": "/bin/true"}]}
    bundle.seal()
    words = ["create", "--bundle", bundle.path, "test"]
    for each in (runtime, strace.traced(runtime, case)):
        each.call(*words).succeeded()
        runtime.call("delete", "--force", "test").succeeded()
    calls = strace.read_trace(case)[0]
    begin, end = strace.first(calls, r'recvmsg\(.*"hooks"'), strace.first(calls, r'recvmsg\(.*"created"')
    for call in calls[begin:end]:
        if call.name in PRETENDED:
            continue
        succeeded = call_with_error(runtime, case, words, call, ERROR, remains, follow=False)
        if succeeded and call.name not in HARMLESS | ALSO_HARMLESS:
            remains.note(f"{call} -> {ERROR}", "create succeeds all the same")
        remains.check(f"{call} -> {ERROR}", after_delete=succeeded)
    assert not remains.failures, "\n".join(remains.failures)


def test_calls_of_the_init(runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains) -> None:
    bundle = make_bundle(configs.default("/bin/true"))
    bundle.config["hooks"] = {"createContainer": [{"path": "/bin/true", "timeout": 30}]}
    bundle.seal()
    words = ["run", "--bundle", bundle.path, "test"]
    calls = stages.calls_of(runtime, case, words, stages.INIT)
    begin, end = strace.first(calls, "memfd_create"), strace.first(calls, "pivot_root")
    tried = [call for call in calls[begin:end] if call.name not in PRETENDED and not call.failed()]
    assert len(tried) > 5
    for call in tried:
        succeeded = call_with_error(runtime, case, words, call, ERROR, remains, follow=True)
        if succeeded and call.name not in HARMLESS_IN_STAGES | ALSO_HARMLESS_IN_STAGES:
            remains.note(f"{call} -> {ERROR}", "run succeeds all the same")
        remains.check(f"{call} -> {ERROR}", after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
