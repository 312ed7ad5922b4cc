# SPDX-License-Identifier: Apache-2.0
"""Seccomp agents that are not there, hang up, are slow or die, and where they listen."""

from __future__ import annotations

import os
import socket
import time

import pytest

from support import configs, execs, process, strace
from support.bundle import Bundle
from support.notifying import LISTENER, MADE, MakeAgent, both_ways, making, notifying, waiting
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.seccomp_agent import CONTINUE, Agent, Answer, Notification
from support.waiting import wait_until


def remains_of(container: Container) -> list[str]:
    return [name for name in os.listdir(str(container.runtime.root)) if not name.startswith("@")]


def not_there(scratch: str) -> dict[str, str]:
    """Returns paths at which no agent listens, by the words that say why."""
    paths = {
        words: os.path.join(scratch, f"place{index}") for index, words in enumerate(["no such file", "not a socket"])
    }
    with open(paths["not a socket"], "w", encoding="ascii"):
        pass
    return paths


@both_ways
@pytest.mark.parametrize("words", ["no such file", "not a socket"])
@pytest.mark.parametrize("verb", ["create", "run"])
def test_no_agent(make_container: MakeContainer, scratch: str, early: bool, words: str, verb: str) -> None:
    path = not_there(scratch)[words]
    container = make_container(waiting(path, early=early))
    container.bundle.seal()
    result = container.runtime.call(verb, "--bundle", container.bundle.path, container.id)
    line = result.failed() if container.runtime.name == "runc" else result.failed(LISTENER, path, words)
    assert path in line
    assert remains_of(container) == []


def deserted(scratch: str) -> str:
    """Returns the path of a socket whose agent is gone."""
    agent = Agent(os.path.join(scratch, "gone"))
    os.rename(agent.path, agent.path + "-by")
    with open(agent.path, "w", encoding="ascii"):
        pass
    agent.close()
    os.rename(agent.path + "-by", agent.path)
    return agent.path


@pytest.mark.pyrun_only("runc sends the listener when the container is created")
def test_agent_is_gone_on_start(make_container: MakeContainer, make_agent: MakeAgent, scratch: str) -> None:
    """The container can be started when the agent is back."""
    path = deserted(scratch)
    container = make_container(waiting(path)).created()
    container.start().failed(LISTENER, path, "nobody listens")
    assert container.status == "created"
    os.unlink(path)
    container.start().failed(LISTENER, path, "no such file")
    make_agent(path=path)
    container.start().succeeded()
    container.wait_for_output("made")
    container.stop()


@pytest.mark.parametrize("verb", ["create", "run"])
def test_agent_is_gone_on_create(make_container: MakeContainer, make_agent: MakeAgent, scratch: str, verb: str) -> None:
    path = deserted(scratch)
    container = make_container(waiting(path, early=True))
    container.bundle.seal()
    result = container.runtime.call(verb, "--bundle", container.bundle.path, container.id)
    assert path in result.failed()
    assert remains_of(container) == []


def test_agent_is_gone_on_exec(make_container: MakeContainer, scratch: str) -> None:
    agent = Agent(os.path.join(scratch, "agent"))
    container = make_container(waiting(agent.path)).started()
    container.wait_for_output("made")
    agent.close()
    line = container.exec("/bin/true").failed(status=255)
    assert agent.path in line
    assert container.status == "running"
    execs.wait_until_alone(container)
    container.stop()


def test_datagram_socket(make_container: MakeContainer, scratch: str) -> None:
    path = os.path.join(scratch, "datagrams")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(path)
        container = make_container(waiting(path, early=True))
        assert path in container.create().failed()
    os.unlink(path)


@pytest.mark.parametrize(("verb", "early"), [("start", False), ("create", True), ("exec", False)])
@pytest.mark.pyrun_only("aims at what pyrun calls")
def test_agent_hangs_up_at_once(
    runtime: Runtime, case: str, make_container: MakeContainer, make_agent: MakeAgent, verb: str, early: bool
) -> None:
    """What is filtered already does not become the program."""
    agent = make_agent(hangs_up=verb != "exec")
    container = make_container(waiting(agent.path, early=early))
    container.bundle.seal()
    words = [verb, container.id]
    if verb == "create":
        words[1:1] = ["--bundle", container.bundle.path]
    else:
        container.created()
    if verb == "exec":
        words.append("/bin/true")
        agent.hangs_up = True
    slow = strace.traced(runtime, case, strace.delay("sendmsg", "enter", 0.3), follow=verb != "start")
    result = slow.call(*words)
    assert result.status == (255 if verb == "exec" else 1)
    (line,) = (each for each in result.errors.splitlines() if not each.startswith("strace:"))
    assert LISTENER in line and "broken pipe" in line
    if verb == "start":
        assert container.output == ""
    if verb == "create":
        assert remains_of(container) == []
        return
    if verb == "start":
        wait_until(lambda: container.status == "stopped", "the init ends")
    container.delete().succeeded()


@pytest.mark.pyrun_only("runc has several threads anyway")
def test_no_room_for_a_second_thread(make_container: MakeContainer, agent: Agent) -> None:
    """It hands the listener over; without it nothing is filtered, and nothing executed."""
    config = waiting(agent.path)
    config["process"]["user"] = {"uid": 4242, "gid": 4242}
    config["process"]["rlimits"] = [{"type": "RLIMIT_NPROC", "soft": 1, "hard": 1}]
    container = make_container(config).created()
    container.start().failed("/linux/seccomp", "RLIMIT_NPROC")
    assert container.status == "stopped" and agent.deliveries == []
    container.delete().succeeded()


