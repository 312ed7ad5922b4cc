# SPDX-License-Identifier: Apache-2.0
"""exec: its program is in the container's cgroup, or in one below it that --cgroup names, and nowhere else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from integration.test_user_namespace import ROOT, owned
from support import configs
from support.execs import cgroup_of, members, wait_until_alone
from support.machine import COVERED
from support.runtime import Container, MakeContainer
from support.world import CGROUPS

OWN = ("grep", "^0:", "/proc/self/cgroup")


def cgroup_of_process(pid: int) -> str:
    """Returns the path of a process's cgroup of version 2."""
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        return next(line[3:].strip() for line in file if line.startswith("0::"))


@pytest.mark.parametrize("path", [None, "/another"])
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_cgroup_of_the_container(make_container: MakeContainer, path: str | None, user_namespace: bool) -> None:
    """The program was never in another one, and sees it as the root."""
    config = configs.default("/bin/sleep", "1000")
    if path:
        config["linux"]["cgroupsPath"] = path
    if user_namespace:
        configs.with_user_namespace(config, ROOT)
    container = owned(make_container(config)) if user_namespace else make_container(config)
    container.started()
    assert container.exec(*OWN).succeeded().output == "0::/\n"
    call = container.start_exec("sh", "-c", "echo ready; exec sleep 1000")
    call.wait_for_output("ready")
    with open(f"{CGROUPS}{path or '/' + container.id}/cgroup.procs", encoding="ascii") as file:
        (pid,) = {int(line) for line in file} - {container.pid}
    assert cgroup_of_process(pid) == cgroup_of_process(container.pid)
    assert cgroup_of_process(call.process.pid) == cgroup_of_process(os.getpid())
    os.kill(pid, signal.SIGKILL)
    call.wait()
    container.delete("--force").succeeded()


def test_cgroup_without_a_namespace(make_container: MakeContainer) -> None:
    config = configs.without_namespace(configs.default("/bin/sleep", "1000"), "cgroup")
    container = make_container(config).started()
    assert container.exec(*OWN).succeeded().output == f"0::/{container.id}\n"


def test_device_filter(make_container: MakeContainer) -> None:
    config = configs.default("/bin/sleep", "1000")
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]
    container = make_container(config).started()
    script = "mknod /dev/disk b 7 200; (: </dev/disk) || echo denied; mknod /dev/copy c 1 3; (: </dev/copy) && echo ok"
    result = container.exec("sh", "-c", script)
    assert result.output == "denied\nok\n"
    assert "can't open /dev/disk: Operation not permitted" in result.errors


@pytest.fixture
def divided(sleeper: Container) -> Iterator[Container]:
    """A container with a cgroup "sub" below its own, and "deep" below that, and one of a similar name beside it."""
    beside = cgroup_of(sleeper) + "x"
    os.makedirs(os.path.join(cgroup_of(sleeper), "sub/deep"))
    os.mkdir(beside)
    yield sleeper
    with open(os.path.join(beside, "cgroup.procs"), encoding="ascii") as file:
        assert file.read() == ""
    os.rmdir(beside)


def test_cgroup_below_the_containers(divided: Container) -> None:
    for path in ("sub", "/sub", "./sub", "sub/", "//sub"):
        assert divided.exec(*OWN, options=["--cgroup", path]).succeeded().output == "0::/sub\n", path
    assert divided.exec(*OWN, options=["--cgroup", "sub/deep"]).succeeded().output == "0::/sub/deep\n"
    for path in ("/", "."):
        assert divided.exec(*OWN, options=["--cgroup", path]).succeeded().output == "0::/\n", path


ELSEWHERE = ["..", "../..", "sub/../..", "/..", "../tests", "/../../../tests", f"{'../' * 8}sys/fs/cgroup/tests"]
# runc 1.1.5 compares the beginnings of the paths as text.
BESIDE = ["../test0x", "/../test0x", "sub/../../test0x"]


