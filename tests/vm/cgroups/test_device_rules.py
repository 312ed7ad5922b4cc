# SPDX-License-Identifier: Apache-2.0
"""Device rules: what the kernel lets be opened and made is what the rules say (support.device_rules).

A device that may be opened need not be there: the kernel asks the filter first, and only then looks for a driver.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrun_cgroups.bpf import attach_device_filter
from pyrun_cgroups.devices import device_filter
from support.configs import Config
from support.device_rules import DENY_ALL, Rule, granted, rule_lists
from support.managed import MakeManaged, ManagedRuntime, limited
from support.world import CGROUPS
from vm.conftest import Disk

Device = tuple[str, int, int]
Request = tuple[str, int, int, str]

ALLOW_ALL: Rule = {"allow": True, "access": "rwm"}
# What each container may: make nodes, and use those devices of the default ones that are tried here.
MAKING: list[Rule] = [{"allow": True, "type": "c", "access": "m"}, {"allow": True, "type": "b", "access": "m"}]
USING: list[Rule] = [{"allow": True, "type": "c", "major": 1, "minor": minor, "access": "rwm"} for minor in (3, 5)]

DEVICES: list[Device] = [
    *(("c", 10, minor) for minor in (61, 62, 63)),
    *(("b", 7, minor) for minor in (1, 2, 3)),
    *(("c", 1, minor) for minor in (3, 5, 20)),
]
LISTS: dict[str, list[Rule]] = {
    "denied at first": [
        DENY_ALL,
        {"allow": True, "type": "c", "major": 10, "access": "r"},
        {"allow": True, "type": "c", "major": 10, "minor": 61, "access": "rw"},
        {"allow": True, "type": "c", "major": 10, "minor": 62, "access": "w"},
        {"allow": True, "type": "b", "major": 7, "minor": 1, "access": "rw"},
        {"allow": False, "type": "b", "major": 7, "minor": 1, "access": "w"},
        {"allow": True, "type": "b", "major": 7, "minor": 2, "access": "rwm"},
        {"allow": True, "type": "b", "major": 7, "minor": 3, "access": "rw"},
        {"allow": False, "type": "b", "major": 7, "minor": 3, "access": "rw"},
        {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    ],
    "allowed at first": [
        ALLOW_ALL,
        {"allow": False, "type": "b", "major": 7, "access": "w"},
        {"allow": False, "type": "c", "major": 10, "minor": 61, "access": "rw"},
        {"allow": False, "type": "c", "major": 10, "minor": 62, "access": "w"},
        {"allow": False, "type": "b", "major": 7, "minor": 1, "access": "rwm"},
        {"allow": True, "type": "b", "major": 7, "minor": 1, "access": "r"},
        {"allow": False, "type": "b", "major": 7, "minor": 2, "access": "m"},
        {"allow": False, "type": "c", "major": 1, "minor": 20, "access": "rwm"},
    ],
}
RANDOM_DEVICES: list[Device] = [(kind, major, minor) for kind in "bc" for major in (60, 61) for minor in (1, 2)]


@pytest.fixture(autouse=True)
def _without_modules(_virtual_machine: None) -> Iterator[None]:
    """Keeps the kernel from looking for modules of devices that nobody has."""
    path = "/proc/sys/kernel/modprobe"
    with open(path, encoding="ascii") as file:
        program = file.read()
    for text in ("\n", program):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        if text != program:
            yield


def make_nodes(directory: str, devices: Sequence[Device]) -> None:
    os.mkdir(directory)
    for kind, major, minor in devices:
        mode = 0o600 | (0o020000 if kind == "c" else 0o060000)
        os.mknod(f"{directory}/{kind}-{major}-{minor}", mode, os.makedev(major, minor))


def requests(devices: Sequence[Device], accesses: Sequence[str] = ("m", "r", "w", "rw")) -> list[Request]:
    return [(*device, access) for device in devices for access in accesses]


def lines(asked: Sequence[Request]) -> str:
    return "".join(f"{kind} {major} {minor} {access}\n" for kind, major, minor, access in asked)


def verdicts(asked: Sequence[Request], answers: Sequence[str]) -> dict[Request, bool]:
    """Returns which requests the kernel has granted, whatever came of them then."""
    refused = f"error {errno.EPERM:d}"
    return {request: answer != refused for request, answer in zip(asked, answers, strict=True)}


def device_config(rules: list[Rule]) -> Config:
    config = limited({"devices": rules}, "load devices:/nodes </nodes/requests; echo end")
    config["root"]["readonly"] = False
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]
    return config


@pytest.mark.parametrize("name", LISTS)
def test_rules_of_a_container(make_managed: MakeManaged, runtime: ManagedRuntime, disk: Disk, name: str) -> None:
    rules = LISTS[name]
    expected_rules = [*rules, *USING] if rules[0] is ALLOW_ALL else [*rules, *MAKING, *USING]
    # runc 1.1.5 wants all permissions of a request from one rule, also where a rule denies only one of them.
    asked = requests(DEVICES, ("m", "r", "w", "rw") if runtime.name == "pyrun" else ("m", "r", "w"))
    container = make_managed(device_config(rules))
    make_nodes(os.path.join(container.bundle.rootfs, "nodes"), DEVICES)
    container.bundle.write("nodes/requests", lines(asked))
    answers = container.started().wait_for_words("end").splitlines()[:-1]
    assert verdicts(asked, answers) == {request: granted(expected_rules, *request) for request in asked}


@pytest.fixture
def filtered(scratch: str, load: str) -> Iterator[Callable[[list[Rule]], dict[Request, bool]]]:
    """A function that attaches the program of rules to a cgroup, and returns what a process in there may."""
    cgroup = f"{CGROUPS}/filtered"
    asked = requests(RANDOM_DEVICES)
    directory = os.path.join(scratch, "nodes")
    make_nodes(directory, RANDOM_DEVICES)
    os.mkdir(cgroup)
    words = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup, load, f"devices:{directory}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        typed, said = process.stdin, process.stdout

        def attach_and_ask(rules: list[Rule]) -> dict[Request, bool]:
            attach_device_filter(cgroup, device_filter(rules))
            typed.write(lines(asked))
            typed.flush()
            return verdicts(asked, [said.readline().rstrip() for _ in asked])

        yield attach_and_ask
        typed.close()
    os.rmdir(cgroup)


def test_random_rules(filtered: Callable[[list[Rule]], dict[Request, bool]]) -> None:
    """Each list replaces the one before in the same cgroup, as `update` does."""

    @settings(derandomize=True, max_examples=30, deadline=None, database=None)
    @given(rule_lists(st.sampled_from([1, 2, 60, 61])))
    def check(rules: list[Rule]) -> None:
        assert filtered(rules) == {request: granted(rules, *request) for request in requests(RANDOM_DEVICES)}

    check()
