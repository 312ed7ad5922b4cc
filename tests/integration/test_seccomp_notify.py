# SPDX-License-Identifier: Apache-2.0
"""SCMP_ACT_NOTIFY: an agent outside of the container decides about its system calls."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pyseccomp
import pytest

from support import configs, process
from support.hooks import Notes
from support.notifying import LISTENER, MADE, MakeAgent, both_ways, making, notifying, waiting
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.seccomp_agent import CONTINUE, Agent, Answer, Notification
from support.users import MakeUsersContainer, UsersRuntime
from support.waiting import wait_for_exit, wait_until

LOADS_EARLY = "runc sends the listener when the container is created"
# Whatever hands a descriptor over, waits for an answer, or executes a program.
EVERYTHING = """accept accept4 brk clone clone3 close close_range connect dup dup2 dup3 execve execveat exit exit_group
fcntl fork fstat futex getdents64 getegid geteuid getgid getpid getppid getuid ioctl lseek lstat mmap mprotect munmap
nanosleep newfstatat open openat openat2 pipe pipe2 poll ppoll prctl prlimit64 read readv recvfrom recvmsg
rt_sigaction rt_sigprocmask rt_sigreturn sched_yield select sendmsg sendto set_robust_list set_tid_address socket
socketpair stat statx tgkill uname vfork wait4 waitid write writev""".split()


def number(name: str) -> int:
    """Returns the number of a system call on this machine."""
    return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))


def expected_state(container: Container, status: str) -> dict[str, Any]:
    state = container.state()
    expected = {name: state[name] for name in ("ociVersion", "id", "status", "pid", "bundle", "annotations")}
    return {**expected, "status": status}


@both_ways
def test_what_the_agent_gets(make_container: MakeContainer, agent: Agent, runtime: Runtime, early: bool) -> None:
    config = waiting(agent.path, early=early, listenerMetadata='MKNOD=/dev/null;"<é>"')
    config["annotations"] = {"org.example.key": "value <&>"}
    container = make_container(config).created()
    sent_on_create = early or runtime.name == "runc"
    assert len(agent.deliveries) == sent_on_create
    container.start().succeeded()
    (delivery,) = agent.wait_for_deliveries(1)
    if runtime.name != "runc":  # which keeps the connection
        wait_until(lambda: delivery.ended, "the connection is closed")
    assert (delivery.descriptors, delivery.rest) == (1, b"")
    state = delivery.state
    assert list(state) == ["ociVersion", "fds", "pid", "metadata", "state"]
    assert list(state["state"]) == ["ociVersion", "id", "status", "pid", "bundle", "annotations"]
    assert state == {
        "ociVersion": container.state()["ociVersion"],
        "fds": ["seccompFd"],
        "pid": container.pid,
        "metadata": 'MKNOD=/dev/null;"<é>"',
        "state": expected_state(container, "creating" if sent_on_create else "created"),
    }
    container.wait_for_output("made")
    (notification,) = agent.notifications
    assert notification.number in (number("mkdir"), number("mkdirat"))
    container.stop()


@pytest.mark.parametrize("metadata", [None, ""])
def test_no_metadata_and_no_annotations(make_container: MakeContainer, agent: Agent, metadata: str | None) -> None:
    more = {} if metadata is None else {"listenerMetadata": metadata}
    container = make_container(waiting(agent.path, **more)).started()
    state = agent.wait_for_deliveries(1)[0].state
    assert "metadata" not in state and "annotations" not in state["state"]
    container.stop()


@both_ways
@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (CONTINUE, MADE),
        (Answer(value=0), "status 0\n"),
        (Answer(error=1), "mkdir: can't create directory '/dev/shm/made': Operation not permitted\nstatus 1\n"),
        (Answer(error=74), "mkdir: can't create directory '/dev/shm/made': Bad message\nstatus 1\n"),
    ],
    ids=["goes on", "value", "EPERM", "EBADMSG"],
)
def test_answers(
    runtime: Runtime, make_bundle: MakeBundle, make_agent: MakeAgent, early: bool, answer: Answer, output: str
) -> None:
    agent = make_agent(lambda _: answer)
    result = runtime.run("test", make_bundle(making(agent.path, early=early))).succeeded()
    assert result.output == output
    assert len(agent.notifications) == 1


def test_agent_puts_a_descriptor_into_the_process(
    runtime: Runtime, make_bundle: MakeBundle, make_agent: MakeAgent, scratch: str
) -> None:
    """What the agent decides by is in the memory of the process that waits."""
    secret = os.path.join(scratch, "secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("of the host\n")
    opened = os.open(secret, os.O_RDONLY)
    places = {number("openat"): 1, number("open"): 0}

    def answer(notification: Notification) -> Answer:
        with open(f"/proc/{notification.pid}/mem", "rb") as memory:
            memory.seek(notification.arguments[places[notification.number]])
            path = memory.read(8)
        return Answer(descriptor=opened) if path == b"/secret\0" else CONTINUE

    agent = make_agent(answer)
    config = notifying(configs.default("/bin/cat", "/secret"), agent.path, "open", "openat")
    try:
        assert runtime.run("test", make_bundle(config)).succeeded().output == "of the host\n"
    finally:
        os.close(opened)


def test_detached(runtime: Runtime, make_container: MakeContainer, agent: Agent) -> None:
    container = make_container(waiting(agent.path))
    container.bundle.seal()
    runtime.call("run", "--detach", "--bundle", container.bundle.path, container.id).succeeded()
    (delivery,) = agent.wait_for_deliveries(1)
    assert delivery.state["pid"] == container.pid
    wait_until(lambda: agent.notifications, "the program notified")
    container.stop()


@both_ways
@pytest.mark.parametrize("detach", [False, True])
def test_exec(make_container: MakeContainer, agent: Agent, scratch: str, early: bool, detach: bool) -> None:
    config = waiting(agent.path, early=early, listenerMetadata="told")
    config["annotations"] = {"key": "value"}
    container = make_container(config).started()
    container.wait_for_output("made")
    before = len(agent.notifications)
    pid_file = os.path.join(scratch, "pid")
    options = ["--pid-file", pid_file, *(["--detach"] if detach else [])]
    container.exec("/bin/sh", "-c", "mkdir /dev/shm/other; exit 0", options=options).succeeded()
    first, second = agent.wait_for_deliveries(2)
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    assert second.state == {**first.state, "pid": pid, "state": expected_state(container, "running")}
    wait_until(lambda: len(agent.notifications) == before + 1, "the new process notified")
    assert len(second.notifications) == 1
    if detach:
        wait_for_exit(pid)
    container.stop()


@pytest.mark.pyrun_only("runc says that the container is running")
def test_exec_in_a_created_container(make_container: MakeContainer, agent: Agent) -> None:
    container = make_container(waiting(agent.path)).created()
    container.exec("/bin/true").succeeded()
    (delivery,) = agent.wait_for_deliveries(1)
    assert delivery.state["state"]["status"] == "created"
    container.delete().succeeded()


@both_ways
def test_user_namespace(make_container: MakeContainer, agent: Agent, early: bool) -> None:
    container = make_container(configs.with_user_namespace(waiting(agent.path, early=early)))
    os.chmod(os.path.dirname(container.bundle.path), 0o711)
    container.started()
    container.wait_for_output("made")
    container.exec("/bin/mkdir", "/dev/shm/other").succeeded()
    first, second = agent.wait_for_deliveries(2)
    assert first.state["pid"] == container.pid != second.state["pid"]
    assert len(agent.notifications) == 2
    container.stop()


@both_ways
def test_ordinary_user(
    users_runtime: UsersRuntime, make_users_container: MakeUsersContainer, make_agent: MakeAgent, early: bool
) -> None:
    agent = make_agent(path=os.path.join(users_runtime.user.runtime_directory, "agent"))
    users_runtime.user.owns(agent.path)
    container = make_users_container("/bin/sh", "-c", "mkdir /dev/shm/made; echo made; exec sleep 1000")
    notifying(container.bundle.config, agent.path, early=early)
    container.started()
    container.wait_for_output("made")
    (delivery,) = agent.wait_for_deliveries(1)
    assert delivery.state["pid"] == container.pid
    assert len(agent.notifications) == 1
    container.stop()


@both_ways
@pytest.mark.pyrun_only("runc may not take the listener from the process")
def test_exec_of_an_ordinary_user(
    users_runtime: UsersRuntime, make_users_container: MakeUsersContainer, make_agent: MakeAgent, early: bool
) -> None:
    agent = make_agent(path=os.path.join(users_runtime.user.runtime_directory, "agent"))
    users_runtime.user.owns(agent.path)
    container = make_users_container("/bin/sleep", "1000")
    notifying(container.bundle.config, agent.path, early=early)
    container.started()
    container.exec("/bin/mkdir", "/dev/shm/other").succeeded()
    first, second = agent.wait_for_deliveries(2)
    assert first.state["pid"] == container.pid != second.state["pid"]
    assert len(second.notifications) == 1
    container.stop()


@pytest.mark.pyrun_only("runc connects when it creates the container")
def test_agent_that_the_user_may_not_ask(
    users_runtime: UsersRuntime, make_users_container: MakeUsersContainer, make_agent: MakeAgent
) -> None:
    agent = make_agent(path=os.path.join(users_runtime.user.runtime_directory, "agent"))
    os.chmod(agent.path, 0o600)
    container = make_users_container("/bin/true")
    notifying(container.bundle.config, agent.path)
    container.created()
    container.start().failed(LISTENER, "permission denied")
    assert container.status == "created"
    container.delete().succeeded()


@pytest.mark.pyrun_only("runc can't notify of write, and is notified of what it does itself")
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_everything_is_notified(make_container: MakeContainer, agent: Agent, no_new_privileges: bool) -> None:
    """Nothing waits for an answer before the agent can give it, and the first that it hears of is the program."""
    config = notifying(configs.shell("echo ran"), agent.path, *EVERYTHING)
    config["process"]["noNewPrivileges"] = no_new_privileges
    container = make_container(config)
    result = container.runtime.run(container.id, container.bundle).succeeded()
    assert result.output == "ran\n"
    assert agent.notifications[0].number == number("execve")
    container.created()
    container.start().succeeded()
    container.wait_for_output("ran")
    container.wait_for_end()
    assert agent.deliveries[1].notifications[0].number == number("execve")


@pytest.mark.pyrun_only("runc is notified of what it does itself")
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_everything_is_notified_in_exec(make_container: MakeContainer, agent: Agent, no_new_privileges: bool) -> None:
    config = notifying(configs.default("/bin/sleep", "1000"), agent.path, *EVERYTHING)
    config["process"]["noNewPrivileges"] = no_new_privileges
    container = make_container(config).started()
    assert container.exec("/bin/echo", "inside").succeeded().output == "inside\n"
    assert agent.wait_for_deliveries(2)[1].notifications[0].number == number("execve")
    container.stop()


@pytest.mark.pyrun_only("with runc, start does not wait for execve")
def test_agent_refuses_the_program(make_container: MakeContainer, make_agent: MakeAgent) -> None:
    agent = make_agent(lambda _: Answer(error=1))
    container = make_container(notifying(configs.default("/bin/true"), agent.path, "execve")).created()
    container.start().failed("/bin/true", "operation not permitted")
    assert container.status == "stopped"
    container.delete().succeeded()


def test_rule_that_looks_at_an_argument(runtime: Runtime, make_bundle: MakeBundle, make_agent: MakeAgent) -> None:
    """kill(2) is notified for signal 10 only."""
    agent = make_agent(lambda _: Answer(error=1))
    config = notifying(configs.shell("trap '' USR1; kill -USR1 $$ 2>&1; kill -WINCH $$ && echo sent"), agent.path)
    args = [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]
    config["linux"]["seccomp"]["syscalls"] = [{"names": ["kill"], "action": "SCMP_ACT_NOTIFY", "args": args}]
    output = runtime.run("test", make_bundle(config)).succeeded().output
    assert "Operation not permitted" in output and output.endswith("sent\n")
    assert [each.arguments[1] for each in agent.notifications] == [10]


@pytest.mark.parametrize("flag", ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"])
@pytest.mark.pyrun_only("runc 1.1.5 supports no flags")
def test_flags(runtime: Runtime, make_bundle: MakeBundle, agent: Agent, flag: str) -> None:
    config = making(agent.path, flags=[f"SECCOMP_FILTER_FLAG_{flag}"])
    assert runtime.run("test", make_bundle(config)).succeeded().output == MADE
    assert len(agent.notifications) == 1


@pytest.mark.parametrize("flags", [[], ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]], ids=["", "WAIT_KILLABLE_RECV"])
@pytest.mark.pyrun_only("runc 1.1.5 supports no flags")
def test_signal_while_the_agent_decides(make_container: MakeContainer, make_agent: MakeAgent, flags: list[str]) -> None:
    """A signal begins the call anew, unless the agent's having received it is as good as its having begun."""
    decided: list[bool] = []

    def answer(_: Notification) -> Answer:
        wait_until(lambda: decided, "the test lets the agent decide")
        return CONTINUE

    agent = make_agent(answer)
    container = make_container(waiting(agent.path, flags=flags)).started()
    (notification,) = wait_until(lambda: agent.notifications, "the call is notified")
    os.kill(notification.pid, signal.SIGSTOP)
    if not flags:
        wait_until(lambda: process.status(notification.pid)["State"].startswith("T"), "the process stops")
    os.kill(notification.pid, signal.SIGCONT)
    time.sleep(0.05)  # a call that begins anew would begin now
    decided.append(True)
    container.wait_for_output("made")
    assert len(agent.notifications) == (1 if flags else 2)
    container.stop()


