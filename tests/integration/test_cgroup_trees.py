# SPDX-License-Identifier: Apache-2.0
"""Cgroups above the container's, and one from before, that can't hold it: one line, nothing left, no process moved."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from support import configs
from support.configs import Config
from support.machine import COVERED
from support.runtime import MakeContainer
from support.waiting import wait_until
from support.world import CGROUPS

TREE = os.path.join(CGROUPS, "tree")


def at(path: str, *arguments: str) -> Config:
    config = configs.default(*(arguments or ("/bin/sleep", "1000")))
    config["linux"]["cgroupsPath"] = path
    return config


def write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


def read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def below(directory: str) -> list[str]:
    """Returns the cgroups below one, the deepest last."""
    return [path for path, _, _ in os.walk(directory)][1:]


@pytest.fixture
def tree() -> Iterator[str]:
    """A cgroup of somebody's own; afterwards there must be nothing below it that the test has not made there."""
    os.mkdir(TREE)
    yield TREE
    os.rmdir(TREE)


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


@pytest.mark.pyrun_only("runc 1.1.5 warns, and goes on")
def test_cgroup_with_processes_of_others(
    tree: str, neighbour: subprocess.Popen[bytes], make_container: MakeContainer
) -> None:
    for place in (tree, os.path.join(tree, "below")):
        os.makedirs(place, exist_ok=True)
        write(f"{place}/cgroup.procs", str(neighbour.pid))
        container = make_container(at("/tree"))
        container.create().failed("/linux/cgroupsPath", "/tree", "has processes already", "choose another")
        assert read(f"{place}/cgroup.procs") == f"{neighbour.pid}\n"
        assert not container.exists()
    write(f"{CGROUPS}/tests/cgroup.procs", str(neighbour.pid))
    os.rmdir(f"{tree}/below")


@pytest.mark.pyrun_only("runc 1.1.5 names the system call alone, and leaves the container's cgroup behind")
@pytest.mark.parametrize("kind", ["below a threaded cgroup", "below the domain of one", "threaded itself"])
def test_threaded(tree: str, make_container: MakeContainer, kind: str) -> None:
    threads = os.path.join(tree, "threads")
    os.mkdir(threads)
    write(f"{threads}/cgroup.type", "threaded")
    path = {"below a threaded cgroup": "/tree/threads/own", "threaded itself": "/tree/threads"}.get(kind, "/tree/own")
    container = make_container(at(path))
    container.create().failed("/linux/cgroupsPath", path, "threaded subtree (cgroup.type)", "choose another linux")
    assert not container.exists()
    assert below(tree) == [threads]
    os.rmdir(threads)


@pytest.mark.pyrun_only("runc 1.1.5 waits until it is thawed")
@pytest.mark.parametrize("path", ["/tree/own", "/tree/between/own", "/tree"])
def test_frozen(tree: str, make_container: MakeContainer, path: str) -> None:
    write(f"{tree}/cgroup.freeze", "1")
    container = make_container(at(path))
    container.create().failed("/linux/cgroupsPath", path, "is frozen (cgroup.freeze)", "thaw it")
    assert not container.exists()
    assert below(tree) == []
    write(f"{tree}/cgroup.freeze", "0")
    container.created()
    container.delete("--force").succeeded()


@pytest.mark.pyrun_only("runc 1.1.5 names no remedy, and leaves cgroups behind")
@pytest.mark.parametrize(("file", "value"), [("cgroup.max.depth", "1"), ("cgroup.max.descendants", "1")])
def test_too_many_cgroups(tree: str, make_container: MakeContainer, file: str, value: str) -> None:
    write(f"{tree}/{file}", value)
    container = make_container(at("/tree/between/own"))
    container.create().failed("make cgroup /tree/between/own", "cgroup.max.depth or cgroup.max.descendants")
    assert below(tree) == []
    fits = make_container(at("/tree/own")).created()
    fits.delete("--force").succeeded()


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
def test_busy_parent(tree: str, neighbour: subprocess.Popen[bytes], make_container: MakeContainer) -> None:
    """A cgroup with processes can pass no controllers on: that matters to a limit alone."""
    write(f"{tree}/cgroup.procs", str(neighbour.pid))
    container = make_container(at("/tree/between/own")).created()
    with open(f"/proc/{container.pid}/cgroup", encoding="ascii") as file:
        assert "0::/tree/between/own\n" in file.read()
    assert read(f"{tree}/cgroup.type") == "domain\n"
    assert read(f"{tree}/cgroup.procs") == f"{neighbour.pid}\n"
    container.delete("--force").succeeded()
    assert below(tree) == []
    write(f"{CGROUPS}/tests/cgroup.procs", str(neighbour.pid))


