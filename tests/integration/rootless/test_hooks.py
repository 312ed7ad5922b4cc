# SPDX-License-Identifier: Apache-2.0
"""Hooks of an ordinary user's containers: in its namespaces the runtime runs them as the user."""

from __future__ import annotations

import pytest

from support.hooks import AT_CREATE, KINDS, Notes, hooks_of
from support.runtime import Container
from support.users import USER, MakeUsersContainer, UsersRuntime


def make(scratch: str, make_users_container: MakeUsersContainer) -> tuple[Container, Notes]:
    container = make_users_container("/bin/sleep", "1000")
    notes = Notes(scratch, container.bundle.config)
    USER.owns(notes.path)
    return container, notes


def test_life(scratch: str, make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container, notes = make(scratch, make_users_container)
    container.bundle.config["hooks"] = {
        kind: [notes.tell(kind), notes.copy(kind, "/proc/self/status", f"{kind}.status")] for kind in KINDS
    }
    container.started()
    notes.wait_for("startContainer")
    pid = container.pid
    container.stop()
    container.delete().succeeded()
    assert users_runtime.remains() == []
    assert sorted(notes.order()) == sorted(KINDS)
    for kind in KINDS:
        (line,) = (line for line in notes.read(f"{kind}.status").splitlines() if line.startswith("Uid:"))
        assert line.split()[1:] == [str(0 if kind.endswith("Container") else USER.number)] * 4, kind
    assert notes.state("prestart")["pid"] == notes.state("createRuntime")["pid"] == pid
    assert notes.state("createContainer")["pid"] == notes.state("startContainer")["pid"] == 1


@pytest.mark.parametrize("kind", AT_CREATE)
def test_failure(
    scratch: str, make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, kind: str
) -> None:
    container, notes = make(scratch, make_users_container)
    container.bundle.config["hooks"] = hooks_of(notes)
    container.bundle.config["hooks"][kind].append(notes.shell(kind, "exit 3"))
    container.create().failed("exit status 3")
    assert users_runtime.remains() == []
    assert notes.order() == [*KINDS[: KINDS.index(kind) + 1], "poststop"]
