# SPDX-License-Identifier: Apache-2.0
"""The outer stage killed, or refused by the kernel, between the cgroup and its limits: neither is left behind."""

from __future__ import annotations

import subprocess

import pytest

from support import configs, stages, strace
from support.remains import Remains
from support.runtime import MakeBundle, Runtime
from support.strace import SystemCall

pytestmark = pytest.mark.pyrun_only("the stages are pyrun's own")
SECONDS = 20


def calls_about_the_cgroup(runtime: Runtime, case: str, words: list[str]) -> list[SystemCall]:
    """Returns those calls that make the cgroups or open one of their files for a limit.

    Not the first one, which makes a cgroup if the one above is there already.
    """
    calls = stages.calls_of(runtime, case, words, stages.OUTER)
    first, *chosen = [call for call in calls if call.name == "mkdirat" or "cgroup.max" in call.text]
    assert first.failed()
    assert [call.name for call in chosen] == ["mkdirat"] * 3 + ["openat2"] * 2
    return chosen


@pytest.mark.parametrize("injection", ["signal=SIGKILL", "error=EPERM", "error=ENOSPC", "error=EAGAIN"])
def test_cgroups_that_were_made_are_removed(
    runtime: Runtime, case: str, make_bundle: MakeBundle, remains: Remains, injection: str
) -> None:
    config = configs.default("/bin/true")
    config["linux"]["cgroupsPath"] = "/above/higher/own"
    config["linux"]["resources"]["unified"] = {"cgroup.max.depth": "5", "cgroup.max.descendants": "7"}
    bundle = make_bundle(config)
    bundle.seal()
    words = ["run", "--bundle", bundle.path, "test"]
    for call in calls_about_the_cgroup(runtime, case, words):
        traced = strace.traced(runtime, case, f"{call.name}:{injection}:when={call.occurrence}", follow=True)
        try:
            result = traced.call(*words, seconds=SECONDS)
        except subprocess.TimeoutExpired:
            remains.note(call, "pyrun does not come to an end")
            continue
        lines = result.errors.splitlines()
        if result.status != 1 or len(lines) != 1 or not lines[0].startswith("pyrun: "):
            remains.note(call, f"exit status {result.status}, {result.errors[-400:]!r}")
        remains.check(call, after_delete=False)
    assert not remains.failures, "\n".join(remains.failures)
