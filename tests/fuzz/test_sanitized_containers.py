# SPDX-License-Identifier: Apache-2.0
"""Ordinary containers, made by builds of pyrun-init that do not survive undefined behaviour."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from fuzz.builds import TRAPPING
from fuzz.samples import SAMPLES, joined_namespaces, joined_user_namespace, mapped_mounts, sample_plans
from pyrun.plan.operations import OPERATIONS
from support import configs
from support.bundle import Bundle
from support.filesystems import user_namespace, why_not
from support.notifying import MADE, both_ways, making
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.seccomp_agent import Agent
from support.users import USER, made, map_range, missing_mapper, revoke_subordinates

pytestmark = pytest.mark.pyrun_only("pyrun-init is pyrun's own")

STARTER = """
import sys
from pyrun.container import launch
launch.PROGRAM = sys.argv.pop(1)
from pyrun.cli.main import main
main()
"""


@pytest.fixture(params=["trapping", "reporting"])
def program(request: pytest.FixtureRequest, trapping_init: str, reporting_init: str) -> str:
    """The build of pyrun-init that the test uses."""
    return {"trapping": trapping_init, "reporting": reporting_init}[request.param]


@pytest.fixture
def runtime(program: str, case: str, scratch: str) -> Iterator[Runtime]:
    """pyrun with that build."""
    command = [sys.executable, "-I", "-X", "utf8", "-c", STARTER, program]
    path = os.path.join(scratch, "pyrun")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    os.chmod(path, 0o755)
    under_test = Runtime(path, case)
    yield under_test
    for container in under_test.containers:
        if container.exists():
            container.delete("--force").succeeded()


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    """A bundle whose configuration the test replaces."""
    made = make_bundle()
    # Without a mount namespace the image gets the devices.
    made.may_change |= {"layers", "rootfs/dev"}
    return made


def test_samples_ask_for_every_operation(scratch: str) -> None:
    """What they do not ask for, no test here would notice."""
    plans = sample_plans(scratch).values()
    asked = {name for plan in plans for name, _, _ in plan.operations}
    assert set(OPERATIONS) - asked == set()


@pytest.mark.parametrize("name", SAMPLES)
def test_sample(runtime: Runtime, bundle: Bundle, name: str) -> None:
    bundle.config = SAMPLES[name](bundle.path)
    result = runtime.run("test", bundle).succeeded()
    assert (result.output, result.errors) == ("", "")


@pytest.mark.skipif(why_not("tmpfs") is not None, reason=str(why_not("tmpfs")))
@pytest.mark.parametrize("namespace", ["none", "new", "joined"])
def test_mapped_mounts(runtime: Runtime, bundle: Bundle, namespace: str) -> None:
    with user_namespace() as path:
        bundle.config = mapped_mounts(bundle.path, {"none": None, "new": "", "joined": path}[namespace])
        for name in ("lower", "upper", "work"):
            os.makedirs(os.path.join(bundle.path, "layers", name))
        result = runtime.run("test", bundle).succeeded()
        assert (result.output, result.errors) == ("", "")


def test_root_that_cannot_be_pivoted_from(runtime: Runtime, bundle: Bundle) -> None:
    result = runtime.run("test", bundle, "--no-pivot").succeeded()
    assert (result.output, result.errors) == ("", "")


@both_ways
def test_seccomp_agent(runtime: Runtime, bundle: Bundle, agent: Agent, early: bool) -> None:
    bundle.config = making(agent.path, early=early)
    result = runtime.run("test", bundle).succeeded()
    assert (result.output, result.errors) == (MADE, "")


def test_descriptors_of_the_caller(runtime: Runtime, bundle: Bundle) -> None:
    """Those of socket activation, others that are preserved, and more, which are not."""
    caller = "exec 3</etc/passwd 4</etc/group 5</etc/fstab; export LISTEN_FDS=1 LISTEN_PID=$$"
    runtime.wrapper = ("sh", "-c", f'{caller}; exec "$@"', "sh")
    bundle.config = configs.shell("echo $LISTEN_FDS $LISTEN_PID; ls /proc/$$/fd; true")
    result = runtime.run("test", bundle, "--preserve-fds", "1").succeeded()
    assert (result.output.split(), result.errors) == (["1", "1", "0", "1", "2", "3", "4"], "")


@pytest.mark.parametrize(
    ("config", "joining"),
    [
        (configs.default("/bin/sleep", "1000"), joined_namespaces),
        (configs.with_user_namespace(configs.default("/bin/sleep", "1000")), joined_user_namespace),
    ],
    ids=["several", "user"],
)
def test_namespaces_of_another_container(
    runtime: Runtime,
    bundle: Bundle,
    make_container: MakeContainer,
    config: configs.Config,
    joining: Callable[[str, int], configs.Config],
) -> None:
    holder = make_container(config).started()
    bundle.config = joining(bundle.path, holder.pid)
    result = runtime.run("test", bundle).succeeded()
    assert (result.output, result.errors) == ("", "")
    holder.stop()
    holder.delete().succeeded()


@pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))
def test_ordinary_user(runtime: Runtime, bundle: Bundle, scratch: str) -> None:
    """With ids that newuidmap and newgidmap map, and then with some that they refuse."""
    bundle.config = map_range(configs.with_user_namespace(configs.shell("cat /proc/self/uid_map | wc -l")), USER)
    runtime.wrapper = USER.dropping
    runtime.root = os.path.join(USER.runtime_directory, "pyrun")
    with made(os.path.join(scratch, "accounts"), USER):
        result = runtime.run("test", bundle).succeeded()
        assert (result.output, result.errors) == ("2\n", "")
        revoke_subordinates()
        runtime.run("test", bundle).failed("not allowed")


def test_life_of_a_container(program: str, make_container: MakeContainer) -> None:
    """Made, started, killed and deleted; and while it waits, its init is the build that is meant to be tested."""
    container = make_container(configs.shell("echo ready; exec sleep 1000")).created()
    with open(program, "rb") as compiled, open(f"/proc/{container.pid}/exe", "rb") as running:
        assert running.read() == compiled.read()
    assert container.status == "created"
    container.start().succeeded()
    container.wait_for_output("ready")
    container.stop()
    container.delete().succeeded()
    assert container.errors == ""


@pytest.mark.parametrize(
    ("args", "mount", "words"),
    [
        (["missing"], None, 'exec: "missing": executable file not found in $PATH'),
        (["/missing"], None, 'exec: "/missing": stat /missing: no such file or directory'),
        (["/etc/passwd"], None, 'exec: "/etc/passwd": permission denied'),
        (["/bin/true"], configs.bind("/missing", "/tmp"), "bind source /missing: no such file or directory"),
        (["/bin/true"], {"destination": "/tmp", "type": "nofs"}, "mount nofs on /tmp: no such device"),
    ],
)
def test_refusal(runtime: Runtime, bundle: Bundle, args: list[str], mount: configs.Config | None, words: str) -> None:
    bundle.config = configs.default(*args)
    bundle.config["mounts"] += [mount] if mount else []
    runtime.run("test", bundle).failed(words)


def test_undefined_behaviour_would_be_noticed(scratch: str) -> None:
    program = os.path.join(scratch, "shift")
    source = "int main(int count, char **words) { (void)words; return 1 << (count + 40); }"
    subprocess.run(["gcc", *TRAPPING, "-xc", "-", "-o", program], input=source, text=True, check=True)
    assert subprocess.run([program]).returncode in (-signal.SIGILL, -signal.SIGTRAP)
