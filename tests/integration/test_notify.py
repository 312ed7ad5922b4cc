# SPDX-License-Identifier: Apache-2.0
"""NOTIFY_SOCKET: a container tells the service manager outside when it is ready (sd_notify(3))."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from support import actor, configs, process
from support.actor import acting
from support.configs import Config
from support.manager import BARRIER, Manager
from support.runtime import Call, Container, MakeContainer, Runtime
from support.terminal import Session
from support.users import MakeUsersContainer, UsersRuntime
from support.waiting import PATIENCE, wait_for_exit, wait_until
from support.world import World

PASSED_ON = ["STATUS=almost there", "STATUS=", "EXTEND_TIMEOUT_USEC=1000000", "ERRNO=2", "BUSERROR=org.example.Oops"]
HOSTILE = [
    "MAINPID=1",
    "MAINPID=77",
    "MAINPIDFDID=1",
    "FDSTORE=1",
    "FDSTOREREMOVE=1",
    "FDNAME=x",
    "NOTIFYACCESS=all",
    "WATCHDOG=trigger",
    "WATCHDOG_USEC=1",
    "STOPPING=1",
    "RELOADING=1",
    BARRIER,
    "READY=0",
    "READY=1x",
    " READY=1",
    "STATUS=\x1b[2J",
    "STATUS=\udcff",
    "status=small",
    "anything",
]

MakeActor = Callable[..., Container]


@pytest.fixture(scope="module")
def program(world: World) -> str:
    """The program that notifies."""
    with world.entered():
        return actor.compile_actor(world.directory)


@pytest.fixture
def manager(scratch: str, runtime: Runtime) -> Iterator[Manager]:
    """A service manager, which the runtime is told of."""
    made = Manager(os.path.join(scratch, "manager"))
    runtime.environment["NOTIFY_SOCKET"] = made.address
    yield made
    made.close()


@pytest.fixture
def make_actor(make_container: MakeContainer, program: str) -> MakeActor:
    """A function that returns a container, not yet created, whose program does what words say: see actor.c."""

    def make(*words: str, config: Config | None = None) -> Container:
        container = make_container(config or acting(*words))
        actor.install(program, container.bundle)
        container.bundle.may_change.add("rootfs/run/notify")
        return container

    return make


def run_detached(container: Container, stdin: int = subprocess.DEVNULL) -> Call:
    container.bundle.seal()
    return container.runtime.start("run", "--detach", "--bundle", container.bundle.path, container.id, stdin=stdin)


def start(container: Container) -> Call:
    return container.runtime.start("start", container.id)


def create(container: Container, runtime: Runtime) -> Call:
    """Creates the container, and starts to start it."""
    container.created()
    return start(container)


def run(container: Container) -> Call:
    container.bundle.seal()
    return container.runtime.start("run", "--bundle", container.bundle.path, container.id)


def is_running(container: Container) -> bool:
    """Whether the container, which may not have been made yet, runs."""
    state = container.runtime.call("state", container.id)
    return state.status == 0 and json.loads(state.output)["status"] == "running"


def of_the_start(lines: list[str]) -> list[str]:
    """Returns what the manager was told, each thing once: runc has two loops that tell it."""
    return sorted(set(lines) - {"MAINPID=0"})


def test_run_tells_the_manager(make_actor: MakeActor, manager: Manager) -> None:
    """pyrun itself is the service's main process: it has the exit status, and the container's signals go there."""
    call = run(make_actor("notify:READY=1", "exit:7"))
    result = manager.serve(call)
    assert (result.status, result.output, result.errors) == (7, "", "")
    assert of_the_start(manager.lines) == [f"MAINPID={call.process.pid}", "READY=1"]
    assert {(message.pid, message.uid) for message in manager.messages} == {(call.process.pid, 0)}


def test_detached_run_returns_when_the_container_is_ready(make_actor: MakeActor, manager: Manager) -> None:
    reading, writing = os.pipe()
    container = make_actor("read", "notify:READY=1", "wait")
    call = run_detached(container, stdin=reading)
    os.close(reading)
    wait_until(lambda: is_running(container), "the container runs")
    assert call.process.poll() is None
    os.close(writing)
    assert manager.serve(call).status == 0
    assert of_the_start(manager.lines) == [f"MAINPID={container.pid}", "READY=1"]
    assert container.status == "running"


def test_start_returns_when_the_container_is_ready(make_actor: MakeActor, manager: Manager) -> None:
    reading, writing = os.pipe()
    container = make_actor("read", "notify:READY=1", "wait").created(stdin=reading)
    os.close(reading)
    manager.receive_all()
    assert manager.messages == []
    call = start(container)
    wait_until(lambda: is_running(container), "the container runs")
    assert call.process.poll() is None
    os.close(writing)
    assert manager.serve(call).status == 0
    assert of_the_start(manager.lines) == [f"MAINPID={container.pid}", "READY=1"]
    assert {message.pid for message in manager.messages} == {call.process.pid}


@pytest.mark.pyrun_only("runc 1.1.5 sends two messages, and returns before the manager has read them")
def test_manager_is_told_at_once_and_waited_for(make_actor: MakeActor, manager: Manager) -> None:
    """Who is ready and which process to watch is one message; then the sender stays until the manager has it."""
    container = make_actor("notify:READY=1", "wait")
    call = create(container, container.runtime)
    manager.wait_for("READY=1")
    assert [message.lines for message in manager.messages] == [("READY=1", f"MAINPID={container.pid}")]
    assert call.process.poll() is None
    assert manager.serve(call).status == 0
    assert [(message.lines, message.descriptors) for message in manager.messages[1:]] == [((BARRIER,), 1)]


def test_what_the_container_finds(make_actor: MakeActor, manager: Manager) -> None:
    script = (
        "echo $NOTIFY_SOCKET; ls -a /run/notify; stat -c '%a %F' /run/notify /run/notify/notify.sock;"
        " touch /run/notify/new; rm /run/notify/notify.sock; actor notify:READY=1"
    )
    container = make_actor(config=configs.shell(script))
    call = run_detached(container)
    assert manager.serve(call).status == 0
    container.wait_for_end()
    assert call.output.splitlines() == [
        "/run/notify/notify.sock",
        *[".", "..", "notify.sock"],
        *["755 directory", "777 socket"],
    ]
    assert call.errors.count("Read-only file system") == 2
    assert "READY=1" in manager.lines


def test_mount_of_the_directory(make_actor: MakeActor, manager: Manager) -> None:
    container = make_actor("notify:READY=1", "wait")
    assert manager.serve(create(container, container.runtime)).status == 0
    (fields,) = [line for line in process.mountinfo(container.pid) if line[4] == "/run/notify"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(fields[5].split(","))
    assert not any(each.startswith("shared:") for each in fields[6 : fields.index("-")])


@pytest.mark.pyrun_only("runc 1.1.5 lets mounts of the host into the directory")
def test_mount_of_the_directory_is_private(make_actor: MakeActor, manager: Manager) -> None:
    container = make_actor("notify:READY=1", "wait")
    assert manager.serve(create(container, container.runtime)).status == 0
    (fields,) = [line for line in process.mountinfo(container.pid) if line[4] == "/run/notify"]
    assert fields[6] == "-"


def with_run_of_its_own(config: Config) -> None:
    config["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs"})
    config["process"]["env"].append("NOTIFY_SOCKET=/run/other")


def as_ordinary_user(config: Config) -> None:
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config["process"]["capabilities"] = {}


def in_the_hosts_pid_namespace(config: Config) -> None:
    configs.without_namespace(config, "pid")


@pytest.mark.parametrize("change", [with_run_of_its_own, as_ordinary_user, in_the_hosts_pid_namespace])
def test_ready_from(make_actor: MakeActor, manager: Manager, change: Callable[[Config], None]) -> None:
    config = acting("notify:READY=1", "wait")
    change(config)
    container = make_actor(config=config)
    call = create(container, container.runtime)
    assert manager.serve(call).status == 0
    assert container.output == ""
    assert of_the_start(manager.lines) == [f"MAINPID={container.pid}", "READY=1"]


@pytest.mark.parametrize("user", [0, 1000])
def test_ready_from_a_user_namespace(make_actor: MakeActor, manager: Manager, user: int) -> None:
    config = configs.with_user_namespace(acting("notify:READY=1", "wait"))
    config["process"]["user"] = {"uid": user, "gid": user}
    config["mounts"].append(configs.bind("/usr", "/usr", "ro"))
    container = make_actor(config=config)
    for directory, _, _ in os.walk(container.bundle.rootfs):
        os.chown(directory, 100000, 100000)
    call = create(container, container.runtime)
    assert manager.serve(call).status == 0
    assert container.output == ""
    assert of_the_start(manager.lines) == [f"MAINPID={container.pid}", "READY=1"]


def test_ready_from_a_container_of_an_ordinary_user(
    make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, scratch: str, program: str
) -> None:
    """As in a service of the user's own service manager."""
    manager = Manager(os.path.join(scratch, "manager"))
    os.chown(manager.address, users_runtime.user.number, -1)
    users_runtime.environment["NOTIFY_SOCKET"] = manager.address
    container = make_users_container(f"/{actor.PATH}", "notify:READY=1", "wait")
    actor.install(program, container.bundle)
    users_runtime.user.owns(os.path.join(container.bundle.rootfs, "run"))
    container.bundle.may_change.add("rootfs/run/notify")
    call = create(container, users_runtime)
    assert manager.serve(call).status == 0
    assert of_the_start(manager.lines) == [f"MAINPID={container.pid}", "READY=1"]
    manager.close()


