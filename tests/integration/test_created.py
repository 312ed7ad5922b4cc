# SPDX-License-Identifier: Apache-2.0
"""What is left of the runtime while a created container waits: little, and nothing that leads out of it."""

from __future__ import annotations

import os

import pytest

from support import configs, process
from support.runtime import Container, MakeContainer, Runtime
from support.waiting import wait_for_exit

pytestmark = pytest.mark.pyrun_only("how a created container waits is the runtime's own affair")
MEMORY_LIMIT_KIB = 1024


@pytest.fixture
def waiting(make_container: MakeContainer) -> Container:
    return make_container(configs.default("/bin/sleep", "1000")).created()


def members(container: Container) -> list[int]:
    with open(f"/sys/fs/cgroup/{container.id}/cgroup.procs", encoding="ascii") as file:
        return [int(line) for line in file]


def test_one_process_and_no_interpreter(waiting: Container) -> None:
    assert members(waiting) == [waiting.pid]
    executable = os.readlink(f"/proc/{waiting.pid}/exe")
    assert "python" not in executable and "pyrun-init" in executable
    with open(f"/proc/{waiting.pid}/maps", encoding="utf-8") as file:
        assert "python" not in file.read()


def test_memory_at_the_gate(waiting: Container) -> None:
    with open(f"/proc/{waiting.pid}/smaps_rollup", encoding="ascii") as file:
        (pss,) = (int(line.split()[1]) for line in file if line.startswith("Pss:"))
    assert pss < MEMORY_LIMIT_KIB, f"{pss} KiB"


def test_executable_is_a_sealed_memory_file(waiting: Container) -> None:
    """CVE-2019-5736: whoever reaches /proc/PID/exe from the container must find nothing that can be written."""
    path = f"/proc/{waiting.pid}/exe"
    assert os.readlink(path).startswith("/memfd:")
    with pytest.raises(OSError):
        os.close(os.open(path, os.O_WRONLY))


def test_process_is_not_dumpable(waiting: Container) -> None:
    """The files of such a process in /proc belong to root, and nobody without privileges may trace it."""
    assert os.stat(f"/proc/{waiting.pid}/environ").st_uid == 0
    mode = process.status(waiting.pid).get("CoreDumping")
    assert mode == "0"


def test_process_of_a_user_namespace_is_not_dumpable(make_container: MakeContainer) -> None:
    config = configs.with_user_namespace(configs.default("/bin/sleep", "1000"))
    container = make_container(config)
    for directory, _, _ in os.walk(container.bundle.rootfs):
        os.chown(directory, 100000, 100000)
    container.created()
    assert process.status(container.pid)["Uid"].split()[0] == "100000"
    assert os.stat(f"/proc/{container.pid}/environ").st_uid == 0


def test_descriptors_at_the_gate(waiting: Container) -> None:
    """Beside the standard streams only the gate itself is open: no directory of the host, no namespace, no cgroup."""
    extra = {number: target for number, target in process.descriptors(waiting.pid).items() if number > 2}
    assert all(target.startswith("socket:") for target in extra.values()), extra
    assert len(extra) == 1


def test_arguments_and_environment_tell_nothing(waiting: Container) -> None:
    with open(f"/proc/{waiting.pid}/environ", "rb") as file:
        assert file.read() == b""
    with open(f"/proc/{waiting.pid}/cmdline", "rb") as file:
        assert file.read().split(b"\0")[0] == b"pyrun-init"


def test_root_and_working_directory_are_the_containers(waiting: Container) -> None:
    root = os.stat(f"/proc/{waiting.pid}/root/")
    assert (root.st_dev, root.st_ino) == (
        os.stat(waiting.bundle.rootfs).st_dev,
        os.stat(waiting.bundle.rootfs).st_ino,
    )
    assert os.readlink(f"/proc/{waiting.pid}/cwd") == "/"


def test_gate_is_for_the_creating_user_only(waiting: Container) -> None:
    root = str(waiting.runtime.root)
    gate = os.path.join(root, waiting.id, "gate")
    assert os.stat(os.path.join(root, waiting.id)).st_mode & 0o077 == 0
    assert os.path.exists(gate)


def test_state_directory_holds_what_is_documented(waiting: Container) -> None:
    names = os.listdir(os.path.join(str(waiting.runtime.root), waiting.id))
    assert sorted(names) == ["config.json", "gate", "plan", "process", "state.json"]


def test_nothing_of_create_runs_on(waiting: Container) -> None:
    """The creator has ended: the init's parent is whoever adopts orphans, as a shim does."""
    assert process.status(waiting.pid)["PPid"] == str(os.getpid())


def test_state_and_list_do_not_disturb_it(waiting: Container) -> None:
    for _ in range(5):
        assert waiting.status == "created"
        waiting.runtime.call("list").succeeded()
    waiting.start().succeeded()
    assert waiting.status == "running"


def test_start_is_refused_to_a_long_dead_one(waiting: Container) -> None:
    pid = waiting.pid
    os.kill(pid, 9)
    wait_for_exit(pid)
    waiting.start().failed("cannot start a container that has stopped")


def test_started_program_has_none_of_the_above(waiting: Container) -> None:
    waiting.start().succeeded()
    assert set(process.descriptors(waiting.pid)) == {0, 1, 2}
    assert os.readlink(f"/proc/{waiting.pid}/exe").endswith("/bin/busybox")
    assert not os.path.exists(os.path.join(str(waiting.runtime.root), waiting.id, "gate.new"))


def test_long_state_root(make_container: MakeContainer, case: str, runtime: Runtime) -> None:
    """A path to the gate that is longer than a socket's address can be."""
    deep = os.path.join(str(runtime.root), *["a-long-directory-name"] * 10)
    runtime.root, kept = deep, str(runtime.root)
    container = make_container(configs.default("/bin/true")).started()
    container.wait_for_end()
    container.delete().succeeded()
    runtime.root = kept
    os.removedirs(deep)
    os.makedirs(kept, 0o700, exist_ok=True)
