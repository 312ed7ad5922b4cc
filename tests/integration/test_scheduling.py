# SPDX-License-Identifier: Apache-2.0
"""process.scheduler, process.ioPriority, process.execCPUAffinity, and whose processors a container gets."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from support import attributes, configs
from support.attributes import Attributes
from support.configs import Config
from support.execs import process_file
from support.runtime import Container, MakeBundle, Run, Runtime

OLD = pytest.mark.pyrun_only("runc 1.1.5 is older than these properties")

Observe = Callable[[Config], Attributes]
StartSleeper = Callable[[Config], Container]

TIMES = {"runtime": 500_000_000, "deadline": 1_000_000_000, "period": 2_000_000_000}
RESET = "SCHED_FLAG_RESET_ON_FORK"

# Policy number, flags, nice, priority; then for SCHED_DEADLINE runtime, deadline and period (sched_setattr(2)).
SCHEDULERS: list[tuple[dict[str, Any], str]] = [
    ({"policy": "SCHED_OTHER"}, "0 0 0 0"),
    ({"policy": "SCHED_OTHER", "nice": 11}, "0 0 11 0"),
    ({"policy": "SCHED_OTHER", "nice": -7}, "0 0 -7 0"),
    ({"policy": "SCHED_BATCH", "nice": 19}, "3 0 19 0"),
    ({"policy": "SCHED_IDLE"}, "5 0 0 0"),
    ({"policy": "SCHED_FIFO", "priority": 99}, "1 0 0 99"),
    ({"policy": "SCHED_RR", "priority": 1}, "2 0 0 1"),
    ({"policy": "SCHED_RR", "priority": 3, "flags": [RESET]}, "2 1 0 3"),
    ({"policy": "SCHED_OTHER", "nice": -2, "flags": [RESET]}, "0 1 -2 0"),
]
DEADLINES: list[tuple[dict[str, Any], str]] = [
    ({"policy": "SCHED_DEADLINE", **TIMES}, "6 0 0 0 500000000 1000000000 2000000000"),
    ({"policy": "SCHED_DEADLINE", **TIMES, "flags": [RESET]}, "6 1 0 0 500000000 1000000000 2000000000"),
    (
        {"policy": "SCHED_DEADLINE", **TIMES, "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]},
        "6 6 0 0 500000000 1000000000 2000000000",
    ),
]
IO_PRIORITIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"class": "IOPRIO_CLASS_RT", "priority": 0}, ["1", "0"]),
    ({"class": "IOPRIO_CLASS_RT", "priority": 7}, ["1", "7"]),
    ({"class": "IOPRIO_CLASS_BE", "priority": 3}, ["2", "3"]),
    ({"class": "IOPRIO_CLASS_IDLE"}, ["3", "0"]),
]


def name_of(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    return " ".join(str(each) for each in value.values())


def with_process(config: Config, **members: Any) -> Config:
    config["process"].update(members)
    return config


def scheduler_of(found: Attributes) -> str:
    """Returns what SCHEDULERS has: the time slice that newer kernels show for other policies is not of the config."""
    words = found["scheduler"]
    return " ".join(words if words[0] == "6" else words[:4])


def all_processors() -> list[str]:
    return [str(each) for each in sorted(os.sched_getaffinity(0))]


@OLD
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
@pytest.mark.parametrize(("scheduler", "expected"), SCHEDULERS, ids=name_of)
def test_scheduler(observed: Observe, scheduler: dict[str, Any], expected: str, user_namespace: bool) -> None:
    """In a user namespace too, where the process itself has no CAP_SYS_NICE of the host."""
    config = with_process(attributes.default(), scheduler=scheduler)
    if user_namespace:
        configs.with_user_namespace(config)
    assert scheduler_of(observed(config)) == expected


@OLD
@pytest.mark.parametrize(("scheduler", "expected"), DEADLINES, ids=name_of)
def test_deadline(observed: Observe, scheduler: dict[str, Any], expected: str) -> None:
    assert scheduler_of(observed(with_process(attributes.default(), scheduler=scheduler))) == expected


@OLD
def test_flags_that_keep_what_the_caller_has(
    runtime: Runtime, make_bundle: MakeBundle, attributes_program: str
) -> None:
    scheduler = {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_PARAMS"]}
    bundle = make_bundle(with_process(attributes.default(), scheduler=scheduler))
    attributes.install(attributes_program, bundle)
    runtime.wrapper = ("nice", "-n", "4", "chrt", "--batch", "0")
    assert scheduler_of(attributes.parse(runtime.run("test", bundle).succeeded().output)) == "3 0 4 0"


@OLD
@pytest.mark.parametrize("flag", ["SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"])
def test_utilisation_clamp(runtime: Runtime, make_bundle: MakeBundle, attributes_program: str, flag: str) -> None:
    """A kernel without CONFIG_UCLAMP_TASK, as Debian's, says that it can't."""
    bundle = make_bundle(with_process(attributes.default(), scheduler={"policy": "SCHED_OTHER", "flags": [flag]}))
    attributes.install(attributes_program, bundle)
    if os.path.exists("/proc/sys/kernel/sched_util_clamp_min"):
        runtime.run("test", bundle).succeeded()
    else:
        runtime.run("test", bundle).failed("/process/scheduler: ", "not supported; the kernel does not have this flag")


@OLD
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
@pytest.mark.parametrize(("priority", "expected"), IO_PRIORITIES, ids=name_of)
def test_io_priority(observed: Observe, priority: dict[str, Any], expected: list[str], user_namespace: bool) -> None:
    config = with_process(attributes.default(), ioPriority=priority)
    if user_namespace:
        configs.with_user_namespace(config)
    assert observed(config)["io"] == expected


@OLD
def test_capability_for_it_is_not_left(run: Run) -> None:
    """The process that sets its own scheduling needs CAP_SYS_NICE until then."""
    words = ("/bin/grep", "^Cap", "/proc/self/status")
    scheduled = with_process(configs.default(*words), scheduler={"policy": "SCHED_DEADLINE", **TIMES})
    found = run(scheduled)
    assert found == run(configs.default(*words))
    assert "CapPrm" in found


@OLD
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_seccomp_filter_that_forbids_it(observed: Observe, user_namespace: bool) -> None:
    """It is set before the filter is loaded, whichever way that goes."""
    config = with_process(attributes.default(), scheduler={"policy": "SCHED_BATCH"}, noNewPrivileges=False)
    config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 1}
    names = ["sched_setattr", "sched_setaffinity", "ioprio_set", "capset"]
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    if user_namespace:
        configs.with_user_namespace(config)
    found = observed(config)
    assert (found["scheduler"][0], found["io"]) == ("3", ["2", "1"])


@OLD
def test_hooks_are_not_scheduled_as_the_program(
    runtime: Runtime, make_bundle: MakeBundle, attributes_program: str, scratch: str
) -> None:
    """createContainer hooks belong to the making of the container; startContainer hooks are in the process's place."""
    bundle = make_bundle(with_process(attributes.default(), scheduler={"policy": "SCHED_FIFO", "priority": 5}))
    attributes.install(attributes_program, bundle)
    bundle.config["mounts"].append(configs.bind(scratch, "/tmp"))
    for name, path, directory in (
        ("createContainer", "/bin/sh", scratch),
        ("startContainer", "/bin/sh", "/tmp"),
    ):
        program = attributes_program if name == "createContainer" else f"/{attributes.PATH}"
        words = ["sh", "-c", f"{program} >{directory}/{name}"]
        bundle.config.setdefault("hooks", {})[name] = [{"path": path, "args": words, "env": [configs.PATH]}]
    runtime.run("test", bundle).succeeded()
    found = {}
    for name in ("createContainer", "startContainer"):
        with open(os.path.join(scratch, name), encoding="ascii") as file:
            found[name] = scheduler_of(attributes.parse(file.read()))
    assert found == {"createContainer": "0 0 0 0", "startContainer": "1 0 0 5"}


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"scheduler": {"policy": "SCHED_ISO"}}, ["/process/scheduler: ", "invalid argument", "SCHED_ISO"]),
    ({"scheduler": {"policy": "SCHED_FAST"}}, ["/process/scheduler/policy: "]),
    ({"scheduler": {"nice": 1}}, ["/process/scheduler"]),
    ({"scheduler": {"policy": "SCHED_OTHER", "nice": 20}}, ["/process/scheduler/nice: 20"]),
    ({"scheduler": {"policy": "SCHED_OTHER", "nice": "1"}}, ["/process/scheduler/nice: "]),
    ({"scheduler": {"policy": "SCHED_FIFO"}}, ["/process/scheduler/priority: ", "1 to 99"]),
    ({"scheduler": {"policy": "SCHED_RR", "priority": 100}}, ["/process/scheduler/priority: ", "1 to 99"]),
    ({"scheduler": {"policy": "SCHED_OTHER", "priority": 1}}, ["/process/scheduler/priority: "]),
    ({"scheduler": {"policy": "SCHED_OTHER", "flags": ["RESET"]}}, ["/process/scheduler/flags/0: "]),
    ({"scheduler": {"policy": "SCHED_OTHER", "runtime": 1}}, ["/process/scheduler/runtime: "]),
    ({"scheduler": {"policy": "SCHED_OTHER", "deadline": 1}}, ["/process/scheduler/deadline: "]),
    ({"scheduler": {"policy": "SCHED_OTHER", "period": 1}}, ["/process/scheduler/period: "]),
    ({"scheduler": {"policy": "SCHED_DEADLINE"}}, ["/process/scheduler/"]),
    ({"scheduler": {"policy": "SCHED_DEADLINE", **TIMES, "runtime": 2**40}}, ["/process/scheduler/"]),
    ({"ioPriority": {"class": "IOPRIO_CLASS_NONE", "priority": 1}}, ["/process/ioPriority/class: "]),
    ({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}, ["/process/ioPriority/priority: "]),
    ({"ioPriority": {"priority": 1}}, ["/process/ioPriority"]),
    ({"execCPUAffinity": {"initial": "0-"}}, ["/process/execCPUAffinity/initial: "]),
    ({"execCPUAffinity": {"final": "3-1"}}, ["/process/execCPUAffinity/final: "]),
    ({"execCPUAffinity": {"final": "all"}}, ["/process/execCPUAffinity/final: "]),
    ({"execCPUAffinity": {"initial": "0-4294967296"}}, ["/process/execCPUAffinity/initial: "]),
]