def test_ready_in_a_terminal(make_actor: MakeActor, manager: Manager) -> None:
    """Both need pyrun's attention: notifications, and the terminal with its signals."""
    config = configs.shell("read line; trap 'echo resized' WINCH; actor notify:READY=1; while :; do sleep 0.01; done")
    config["process"]["terminal"] = True
    container = make_actor(config=config)
    container.bundle.seal()
    command = container.runtime.command("run", "--bundle", container.bundle.path, container.id)
    with Session(command, container.runtime.environment) as session:
        wait_until(lambda: is_running(container), "the container runs")
        session.write("line\n")
        manager.wait_for("READY=1")
        manager.receive_all()
        assert of_the_start(manager.lines) == [f"MAINPID={session.pid()}", "READY=1"]
        session.resize(20, 70)
        session.expect("resized")
        container.kill("KILL").succeeded()
        assert session.wait() == 128 + signal.SIGKILL


def test_abstract_address_of_the_manager(make_actor: MakeActor, runtime: Runtime) -> None:
    manager = Manager(f"@pyrun-test-{os.getpid()}")
    runtime.environment["NOTIFY_SOCKET"] = manager.address
    container = make_actor("notify:READY=1", "wait")
    call = create(container, runtime)
    assert manager.serve(call).status == 0
    assert of_the_start(manager.lines) == [f"MAINPID={container.pid}", "READY=1"]
    manager.close()


