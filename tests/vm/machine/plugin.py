# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: with `--in-machine` tests run in virtual machines, and are reported as if they ran here."""

from __future__ import annotations

import os
import sys

import pytest

from vm.machine.boots import BOOTS, Boot

DEFAULT = "plain"
# Environment variables that mean the same in the machine.
KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "PYRUN", "TERM")
# A wait takes so many times longer in there, see tests/support/waiting.py.
PATIENCE = 10
TEST_SECONDS = 400
SILENCE_SECONDS = 500.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options."""
    group = parser.getgroup("virtual machine")
    group.addoption("--in-machine", action="store_true", help="run the tests in virtual machines")
    group.addoption(
        "--machines",
        type=int,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="virtual machines at a time (as many as there are processors)",
    )
    group.addoption(
        "--machine-silence",
        type=float,
        default=SILENCE_SECONDS,
        metavar="SECONDS",
        help=f"give a virtual machine up that reports nothing for so long ({SILENCE_SECONDS:g})",
    )
    group.addoption("--machine-port", help="used inside a virtual machine")


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker; in a machine, takes the host's orders."""
    config.addinivalue_line("markers", f"machine(kind): the virtual machine to run in, instead of {DEFAULT!r}")
    port = config.getoption("machine_port")
    if port:
        from vm.machine.agent import Agent

        config.pluginmanager.register(Agent(config, port))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Runs the collected tests in machines."""
    if not session.config.getoption("in_machine") or session.config.option.collectonly:
        return None
    if session.testsfailed:
        raise session.Interrupted(f"{session.testsfailed} errors during collection")
    from vm.machine.dispatch import Dispatcher, Kind
    from vm.machine.qemu import Machine

    tests: dict[str, list[pytest.Item]] = {}
    for item in session.items:
        tests.setdefault(kind_of(item), []).append(item)
    unknown = tests.keys() - BOOTS.keys()
    if unknown:
        raise pytest.UsageError(f"no such virtual machine: {', '.join(sorted(unknown))} (there are {', '.join(BOOTS)})")

    def start(boot: Boot, paths: list[str]) -> Machine:
        return Machine(boot, _command(session.config, paths), _environment(boot), str(session.config.rootpath))

    option = session.config.option
    kinds = [Kind(BOOTS[name], items) for name, items in tests.items()]
    try:
        Dispatcher(session, kinds, start, option.machines, option.machine_silence).run()
    except RuntimeError as error:
        raise pytest.UsageError(str(error)) from error
    return True


def kind_of(item: pytest.Item) -> str:
    """Returns the kind of machine that the test asks for."""
    marker = item.get_closest_marker("machine")
    return str(marker.args[0]) if marker else DEFAULT


def _command(config: pytest.Config, paths: list[str]) -> list[str]:
    verbosity = ["-" + "v" * config.option.verbose] if config.option.verbose > 0 else []
    options = ["--no-summary", "--color=no", f"--tb={config.option.tbstyle}", f"--timeout={TEST_SECONDS}", *verbosity]
    return [sys.executable, "-m", "pytest", *options, "--machine-port=/dev/vport0p1", *paths]


def _environment(boot: Boot) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {"PYRUN_MACHINE": "systemd" if boot.systemd else "plain", "PYRUN_PATIENCE": str(PATIENCE), **kept}
