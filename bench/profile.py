# SPDX-License-Identifier: Apache-2.0
"""Show where the time of one `pyrun run` of /bin/true goes."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence

import functions
import phases
import private_host
import traced
from installed import add_options, chosen_pyrun
from measure import BenchError
from pyrun_rootfs import RootfsError, root_filesystem_from_host
from report import aligned
from runtimes import Runtime, default_config, make_bundles

TOP_CALLS = 5
TOP_FUNCTIONS = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rounds", type=int, default=30, help="samples of each time (default: %(default)s)")
    options = parser.parse_args()
    try:
        private_host.enter()
        with tempfile.TemporaryDirectory(prefix="pyrun-profile-") as directory:
            runtime = chosen_pyrun(options, directory)
            print(_profile(runtime, directory, options.rounds))
    except (BenchError, RootfsError) as error:
        print(f"profile: {error}", file=sys.stderr)
        return 1
    return 0


def _profile(runtime: Runtime, directory: str, rounds: int) -> str:
    rootfs = os.path.join(directory, "rootfs")
    root_filesystem_from_host(rootfs)
    bundles = make_bundles(os.path.join(directory, "bundles"), rootfs, default_config(runtime, directory))

    def run() -> list[str]:
        return runtime.command("run", "--bundle", bundles.short, runtime.new_id())

    processes = traced.trace(run(), os.path.join(directory, "traces"))
    interpreted = _interpreted(processes)

    run_interpreted = [*interpreted[:-1], runtime.new_id()]
    modules = phases.imported(run_interpreted)
    called = functions.profile(run_interpreted, [*modules.standard, *modules.own], directory)
    listing = runtime.command("list", "--quiet")
    times = phases.sample(
        {
            "run": run,
            "list": lambda: listing,
            "list without entry": lambda: [*phases.interpreter(interpreted), *listing[1:]],
            "interpreter": lambda: phases.python_alone(interpreted, []),
            "standard modules": lambda: phases.python_alone(interpreted, modules.standard),
            "all modules": lambda: phases.python_alone(interpreted, [*modules.standard, *modules.own]),
        },
        rounds,
    )
    return "\n".join(
        [
            f"{runtime.version} run of /bin/true, median of {rounds}",
            "",
            *_phase_table(times, modules, called),
            "",
            "System calls by process, in ms; strace makes each of them slower",
            *_process_table(processes),
            "",
            f"The {TOP_FUNCTIONS} longest Python functions, in ms; cProfile makes each of them slower",
            *_function_table(called),
        ]
    )


def _interpreted(processes: Sequence[traced.Process]) -> list[str]:
    """The argument vector that pyrun's entry executed."""
    executed = processes[0].executed
    if len(executed) != 2 or "-c" not in executed[1]:
        raise BenchError(f"{executed[0][0]} is not the pyrun of this checkout: it executes no Python")
    return executed[1]


def _phase_table(
    times: dict[str, list[float]], modules: phases.Modules, called: Sequence[functions.Function]
) -> list[str]:
    whole = statistics.median(times["run"])
    standard = phases.difference(times["standard modules"], times["interpreter"])
    own = phases.difference(times["all modules"], times["standard modules"])
    rows = {
        "interpreter, start and end": statistics.median(times["interpreter"]),
        "entry: find interpreter and modules": phases.difference(times["list"], times["list without entry"]),
        f"import of {len(modules.standard)} standard modules": standard,
        f"import of {len(modules.own)} modules of pyrun": own,
        "spawn of pyrun-init, waiting for it and the container": sum(
            function.own * 1000 for function in called if function.waits
        ),
    }
    rows["pyrun's own work in Python, and the rest"] = whole - sum(rows.values())
    rows["all"] = whole
    return aligned(
        [
            ["", "ms", "%"],
            *([name, f"{time:.2f}", f"{100 * time / whole:.0f}"] for name, time in rows.items()),
        ]
    )


def _process_table(processes: Sequence[traced.Process]) -> list[str]:
    table = [["process", "calls", "working", "waiting"]]
    lines = []
    for process in processes:
        working = sum(process.seconds.values()) * 1000
        table.append([process.label, str(process.calls.total()), f"{working:.2f}", f"{process.waited * 1000:.2f}"])
        lines.append(
            ", ".join(
                f"{name} {seconds * 1000:.2f} ({process.calls[name]}x)" for name, seconds in _largest(process.seconds)
            )
        )
    header, *rows = aligned(table)
    return [header, *(f"{row}  {line}" for row, line in zip(rows, lines, strict=True))]


def _largest(seconds: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda entry: entry[1], reverse=True)[:TOP_CALLS]


def _function_table(called: Sequence[functions.Function]) -> list[str]:
    longest = sorted(called, key=lambda function: function.own, reverse=True)[:TOP_FUNCTIONS]
    return aligned(
        [
            ["function", "calls", "own", "total"],
            *([each.name, str(each.calls), f"{each.own * 1000:.2f}", f"{each.total * 1000:.2f}"] for each in longest),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
