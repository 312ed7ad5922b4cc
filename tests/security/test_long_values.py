# SPDX-License-Identifier: Apache-2.0
"""CVE-2021-43784: values longer than 64 KiB are refused, or taken as they are; never cut off, and nothing after them.

runc's lengths of 16 bits wrapped around, so that part of a value was read as settings of their own: other namespaces.
"""

from __future__ import annotations

import os

import pytest

from support import configs, process
from support.configs import Config
from support.runtime import MakeContainer, Run

WRAP = 1 << 16


def test_environment(run: Run) -> None:
    config = configs.shell('echo ${#LONG} "$AFTER"')
    config["process"]["env"] = [configs.PATH, f"LONG={'x' * (WRAP + 10)}", "AFTER=after"]
    assert run(config) == f"{WRAP + 10} after\n"


@pytest.mark.pyrun_only("with runc, start does not wait for execve")
def test_environment_with_a_value_that_the_kernel_does_not_take(make_container: MakeContainer) -> None:
    config = configs.shell("echo $LONG")
    config["process"]["env"] = [configs.PATH, f"LONG={'x' * 2 * WRAP}"]
    container = make_container(config)
    if container.create().status == 0:
        assert "argument list too long" in container.start().failed()


@pytest.mark.parametrize("length", [WRAP - 1, WRAP, WRAP + 1, WRAP + 10])
def test_argument(run: Run, length: int) -> None:
    assert run(configs.default("/bin/sh", "-c", "echo ${#1} $2", "sh", "x" * length, "after")) == f"{length} after\n"


def test_many_arguments(run: Run) -> None:
    args = ["/bin/sh", "-c", 'echo $#; shift 69999; echo "$*"', "sh", *["x"] * 70000, "after"]
    assert run(configs.default(*args)) == "70001\nx after\n"


def directory_of_length(length: int) -> str:
    """Returns a path to /tmp that is as long; its beginning, if it were cut off, leads to another directory."""
    path = "/tmp"
    return "/" + "./" * ((length - len(path)) // 2) + path.lstrip("/")


@pytest.mark.pyrun_only("runc 1.1.5 finds out when it starts")
@pytest.mark.parametrize("length", [4000, 5000, WRAP + 4, 2 * WRAP + 4])
def test_working_directory(make_container: MakeContainer, length: int) -> None:
    """Longer than the kernel takes (PATH_MAX of limits.h): refused by create."""
    config = configs.shell("pwd")
    config["process"]["cwd"] = directory_of_length(length)
    container = make_container(config)
    result = container.create()
    if length > os.pathconf("/", "PC_PATH_MAX"):
        result.failed("cwd")
        return
    container.start().succeeded()
    container.wait_for_end()
    assert container.output == "/tmp\n"


def test_list_of_mounts(run: Run) -> None:
    """Together they are far longer than 64 KiB; each is there, with its own options, in their order."""
    config = configs.shell("cat /proc/self/mountinfo")
    names = [f"/run/{number}-{'x' * 200}" for number in range(400)]
    config["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs"})
    for number, name in enumerate(names):
        options = ["ro", "nosuid"] if number % 2 else ["noexec", f"size={4 * (number + 1)}k"]
        config["mounts"].append({"destination": name, "type": "tmpfs", "source": f"s{number}", "options": options})
    lines = [line.split() for line in run(config).splitlines()]
    found = {line[4]: (line[5].split(",")[0], line[line.index("-") + 2]) for line in lines if "/run/" in line[4]}
    assert list(found) == names
    assert found == {name: ("ro" if number % 2 else "rw", f"s{number}") for number, name in enumerate(names)}


@pytest.mark.parametrize(
    "user_namespace",
    [
        pytest.param(False, id=""),
        pytest.param(True, id="user namespace", marks=pytest.mark.pyrun_only("runc 1.1.5 cannot reach the sources")),
    ],
)
def test_list_of_binds(make_container: MakeContainer, scratch: str, user_namespace: bool) -> None:
    """Each is the source that was asked for; more than can be handed over to a user namespace are refused."""
    config = configs.shell("cat /run/*/file")
    config["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs"})
    for number in range(300):
        source = os.path.join(scratch, f"{number:03}-{'x' * 200}")
        os.mkdir(source)
        with open(os.path.join(source, "file"), "w", encoding="ascii") as file:
            file.write(f"{number}\n")
        config["mounts"].append(configs.bind(source, f"/run/{number:03}"))
    container = make_container(configs.with_user_namespace(config) if user_namespace else config)
    result = container.create()
    if user_namespace and result.status:
        result.failed("more than", "bind mounts")
        return
    container.start().succeeded()
    container.wait_for_end()
    assert container.output.split() == [str(number) for number in range(300)]