@pytest.mark.pyrun_only("runc 1.1.5 can't connect to a path that is longer than an address")
def test_long_address_of_the_manager(make_actor: MakeActor, runtime: Runtime, scratch: str) -> None:
    directory = os.path.join(scratch, "long" * 30)
    os.mkdir(directory)
    manager = Manager(os.path.join(scratch, "short"))
    os.rename(manager.address, os.path.join(directory, "manager"))
    runtime.environment["NOTIFY_SOCKET"] = os.path.join(directory, "manager")
    assert manager.serve(run(make_actor("notify:READY=1", "exit:3"))).status == 3
    assert "READY=1" in manager.lines
    manager.close()


def test_empty_address_is_none(make_actor: MakeActor, runtime: Runtime) -> None:
    runtime.environment["NOTIFY_SOCKET"] = ""
    container = make_actor(config=configs.shell("echo ${NOTIFY_SOCKET-unset}; ls /run"))
    result = run(container).wait()
    assert (result.status, result.output) == (0, "unset\n")


@pytest.mark.pyrun_only("runc 1.1.5 passes on READY alone, and only at the beginning of a message")
def test_what_is_passed_on(make_actor: MakeActor, manager: Manager) -> None:
    single = [f"notify:{line}" for line in PASSED_ON]
    call = run(make_actor(*single, "notify:STATUS=up\nREADY=1\nERRNO=0", "notify:STATUS=late", "exit:3"))
    assert manager.serve(call).status == 3
    assert manager.lines == [*PASSED_ON, "STATUS=up", "ERRNO=0", "READY=1", f"MAINPID={call.process.pid}"]
    assert {message.pid for message in manager.messages} == {call.process.pid}


