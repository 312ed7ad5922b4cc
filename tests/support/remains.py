# SPDX-License-Identifier: Apache-2.0
"""What faults leave on the host, collected over many of them in one test."""

from __future__ import annotations

import time

from support.runtime import Runtime
from support.snapshot import Snapshot, clean_up, differences, take_snapshot
from support.waiting import deadline_in

SECONDS_TO_SETTLE = 3.0


class Remains:
    """What one fault after the other leaves on the host."""

    def __init__(self, case: str, runtime: Runtime) -> None:
        self._case = case
        self._runtime = runtime
        self._before: Snapshot = take_snapshot(case)
        self.failures: list[str] = []

    def check(self, fault: object, *, after_delete: bool) -> None:
        """Notes what is left, `after_delete --force` or without it, and removes what even that does not."""
        if after_delete:
            listed = self._runtime.call("list")
            if listed.status != 0:
                self.failures.append(f"{fault}: list fails: {listed.errors}")
            deleted = self._runtime.call("delete", "--force", "test")
            if deleted.status != 0:
                self.failures.append(f"{fault}: delete --force fails: {deleted.errors}")
        left = self._left()
        if not left:
            return
        self.failures += [f"{fault}: {line}" for line in left]
        self._runtime.call("delete", "--force", "test")
        clean_up(self._before, take_snapshot(self._case))
        self._left()

    def note(self, fault: object, words: str) -> None:
        """Notes another failure."""
        self.failures.append(f"{fault}: {words}")

    def _left(self) -> list[str]:
        deadline = deadline_in(SECONDS_TO_SETTLE)
        while (found := differences(self._before, take_snapshot(self._case))) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found
