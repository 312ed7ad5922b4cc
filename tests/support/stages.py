# SPDX-License-Identifier: Apache-2.0
"""The system calls of pyrun-init's two processes, picked so that strace can hit one of them alone.

strace counts the occurrences of a call in each process by itself, so a call can be aimed at only when no other
process of the same runtime reaches that count before.
"""

from __future__ import annotations

from collections import Counter

from support import strace
from support.runtime import Runtime
from support.strace import SystemCall
from support.waiting import repeats

OUTER, INIT = 1, 2
# How many more calls of a name that it makes often another process may make the next time, for example because it
# loads a module at another moment.
MARGIN = 8


def calls_of(runtime: Runtime, case: str, words: list[str], stage: int) -> list[SystemCall]:
    """Returns the calls of one process of pyrun-init (OUTER or INIT) that can be aimed at, before the program's own."""
    runtime.call(*words).succeeded()
    strace.traced(runtime, case, follow=True).call(*words).succeeded()
    processes = strace.read_trace(case)
    own = processes[stage]
    begin = strace.first(own, r"execve\(.*pyrun-init") + 1 if stage == OUTER else 0
    end = strace.first(own, r"execve\(|exit_group\(", begin)
    reached: Counter[str] = Counter()
    for other in processes[:stage]:
        for call in other:
            margin = MARGIN if call.occurrence > MARGIN else 0
            reached[call.name] = max(reached[call.name], call.occurrence + margin)
    return [
        call
        for call in own[begin : end + 1]
        if call.occurrence > reached[call.name] and not call.name.startswith("rt_sig")
    ]


def sample(calls: list[SystemCall], most: int) -> list[SystemCall]:
    """Returns at most `most` of the calls: the first of every name, and of the others as many at even distances.

    On a slow machine there are fewer of the others.
    """
    first = [call for call in calls if call == next(each for each in calls if each.name == call.name)]
    others = [call for call in calls if call not in first]
    room = max(repeats(most) - len(first), 0)
    step = max(-(-len(others) // room), 1) if room else len(others) + 1
    chosen = {id(call) for call in first + others[::step]}
    return [call for call in calls if id(call) in chosen]
