# SPDX-License-Identifier: Apache-2.0
"""What is read from a cgroup's file, as values that put it back (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_OF_A_NEW_KEY = {
    "dmem.low": "0",
    "dmem.max": "max",
    "dmem.min": "0",
    "io.bfq.weight": "default",
    "io.latency": "target=0",
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "misc.max": "max",
    "rdma.max": "hca_handle=max hca_object=max",
}
"""Files with a line for each key: the value of a key that no line is about."""

_AFFECTED = {"cpu.idle": "cpu.weight"}
"""A file that changes with another one: the weight becomes that of idleness, and the default behind it."""

WHAT_HOLDS = {"cpuset.cpus": "cpuset.cpus.effective", "cpuset.mems": "cpuset.mems.effective"}
"""A file that can be empty, and the one that then says what holds. Kernels let nobody empty the first of a cgroup
that has processes (Linux 6.1): they say ENOSPC."""

_LOWEST_WEIGHT = 0
"""What ``cpu.weight`` shows of an idle group, and nobody may write."""


def affected(names: Collection[str]) -> list[str]:
    """Return the files that change when some others are written, without those themselves."""
    return [other for name, other in _AFFECTED.items() if name in names]


def is_setting(name: str) -> bool:
    """Return whether a file keeps what is written to it; to others writing is an action."""
    return not name.endswith((".pressure", ".peak", ".reclaim"))


def number_in(text: str) -> float:
    """Return the number that a file holds alone, infinity for ``max``; of several words, the first one."""
    word = text.split()[0] if text.split() else "max"
    return float("inf") if word == "max" else float(word)


def differences(name: str, before: str, now: str) -> list[str]:
    """Return what to write to a file so that it says again what it said before.

    Args:
        name: of the file.
        before: what was read from it then.
        now: what is read from it now.
    """
    if before == now:
        return []
    if name in _OF_A_NEW_KEY:
        return _lines(name, before, now)
    if name == "cpuset.cpus.partition":
        before = before.split()[0]  # the rest says why it is not valid
    if name == "cpu.weight" and before.strip() == str(_LOWEST_WEIGHT):
        return []
    return [before.strip() or "\n"]


def _lines(name: str, before: str, now: str) -> list[str]:
    old, new = _by_key(before), _by_key(now)
    lifted = [f"{key} {_OF_A_NEW_KEY[name]}" for key in new if key not in old]
    return lifted + [f"{key} {value}" for key, value in old.items() if new.get(key) != value]


def _by_key(text: str) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition(" ") for line in text.splitlines())}
