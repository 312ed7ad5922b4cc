# SPDX-License-Identifier: Apache-2.0
"""pyrun killed while a hook runs, and around it: `pyrun delete --force` removes the container and the hook."""

from __future__ import annotations

import pytest

from support import configs, strace
from support.bundle import Bundle
from support.hooks import AT_CREATE, KINDS, Notes
from support.remains import Remains
from support.runtime import Call, MakeBundle, Runtime

from .test_killed_pyrun import kill_at_each, trace_of

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 leaves things behind when it is killed")


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    """A bundle whose program waits to be killed."""
    return make_bundle(configs.default("/bin/sleep", "1000"))


def call_for(runtime: Runtime, bundle: Bundle, kind: str) -> Call:
    """Begins with the verb that runs hooks of a kind."""
    bundle.seal()
    if kind in AT_CREATE:
        return runtime.start("create", "--bundle", bundle.path, "test")
    runtime.call("create", "--bundle", bundle.path, "test").succeeded()
    return runtime.start("start", "test")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "poststop"])
def test_killed_while_a_hook_runs(scratch: str, runtime: Runtime, bundle: Bundle, remains: Remains, kind: str) -> None:
    notes = Notes(scratch, bundle.config)
    script = f"echo {kind} >>order; sh -c 'sleep 1000; :'; :"
    bundle.config["hooks"][kind] = [notes.shell(kind, script)]
    call = call_for(runtime, bundle, kind)
    notes.wait_for(kind)
    call.process.kill()
    call.process.wait()
    remains.check(kind, after_delete=True)
    assert not remains.failures, "\n".join(remains.failures)


# Hooks of each verb, and the call from which on they are run.
VERBS = {
    "create": (AT_CREATE, r'recvmsg\(.*"hooks"'),
    "start": (("startContainer", "poststart"), r'read\(.*"starting"'),
    "delete": (("poststop",), r'rmdir\(".*/root/test"'),
}


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_each_call(runtime: Runtime, case: str, bundle: Bundle, remains: Remains, verb: str) -> None:
    kinds, begin = VERBS[verb]
    bundle.config["hooks"] = {kind: [{"path": "/bin/true"}] for kind in kinds}
    bundle.seal()
    create = ["create", "--bundle", bundle.path, "test"]
    words = {"create": create, "start": ["start", "test"], "delete": ["delete", "--force", "test"]}[verb]
    preparation = [create] if verb != "create" else []
    calls = trace_of(runtime, case, words, *preparation)
    kill_at_each(runtime, case, calls[strace.first(calls, begin) :], words, remains, *preparation)