def test_cgroup_elsewhere(divided: Container) -> None:
    """Also where the other one's name begins as the container's."""
    for path in [*ELSEWHERE, *(BESIDE if divided.runtime.name == "pyrun" else [])]:
        result = divided.exec("true", options=["--cgroup", path])
        assert result.status == 255, (path, result)
        result.failed(path, status=255)
    wait_until_alone(divided)


def test_cgroup_that_is_missing(divided: Container) -> None:
    """It is not made, either."""
    for path in ("missing", "/missing", "sub/missing", "sub/cgroup.procs", "cgroup.procs"):
        words = "not a directory" if "procs" in path else "no such file or directory"
        divided.exec("true", options=["--cgroup", path]).failed(path, words, status=255)
    assert sorted(entry.name for entry in os.scandir(cgroup_of(divided)) if entry.is_dir()) == ["sub"]
    assert members(divided) == {divided.pid}


@pytest.fixture
def controller() -> Iterator[str]:
    """A controller that cgroups below the host's root may use."""
    with open(os.path.join(CGROUPS, "cgroup.controllers"), encoding="ascii") as file:
        controllers = file.read().split()
    if not controllers:
        pytest.skip(f"needs a controller, which cgroup v2 does not have here: {COVERED}")
    control = os.path.join(CGROUPS, "cgroup.subtree_control")
    with open(control, encoding="ascii") as file:
        enabled = file.read().split()
    write(control, f"+{controllers[0]}")
    yield controllers[0]
    if controllers[0] not in enabled:
        write(control, f"-{controllers[0]}")


@pytest.fixture
def moved(controller: str, sleeper: Container) -> Container:
    """A container that has done as systemd does: its first process is in a cgroup below, and a controller enabled."""
    top = cgroup_of(sleeper)
    os.mkdir(os.path.join(top, "init.scope"))
    write(os.path.join(top, "init.scope/cgroup.procs"), str(sleeper.pid))
    write(os.path.join(top, "cgroup.subtree_control"), f"+{controller}")
    return sleeper


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def test_cgroup_that_takes_no_process(moved: Container) -> None:
    """Exec goes where the first process is, unless it is told where to go."""
    assert moved.exec(*OWN).succeeded().output == "0::/init.scope\n"
    assert moved.exec(*OWN, options=["--cgroup", "init.scope"]).succeeded().output == "0::/init.scope\n"
    os.mkdir(os.path.join(cgroup_of(moved), "other"))
    assert moved.exec(*OWN, options=["--cgroup", "other"]).succeeded().output == "0::/other\n"
    moved.exec("true", options=["--cgroup", "/"]).failed("busy", status=255)


def test_first_process_in_a_cgroup_below(sleeper: Container) -> None:
    """Exec stays in the container's cgroup as long as that takes a process."""
    scope = os.path.join(cgroup_of(sleeper), "init.scope")
    os.mkdir(scope)
    write(os.path.join(scope, "cgroup.procs"), str(sleeper.pid))
    assert sleeper.exec(*OWN).succeeded().output == "0::/\n"


@pytest.mark.parametrize("options", [[], ["--cgroup", "sub"]], ids=["", "below"])
def test_caller_in_a_cgroup_that_was_killed(divided: Container, options: list[str]) -> None:
    """See test_inherited_from_the_caller: the kernel may kill at its birth what is cloned from there."""
    killed = os.path.join(CGROUPS, "killed-before")
    os.mkdir(killed)
    write(os.path.join(killed, "cgroup.kill"), "1")
    divided.runtime.wrapper = ("sh", "-c", f'echo $$ >{killed}/cgroup.procs && exec "$@"', "sh")
    try:
        for _ in range(3):
            output = divided.exec(*OWN, options=options).succeeded().output
            assert output == ("0::/sub\n" if options else "0::/\n")
    finally:
        divided.runtime.wrapper = ()
        os.rmdir(killed)


def test_cgroups_below_are_deleted_with_the_container(divided: Container) -> None:
    divided.exec("sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 &", options=["--cgroup", "sub/deep"]).succeeded()
    divided.delete("--force").succeeded()
    assert not os.path.exists(cgroup_of(divided))
