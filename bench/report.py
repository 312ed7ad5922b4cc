# SPDX-License-Identifier: Apache-2.0
"""A comparison as a table for people and as data for programs."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Sequence

from comparison import Contest, Spread, spread
from runtimes import Runtime

LEGEND = "times: median in ms; ratios: median of the pairwise quotients [quartiles] (minimum-maximum)"


def as_text(runtimes: Sequence[Runtime], contests: Sequence[Contest], pairs: int, notes: Sequence[str]) -> str:
    """For each contest, median times of its runtimes and the first one's ratio to each other one."""
    return "\n".join(
        [
            f"Linux {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs; {pairs} pairs in turn",
            *(f"{runtime.name}: {runtime.version} ({runtime.path})" for runtime in runtimes),
            *notes,
            *(line for contest in contests for line in ("", f"{contest.config}:", *aligned(_table(contest)))),
            "",
            LEGEND,
        ]
    )


def as_data(runtimes: Sequence[Runtime], contests: Sequence[Contest]) -> dict[str, object]:
    """Everything measured, for JSON: times in nanoseconds, memory in KiB."""
    return {
        "machine": {
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "runtimes": {each.name: {"path": each.path, "version": each.version} for each in runtimes},
        "contests": [
            {
                "config": contest.config,
                "nanoseconds": contest.times,
                "ratios": {
                    row: {other.name: dataclasses.asdict(contest.ratio(row, other)) for other in contest.runtimes[1:]}
                    for row in contest.times
                },
                "peak_memory_kib": contest.memory,
            }
            for contest in contests
        ],
    }


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table]


def _table(contest: Contest) -> list[list[str]]:
    first, *others = contest.runtimes
    names = [runtime.name for runtime in contest.runtimes]
    return [
        ["", *names, *(f"{first.name}/{other.name}" for other in others)],
        *(
            [
                row,
                *(f"{spread(samples[name]).median / 1e6:.2f}" for name in names),
                *(_ratio(contest.ratio(row, other)) for other in others),
            ]
            for row, samples in contest.times.items()
        ),
        [
            "peak MiB of run",
            *(f"{contest.memory[name] / 1024:.1f}" for name in names),
            *(f"{contest.memory[first.name] / contest.memory[other.name]:.2f}" for other in others),
        ],
    ]


def _ratio(ratio: Spread) -> str:
    quartiles = f"[{ratio.lower_quartile:.2f} {ratio.upper_quartile:.2f}]"
    return f"{ratio.median:.2f} {quartiles} ({ratio.minimum:.2f}-{ratio.maximum:.2f})"
