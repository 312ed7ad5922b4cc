# SPDX-License-Identifier: Apache-2.0
"""The rules about properties that few configurations have."""

from __future__ import annotations

import pytest

from pyrun_spec.rare_rules import RARE_RULES, numbers_of_list
from pyrun_spec.rules import RARE_IN_LINUX, RARE_IN_PROCESS, RULES, rules_for
from unit.spec.config_samples import Config, full_config, minimal_config
from unit.spec.small_configs import Findings, broken, linux, needs, process

NO_CLASS = 'is not the name of a class of service (nor "/", the default class)'


def deadline(**properties: int) -> Config:
    """Returns a configuration with a process under SCHED_DEADLINE."""
    return process(scheduler={"policy": "SCHED_DEADLINE", **properties})


def policy(mode: str, *flags: str, nodes: str | None = None) -> Config:
    """Returns a configuration with a memory policy."""
    listed = {} if nodes is None else {"nodes": nodes}
    return linux(memoryPolicy={"mode": mode, "flags": [f"MPOL_F_{flag}" for flag in flags], **listed})


@pytest.mark.parametrize(
    ("config", "findings"),
    [
        # scheduler
        (process(scheduler={"policy": "SCHED_OTHER", "nice": -20}), []),
        (
            process(scheduler={"policy": "SCHED_BATCH", "nice": 20}),
            [("/process/scheduler/nice", "20 is not from -20 to 19")],
        ),
        (process(scheduler={"policy": "SCHED_FIFO", "priority": 99}), []),
        (
            process(scheduler={"policy": "SCHED_RR"}),
            [("/process/scheduler/priority", "SCHED_RR needs a priority from 1 to 99, not 0")],
        ),
        (
            process(scheduler={"policy": "SCHED_OTHER", "priority": 1, "runtime": 0}),
            [
                (
                    "/process/scheduler/priority",
                    "SCHED_OTHER has no priority: only SCHED_FIFO and SCHED_RR have",
                )
            ],
        ),
        (
            process(scheduler={"policy": "SCHED_IDLE", "period": 3}),
            [("/process/scheduler/period", "SCHED_IDLE has no period: only SCHED_DEADLINE has")],
        ),
        (deadline(runtime=1024, deadline=1024), []),
        (deadline(runtime=1024, deadline=2048, period=2048), []),
        (
            deadline(runtime=1023, deadline=2048),
            [("/process/scheduler/runtime", "SCHED_DEADLINE needs a runtime of at least 1024 nanoseconds")],
        ),
        (
            deadline(runtime=2000),
            [("/process/scheduler/deadline", "SCHED_DEADLINE needs one that is not below the runtime, 2000")],
        ),
        (
            deadline(runtime=2000, deadline=3000, period=2500),
            [("/process/scheduler/period", "2500 is below the deadline, 3000")],
        ),
        (
            deadline(runtime=2000, deadline=3000, period=2**63),
            [("/process/scheduler/period", f"{2**63} is more than {2**63 - 1} nanoseconds")],
        ),
        # processors of exec
        (process(execCPUAffinity={"initial": "0-3,7", "final": ""}), []),
        (
            process(execCPUAffinity={"initial": "3-1", "final": "1--2"}),
            [
                (
                    f"/process/execCPUAffinity/{name}",
                    f'"{text}" is not a list of numbers up to 8191 (such as "0-3,7")',
                )
                for name, text in (("initial", "3-1"), ("final", "1--2"))
            ],
        ),
        # clocks
        (linux("time", timeOffsets={"boottime": {"secs": 1}}), []),
        (linux(timeOffsets={}), []),
        (linux(timeOffsets={"boottime": {"secs": 1}}), [("/linux/timeOffsets", needs("time"))]),
        (
            linux({"type": "time", "path": "/run/timens"}, timeOffsets={"boottime": {"secs": 1}}),
            [
                (
                    "/linux/timeOffsets",
                    "the clocks of a time namespace that is joined can't be set (remove them)",
                )
            ],
        ),
        (
            linux("time", timeOffsets={"monotonic": {"secs": 9223372036}, "boottime": {"secs": -9223372037}}),
            [("/linux/timeOffsets/boottime/secs", "-9223372037 is not from -9223372036 to 9223372036")],
        ),
        (
            linux("time", timeOffsets={"realtime": {"secs": 1}}),
            [("/linux/timeOffsets/realtime", "is no clock of a time namespace: these are monotonic and boottime")],
        ),
        # network devices
        (linux("network", netDevices={"eth0": {}, "a" * 15: {"name": "inner%d"}}), []),
        (linux(netDevices={}), []),
        (linux(netDevices={"eth0": {}}), [("/linux/netDevices", needs("network"))]),
        (
            linux("network", netDevices={"": {}, "a/b": {"name": "a b"}, "..": {"name": "x" * 16}, "a": {}}),
            [
                ("/linux/netDevices/", '"" is not the name of a network device'),
                ("/linux/netDevices/a~1b", '"a/b" is not the name of a network device'),
                ("/linux/netDevices/a~1b/name", '"a b" is not the name of a network device'),
                ("/linux/netDevices/..", '".." is not the name of a network device'),
                ("/linux/netDevices/../name", '"xxxxxxxxxxxxxxxx" is not the name of a network device'),
            ],
        ),
        (linux("network", netDevices={"a": {"name": "eth%d"}, "b": {"name": "eth%d"}, "lo1": {"name": "c"}}), []),
        (linux("network", netDevices={"a": {"name": "b"}, "b": {"name": "a"}}), []),
        (
            linux("network", netDevices={"a": {"name": "%s"}, "b": {"name": "%d%d"}, "c": {"name": "5%"}}),
            [
                ("/linux/netDevices/a/name", '"%s" is not the name of a network device'),
                ("/linux/netDevices/b/name", '"%d%d" is not the name of a network device'),
                ("/linux/netDevices/c/name", '"5%" is not the name of a network device'),
            ],
        ),
        (
            linux("network", netDevices={"a": {}, "b": {"name": "a"}, "lo": {}}),
            [
                (
                    "/linux/netDevices/b/name",
                    '"a" is the name of /linux/netDevices/a in the container (choose another one)',
                ),
                (
                    "/linux/netDevices/lo",
                    '"lo" is the name of the loopback device in the container (choose another one)',
                ),
            ],
        ),
        # memory policy
        (policy("MPOL_DEFAULT"), []),
        (policy("MPOL_DEFAULT", "STATIC_NODES", nodes=""), []),
        (policy("MPOL_PREFERRED", nodes=""), []),
        (policy("MPOL_PREFERRED", "RELATIVE_NODES", nodes="1"), []),
        (policy("MPOL_BIND", "NUMA_BALANCING", "STATIC_NODES", nodes="0-1,3"), []),
        (policy("MPOL_LOCAL", nodes="0"), [("/linux/memoryPolicy/nodes", "MPOL_LOCAL has no nodes (remove them)")]),
        (policy("MPOL_BIND"), [("/linux/memoryPolicy/nodes", 'MPOL_BIND needs nodes (such as "0")')]),
        (
            policy("MPOL_INTERLEAVE", nodes="all"),
            [("/linux/memoryPolicy/nodes", '"all" is not a list of numbers up to 8191 (such as "0-3,7")')],
        ),
        (
            policy("MPOL_INTERLEAVE", "RELATIVE_NODES", "STATIC_NODES", "NUMA_BALANCING", nodes="0"),
            [
                (
                    "/linux/memoryPolicy/flags/0",
                    "MPOL_F_RELATIVE_NODES contradicts MPOL_F_STATIC_NODES (remove one)",
                ),
                (
                    "/linux/memoryPolicy/flags/2",
                    "MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY, not for MPOL_INTERLEAVE"
                    " (remove it)",
                ),
            ],
        ),
        (
            policy("MPOL_PREFERRED", "STATIC_NODES"),
            [
                (
                    "/linux/memoryPolicy/flags/0",
                    "MPOL_F_STATIC_NODES is about nodes, and MPOL_PREFERRED has none here (remove it)",
                )
            ],
        ),
        # class of service
        (linux(intelRdt={"closID": "/", "schemata": ["L3:0=f", "MB:0=10"]}), []),
        (
            linux(intelRdt={"closID": "info", "schemata": ["L3:0=f\nMB:0=10"]}),
            [
                ("/linux/intelRdt/closID", f'"info" {NO_CLASS}'),
                ("/linux/intelRdt/schemata/0", '"L3:0=f\\nMB:0=10" is more than one line (split it)'),
            ],
        ),
        (linux(intelRdt={"closID": ""}), []),
        (linux(intelRdt={"closID": "a"}), []),
        (
            linux(intelRdt={"closID": ".."}),
            [("/linux/intelRdt/closID", f'".." {NO_CLASS}')],
        ),
        (
            linux(intelRdt={"closID": "a/b"}),
            [("/linux/intelRdt/closID", f'"a/b" {NO_CLASS}')],
        ),
    ],
)
def test_rare_rules(config: Config, findings: Findings) -> None:
    assert broken(config) == findings


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        ("0", [0]),
        ("0-3,7", [0, 1, 2, 3, 7]),
        (" 2 - 3 , 1,,3", [1, 2, 3]),
        ("8190-8191", [8190, 8191]),
    ],
)
def test_lists_of_processors(text: str, numbers: list[int]) -> None:
    assert numbers_of_list(text) == numbers


@pytest.mark.parametrize("text", ["-1", "1-", "2-1", "1-2-3", "x", "0x1", "8192", "9" * 5000, "\u0661", "1 2", "0-all"])
def test_what_is_no_list_of_processors(text: str) -> None:
    with pytest.raises(ValueError):
        numbers_of_list(text)


def test_rare_rules_are_loaded_for_their_properties_only() -> None:
    assert rules_for(minimal_config()) is RULES
    assert rules_for(full_config()) == RULES + RARE_RULES


def test_rare_rules_read_nothing_else_than_is_listed() -> None:
    read = {place for _, places in RARE_RULES for place in places} - {"/linux/namespaces"}
    assert read == {f"/process/{name}" for name in RARE_IN_PROCESS} | {f"/linux/{name}" for name in RARE_IN_LINUX}
