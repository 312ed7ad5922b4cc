# SPDX-License-Identifier: Apache-2.0
"""Which machine gets which tests, and what is reported of machines that break down; the machines are threads here."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vm.machine.boots import BOOTS, Boot
from vm.machine.dispatch import BREAKDOWNS, PORTION, Dispatcher, Kind
from vm.machine.qemu import Machine

SILENCE = 20.0


class Port:
    """The machine's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._input = connection.makefile("rb")

    def send(self, kind: str, value: object = None) -> None:
        self._connection.sendall(json.dumps({kind: value}).encode() + b"\n")

    def receive(self) -> list[str]:
        line = self._input.readline()
        return list(json.loads(line)) if line else []

    def finish(self, name: str) -> None:
        self.send("started", name)
        report = {"nodeid": name, "location": [name, 1, name], "when": "call", "outcome": "passed", "longrepr": None}
        self.send("report", report)
        self.send("finished", name)


Act = Callable[[Port], None]


class FakeMachine:
    """Does what `act` does with its end of the port, which is closed when that returns."""

    def __init__(self, boot: Boot, act: Act) -> None:
        self.boot = boot
        self.reports, self._end = socket.socketpair()
        threading.Thread(target=self._run, args=[act], daemon=True).start()

    def _run(self, act: Act) -> None:
        with self._end, contextlib.suppress(BrokenPipeError):
            act(Port(self._end))

    def console_tail(self) -> str:
        return "the last words"

    def end(self) -> None:
        self.reports.close()


class Session:
    """What a run has of a session of pytest; `reports` are the reports that it got."""

    Failed, Interrupted = pytest.Session.Failed, pytest.Session.Interrupted

    def __init__(self) -> None:
        self.reports: list[Any] = []
        self.shouldfail: str | bool = False
        self.shouldstop: str | bool = False
        self.config = SimpleNamespace(hook=self)

    def pytest_report_from_serializable(self, config: object, data: dict[str, Any]) -> pytest.TestReport:
        return pytest.TestReport(keywords={}, **data)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.append(report)

    def outcomes(self) -> dict[str, str]:
        return {
            report.nodeid: f"{report.when} {report.outcome}" for report in self.reports if report.when != "teardown"
        }


def items_of(path: str, number: int) -> list[pytest.Item]:
    names = [f"{path}::{position}" for position in range(number)]
    return [cast(Any, SimpleNamespace(nodeid=name, path=Path(path), location=(path, 1, name))) for name in names]


def dispatch(
    acts: dict[str, Act], tests: dict[str, list[pytest.Item]], limit: int = 1, silence: float = SILENCE
) -> Session:
    session = Session()

    def start(boot: Boot, paths: list[str]) -> Machine:
        return cast(Machine, FakeMachine(boot, acts[boot.name]))

    kinds = [Kind(BOOTS[name], items) for name, items in tests.items()]
    Dispatcher(cast(pytest.Session, session), kinds, start, limit, silence).run()
    return session


def obedient(collected: list[pytest.Item], ends_at: str = "", portions: list[int] | None = None) -> Act:
    """Passes each test, but ends at one; `portions` gets how many tests came at a time."""

    def act(port: Port) -> None:
        port.send("collected", [item.nodeid for item in collected])
        while portion := port.receive():
            if portions is not None:
                portions.append(len(portion))
            for name in portion:
                if name == ends_at:
                    port.send("started", name)
                    return
                port.finish(name)
            port.send("wants")
        port.send("end")

    return act


def test_portions_are_of_one_module() -> None:
    items = items_of("a", PORTION + 1) + items_of("b", 2)
    portions: list[int] = []

    session = dispatch({"plain": obedient(items, portions=portions)}, {"plain": items})
    assert session.outcomes() == {item.nodeid: "call passed" for item in items}
    assert portions == [PORTION, 1, 2]


def test_kinds_side_by_side() -> None:
    """Each waits until the other has come."""
    together = threading.Barrier(2, timeout=10)
    tests = {"plain": items_of("a", 1), "systemd": items_of("b", 1)}

    def meeting(name: str) -> Act:
        def act(port: Port) -> None:
            together.wait()
            obedient(tests[name])(port)

        return act

    session = dispatch({name: meeting(name) for name in tests}, tests, limit=2)
    assert session.outcomes() == {"a::0": "call passed", "b::0": "call passed"}


def test_others_get_another_machine() -> None:
    items = items_of("a", 4)
    session = dispatch({"plain": obedient(items, ends_at="a::1")}, {"plain": items})
    expected = ["call passed", "setup failed", "call passed", "call passed"]
    assert session.outcomes() == {f"a::{position}": outcome for position, outcome in enumerate(expected)}
    (error,) = (report for report in session.reports if report.outcome == "failed")
    assert "the machine ended" in error.longrepr and "the last words" in error.longrepr


def test_machine_that_never_comes_up() -> None:
    items = items_of("a", 3)
    session = dispatch({"plain": lambda port: None}, {"plain": items})
    assert session.outcomes() == {item.nodeid: "setup failed" for item in items}


def test_machine_that_breaks_down_again_and_again() -> None:
    items = items_of("a", BREAKDOWNS + 2)

    def act(port: Port) -> None:
        port.send("collected", [item.nodeid for item in items])
        port.send("started", port.receive()[0])

    session = dispatch({"plain": act}, {"plain": items})
    assert session.outcomes() == {item.nodeid: "setup failed" for item in items}


def test_silent_machine() -> None:
    items = items_of("a", 1)

    def act(port: Port) -> None:
        port.send("collected", [item.nodeid for item in items])
        port.send("started", port.receive()[0])
        port.receive()

    session = dispatch({"plain": act}, {"plain": items}, silence=0.2)
    assert session.outcomes() == {"a::0": "setup failed"}
    assert "the machine has said nothing for 0.2 seconds" in session.reports[0].longrepr


def test_tests_that_the_machine_does_not_find() -> None:
    items = items_of("a", 2)
    session = dispatch({"plain": obedient(items[:1])}, {"plain": items})
    assert session.outcomes() == {"a::0": "call passed", "a::1": "setup failed"}


def test_first_failure_can_be_the_last() -> None:
    """As with -x."""
    items = items_of("a", 3)
    session = Session()
    session.pytest_runtest_logreport = lambda report: setattr(session, "shouldfail", "enough")  # type: ignore[method-assign]
    machines: list[FakeMachine] = []

    def start(boot: Boot, paths: list[str]) -> Machine:
        machines.append(FakeMachine(boot, obedient(items)))
        return cast(Machine, machines[-1])

    dispatcher = Dispatcher(cast(pytest.Session, session), [Kind(BOOTS["plain"], items)], start, 1, SILENCE)
    with pytest.raises(pytest.Session.Failed, match="enough"):
        dispatcher.run()
    assert machines[0].reports.fileno() == -1
