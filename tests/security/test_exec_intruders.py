# SPDX-License-Identifier: Apache-2.0
"""Programs in a container that lie in wait for whatever exec brings in: they reach nothing of the host's.

CVE-2016-9962, CVE-2019-5736, CVE-2020-14298.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from integration.test_user_namespace import ROOT, owned
from security.attackers import intruding, plant_program, with_capabilities
from support import configs, process
from support.configs import Config
from support.execs import end_others, members, reap_orphans, the_other, wait_until_alone
from support.filesystems import linux
from support.runtime import Container, MakeContainer
from support.waiting import repeats, wait_for_exit

pytestmark = pytest.mark.usefixtures("programs_stay")

EXECS = repeats(60)
MAY_TRACE = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]
MAY_NOT_TRACE = ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]

# What leads out of the container, or to the runtime's own files and secrets.
HARM = {"host file", "opened for writing", "written", "environment"}


def findings(container: Container) -> set[str]:
    """Returns the kinds of things that the intruder has reached (see intruder.c)."""
    return {line.split(":")[0] for line in container.output.splitlines()} - {"scanning"}


def enter_often(container: Container, *options: str, times: int = EXECS) -> None:
    """Executes a program in the container again and again, foreground and detached in turn."""
    for number in range(times):
        container.exec("true", options=[*options, *(["--detach"] if number % 2 else [])]).succeeded()
    wait_until_alone(container)
    reap_orphans()


def test_intruder_that_may_not_trace(make_container: MakeContainer, intruder: str, canary: str) -> None:
    """Root without CAP_SYS_PTRACE reaches nothing of a process that is not dumpable, or that may do more than it."""
    container = intruding(make_container, intruder, canary, *MAY_NOT_TRACE)
    enter_often(container, "--cap", "CAP_CHOWN")
    assert findings(container) == set(), container.output


@pytest.mark.pyrun_only("runc 1.1.5 gives the container a copy under another name")
def test_intruder_that_may_trace(make_container: MakeContainer, intruder: str, canary: str) -> None:
    """It gets hold of what is in the container already, and that leads nowhere else.

    Its descriptor of the runtime's program shows that it comes in time.
    """
    container = intruding(make_container, intruder, canary, *MAY_TRACE)
    enter_often(container)
    container.wait_for_output("held: /memfd:pyrun-init")
    assert not findings(container) & HARM, container.output


@pytest.mark.parametrize("capabilities", [MAY_TRACE, MAY_NOT_TRACE], ids=["may trace", "may not trace"])
def test_intruder_in_a_user_namespace(
    make_container: MakeContainer, intruder: str, canary: str, capabilities: list[str]
) -> None:
    """Its capabilities are not over a process whose memory belongs to the host's user namespace."""
    config = configs.with_user_namespace(intruding_config(intruder, canary, *capabilities), ROOT)
    container = owned(make_container(config))
    container.bundle.write("intruder")
    container.started().wait_for_output("scanning")
    enter_often(container, "--cap", "CAP_CHOWN")
    assert not findings(container) & (HARM | {"held"}), container.output


def intruding_config(intruder: str, canary: str, *capabilities: str) -> Config:
    config = with_capabilities(configs.default("/intruder", f"{canary}/secret"), *capabilities)
    config["mounts"].append(configs.bind(intruder, "/intruder"))
    return config


@pytest.mark.parametrize(
    "capabilities",
    [
        pytest.param(MAY_TRACE, id="may trace", marks=pytest.mark.pyrun_only("runc 1.1.5 leads to the host")),
        pytest.param(MAY_NOT_TRACE, id="may not trace"),
    ],
)
def test_intruder_beside_a_container_that_joined(
    make_container: MakeContainer, intruder: str, canary: str, capabilities: list[str]
) -> None:
    """It sees the processes of all containers in its PID namespace, but not more of another one than of its own.

    Who may trace sees the host through an init that has to be in the namespace when it mounts procfs.
    """
    if capabilities == MAY_TRACE and linux() < (6, 17):
        pytest.skip("Linux 6.17 is the first that mounts procfs for a PID namespace from outside")
    holder = intruding(make_container, intruder, canary, *capabilities)
    config = configs.with_namespace(configs.default("/bin/sleep", "1000"), "pid", f"/proc/{holder.pid}/ns/pid")
    container = make_container(config, "victim").started()
    enter_often(container)
    found = findings(holder)
    init = container.pid
    container.delete("--force").succeeded()
    wait_for_exit(init)
    assert not found & HARM, holder.output
    if capabilities == MAY_NOT_TRACE:
        assert found == set(), holder.output


@pytest.mark.parametrize("target", ["/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3", "/proc/self/fd/5"])
@pytest.mark.parametrize("kind", ["link", "script", "two links"])
def test_program_is_the_runtime(make_container: MakeContainer, kind: str, target: str) -> None:
    """CVE-2019-5736: the image's program is a link to, or a script for, the executable of the runtime itself."""
    container = make_container(configs.default("/bin/sleep", "1000"))
    plant_program(container.bundle, kind, target)
    container.started()
    result = container.exec("/entry", "--version")
    assert container.runtime.name not in result.output
    wait_until_alone(container)


