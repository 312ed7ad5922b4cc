# SPDX-License-Identifier: Apache-2.0
"""What becomes of the answers of a systemd that refuses, fails, is old, or says nothing: a stand-in on a socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, MessageType, new_error, new_method_return, new_signal  # type: ignore[import-untyped]
from jeepney.low_level import HeaderFields, Message, Parser  # type: ignore[import-untyped]

from pyrun_cgroups.systemd import bus
from pyrun_cgroups.systemd.bus import SystemdError
from pyrun_cgroups.systemd.manager import Manager

JOB = "/org/freedesktop/systemd1/job/7"
SYSTEMD = "org.freedesktop.systemd1"
EMITTER = DBusAddress("/org/freedesktop/systemd1", interface=f"{SYSTEMD}.Manager")

Answer = Callable[[Message], list[Message]]


def done(call: Message, result: str = "done") -> list[Message]:
    """Answers a call that queues a job; another job of somebody else ends before it."""
    signals = [
        new_signal(EMITTER, "JobRemoved", "uoss", (number, job, "a-b.scope", outcome))
        for number, job, outcome in ((6, JOB + "0", "failed"), (7, JOB, result))
    ]
    return [signals[0], new_method_return(call, "o", (JOB,)), signals[1]]


def refused(call: Message, name: str, words: str = "No.") -> list[Message]:
    return [new_error(call, name, "s", (words,))]


class Systemd:
    """Answers each call by its name: with `answers`, each of which is used once, the last for ever."""

    def __init__(self, path: str) -> None:
        self.version = "252.38-1"
        self.welcome = b"DATA\r\nOK 1234\r\n"
        self.answers: dict[str, list[Answer]] = {
            "Hello": [lambda call: [new_method_return(call, "s", (":1.1",))]],
            "Get": [lambda call: [new_method_return(call, "v", (("s", self.version),))]],
            "StartTransientUnit": [done],
            "StopUnit": [done],
        }
        self.calls: list[tuple[str, Any]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    @property
    def names(self) -> list[str]:
        """The methods that were called, but for what every connection begins with."""
        return [name for name, _ in self.calls if name not in ("Hello", "AddMatch", "Subscribe")]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
                with connection:
                    self._converse(connection)
            except OSError:
                return

    def _converse(self, connection: socket.socket) -> None:
        assert connection.recv(64) == b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
        connection.sendall(self.welcome)
        parser, serial = Parser(), 0
        data = connection.recv(65536)
        while True:
            for call in parser.feed(data):
                for message in self._answers(call):
                    serial += 1
                    connection.sendall(message.serialise(serial))
            data = connection.recv(65536)
            if not data:
                return

    def _answers(self, call: Message) -> list[Message]:
        assert call.header.message_type == MessageType.method_call
        name = call.header.fields[HeaderFields.member]
        self.calls.append((name, call.body))
        answers = self.answers.get(name, [lambda call: [new_method_return(call)]])
        return (answers.pop(0) if len(answers) > 1 else answers[0])(call)


@pytest.fixture(params=["bus", "systemd/private"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = str(tmp_path / request.param)
    (tmp_path / "systemd").mkdir()
    monkeypatch.setattr(bus, "addresses", lambda *, user: [str(tmp_path / "missing"), path])
    stand_in = Systemd(path)
    yield stand_in
    stand_in.close()


def test_start_and_stop(systemd: Systemd) -> None:
    with Manager() as manager:
        manager.start("a-b.scope", [("PIDs", ("au", [7]))])
        manager.stop("a-b.scope")
    assert systemd.names == ["StartTransientUnit", "StopUnit", "ResetFailedUnit"]
    assert dict(systemd.calls)["StartTransientUnit"] == ("a-b.scope", "fail", [("PIDs", ("au", [7]))], [])


def test_failed_unit_is_replaced(systemd: Systemd) -> None:
    systemd.answers["StartTransientUnit"] = [lambda call: refused(call, f"{SYSTEMD}.UnitExists"), done]
    with Manager() as manager:
        manager.start("a-b.scope", [])
    assert systemd.names == ["StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]


def test_unit_that_exists(systemd: Systemd) -> None:
    systemd.answers["StartTransientUnit"] = [lambda call: refused(call, f"{SYSTEMD}.UnitExists")]
    with Manager() as manager, pytest.raises(SystemdError, match=r"there is a unit a-b\.scope already"):
        manager.start("a-b.scope", [])


def test_job_that_fails(systemd: Systemd) -> None:
    systemd.answers["StartTransientUnit"] = [lambda call: done(call, "failed")]
    with Manager() as manager, pytest.raises(SystemdError, match="result is failed"):
        manager.start("a-b.scope", [])


def test_signals_of_others_on_the_bus(systemd: Systemd) -> None:
    """Any user may send one to a connection; the bus says who has."""

    def forged_before(call: Message) -> list[Message]:
        forged = new_signal(EMITTER, "JobRemoved", "uoss", (7, JOB, "a-b.scope", "failed"))
        forged.header.fields[HeaderFields.sender] = ":1.66"
        answers = done(call)
        for each in answers:
            each.header.fields[HeaderFields.sender] = ":1.2"
        return [forged, answers[1], forged, answers[2]]

    systemd.answers["StartTransientUnit"] = [forged_before]
    with Manager() as manager:
        manager.start("a-b.scope", [])


def test_refusal_is_one_line(systemd: Systemd) -> None:
    words = "Cannot set\nproperty X, or unknown property."
    systemd.answers["SetUnitProperties"] = [
        lambda call: refused(call, "org.freedesktop.DBus.Error.PropertyReadOnly", words)
    ]
    with Manager() as manager, pytest.raises(SystemdError) as raised:
        manager.set_properties("a-b.scope", [("TasksMax", ("t", 7))])
    assert str(raised.value) == (
        "systemd refuses SetUnitProperties of a-b.scope: Cannot set property X, or unknown property"
    )


def test_set_properties_waits_until_they_are_written(systemd: Systemd) -> None:
    with Manager() as manager:
        manager.set_properties("a-b.scope", [("TasksMax", ("t", 7))])
    assert systemd.names == ["SetUnitProperties", "Get"]
    assert dict(systemd.calls)["SetUnitProperties"] == ("a-b.scope", True, [("TasksMax", ("t", 7))])


@pytest.mark.parametrize(("version", "known"), [("251", False), ("v252-1.fc37", True), ("257.3", True)])
def test_idle_is_for_newer_versions(systemd: Systemd, version: str, known: bool) -> None:
    systemd.version = version
    with Manager() as manager:
        manager.set_properties("a-b.scope", [("CPUWeight", ("t", 0)), ("TasksMax", ("t", 7))])
    (sent,) = [body[2] for name, body in systemd.calls if name == "SetUnitProperties"]
    assert (("CPUWeight", ("t", 0)) in sent) is known
    assert ("TasksMax", ("t", 7)) in sent


def test_stopping_what_is_gone(systemd: Systemd) -> None:
    missing = [lambda call: refused(call, f"{SYSTEMD}.NoSuchUnit")]
    systemd.answers |= {"StopUnit": missing, "ResetFailedUnit": missing}
    with Manager() as manager:
        manager.stop("a-b.scope")


def test_silence(systemd: Systemd) -> None:
    systemd.answers["StopUnit"] = [lambda call: [new_method_return(call, "o", (JOB,))]]
    with Manager(timeout_seconds=0.2) as manager, pytest.raises(SystemdError, match="has not answered"):
        manager.stop("a-b.scope")


@pytest.mark.parametrize(
    "properties", [[("TasksMax", ("t", "seven"))], [("TasksMax", ("t", -1))], [("Slice", ("?", 1))]]
)
def test_what_can_not_be_sent(systemd: Systemd, properties: list[Any]) -> None:
    with Manager() as manager, pytest.raises(SystemdError, match="can't be written"):
        manager.start("a-b.scope", properties)
    assert "StartTransientUnit" not in systemd.names


@pytest.mark.parametrize(
    ("welcome", "words"), [(b"REJECTED EXTERNAL\r\n", "does not let user"), (b"x" * 70000, "does not speak D-Bus")]
)
def test_unwelcome(systemd: Systemd, welcome: bytes, words: str) -> None:
    systemd.welcome = welcome
    with pytest.raises(SystemdError, match=words):
        Manager()


def test_nobody_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "addresses", lambda *, user: [str(tmp_path / "missing")])
    with pytest.raises(SystemdError, match="systemd can't be reached"):
        Manager()
    with pytest.raises(SystemdError, match="enable-linger"):
        Manager(user=True)


def test_addresses_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another user owns is not used: root may act for the owner of a container."""
    own = tmp_path / "a b"
    own.touch()
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"tcp:host=x;unix:path={tmp_path}/a%20b,guid=1;unix:path=/missing")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert bus.addresses(user=True) == [str(own), f"{tmp_path}/bus", f"{tmp_path}/systemd/private"]
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    assert bus.addresses(user=True) == ["/run/user/4242/bus", "/run/user/4242/systemd/private"]
