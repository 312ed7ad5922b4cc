# SPDX-License-Identifier: Apache-2.0
"""How the time of one command divides into phases, by measuring each phase alone.

Nothing is attached to what is measured: a phase is the difference between a command with it and one without.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from measure import BenchError, wall_time

# Ends like pyrun, without the interpreter's teardown.
END = "import posix; posix._exit(0)"


@dataclass(frozen=True)
class Modules:
    """Names of the modules that a command imports beyond what the bare interpreter has."""

    standard: list[str]
    own: list[str]


def imported(interpreted: list[str]) -> Modules:
    """What a command of the interpreter imports, the importing module before the imported one.

    Args:
        interpreted: the argument vector that pyrun's entry executes.

    Raises:
        BenchError: the command failed.
    """
    bare = set(_import_log([interpreted[0], *_isolation(interpreted), "-c", END]))
    names = [name for name in _import_log(interpreted) if name not in bare]
    return Modules(
        standard=[name for name in names if not name.startswith("pyrun")],
        own=[name for name in names if name.startswith("pyrun")],
    )


def interpreter(interpreted: list[str]) -> list[str]:
    """What stands in front of pyrun's own arguments: interpreter, options, code and directories."""
    return interpreted[: interpreted.index("pyrun") + 1]


def python_alone(interpreted: list[str], modules: list[str]) -> list[str]:
    """A command that starts the interpreter as pyrun does, imports the modules and ends."""
    front = interpreter(interpreted)
    place = front.index("-c") + 1
    code = "".join(["import sys; sys.path += sys.argv[1:]\n", *(f"import {name}\n" for name in modules), END])
    return [*front[:place], code, *front[place + 1 : -1]]


def sample(commands: dict[str, Callable[[], list[str]]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each command, all in turn ``rounds`` times after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            times[name].append(wall_time(command()) / 1e6)
    return {name: taken[1:] for name, taken in times.items()}


def difference(more: list[float], less: list[float]) -> float:
    """Median of the differences within a round, which what disturbs the machine meanwhile has in common."""
    return statistics.median(first - second for first, second in zip(more, less, strict=True))


def _isolation(interpreted: list[str]) -> list[str]:
    return interpreted[1 : interpreted.index("-c")]


def _import_log(interpreted: list[str]) -> list[str]:
    command = [interpreted[0], "-X", "importtime", *interpreted[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{os.path.basename(interpreted[0])}: ended with {done.returncode}: {done.stderr[-200:]}")
    lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    finished = [fields[2].strip() for fields in lines[1:]]
    return finished[::-1]