def ranges(count: int) -> list[dict[str, int]]:
    return [{"containerID": 2 * number, "hostID": 100000 + 2 * number, "size": 1} for number in range(count)]


@pytest.mark.pyrun_only("runc 1.1.5 leaves a cgroup behind when it fails")
@pytest.mark.parametrize("count", [150, 340, 5000])
def test_map_of_ids(make_container: MakeContainer, count: int) -> None:
    """The kernel takes 340 ranges and a page (user_namespaces(7)): all are there, or the container is not."""
    config = configs.default("/bin/sleep", "1000")
    configs.with_user_namespace(config)
    config["linux"]["uidMappings"] = ranges(count)
    config["linux"]["gidMappings"] = ranges(count)
    container = make_container(config)
    result = container.create()
    if count > 340:
        result.failed("Mappings")
    if result.status:
        assert not container.exists()
        return
    assert process.namespace(container.pid, "user") != process.namespace("self", "user")
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{container.pid}/{name}", encoding="ascii") as file:
            rows = [[int(field) for field in line.split()] for line in file]
        assert rows == [[entry["containerID"], entry["hostID"], entry["size"]] for entry in ranges(count)]


def with_long(name: str) -> Config:
    """Returns a configuration with one property that is longer than 64 KiB, and that the kernel does not take."""
    config = configs.default()
    long = "/" + "x" * WRAP
    if name == "program":
        config["process"]["args"] = ["/bin/true" + long]
    elif name == "hostname":
        config["hostname"] = "h" * (WRAP + 4)
    elif name == "bind source":
        config["mounts"].append(configs.bind("/etc" + long, "/tmp"))
    elif name == "destination":
        config["mounts"].append({"destination": "/tmp" + long, "type": "tmpfs", "source": "tmpfs"})
    elif name == "mount option":
        options = ["size=" + "0" * WRAP + "64k"]
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})
    elif name == "masked path":
        config["linux"]["maskedPaths"].append("/etc" + long)
    elif name == "read-only path":
        config["linux"]["readonlyPaths"].append("/etc" + long)
    elif name == "namespace":
        configs.with_namespace(config, "network", "/proc/self/ns/net" + long)
    elif name == "cgroup":
        config["linux"]["cgroupsPath"] = "/test" + long
    elif name == "device":
        config["linux"]["devices"] = [{"path": "/dev/null" + long, "type": "c", "major": 1, "minor": 3}]
    else:
        config["root"]["path"] = "rootfs" + long
    return config


@pytest.mark.parametrize(
    "name",
    [
        "program",
        "hostname",
        "bind source",
        "destination",
        pytest.param("mount option", marks=pytest.mark.pyrun_only("runc 1.1.5 cuts it off")),
        pytest.param("masked path", marks=pytest.mark.pyrun_only("runc 1.1.5 leaves it out")),
        "read-only path",
        "namespace",
        "cgroup",
        "device",
        "root",
    ],
)
def test_what_the_kernel_does_not_take_is_refused(make_container: MakeContainer, name: str) -> None:
    container = make_container(with_long(name))
    container.create().failed()
    assert not container.exists()


@pytest.mark.parametrize("count", [30000, 65536, 70000])
def test_groups(make_container: MakeContainer, count: int) -> None:
    """The kernel takes 65536 groups (NGROUPS_MAX of limits.h)."""
    config = configs.shell("grep Groups /proc/self/status; echo end")
    config["process"]["user"]["additionalGids"] = list(range(10000, 10000 + count))
    container = make_container(config)
    created = container.create()
    result = container.start() if created.status == 0 else created
    assert result.status == (0 if count <= 65536 else 1), result.errors
    if result.status == 0:
        container.wait_for_output("end")
        assert len(container.output.split()) == count + 2