@pytest.mark.pyrun_only("runc 1.1.5 takes whatever begins with READY=")
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in one message"])
def test_what_is_not_passed_on(make_actor: MakeActor, manager: Manager, alone: bool) -> None:
    lines = [line for line in HOSTILE if "\udcff" not in line]  # what is not UTF-8 can't be in a config.json
    words = [f"notify:{line}" for line in lines] if alone else ["notify:" + "\n".join(["STATUS=here", *lines])]
    call = run(make_actor(*words, "notify:READY=1"))
    assert manager.serve(call).status == 0
    told = [] if alone else ["STATUS=here"]
    assert manager.lines == [*told, "READY=1", f"MAINPID={call.process.pid}"]


@pytest.mark.pyrun_only("runc 1.1.5 waits for its own end, not that of the container")
def test_descriptors_are_not_passed_on(make_actor: MakeActor, manager: Manager) -> None:
    call = run(make_actor("hand:FDSTORE=1", "hand:STATUS=with a descriptor", "hand:READY=1", "exit:3"))
    assert manager.serve(call).status == 3
    assert manager.lines == ["STATUS=with a descriptor", "READY=1", f"MAINPID={call.process.pid}"]
    assert [message.descriptors for message in manager.messages] == [0, 0]


@pytest.mark.pyrun_only("runc 1.1.5 waits for its own end, not that of the container")
def test_message_that_is_too_large_is_not_passed_on(make_actor: MakeActor, manager: Manager) -> None:
    call = run(make_actor("large:5000", "exit:3"))
    assert manager.serve(call).status == 3
    assert manager.lines == []


@pytest.mark.pyrun_only("runc 1.1.5 waits for its own end, not that of the container")
@pytest.mark.parametrize("verb", [run, run_detached, create], ids=["run", "run -d", "start"])
def test_container_that_ends_without_being_ready(
    make_actor: MakeActor, manager: Manager, runtime: Runtime, verb: Callable[..., Call]
) -> None:
    container = make_actor("exit:3")
    call = verb(container, runtime) if verb is create else verb(container)
    result = manager.serve(call)
    assert (result.status, result.errors) == (3 if verb is run else 0, "")
    assert manager.lines == []


def test_container_that_ends_right_after_it_was_ready(make_actor: MakeActor, manager: Manager) -> None:
    for _ in range(5):
        manager.messages.clear()
        container = make_actor("notify:READY=1")
        assert manager.serve(create(container, container.runtime)).status == 0
        assert "READY=1" in manager.lines
        container.delete().succeeded()


