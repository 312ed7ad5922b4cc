# SPDX-License-Identifier: Apache-2.0
"""Interleaved measurement of several runtimes, and what the numbers say about the first of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import rows
from measure import BenchError
from runtimes import Bundles, Runtime

MEMORY_SAMPLES = 3


@dataclass(frozen=True)
class Spread:
    """How far some values lie apart."""

    median: float
    lower_quartile: float
    upper_quartile: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Contest:
    """Runtimes that run the same bundles.

    Attributes:
        config: what is special about the config of the bundles.
        runtimes: the first one is compared with each of the others.
        bundles: what they run.
        times: nanoseconds by row and by runtime, in the order of the rounds.
        memory: peak of ``run`` in KiB by runtime.
    """

    config: str
    runtimes: Sequence[Runtime]
    bundles: Bundles
    times: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def ratio(self, row: str, other: Runtime) -> Spread:
        """The spread of the first runtime's time divided by that of ``other`` in the same round."""
        samples = self.times[row]
        pairs = zip(samples[self.runtimes[0].name], samples[other.name], strict=True)
        return spread([ours / theirs for ours, theirs in pairs])


def spread(values: Sequence[float]) -> Spread:
    """Median, quartiles and extremes; of a single value all are that value."""
    quartiles = statistics.quantiles(values, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(quartiles[1], quartiles[0], quartiles[2], min(values), max(values))


def arrange(runtimes: Sequence[Runtime], configs: dict[str, Bundles]) -> tuple[list[Contest], list[str]]:
    """Match the first runtime with every other one, on the first of ``configs`` that the other can run.

    Returns:
        The contests, and a line for each time that another runtime could not run a bundle.

    Raises:
        BenchError: the first runtime cannot run a bundle that another one runs.
    """
    first, obstacles = runtimes[0], []
    takers: dict[str, list[Runtime]] = {config: [] for config in configs}
    for other in runtimes[1:]:
        for config, bundles in configs.items():
            try:
                rows.run(other, bundles)
            except BenchError as error:
                obstacles.append(f"{other.name} cannot run the {config}: {error}")
            else:
                takers[config].append(other)
                break
    contests = [Contest(config, [first, *others], configs[config]) for config, others in takers.items() if others]
    if not contests:
        config, bundles = next(iter(configs.items()))
        contests = [Contest(config, [first], bundles)]
    for contest in contests:
        rows.run(first, contest.bundles)
    return contests, obstacles


def measure(contests: Sequence[Contest], pairs: int, warm_up: int) -> None:
    """Measure all rows of every contest ``pairs`` times, after ``warm_up`` rounds that do not count.

    Raises:
        BenchError: a command failed.
    """
    for round_number in range(-warm_up, pairs):
        for contest in contests:
            for experiment in rows.EXPERIMENTS:
                for runtime in _rotated(contest.runtimes, round_number):
                    for row, nanoseconds in experiment(runtime, contest.bundles).items():
                        if round_number >= 0:
                            contest.times.setdefault(row, {}).setdefault(runtime.name, []).append(nanoseconds)
    for contest in contests:
        for runtime in contest.runtimes:
            samples = [rows.memory_of_run(runtime, contest.bundles) for _ in range(MEMORY_SAMPLES)]
            contest.memory[runtime.name] = round(statistics.median(samples))


def _rotated(runtimes: Sequence[Runtime], by: int) -> Iterator[Runtime]:
    """All runtimes, each of them first in its turn: none always runs in the wake of the same other."""
    return (runtimes[(index + by) % len(runtimes)] for index in range(len(runtimes)))