def test_agent_that_never_accepts(make_container: MakeContainer, make_agent: MakeAgent) -> None:
    """Its queue has the listener; the call waits, and can be killed."""
    agent = make_agent(deaf=True)
    container = make_container(waiting(agent.path)).started()
    pid = container.pid
    wait_until(lambda: process.status(pid)["Seccomp"] == "2", "the filter is loaded")
    assert container.status == "running" and container.output == ""
    container.stop()


def test_agent_that_takes_its_time(make_container: MakeContainer, make_agent: MakeAgent) -> None:
    asked: list[float] = []

    def answer(_: Notification) -> Answer:
        asked.append(time.monotonic())
        time.sleep(0.3)
        return CONTINUE

    agent = make_agent(answer)
    container = make_container(waiting(agent.path)).started()
    container.wait_for_output("made")
    assert time.monotonic() - asked[0] >= 0.3
    container.stop()


@both_ways
def test_agent_that_dies(make_container: MakeContainer, scratch: str, early: bool) -> None:
    """Nobody can decide then: the calls fail, the container stays."""
    agent = Agent(os.path.join(scratch, "agent"))
    script = "read x; mkdir /dev/shm/made 2>&1; echo status $?; exec sleep 1000"
    read, write = os.pipe()
    config = notifying(configs.shell(script), agent.path, early=early)
    with os.fdopen(read, "rb") as stdin:
        container = make_container(config).started(stdin=stdin)
    agent.wait_for_deliveries(1)
    agent.close()
    os.write(write, b"\n")
    os.close(write)
    container.wait_for_output("status 1")
    assert "Function not implemented" in container.output
    container.stop()


def test_kill_and_delete_while_the_agent_decides(make_container: MakeContainer, make_agent: MakeAgent) -> None:
    decided: list[bool] = []

    def answer(_: Notification) -> Answer:
        wait_until(lambda: decided, "the test lets the agent decide")
        return CONTINUE

    agent = make_agent(answer)
    first = make_container(waiting(agent.path)).started()
    wait_until(lambda: agent.notifications, "the call is notified")
    first.stop()
    first.delete().succeeded()
    second = make_container(waiting(agent.path)).started()
    wait_until(lambda: len(agent.notifications) == 2, "the call is notified")
    second.delete("--force").succeeded()
    decided.append(True)


def test_two_at_once(runtime: Runtime, make_bundle: MakeBundle, agent: Agent) -> None:
    calls = []
    for index in range(4):
        bundle = make_bundle(making(agent.path, listenerMetadata=str(index)))
        bundle.seal()
        calls.append(runtime.start("run", "--bundle", bundle.path, f"test{index}"))
    assert [call.wait().succeeded().output for call in calls] == [MADE] * 4
    deliveries = agent.wait_for_deliveries(4)
    assert {each.state["metadata"]: each.state["state"]["id"] for each in deliveries} == {
        str(index): f"test{index}" for index in range(4)
    }
    assert all(len(each.notifications) == 1 for each in deliveries)


@pytest.mark.pyrun_only("runc takes no path longer than an address of a socket")
def test_long_path(runtime: Runtime, make_bundle: MakeBundle, make_agent: MakeAgent, scratch: str) -> None:
    directory = os.path.join(scratch, "d" * 200)
    os.mkdir(directory)
    agent = make_agent(path=os.path.join(directory, "agent"))
    assert runtime.run("test", make_bundle(making(agent.path))).succeeded().output == MADE


def in_bundle(make_bundle: MakeBundle, make_agent: MakeAgent, *, early: bool) -> tuple[Bundle, Agent]:
    bundle = make_bundle(making("agent", early=early))
    bundle.seal()
    bundle.may_change.add("agent")
    return bundle, make_agent(path=os.path.join(bundle.path, "agent"))


@both_ways
def test_relative_path_starts_at_the_bundle(
    runtime: Runtime, make_bundle: MakeBundle, make_agent: MakeAgent, early: bool
) -> None:
    bundle, agent = in_bundle(make_bundle, make_agent, early=early)
    result = runtime.run("test", bundle, directory="/").succeeded()
    assert result.output == MADE


def test_link_to_the_socket(runtime: Runtime, make_bundle: MakeBundle, agent: Agent, scratch: str) -> None:
    link = os.path.join(scratch, "link")
    os.symlink(agent.path, link)
    assert runtime.run("test", make_bundle(making(link))).succeeded().output == MADE


def test_path_is_of_the_host(runtime: Runtime, make_bundle: MakeBundle, agent: Agent) -> None:
    """A socket that stands at the same path of the image is not asked."""
    bundle = make_bundle(making(agent.path))
    decoy = os.path.join(bundle.rootfs, agent.path.lstrip("/"))
    os.makedirs(os.path.dirname(decoy))
    with open(decoy, "w", encoding="ascii"):
        pass
    assert runtime.run("test", bundle).succeeded().output == MADE


def test_listener_without_a_rule_is_ignored(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.shell("grep Seccomp: /proc/self/status")
    rules = [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}]
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/nowhere",
        "listenerMetadata": "x",
        "syscalls": rules,
    }
    assert runtime.run("test", make_bundle(config)).succeeded().output.split() == ["Seccomp:", "2"]
