# SPDX-License-Identifier: Apache-2.0
"""pytest --in-machine, from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support.waiting import wait_until

SAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples.py")
SECONDS = 300


def command(*names: str) -> list[str]:
    tests = [f"{SAMPLES}::test_{name}" for name in names]
    return [sys.executable, "-m", "pytest", "--in-machine", "--machines=1", *tests]


def run(junit: Path, *names: str) -> tuple[subprocess.CompletedProcess[str], dict[str, list[str]]]:
    """Runs samples; returns how pytest ended, and the elements of each test in the document for JUnit."""
    ended = subprocess.run([*command(*names), f"--junitxml={junit}"], capture_output=True, text=True, check=False)
    cases = ElementTree.parse(junit).getroot().iter("testcase")
    return ended, {case.attrib["name"].removeprefix("test_"): [each.tag for each in case] for case in cases}


@pytest.mark.timeout(SECONDS)
def test_reports_are_as_if_the_tests_ran_here(tmp_path: Path) -> None:
    ended, found = run(tmp_path / "junit.xml", "passes", "fails", "skips", "fails_in_the_end")
    assert found == {"passes": [], "fails": ["failure"], "skips": ["skipped"], "fails_in_the_end": ["error"]}
    assert ended.returncode == 1
    for words in ("AssertionError: assert 'what it found' == 'what it expected'", "what it printed", "in the end"):
        assert words in ended.stdout
    assert "1 failed, 2 passed, 1 skipped, 1 error" in ended.stdout


@pytest.mark.timeout(SECONDS)
def test_panic(tmp_path: Path) -> None:
    """It is an error of the test that ran, with the console; others run in another machine."""
    ended, found = run(tmp_path / "junit.xml", "panics", "passes")
    assert found == {"panics": ["error"], "passes": []}
    assert "Kernel panic - not syncing: sysrq triggered crash" in ended.stdout and ended.returncode == 1


def test_kind_of_machine_that_there_is_not() -> None:
    ended = subprocess.run(command("unheard_of"), capture_output=True, text=True, check=False)
    assert ended.returncode == 4
    assert "no such virtual machine: unheard-of (there are plain, systemd, processors, selinux)" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=str)
def test_machine_ends_with_pytest(number: int) -> None:
    with subprocess.Popen(command("sleeps"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tests:
        try:
            machine = wait_until(lambda: _qemu_of(tests.pid), "the machine has been started", 30)
            tests.send_signal(number)
            assert tests.wait(30) == (2 if number == signal.SIGINT else -number)
            wait_until(lambda: not os.path.exists(f"/proc/{machine}"), "the machine has ended")
        finally:
            tests.kill()


def _qemu_of(pid: int) -> int:
    """Returns the pid of the child that is QEMU, 0 while there is none."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = file.read().split()
    for child in children:
        with open(f"/proc/{child}/comm", encoding="ascii") as file:
            if file.read().startswith("qemu"):
                return int(child)
    return 0
