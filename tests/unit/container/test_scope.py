# SPDX-License-Identifier: Apache-2.0
"""A container's scope: what create asks for, and which one delete stops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrun.container import scope
from pyrun.container.scope import ASKED, RECORD, Scope, end, is_anothers, must_be_entered
from pyrun.errors import PyrunError
from pyrun.owner import is_sound
from pyrun.state import StateDirectory


class Manager:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def stop(self, unit: str) -> None:
        self.calls.append(("stop", unit))

    def reset_failed(self, unit: str) -> None:
        self.calls.append(("reset_failed", unit))

    def close(self) -> None:
        pass


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    made = Manager()
    monkeypatch.setattr(scope, "_connect", lambda user: made)
    return made


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    made = StateDirectory.make(str(tmp_path / "root"), "c1")
    yield made
    made.close()


@pytest.fixture
def cgroup(tmp_path: Path) -> str:
    """A directory in the place of a cgroup, which can be removed in the same way."""
    path = tmp_path / "cgroup"
    path.mkdir()
    return str(path)


def record(state: StateDirectory, cgroup: str) -> None:
    state.write(RECORD, b"%d" % os.stat(cgroup).st_ino)


def known(cgroup: str) -> dict[str, Any]:
    return {"cgroup": cgroup, "systemdUnit": "pyrun-c1.scope"}


def test_scope_of_the_system() -> None:
    made = Scope({"linux": {"cgroupsPath": "a-b.slice:p:x"}}, "c1", "false")
    described: dict[str, Any] = {}
    made.describe(described)
    assert made.path == "/a.slice/a-b.slice/p-x.scope"
    assert described == {"systemdUnit": "p-x.scope"}


def test_scope_of_a_user(manager: Manager) -> None:
    manager.control_group = "/user.slice/user@7.service"  # type: ignore[attr-defined]
    made = Scope({}, "c1", "true")
    described: dict[str, Any] = {}
    made.describe(described)
    assert made.path == "/user.slice/user@7.service/user.slice/pyrun-c1.scope"
    assert described == {"systemdUnit": "pyrun-c1.scope", "systemdUser": True}


def test_end_of_a_scope(state: StateDirectory, cgroup: str, manager: Manager) -> None:
    record(state, cgroup)
    end(state, known(cgroup))
    assert manager.calls == [("reset_failed", "pyrun-c1.scope"), ("stop", "pyrun-c1.scope")]
    assert not os.path.lexists(cgroup)


@pytest.mark.parametrize("populated", [False, True])
def test_scope_of_which_systemd_was_asked(
    state: StateDirectory, cgroup: str, manager: Manager, monkeypatch: pytest.MonkeyPatch, populated: bool
) -> None:
    """Its creator was killed before the answer came; if somebody lives there, it is another's."""
    monkeypatch.setattr(scope, "SECONDS_TO_NOTICE", 0.01)
    monkeypatch.setattr("pyrun_cgroups.control.is_populated", lambda path: populated)
    state.write(RECORD, ASKED)
    end(state, known(cgroup))
    assert (("stop", "pyrun-c1.scope") in manager.calls) is not populated
    assert os.path.lexists(cgroup) is populated


def test_scope_that_has_ended(state: StateDirectory, cgroup: str, manager: Manager) -> None:
    """Its name may be that of another unit in another slice by now, so that is not stopped."""
    record(state, cgroup)
    os.rmdir(cgroup)
    assert not is_anothers(state, cgroup)
    end(state, known(cgroup))
    assert manager.calls == [("reset_failed", "pyrun-c1.scope")]


def test_scope_of_another(state: StateDirectory, cgroup: str, manager: Manager) -> None:
    state.write(RECORD, b"1")
    assert is_anothers(state, cgroup)
    end(state, known(cgroup))
    assert manager.calls == []
    assert os.path.isdir(cgroup)


def test_scope_that_never_was(state: StateDirectory, cgroup: str, manager: Manager) -> None:
    """Another's, whose name made create fail."""
    end(state, known(cgroup))
    assert manager.calls == []
    assert os.path.isdir(cgroup)


def test_end_without_systemd(state: StateDirectory, cgroup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be removed without it is; the error counts only where something stays."""

    def refuse(user: bool) -> None:
        raise PyrunError("systemd can't be reached")

    monkeypatch.setattr(scope, "_connect", refuse)
    monkeypatch.setattr(scope, "SECONDS_TO_VANISH", 0.0)
    record(state, cgroup)
    Path(cgroup, "below").mkdir()
    Path(cgroup, "cgroup.events").write_text("populated 1\n")
    with pytest.raises(PyrunError, match="can't be reached"):
        end(state, known(cgroup))
    os.unlink(f"{cgroup}/cgroup.events")
    os.rmdir(f"{cgroup}/below")
    end(state, known(cgroup))
    assert not os.path.lexists(cgroup)


def test_who_must_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the list of processes of the cgroup above both may not be written."""
    monkeypatch.setattr("pyrun_cgroups.placement.own_cgroup", lambda: "/user/session")
    paths: list[str] = []

    def refuse(path: str, mode: int, **options: bool) -> bool:
        paths.append(path)
        return False

    monkeypatch.setattr("os.access", refuse)
    assert must_be_entered({"cgroupMount": "/mnt", "cgroup": "/mnt/user/service/one.scope"})
    assert must_be_entered({"cgroupMount": "/mnt", "cgroup": "/mnt/system/one.scope"})
    assert paths == ["/mnt/user/cgroup.procs", "/mnt/cgroup.procs"]


@pytest.mark.parametrize(
    ("members", "sound"),
    [
        ({"systemdUnit": "pyrun-c1.scope", "systemdUser": True}, True),
        ({"systemdUnit": "pyrun-c1.scope"}, True),
        ({"systemdUnit": "ssh.service", "systemdUser": True}, False),
        ({"systemdUnit": ["a.scope"]}, False),
        ({"systemdUnit": "a.scope", "systemdUser": "no"}, False),
        ({"systemdUser": True}, False),
    ],
)
def test_sound_state(members: dict[str, Any], sound: bool) -> None:
    """Of another user: it names nothing else than a scope."""
    assert is_sound({"bundle": "/b", **members}) is sound