@pytest.mark.parametrize("policy", ["SCHED_FIFO", "SCHED_RR"])
@both_ways
@pytest.mark.pyrun_only("runc 1.1.5 does not know process.scheduler")
def test_real_time_process(runtime: Runtime, make_bundle: MakeBundle, agent: Agent, early: bool, policy: str) -> None:
    """Also on a machine with one processor, all of which it could take while it waits."""
    config = making(agent.path, early=early)
    config["process"]["scheduler"] = {"policy": policy, "priority": 1}
    assert runtime.run("test", make_bundle(config)).succeeded().output == MADE


@both_ways
def test_container_has_nothing_of_the_agent(make_container: MakeContainer, agent: Agent, early: bool) -> None:
    container = make_container(waiting(agent.path, early=early)).created()
    held = process.descriptors(container.pid)
    container.start().succeeded()
    container.wait_for_output("made")
    assert not any("seccomp" in target for target in held.values())
    if container.runtime.name == "pyrun":
        assert sorted(process.descriptors(container.pid)) == [0, 1, 2]
        assert [target for number, target in held.items() if number > 2 and not target.startswith("socket:")] == []
        assert len(held) == 4  # the gate
    assert not any("seccomp" in target for target in process.descriptors(container.pid).values())
    container.stop()


def test_program_has_no_children_that_it_did_not_make(runtime: Runtime, make_bundle: MakeBundle, agent: Agent) -> None:
    script = "cat /proc/self/task/*/children /proc/1/task/*/children | wc -w; ls /proc/1/task"
    config = notifying(configs.shell(script), agent.path)
    lines = runtime.run("test", make_bundle(config)).succeeded().output.split()
    assert lines == ["2", "1"]  # cat and wc


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.pyrun_only("runc loads one filter for both")
def test_start_container_hooks_have_listeners_of_their_own(
    make_container: MakeContainer, agent: Agent, scratch: str, no_new_privileges: bool
) -> None:
    config = waiting(agent.path)
    config["process"]["noNewPrivileges"] = no_new_privileges
    notes = Notes(scratch, config)
    config["hooks"]["startContainer"] = [{"path": "/bin/mkdir", "args": ["mkdir", "/tmp/made"]}]
    container = make_container(config).started()
    container.wait_for_output("made")
    of_hook, of_program = agent.wait_for_deliveries(2)
    (notification,) = of_hook.notifications
    assert of_program.state["pid"] == container.pid != notification.pid
    assert of_hook.state == {**of_program.state, "pid": notification.pid}
    assert len(of_program.notifications) == 1
    assert notes.exists("made")
    container.stop()


def test_agent_refuses_a_hook(make_container: MakeContainer, make_agent: MakeAgent, scratch: str) -> None:
    agent = make_agent(lambda _: Answer(error=1))
    config = waiting(agent.path)
    notes = Notes(scratch, config)
    config["hooks"]["startContainer"] = [notes.shell("startContainer", "mkdir made || echo refused >refused")]
    container = make_container(config).started()
    assert notes.read("refused") == "refused\n"
    container.stop()
