# SPDX-License-Identifier: Apache-2.0
"""pause and resume, and what the other verbs do with a paused container."""

from __future__ import annotations

import os

import pytest

from support import configs
from support.execs import cgroup_of
from support.runtime import Container, MakeContainer
from support.waiting import wait_for_exit, wait_until
from support.world import CGROUPS

# Writes a dot and a newline as often as it can.
BUSY = "while :; do echo .; sleep 0.01; done"


def pause(container: Container) -> None:
    container.runtime.call("pause", container.id).succeeded()


def resume(container: Container) -> None:
    container.runtime.call("resume", container.id).succeeded()


def is_frozen(container: Container) -> bool:
    """Tells whether the kernel says that all of a container's processes stand still."""
    with open(os.path.join(cgroup_of(container), "cgroup.events"), encoding="ascii") as file:
        return "frozen 1" in file.read()


@pytest.fixture
def busy(make_container: MakeContainer) -> Container:
    """A running container that writes without end, in two processes."""
    container = make_container(configs.shell(f"({BUSY}) & {BUSY}")).started()
    container.wait_for_output(".\n.")
    return container


def test_processes_stand_still_until_they_are_resumed(busy: Container) -> None:
    pause(busy)
    assert is_frozen(busy)
    assert busy.status == "paused"
    before = busy.output
    # Any process that still ran would have written many times while another is started and ends.
    busy.runtime.call("list").succeeded()
    assert busy.output == before
    resume(busy)
    assert not is_frozen(busy)
    assert busy.status == "running"
    wait_until(lambda: len(busy.output) > len(before), "the container goes on")


def test_cgroups_below_are_paused_too(busy: Container) -> None:
    below = os.path.join(cgroup_of(busy), "below")
    os.mkdir(below)
    call = busy.start_exec("sh", "-c", "echo ready; exec sleep 1000", options=["--cgroup", "below"])
    call.wait_for_output("ready")
    pause(busy)
    with open(os.path.join(below, "cgroup.events"), encoding="ascii") as file:
        assert file.read() == "populated 1\nfrozen 1\n"
    resume(busy)
    busy.delete("--force").succeeded()
    call.wait()


def test_created_container(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("echo started")).created()
    pause(container)
    assert container.status == "paused"
    container.start().failed("cannot start a container in the paused state")
    container.delete().failed("that is not stopped: paused")
    assert is_frozen(container)
    resume(container)
    assert container.status == "created"
    assert "started" not in container.output
    container.start().succeeded()
    container.wait_for_end()
    assert container.output == "started\n"


@pytest.mark.pyrun_only("runc 1.1.5 does not wait")
def test_start_of_a_container_that_is_resumed_in_time(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("echo started")).created()
    pause(container)
    call = container.runtime.start("start", container.id)
    resume(container)
    call.wait().succeeded()
    container.wait_for_end()
    assert container.output == "started\n"


def test_wrong_state(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    call = container.runtime.call
    call("resume", container.id).failed("container not paused")
    pause(container)
    call("pause", container.id).failed("container not running")
    assert is_frozen(container)
    resume(container)
    call("resume", container.id).failed("container not paused")
    container.stop()
    call("pause", container.id).failed("container not running")
    call("resume", container.id).failed("container not paused")
    for verb in ("pause", "resume"):
        call(verb, "missing").failed("container does not exist")


def test_signals_wait(make_container: MakeContainer) -> None:
    script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
    container = make_container(configs.shell(script)).started()
    container.wait_for_output("ready")
    pause(container)
    container.kill("TERM").succeeded()
    # runc 1.1.5 lets go of those that it sends a signal to.
    if container.runtime.name == "pyrun":
        container.kill("--all", "TERM").succeeded()
    assert container.status == "paused"
    assert container.output == "ready\n"
    resume(container)
    container.wait_for_end()
    assert container.output == "ready\ncaught\n"


@pytest.mark.parametrize("options", [[], ["--all"]], ids=["init", "all"])
def test_sigkill_does_not_wait(busy: Container, options: list[str]) -> None:
    pid = busy.pid
    pause(busy)
    busy.runtime.call("kill", *options, busy.id, "KILL").succeeded()
    wait_for_exit(pid)
    assert busy.status == "stopped"
    busy.delete().succeeded()


def test_forced_delete(busy: Container) -> None:
    pause(busy)
    busy.delete().failed("cannot delete container", "not stopped: paused")
    busy.delete("--force").succeeded()
    assert not os.path.exists(cgroup_of(busy))


def test_exec(busy: Container) -> None:
    pause(busy)
    words = "cannot exec in a paused container (use --ignore-paused to override)"
    busy.exec("true").failed(words, status=255)
    assert is_frozen(busy)
    call = busy.start_exec("echo", "inside", options=["--ignore-paused"])
    resume(busy)
    assert call.wait().succeeded().output == "inside\n"


def test_ps_and_list(busy: Container) -> None:
    pause(busy)
    assert str(busy.pid) in busy.runtime.call("ps", "-f", "json", busy.id).succeeded().output
    assert "paused" in busy.runtime.call("list").succeeded().output


@pytest.mark.pyrun_only("the state is pyrun's")
def test_without_a_cgroup(make_container: MakeContainer) -> None:
    """Such as an ordinary user's, whose state is the same but for that."""
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    path = os.path.join(str(container.runtime.root), container.id, "state.json")
    with open(path, encoding="utf-8") as file:
        before = file.read()
    assert (text := before.replace(f'"{cgroup_of(container)}"', "null")) != before
    for content, words in ((text, "without a cgroup of its own"), (before, "")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        result = container.runtime.call("pause", container.id)
        if words:
            result.failed("cannot pause", words, "delegated")
            container.runtime.call("resume", container.id).failed("container not paused")
            assert not is_frozen(container)
    assert is_frozen(container)


@pytest.mark.pyrun_only("runc 1.1.5 does not see that it is frozen")
def test_frozen_from_above(make_container: MakeContainer) -> None:
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = "/above/own"
    container = make_container(config).started()
    freezer = os.path.join(CGROUPS, "above/cgroup.freeze")
    for value in ("1", "0"):
        with open(freezer, "w", encoding="ascii") as file:
            file.write(value)
        if value == "1":
            wait_until(lambda: container.status == "paused", "the container is frozen")
            container.runtime.call("resume", container.id).failed(f"{CGROUPS}/above", "is frozen", "thaw that first")
    wait_until(lambda: container.status == "running", "the container is thawed")