def test_program_that_replaces_itself_with_the_runtime(make_container: MakeContainer) -> None:
    """CVE-2019-5736, as it was done: the image's shell waits for the next exec of it, and writes to its executable."""
    container = make_container(with_capabilities(configs.default("/bin/sleep", "1000"), *MAY_TRACE))
    container.bundle.write("bin/waiting", "#!/proc/self/exe\n", 0o755)
    container.started()
    script = (
        "echo ready; while :; do for p in /proc/[0-9]*; do n=$(readlink $p/exe) || continue; "
        'case "$n" in *pyrun*|*runc*) exec 9<$p/exe && for i in 1 2 3; do (echo x >/proc/self/fd/9); done; esac; '
        "done; done"
    )
    attacker = container.start_exec("sh", "-c", f"{{ {script}; }} 2>/dev/null")
    attacker.wait_for_output("ready")
    for _ in range(20):
        container.exec("/bin/waiting")
    attacker.process.kill()
    attacker.wait()
    end_others(container)


@pytest.mark.pyrun_only("runc 1.1.5 uses more words")
def test_killer(make_container: MakeContainer) -> None:
    """A program that kills whatever it sees, as soon as it sees it: exec ends, in one of the ways in which it may."""
    config = with_capabilities(configs.shell("echo ready; while :; do kill -9 -1; done"), "CAP_KILL")
    container = make_container(config).started()
    container.wait_for_output("ready")
    outcome = set()
    for number in range(EXECS):
        result = container.exec("sh", "-c", "exit 7", options=["--detach"] if number % 2 else [])
        outcome.add(result.status)
        assert len(result.errors.splitlines()) == (1 if result.status == 255 else 0), result.errors
    assert outcome <= {0, 7, 128 + signal.SIGKILL, 255}
    wait_until_alone(container)
    reap_orphans()


@pytest.mark.pyrun_only("runc 1.1.5 may wait for ever")
def test_one_that_stops_others(make_container: MakeContainer) -> None:
    """What is stopped on its way in goes on when it is continued, or ends with the container."""
    script = "trap '' TERM; echo ready; while :; do kill -STOP -1; done"
    container = make_container(with_capabilities(configs.shell(script), "CAP_KILL")).started()
    container.wait_for_output("ready")
    calls = [container.start_exec("true") for _ in range(10)]
    time.sleep(0.1)
    container.delete("--force").succeeded()
    assert {call.wait().status for call in calls} <= {0, 128 + signal.SIGKILL, 255}


@pytest.mark.pyrun_only("runc 1.1.5 needs the container's procfs, and refuses another one")
def test_procfs_that_the_container_has_covered(make_container: MakeContainer) -> None:
    """CVE-2019-16884, CVE-2025-52881: what stands at /proc in the container is neither read nor written."""
    script = (
        "mount -t tmpfs decoy /proc && mkdir -p /proc/self/attr /proc/self/ns /proc/thread-self/attr /proc/self/fd && "
        "for f in attr/exec attr/apparmor/exec oom_score_adj uid_map; do "
        "mkdir -p $(dirname /proc/self/$f) && echo decoy >/proc/self/$f; done; "
        "ln -s /etc/passwd /proc/self/exe; echo ready; exec sleep 1000"
    )
    config = with_capabilities(configs.shell(script), "CAP_SYS_ADMIN")
    config["process"]["oomScoreAdj"] = 100
    container = make_container(config).started()
    container.wait_for_output("ready")
    output = container.exec("sh", "-c", "cat $(find /proc -type f); id -u").succeeded().output
    assert output.split() == ["decoy"] * 4 + ["0"]
    call = container.start_exec("sh", "-c", "echo ready; exec sleep 1000")
    call.wait_for_output("ready")
    pid = the_other(container)
    with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
        assert file.read() == "100\n"
    os.kill(pid, signal.SIGKILL)
    call.wait()
    assert members(container) == {container.pid}
    assert process.status(container.pid)["Name"] == "sleep"


@pytest.mark.pyrun_only("runc 1.1.5 needs a procfs")
@pytest.mark.parametrize("target", ["/elsewhere", "/", "/sys", "/proc", "missing"])
def test_procfs_of_the_image_is_a_link(make_container: MakeContainer, target: str) -> None:
    """CVE-2023-27561, CVE-2023-28642: what needs procfs does not go through the container's."""
    config = configs.without_mounts(configs.default("/bin/sleep", "1000"), "/proc")
    config["linux"]["maskedPaths"] = config["linux"]["readonlyPaths"] = []
    config["process"]["oomScoreAdj"] = 100
    container = make_container(config)
    container.bundle.write("elsewhere/self/oom_score_adj", "decoy\n", 0o666)
    os.rmdir(os.path.join(container.bundle.rootfs, "proc"))
    os.symlink(target, os.path.join(container.bundle.rootfs, "proc"))
    container.started()
    output = container.exec("sh", "-c", "cat /elsewhere/self/oom_score_adj; id -u", options=["--user", "7"])
    assert output.succeeded().output.split() == ["decoy", "7"]
