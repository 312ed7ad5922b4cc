# SPDX-License-Identifier: Apache-2.0
"""pyrun killed before each of its system calls while it shows a container's terminal: the caller's is as before."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from support import configs, strace
from support.remains import Remains
from support.runtime import Container, MakeContainer, Runtime
from support.strace import SystemCall
from support.terminal import Session, with_terminal
from support.waiting import wait_until

pytestmark = pytest.mark.pyrun_only("runc leaves the terminal raw when it is killed")

# From the first look at the caller's terminal for its size on, which comes after everything has been made.
BEGIN = r"ioctl\(.*TIOCGWINSZ"


def show(runtime: Runtime, container: Container) -> Session:
    """Starts a run of the container on a new terminal, and waits for the end of it."""
    command = runtime.command("run", "--bundle", container.bundle.path, container.id)
    session = Session(command, runtime.environment)
    session.wait()
    return session


def calls_of(runtime: Runtime, case: str, container: Container) -> list[SystemCall]:
    """Returns pyrun's calls from BEGIN on."""
    with show(strace.traced(runtime, case), container) as session:
        assert session.process.returncode == 3
    calls = strace.read_trace(case)[0]
    return calls[strace.first(calls, BEGIN) :]


def test_run_killed_at_each_call(runtime: Runtime, case: str, make_container: MakeContainer, remains: Remains) -> None:
    container = make_container(with_terminal(configs.shell("echo words; exit 3")), "test")
    container.bundle.seal()
    calls = calls_of(runtime, case, container)
    assert any("TCSETS" in call.text for call in calls)
    for call in calls:
        if call.name != "ioctl" and not call.changes_something():
            continue
        injection = f"{call.name}:signal=SIGKILL:when={call.occurrence}"
        with show(strace.traced(runtime, case, injection), container) as session:
            if session.process.returncode not in (3, 128 + signal.SIGKILL):
                remains.note(call, f"it ended with {session.process.returncode}")
            wait_until(partial(is_as_before, session), f"the terminal is restored ({call})")
        remains.check(call, after_delete=True)
    assert not remains.failures, "\n".join(remains.failures)


def is_as_before(session: Session) -> bool:
    """Tells whether the caller's terminal is what it was when the session began."""
    return session.attributes() == session.before