@pytest.mark.pyrun_only("runc 1.1.5 forwards no signal before the container is ready")
def test_signals_are_forwarded_before_the_container_is_ready(make_actor: MakeActor, manager: Manager) -> None:
    container = make_actor(config=configs.shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"))
    call = run(container)
    call.wait_for_output("up")
    call.process.send_signal(signal.SIGTERM)
    assert call.wait().status == 9


@pytest.mark.pyrun_only("runc 1.1.5 forwards no signal before the container is ready")
def test_flood(make_actor: MakeActor, manager: Manager) -> None:
    """Who never stops to notify neither keeps pyrun from its work nor the manager from its."""
    container = make_actor(config=configs.shell("actor flood:100000 & trap 'exit 9' TERM; echo up; wait; sleep 1000"))
    call = run(container)
    call.wait_for_output("up")
    manager.wait_for("STATUS=flood")
    call.process.send_signal(signal.SIGTERM)
    assert manager.serve(call).status == 9
    assert len(manager.messages) < 200


@pytest.mark.pyrun_only("runc 1.1.5 forwards no signal before the container is ready")
def test_ready_after_a_flood(make_actor: MakeActor, manager: Manager) -> None:
    container = make_actor("flood:100000", "notify:READY=1", "wait")
    assert manager.serve(create(container, container.runtime)).status == 0
    assert manager.lines[-2:] == ["READY=1", f"MAINPID={container.pid}"]
    assert len(manager.messages) < 200


def test_later_notifications_are_refused(make_actor: MakeActor, manager: Manager) -> None:
    """Nobody waits for an answer that does not come."""
    reading, writing = os.pipe()
    container = make_actor("notify:READY=1", "read", "notify:STATUS=late", "say:end").created(stdin=reading)
    os.close(reading)
    assert manager.serve(start(container)).status == 0
    os.close(writing)
    container.wait_for_end()
    assert container.output == f"notify: error {errno.ECONNREFUSED}\nend\n"
    assert "STATUS=late" not in manager.lines


@pytest.mark.pyrun_only("runc 1.1.5 reads nothing more, so the queue fills and the container waits for ever")
def test_later_notifications_are_refused_in_the_foreground(make_actor: MakeActor, manager: Manager) -> None:
    words = ["notify:READY=1", "read", *["notify:STATUS=late"] * 20, "exit:5"]
    reading, writing = os.pipe()
    container = make_actor(*words)
    container.bundle.seal()
    call = container.runtime.start("run", "--bundle", container.bundle.path, container.id, stdin=reading)
    os.close(reading)
    manager.wait_for("READY=1")
    os.close(writing)
    assert manager.serve(call).status == 5
    assert "STATUS=late" not in manager.lines


@pytest.fixture(params=["missing", "file", "closed", "stream", "relative", "far too long"])
def bad_address(request: pytest.FixtureRequest, runtime: Runtime, scratch: str) -> str:
    """An address where no service manager listens, which the runtime is told of."""
    path = os.path.join(scratch, "bad")
    if request.param == "file":
        open(path, "w", encoding="ascii").close()
    elif request.param in ("closed", "stream"):
        kind = socket.SOCK_DGRAM if request.param == "closed" else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as made:
            made.bind(path)
    elif request.param == "relative":
        path = "run/systemd/notify"
    elif request.param == "far too long":
        path = "@" + "x" * 200
    runtime.environment["NOTIFY_SOCKET"] = path
    return path


@pytest.mark.pyrun_only("runc 1.1.5 starts the container all the same")
@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["foreground", "detached"])
def test_run_without_a_manager(
    make_actor: MakeActor, runtime: Runtime, bad_address: str, options: tuple[str, ...]
) -> None:
    container = make_actor("say:started")
    result = runtime.run(container.id, container.bundle, *options)
    result.failed("NOTIFY_SOCKET", bad_address, "unset")
    assert result.output == ""
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 starts the container all the same")
def test_start_without_a_manager(make_actor: MakeActor, runtime: Runtime, bad_address: str) -> None:
    """What is not started can be started once the environment is right."""
    container = make_actor("say:started").created()
    container.start().failed("NOTIFY_SOCKET", bad_address, "unset")
    assert container.status == "created"
    del runtime.environment["NOTIFY_SOCKET"]
    container.start().succeeded()
    container.wait_for_output("started")


def test_start_of_a_container_created_without(make_actor: MakeActor, runtime: Runtime, manager: Manager) -> None:
    del runtime.environment["NOTIFY_SOCKET"]
    container = make_actor("say:started", "wait").created()
    runtime.environment["NOTIFY_SOCKET"] = manager.address
    assert container.start().status == 1
    assert container.status == "created"
    del runtime.environment["NOTIFY_SOCKET"]
    container.start().succeeded()
    container.wait_for_output("started")


@pytest.mark.pyrun_only("words of pyrun's")
def test_words_about_a_container_created_without(make_actor: MakeActor, runtime: Runtime, manager: Manager) -> None:
    del runtime.environment["NOTIFY_SOCKET"]
    container = make_actor("wait").created()
    runtime.environment["NOTIFY_SOCKET"] = manager.address
    container.start().failed("NOTIFY_SOCKET is in the environment, but the container was created without it; unset it")


