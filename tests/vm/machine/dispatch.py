# SPDX-License-Identifier: Apache-2.0
"""The host's side of a run: gives tests to machines, several at a time, and takes their reports."""

from __future__ import annotations

import json
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vm.machine.boots import Boot
from vm.machine.qemu import Machine

# Tests that a machine gets at a time: those of one module, whose fixtures it then makes once.
PORTION = 20
# Machines of one kind that may break down before its other tests are given up.
BREAKDOWNS = 3

Start = Callable[[Boot, list[str]], Machine]


class Kind:
    """The tests for one kind of machine; `waiting` have not been given to a machine yet."""

    def __init__(self, boot: Boot, items: list[pytest.Item]) -> None:
        self.boot = boot
        self.paths = list(dict.fromkeys(str(item.path) for item in items))
        self.waiting = deque(items)
        self.machines = 0
        self.breakdowns = 0

    def take(self) -> list[pytest.Item]:
        """Returns the next portion, an empty one when nothing is waiting."""
        portion: list[pytest.Item] = []
        while self.waiting and len(portion) < PORTION and self.waiting[0].path == (portion or self.waiting)[0].path:
            portion.append(self.waiting.popleft())
        return portion

    def deserves_a_machine(self) -> bool:
        """A second one only pays where much is waiting."""
        return len(self.waiting) > self.machines * PORTION


class Worker:
    """A machine and the tests that it has been given and has not finished; `last` is the one that it began last."""

    def __init__(self, kind: Kind, machine: Machine) -> None:
        self.kind = kind
        self.machine = machine
        self.given: dict[str, pytest.Item] = {}
        self.last: pytest.Item | None = None
        self.heard = time.monotonic()
        self._received = b""

    def give(self, portion: list[pytest.Item]) -> None:
        """Gives the machine these tests; an empty portion ends it."""
        self.given.update((item.nodeid, item) for item in portion)
        self.machine.reports.sendall(json.dumps([item.nodeid for item in portion]).encode() + b"\n")

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yields what has been received; raises ConnectionError when the machine has gone."""
        received = self.machine.reports.recv(1 << 16)
        if not received:
            raise ConnectionError("the machine ended")
        self.heard = time.monotonic()
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            yield from json.loads(line).items()


class Dispatcher:
    """Runs tests in at most `limit` machines at a time; one that sends nothing for `silence` seconds has broken down.

    `start` starts a machine that collects the modules of these paths.
    """

    def __init__(self, session: pytest.Session, kinds: list[Kind], start: Start, limit: int, silence: float) -> None:
        self._session = session
        self._hook = session.config.hook
        self._kinds = kinds
        self._start = start
        self._limit = limit
        self._silence = silence
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []
        self._failures: dict[Kind, str] = {}

    def run(self) -> None:
        """Returns when each test has been reported, or raises what `-x` and the like ask for; ends all machines."""
        try:
            self._start_machines()
            while self._workers:
                self._listen()
                self._start_machines()
        finally:
            for worker in list(self._workers):
                self._dismiss(worker)
            self._selector.close()

    def _start_machines(self) -> None:
        while len(self._workers) < self._limit:
            deserving = [kind for kind in self._kinds if kind.deserves_a_machine()]
            if not deserving:
                return
            kind = min(deserving, key=lambda kind: (kind.machines, -len(kind.waiting)))
            worker = Worker(kind, self._start(kind.boot, kind.paths))
            kind.machines += 1
            self._workers.append(worker)
            self._selector.register(worker.machine.reports, selectors.EVENT_READ, worker)

    def _dismiss(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.machine.reports)
        worker.machine.end()
        worker.kind.machines -= 1

    def _listen(self) -> None:
        oldest = min(worker.heard for worker in self._workers)
        for key, _ in self._selector.select(max(0.0, oldest + self._silence - time.monotonic())):
            worker: Worker = key.data
            try:
                for kind, value in worker.messages():
                    self._handle(worker, kind, value)
            except ConnectionError as error:
                self._break_down(worker, str(error))
        for worker in list(self._workers):
            if time.monotonic() > worker.heard + self._silence:
                self._break_down(worker, f"the machine has said nothing for {self._silence:g} seconds")

    def _handle(self, worker: Worker, kind: str, value: Any) -> None:
        match kind:
            case "failure":
                self._failures[worker.kind] = value
            case "collected":
                self._report_missing(worker.kind, set(value))
                worker.give(worker.kind.take())
            case "wants":
                worker.give(worker.kind.take())
            case "started":
                worker.last = worker.given[value]
            case "report":
                for key in ("location", "longrepr"):  # JSON has no tuples
                    value[key] = tuple(value[key]) if isinstance(value[key], list) else value[key]
                self._replay(self._hook.pytest_report_from_serializable(config=self._session.config, data=value))
            case "finished":
                del worker.given[value]
            case "end":
                self._dismiss(worker)

    def _report_missing(self, kind: Kind, collected: set[str]) -> None:
        for item in [item for item in kind.waiting if item.nodeid not in collected]:
            kind.waiting.remove(item)
            self._report_error(item, self._failures.get(kind, "the machine does not find this test"))

    def _break_down(self, worker: Worker, reason: str) -> None:
        """The test that ran has failed; the others get a new machine, but not again and again."""
        kind = worker.kind
        text = f"{reason}; the end of its console:\n{worker.machine.console_tail()}"
        self._dismiss(worker)
        kind.breakdowns += 1
        if worker.last is not None:
            worker.given.pop(worker.last.nodeid, None)
            self._report_error(worker.last, text)
        kind.waiting.extendleft(reversed(worker.given.values()))
        if kind.breakdowns >= BREAKDOWNS:
            while kind.waiting:
                self._report_error(kind.waiting.popleft(), text)

    def _report_error(self, item: pytest.Item, text: str) -> None:
        """Reports what pytest would when the preparation of the test fails."""
        for when, outcome, words in (("setup", "failed", text), ("teardown", "passed", None)):
            report = pytest.TestReport(
                nodeid=item.nodeid,
                location=item.location,
                keywords={},
                outcome=outcome,  # type: ignore[arg-type]
                longrepr=words,
                when=when,  # type: ignore[arg-type]
            )
            self._replay(report)

    def _replay(self, report: pytest.TestReport) -> None:
        self._hook.pytest_runtest_logreport(report=report)
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)
        if self._session.shouldstop:
            raise self._session.Interrupted(self._session.shouldstop)
