# SPDX-License-Identifier: Apache-2.0
"""What runs the tests in a machine: pytest, with a plugin that takes orders from the host and sends it reports.

Both directions have one JSON value a line. The host sends lists of node ids to run; an empty one is the last. The
machine sends objects with one key: `collected` (node ids), `wants` (null: it begins the last test that it knows of),
`started` and `finished` (a node id), `report` (as pytest serializes it), `failure` (text: a module that cannot be
collected) and, after the last test, `end` (null).
"""

from __future__ import annotations

import json
import os
from collections import deque

import pytest


class Agent:
    """The plugin; `port` is the path of the virtual serial port to the host."""

    def __init__(self, config: pytest.Config, port: str) -> None:
        self._config = config
        # Such a port can be open only once.
        descriptor = os.open(port, os.O_RDWR)
        self._input = open(descriptor, "rb")
        self._output = open(os.dup(descriptor), "wb")

    def _send(self, kind: str, value: object = None) -> None:
        self._output.write(json.dumps({kind: value}, default=repr).encode() + b"\n")
        self._output.flush()

    def _receive(self) -> list[str]:
        line = self._input.readline()
        received: list[str] = json.loads(line) if line else []
        return received

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tells of modules that cannot be collected."""
        if report.failed:
            self._send("failure", report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Runs what the host asks for, in that order."""
        items = {item.nodeid: item for item in session.items}
        self._send("collected", list(items))
        ordered = deque(self._receive())
        while ordered:
            item = items[ordered.popleft()]
            if not ordered:
                self._send("wants")
                ordered.extend(self._receive())
            following = items[ordered[0]] if ordered else None
            self._send("started", item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._send("finished", item.nodeid)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sends the report."""
        self._send("report", self._config.hook.pytest_report_to_serializable(config=self._config, report=report))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Tells the host that this was all."""
        self._send("end")
