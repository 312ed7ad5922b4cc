# SPDX-License-Identifier: Apache-2.0
"""A container's way from create to delete, and what each verb refuses on that way."""

from __future__ import annotations

import os

from support import configs
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.waiting import wait_for_exit, wait_until


def freeze(container_id: str, frozen: bool) -> None:
    directory = f"/sys/fs/cgroup/{container_id}"
    with open(f"{directory}/cgroup.freeze", "w", encoding="ascii") as file:
        file.write("1" if frozen else "0")

    def settled() -> bool:
        with open(f"{directory}/cgroup.events", encoding="ascii") as events:
            return f"frozen {int(frozen)}" in events.read()

    wait_until(settled, "the cgroup is frozen or thawed")


def test_every_status_in_turn(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("echo ready; exec sleep 1000")).created()
    assert container.status == "created"
    assert container.output == ""
    container.start().succeeded()
    container.wait_for_output("ready")
    assert container.status == "running"
    freeze(container.id, True)
    assert container.status == "paused"
    freeze(container.id, False)
    assert container.status == "running"
    container.stop()
    assert container.status == "stopped"
    container.delete().succeeded()
    assert not container.exists()
    container.runtime.call("state", container.id).failed("container does not exist")


def test_program_runs_at_start_and_not_before(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("echo program ran"))
    container.created()
    assert container.output == ""
    pid = container.pid
    container.start().succeeded()
    wait_for_exit(pid)
    assert container.output == "program ran\n"


def test_pid_stays_from_create_to_the_program(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).created()
    pid = container.pid
    container.start().succeeded()
    assert container.pid == pid
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        assert file.read() == b"/bin/sleep\x001000\x00"


def test_stopped_container_whose_init_nobody_has_reaped(make_container: MakeContainer) -> None:
    container = make_container().created()
    pid = container.pid
    container.start().succeeded()
    # The container's init is a child of this process (its subreaper) by now, and so stays a zombie.
    wait_until(lambda: container.status == "stopped", "the zombie counts as stopped")
    assert container.state()["pid"] == 0
    container.delete().succeeded()
    wait_for_exit(pid)


def test_start_twice(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    container.start().failed("cannot start an already running container")


def test_start_of_a_stopped_container(make_container: MakeContainer) -> None:
    container = make_container().started()
    container.wait_for_end()
    container.start().failed("cannot start a container that has stopped")


def test_create_with_a_taken_id(make_container: MakeContainer, make_bundle: MakeBundle) -> None:
    container = make_container().created()
    other = container.runtime.container(container.id, make_bundle())
    other.create().failed("container with given ID already exists")
    assert container.status == "created"
    container.runtime.containers.remove(other)


def test_id_can_be_used_again(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("echo again"))
    for _ in range(3):
        container.started()
        container.wait_for_end()
        assert container.output == "again\n"
        container.delete().succeeded()


def test_state_root_elsewhere_is_another_world(make_container: MakeContainer, case: str) -> None:
    container = make_container().created()
    elsewhere = Runtime(container.runtime.path, case)
    elsewhere.root = os.path.join(case, "elsewhere")
    elsewhere.call("state", container.id).failed("container does not exist")
    if os.path.isdir(elsewhere.root):
        os.rmdir(elsewhere.root)


def test_state_root_is_made_for_root_only(runtime: Runtime, make_bundle: MakeBundle, case: str) -> None:
    os.rmdir(str(runtime.root))
    runtime.run("test", make_bundle()).succeeded()
    status = os.stat(str(runtime.root))
    assert status.st_mode & 0o077 == 0


def test_default_state_root(make_container: MakeContainer) -> None:
    container = make_container()
    container.runtime.root = None
    container.created()
    assert container.status == "created"
    default = f"/run/{container.runtime.name}"
    assert os.listdir(default) == [container.id]
    container.delete("--force").succeeded()
    assert os.listdir(default) == []
    os.rmdir(default)


def test_bundle_defaults_to_the_working_directory(make_bundle: MakeBundle, runtime: Runtime) -> None:
    bundle = make_bundle(configs.shell("echo from here"))
    bundle.seal()
    assert runtime.call("run", "test", directory=bundle.path).succeeded().output == "from here\n"


def test_relative_bundle(make_bundle: MakeBundle, runtime: Runtime) -> None:
    bundle = make_bundle()
    bundle.seal()
    parent, name = os.path.split(bundle.path)
    container = runtime.container("test", bundle)
    runtime.call("create", "-b", name, "test", directory=parent).succeeded()
    assert container.state()["bundle"] == bundle.path


def test_bundle_moved_after_create_does_not_matter_to_start(make_container: MakeContainer) -> None:
    container = make_container(configs.shell("echo started")).created()
    config = os.path.join(container.bundle.path, "config.json")
    os.rename(config, config + ".away")
    try:
        pid = container.pid
        container.start().succeeded()
        wait_for_exit(pid)
        container.delete().succeeded()
    finally:
        os.rename(config + ".away", config)
    assert container.output == "started\n"