@OLD
@pytest.mark.parametrize(
    ("members", "words"), BAD, ids=lambda value: str(value)[:60] if isinstance(value, dict) else ""
)
def test_bad_value(runtime: Runtime, make_bundle: MakeBundle, members: dict[str, Any], words: list[str]) -> None:
    """execCPUAffinity says nothing about the first process, but is checked with the rest."""
    bundle = make_bundle(with_process(configs.default(), **members))
    bundle.may_change.add("rootfs/dev")
    assert members.keys() < {"scheduler", "ioPriority", "execCPUAffinity"}
    runtime.run("test", bundle).failed("config.json: ", *words)


@OLD
def test_deadline_with_start_hooks(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """sched(7): such a process can't fork, unless its children are of another policy."""
    scheduler: dict[str, Any] = {"policy": "SCHED_DEADLINE", **TIMES}
    config = with_process(configs.default(), scheduler=scheduler)
    config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    runtime.run("test", make_bundle(config)).failed("/process/scheduler/policy: ", "startContainer", RESET)
    scheduler["flags"] = [RESET]
    runtime.run("test", make_bundle(config)).succeeded()


@OLD
def test_deadline_in_a_user_namespace(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Only a process with CAP_SYS_NICE on the host may set it, and clones don't inherit it."""
    scheduler = {"policy": "SCHED_DEADLINE", **TIMES}
    bundle = make_bundle(configs.with_user_namespace(with_process(configs.default(), scheduler=scheduler)))
    runtime.run("test", bundle).failed("/process/scheduler: ", "operation not permitted", "user namespace")


@OLD
def test_realtime_without_the_privilege(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(with_process(configs.default(), scheduler={"policy": "SCHED_FIFO", "priority": 1}))
    bundle.may_change.add("rootfs/dev")
    runtime.wrapper = ("setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice")
    runtime.run("test", bundle).failed("/process/scheduler: ", "operation not permitted", "CAP_SYS_NICE")
    bundle = make_bundle(with_process(configs.default(), ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 0}))
    runtime.run("best-effort", bundle).succeeded()


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's processors, as it did until 1.3.1 (its issue 4041)")
@pytest.mark.skipif(os.cpu_count() == 1, reason="needs a second processor")
def test_processors_are_not_the_callers(
    runtime: Runtime, make_bundle: MakeBundle, attributes_program: str, user_namespace: bool
) -> None:
    config = attributes.default()
    if user_namespace:
        configs.with_user_namespace(config)
    bundle = make_bundle(config)
    attributes.install(attributes_program, bundle)
    runtime.wrapper = ("taskset", "--cpu-list", all_processors()[0])
    assert attributes.parse(runtime.run("test", bundle).succeeded().output)["processors"] == all_processors()


@OLD
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_exec_takes_over_from_the_container(sleeper_with_attributes: StartSleeper, user_namespace: bool) -> None:
    """With a process file too, where it does not say otherwise, as runc since 1.3."""
    config = with_process(
        configs.default(),
        scheduler={"policy": "SCHED_FIFO", "priority": 4, "flags": [RESET]},
        ioPriority={"class": "IOPRIO_CLASS_RT", "priority": 5},
    )
    if user_namespace:
        configs.with_user_namespace(config)
    container = sleeper_with_attributes(config)
    for options in ([], ["--process", process_file(container.bundle.path, f"/{attributes.PATH}")]):
        container.bundle.may_change.add("process.json")
        words = [] if options else [f"/{attributes.PATH}"]
        found = attributes.parse(container.exec(*words, options=options).succeeded().output)
        assert (scheduler_of(found), found["io"]) == ("1 1 0 4", ["1", "5"])


@OLD
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_exec_of_a_process_file(sleeper_with_attributes: StartSleeper, scratch: str, user_namespace: bool) -> None:
    config = configs.default()
    container = sleeper_with_attributes(configs.with_user_namespace(config) if user_namespace else config)
    cases = SCHEDULERS if user_namespace else [*SCHEDULERS, *DEADLINES]
    for scheduler, expected in cases:
        path = process_file(scratch, f"/{attributes.PATH}", scheduler=scheduler)
        found = attributes.parse(container.exec(options=["--process", path]).succeeded().output)
        assert scheduler_of(found) == expected
    for priority, words in IO_PRIORITIES:
        path = process_file(scratch, f"/{attributes.PATH}", ioPriority=priority)
        assert attributes.parse(container.exec(options=["--process", path]).succeeded().output)["io"] == words


@OLD
def test_exec_bad_value(sleeper_with_attributes: StartSleeper, scratch: str) -> None:
    """The place is that of the process file, which is the process object itself."""
    container = sleeper_with_attributes(configs.default())
    for members, words in BAD:
        path = process_file(scratch, "/bin/true", **members)
        pointers = [word.removeprefix("/process") for word in words]
        line = container.exec(options=["--process", path]).failed(*pointers, status=255)
        assert f"{path}: /{next(iter(members))}" in line


@OLD
@pytest.mark.skipif(os.cpu_count() == 1, reason="needs a second processor")
@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        ({"initial": "{0}", "final": "{1}"}, ["{1}"]),
        ({"final": "{0}"}, ["{0}"]),
        ({"final": " {0} , {1},, "}, ["{0}", "{1}"]),
        ({"final": "{0},1024-8191"}, ["{0}"]),
        ({"initial": "{0}"}, None),
        ({"initial": "{0}", "final": ""}, None),
        ({"initial": "", "final": ""}, None),
        ({}, None),
    ],
    ids=str,
)
def test_exec_affinity(
    sleeper_with_attributes: StartSleeper, scratch: str, affinity: dict[str, str], expected: list[str] | None
) -> None:
    """Without a final one all processors of the container's cgroup."""
    processors = all_processors()
    given = {name: value.format(*processors) for name, value in affinity.items()}
    container = sleeper_with_attributes(configs.default())
    path = process_file(scratch, f"/{attributes.PATH}", execCPUAffinity=given)
    container.runtime.wrapper = ("taskset", "--cpu-list", processors[-1])
    found = attributes.parse(container.exec(options=["--process", path]).succeeded().output)["processors"]
    assert found == (processors if expected is None else [each.format(*processors) for each in expected])


@OLD
@pytest.mark.skipif(os.cpu_count() == 1, reason="needs a second processor")
def test_exec_affinity_of_the_container(sleeper_with_attributes: StartSleeper) -> None:
    """Its config has it for processes that exec adds; the container's own first process has all processors."""
    first, second = all_processors()[:2]
    affinity = {"initial": first, "final": second}
    container = sleeper_with_attributes(with_process(configs.default(), execCPUAffinity=affinity))
    assert attributes.parse(container.exec(f"/{attributes.PATH}").succeeded().output)["processors"] == [second]
    assert [str(each) for each in sorted(os.sched_getaffinity(container.pid))] == all_processors()


@OLD
@pytest.mark.parametrize("name", ["initial", "final"])
def test_exec_on_a_processor_that_is_not_there(sleeper_with_attributes: StartSleeper, scratch: str, name: str) -> None:
    container = sleeper_with_attributes(configs.default())
    path = process_file(scratch, "/bin/true", execCPUAffinity={name: "8191"})
    container.exec(options=["--process", path]).failed(
        f"{path}: /execCPUAffinity/{name}: ", "invalid argument; none of these processors is there", status=255
    )
