# SPDX-License-Identifier: Apache-2.0
"""What is measured. A new row is a new function in `EXPERIMENTS`.

An experiment takes a runtime and the bundles, leaves nothing behind, and returns the time of each of its rows
in nanoseconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from measure import peak_memory, wall_time
from runtimes import Bundles, Runtime

Experiment = Callable[[Runtime, Bundles], dict[str, int]]


def run(runtime: Runtime, bundles: Bundles) -> dict[str, int]:
    """``run`` of /bin/true in the foreground, cleaning up included."""
    container_id = runtime.new_id()
    try:
        return {"run": wall_time(runtime.command("run", "--bundle", bundles.short, container_id))}
    except BaseException:
        runtime.remove(container_id)
        raise


def each_verb(runtime: Runtime, bundles: Bundles) -> dict[str, int]:
    """The verbs one by one on a container that sleeps."""
    container_id, pid_file = runtime.new_id(), os.path.join(bundles.long, "pid")
    exec_pid_file = os.path.join(bundles.long, "exec-pid")
    times = {}
    try:
        create = runtime.command("create", "--bundle", bundles.long, "--pid-file", pid_file, container_id)
        times["create"] = wall_time(create)
        times["start"] = wall_time(runtime.command("start", container_id))
        times["state"] = wall_time(runtime.command("state", container_id))
        times["exec"] = wall_time(runtime.command("exec", container_id, "/bin/true"))
        detached = runtime.command("exec", "--detach", "--pid-file", exec_pid_file, container_id, "/bin/true")
        times["exec --detach"] = wall_time(detached)
        _wait_for(exec_pid_file)
        times["kill"] = wall_time(runtime.command("kill", container_id, "KILL"))
        _wait_for(pid_file)
        times["delete"] = wall_time(runtime.command("delete", container_id))
    except BaseException:
        runtime.remove(container_id)
        raise
    return times


def whole_life(runtime: Runtime, bundles: Bundles) -> dict[str, int]:
    """What an engine does for /bin/true: create, start, wait for its end, delete."""
    container_id, pid_file = runtime.new_id(), os.path.join(bundles.short, "pid")
    begin = time.perf_counter_ns()
    try:
        wall_time(runtime.command("create", "--bundle", bundles.short, "--pid-file", pid_file, container_id))
        wall_time(runtime.command("start", container_id))
        _wait_for(pid_file)
        wall_time(runtime.command("delete", container_id))
    except BaseException:
        runtime.remove(container_id)
        raise
    return {"whole life": time.perf_counter_ns() - begin}


EXPERIMENTS: tuple[Experiment, ...] = (run, each_verb, whole_life)


def memory_of_run(runtime: Runtime, bundles: Bundles) -> int:
    """Peak resident memory of ``run`` in KiB."""
    return peak_memory(runtime.command("run", "--bundle", bundles.short, runtime.new_id()))


def _wait_for(pid_file: str) -> None:
    """Reap the container's process, an orphan that came to this process."""
    with open(pid_file, encoding="ascii") as file:
        os.waitpid(int(file.read()), 0)