@pytest.mark.pyrun_only("runc 1.1.5 tries, and names the system call alone")
def test_cgroup_that_passes_controllers_on(tree: str, make_container: MakeContainer) -> None:
    """It is empty, but can take no process (cgroup-v2, "No Internal Process Constraint")."""
    make_container().created()  # from then on the root passes its controllers on
    # Of the others a threaded subtree could be made, and so its head may have processes.
    available = sorted({"hugetlb", "io", "memory"} & set(read(f"{tree}/cgroup.controllers").split()))
    if not available:
        pytest.skip(f"needs a controller of domains, which cgroup v2 does not have here: {COVERED}")
    write(f"{tree}/cgroup.subtree_control", f"+{available[0]}")
    container = make_container(at("/tree"))
    container.create().failed("/linux/cgroupsPath", "/tree", "passes controllers on (cgroup.subtree_control)")
    assert not container.exists()
    assert read(f"{tree}/cgroup.subtree_control") == f"{available[0]}\n"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/tree/cgroup.procs", "not a directory"),
        ("/tree/cgroup.procs/own", "not a directory"),
        ("/", "the runtime itself is in"),
        ("/..", "the runtime itself is in"),
        ("/tests", "the runtime itself is in"),
        ("tests", "the runtime itself is in"),
        (f"/tree/{'x' * 256}", "longer than 255 bytes"),
        (f"/tree{'/' + 'x' * 200}" * 20, "longer than 3584 bytes"),
    ],
    ids=["file", "below a file", "root", "above root", "own", "own relative", "long name", "long path"],
)
@pytest.mark.pyrun_only("runc 1.1.5 has other words, and takes the root")
def test_path_of_no_cgroup(tree: str, make_container: MakeContainer, path: str, words: str) -> None:
    container = make_container(at(path))
    container.create().failed("/linux/cgroupsPath", words)
    assert not container.exists()
    assert below(tree) == []


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
def test_deep_path(tree: str, make_container: MakeContainer) -> None:
    """All of them are made, have the controllers, and are removed."""
    path = "/tree" + "/deep" * 40
    container = make_container(at(path)).created()
    assert read(f"{CGROUPS}{path}/cgroup.procs") == f"{container.pid}\n"
    assert read(f"{CGROUPS}{path}/cgroup.controllers") == read(f"{tree}/cgroup.controllers")
    container.delete("--force").succeeded()
    assert below(tree) == []


def test_old_limits_stay_in_a_cgroup_from_before(tree: str, make_container: MakeContainer) -> None:
    """It is used as it is: whoever made it may have limited it. The device filter is the new container's."""
    first = at("/tree", "/bin/true")
    first["linux"]["resources"]["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"})
    make_container(first).started().delete("--force")
    write(f"{tree}/cgroup.max.depth", "7")
    config = at("/tree", "/bin/sh", "-c", "mknod /dev/kmsg c 1 11 && (: </dev/kmsg); echo done")
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = ["CAP_MKNOD"]
    second = make_container(config).started()
    second.wait_for_end()
    assert second.output == "done\n" and "Operation not permitted" in second.errors
    assert read(f"{tree}/cgroup.max.depth") == "7\n"
    second.delete().succeeded()
    os.makedirs(tree, exist_ok=True)  # runc removes what it has not made


def test_outside_of_the_cgroup_namespace(tree: str, make_container: MakeContainer) -> None:
    """Of a runtime that has been moved there; a relative path begins at what it can see."""
    inside = os.path.join(tree, "namespace")
    os.mkdir(inside)
    # The runtime's cgroup namespace has its root in there; then it is moved back beside the test.
    script = f"echo $$ >{inside}/cgroup.procs && exec unshare --cgroup sh -c 'echo $$ >{CGROUPS}/tests/cgroup.procs; "
    container = make_container(configs.default("/bin/sleep", "1000"))
    container.runtime.wrapper = ("sh", "-c", f'{script}exec "$@"\' sh "$@"', "sh")
    container.created()
    container.runtime.wrapper = ()
    assert read(f"{CGROUPS}/{container.id}/cgroup.procs") == f"{container.pid}\n"
    container.delete("--force").succeeded()
    os.rmdir(inside)


@pytest.fixture
def inner_view(tree: str) -> Iterator[tuple[str, ...]]:
    """A command that executes another where the tree is all that there is of cgroup v2, in a cgroup of the tree."""
    leaf = os.path.join(tree, "leaf")
    os.mkdir(leaf)
    mounting = f"umount -n -R {CGROUPS} && mount -n -t cgroup2 cgroup2 {CGROUPS} && echo ready && exec sleep 1000"
    script = f"echo $$ >{tree}/cgroup.procs && exec unshare --cgroup --mount sh -c 'echo $$ >{leaf}/cgroup.procs && "
    with subprocess.Popen(["sh", "-c", f"{script}{mounting}'"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        entering = f'echo $$ >{leaf}/cgroup.procs && exec nsenter --target {process.pid} --cgroup --mount "$@"'
        yield ("sh", "-c", entering, "sh")
        process.kill()
    wait_until(lambda: not read(f"{leaf}/cgroup.procs"), "nobody is there any more")
    os.rmdir(leaf)


@pytest.mark.pyrun_only("runc 1.1.5 leaves the cgroups above the container's behind")
@pytest.mark.parametrize(
    ("path", "expected"), [("/some/own", "some/own"), ("relative", "relative"), ("../../up", "up")], ids=str
)
def test_cgroup_namespace(
    tree: str, inner_view: tuple[str, ...], make_container: MakeContainer, path: str, expected: str
) -> None:
    """All paths are below the root of the runtime's cgroup namespace."""
    container = make_container(at(path))
    container.runtime.wrapper = inner_view
    container.created()
    assert read(f"{tree}/{expected}/cgroup.procs") == f"{container.pid}\n"
    container.delete("--force").succeeded()
    assert below(tree) == [f"{tree}/leaf"]