@pytest.mark.pyrun_only("runc 1.1.5 has no such check")
def test_container_without_a_mount_namespace(make_actor: MakeActor, manager: Manager) -> None:
    config = configs.without_namespace(acting("notify:READY=1"), "mount")
    config.update(mounts=[], root={"path": "rootfs"})
    config["linux"].update(maskedPaths=[], readonlyPaths=[])
    container = make_actor(config=config)
    container.create().failed("/linux/namespaces", "NOTIFY_SOCKET", "mount namespace")
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 finds the address in use")
def test_socket_of_a_start_that_was_killed(make_actor: MakeActor, runtime: Runtime, manager: Manager) -> None:
    container = make_actor("notify:READY=1", "wait").created()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(os.path.join(str(runtime.root), container.id, "notify/notify.sock"))
        assert manager.serve(start(container)).status == 0
    assert "READY=1" in manager.lines


@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["foreground", "detached"])
def test_run_that_is_killed_while_it_waits(
    make_actor: MakeActor, runtime: Runtime, manager: Manager, options: tuple[str, ...]
) -> None:
    container = make_actor("say:up", "wait")
    container.bundle.seal()
    call = runtime.start("run", *options, "--bundle", container.bundle.path, container.id)
    call.wait_for_output("up")
    call.process.kill()
    call.process.wait()
    pid = container.pid
    container.delete("--force").succeeded()
    wait_for_exit(pid)
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 waits for its own end, not that of the container")
@pytest.mark.parametrize("verb", [run_detached, create], ids=["run -d", "start"])
def test_delete_while_its_readiness_is_waited_for(
    make_actor: MakeActor, runtime: Runtime, manager: Manager, verb: Callable[..., Call]
) -> None:
    container = make_actor("say:up", "wait")
    call = verb(container, runtime) if verb is create else verb(container)
    (container.creation or call).wait_for_output("up")
    assert container.kill("CONT").status == 0
    container.delete("--force").succeeded()
    assert call.wait().status == 0
    assert not container.exists()


def test_exec_gets_no_address(make_actor: MakeActor, manager: Manager) -> None:
    """The address would lead nowhere: nobody listens any more."""
    container = make_actor("notify:READY=1", "wait")
    assert manager.serve(create(container, container.runtime)).status == 0
    result = container.exec("/bin/sh", "-c", "echo ${NOTIFY_SOCKET-unset}")
    assert (result.status, result.output) == (0, "unset\n")


def test_manager_that_does_not_read_at_first(make_actor: MakeActor, manager: Manager) -> None:
    """What is about the start's progress is dropped; that it is over is not."""
    reading, writing = os.pipe()
    words = [*["notify:STATUS=again"] * 15, "say:said", "read", "notify:READY=1", "wait"]
    container = make_actor(*words).created(stdin=reading)
    os.close(reading)
    call = start(container)
    container.wait_for_output("said")
    os.close(writing)
    assert manager.serve(call).status == 0
    assert f"MAINPID={container.pid}" in manager.lines


def test_a_service_manager_of_an_ordinary_kind(make_actor: MakeActor, manager: Manager) -> None:
    """The environment variables of pyrun itself are not the container's."""
    container = make_actor(config=configs.shell("env; actor notify:READY=1"))
    environment = {**container.runtime.environment, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "SECRET": "x"}
    container.bundle.seal()
    command = container.runtime.command("run", "--bundle", container.bundle.path, container.id)
    output = os.path.join(os.path.dirname(manager.address), "environment")
    with open(output, "w", encoding="ascii") as file:
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=file) as running:
            manager.wait_for("READY=1")
            manager.receive_all()
            assert running.wait(PATIENCE * 10) == 0
    with open(output, encoding="ascii") as file:
        names = {line.partition("=")[0] for line in file}
    assert not names & {"WATCHDOG_USEC", "WATCHDOG_PID", "SECRET"}
