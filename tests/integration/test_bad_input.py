# SPDX-License-Identifier: Apache-2.0
"""Bad input: one line of error, exit status 1, nothing left behind; the words are those that engines look for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.world import controllers

Change = Callable[[Config], object]

# The error of these comes from runc's option parser, which prints a page of usage.
USAGE = pytest.mark.pyrun_only("runc exits with another status")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["frobnicate"], marks=USAGE),
        pytest.param(["frobnicate", "x"], marks=USAGE),
        ["create"],
        ["create", "one", "two"],
        ["start"],
        ["state"],
        ["kill"],
        ["delete"],
        ["run"],
        ["create", "--frobnicate", "x"],
        ["--frobnicate", "list"],
        ["kill", "x", "TERM", "y"],
        ["list", "x"],
        ["list", "--format"],
        ["create", "--bundle"],
        ["create", "-b=/tmp", "--pid-file"],
    ],
)
def test_command_line(runtime: Runtime, words: list[str]) -> None:
    runtime.call(*words).failed()


@pytest.mark.pyrun_only("runc prints its help and exits with 0")
def test_no_verb(runtime: Runtime) -> None:
    result = runtime.call()
    assert result.status in (0, 1)


BAD_IDS = ["", ".", "..", "a/b", "/a", "a/", "../a", "a b", "a\nb", "a:b", "ä", "a\\b", "a*", "@seccomp", "x" * 1025]


@pytest.mark.parametrize("container_id", BAD_IDS)
@pytest.mark.parametrize("verb", ["create", "run", "state", "start", "kill", "delete"])
def test_malformed_id(runtime: Runtime, make_bundle: MakeBundle, verb: str, container_id: str) -> None:
    bundle = make_bundle()
    bundle.seal()
    options = ["--bundle", bundle.path] if verb in ("create", "run") else []
    runtime.call(verb, *options, "--", container_id).failed()


@pytest.mark.parametrize("container_id", ["a", "0", "a.b-c_d+e", "..a", "a..b", "A" * 200])
def test_unusual_but_good_id(runtime: Runtime, make_bundle: MakeBundle, container_id: str) -> None:
    assert runtime.run(container_id, make_bundle(configs.shell("echo ran"))).succeeded().output == "ran\n"


def test_missing_bundle(runtime: Runtime) -> None:
    runtime.call("create", "--bundle", "/missing/bundle", "x").failed("/missing/bundle", "no such file or directory")


def test_bundle_that_is_a_file(runtime: Runtime) -> None:
    runtime.call("create", "--bundle", "/etc/passwd", "x").failed("not a directory")


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "no json", "directory", "fifo", "array", "cut off", "latin-1", "null"]
)
def test_bad_config_file(runtime: Runtime, make_bundle: MakeBundle, kind: str) -> None:
    if kind in ("fifo", "null") and runtime.name == "runc":
        pytest.skip("runc 1.1.5 waits for a writer of the fifo, and panics at null")
    bundle = make_bundle()
    path = os.path.join(bundle.path, "config.json")
    contents = {
        "empty": b"",
        "no json": b"ociVersion: 1.0\n",
        "array": b"[]",
        "cut off": json.dumps(bundle.config).encode()[:-20],
        "latin-1": b'{"ociVersion": "1.0.2", "hostname": "\xe4"}',
        "null": b"null",
    }
    if kind == "directory":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in contents:
        with open(path, "wb") as file:
            file.write(contents[kind])
    line = runtime.call("create", "--bundle", bundle.path, "x").failed()
    if kind == "missing":
        assert "no such file or directory" in line or "not found" in line
    if runtime.name == "pyrun":
        assert "config.json" in line


def remove(*path: str) -> Change:
    def change(config: Config) -> None:
        target: Any = config
        for name in path[:-1]:
            target = target[name]
        del target[path[-1]]

    return change


def put(value: object, *path: str) -> Change:
    def change(config: Config) -> None:
        target: Any = config
        for name in path[:-1]:
            target = target[name]
        target[path[-1]] = value

    return change


def capability(name: str, kind: str = "bounding") -> Change:
    return lambda config: config["process"]["capabilities"][kind].append(name)


def seccomp(**profile: object) -> Change:
    return put({"defaultAction": "SCMP_ACT_ALLOW", **profile}, "linux", "seccomp")


def append_mount(mount: dict[str, Any]) -> Change:
    return lambda config: config["mounts"].append(mount)


def repeat_namespace(kind: str) -> Change:
    return lambda config: config["linux"]["namespaces"].append({"type": kind})


def append_limit(*limits: dict[str, object]) -> Change:
    return lambda config: config["process"]["rlimits"].extend(limits)


OF_PYRUN = pytest.mark.pyrun_only("runc 1.1.5 does not look at this")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(remove("root"), [], id="no root"),
        pytest.param(put("missing", "root", "path"), ["no such file or directory"], id="missing rootfs"),
        pytest.param(put("config.json", "root", "path"), ["not a directory"], id="rootfs is a file"),
        pytest.param(remove("process"), ["process"], id="no process", marks=OF_PYRUN),
        pytest.param(put([], "process", "args"), ["args"], id="no args"),
        pytest.param(remove("process", "args"), ["args"], id="args left out"),
        pytest.param(put("", "process", "cwd"), [], id="no cwd"),
        pytest.param(put("relative", "process", "cwd"), [], id="relative cwd"),
        pytest.param(put("5", "process", "user", "uid"), [], id="uid is text"),
        pytest.param(put(-1, "process", "user", "uid"), [], id="negative uid"),
        pytest.param(put(4294967296, "process", "user", "uid"), [], id="uid too large"),
        pytest.param(put(4294967295, "process", "user", "uid"), [], id="uid is -1", marks=OF_PYRUN),
        pytest.param(
            append_mount(configs.bind("/missing/source", "/tmp")),
            ["/missing/source", "no such file or directory"],
            id="missing source",
        ),
        pytest.param(append_mount({"type": "tmpfs"}), [], id="mount without destination", marks=OF_PYRUN),
        pytest.param(capability("KILL"), ["KILL", "CAP_KILL"], id="capability without CAP_", marks=OF_PYRUN),
        pytest.param(seccomp(defaultAction="SCMP_ACT_FROB"), ["SCMP_ACT_FROB"], id="default action"),
        pytest.param(
            seccomp(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_FROB"}]), ["SCMP_ACT_FROB"], id="action"
        ),
        pytest.param(
            seccomp(
                syscalls=[
                    {
                        "names": ["mkdir"],
                        "action": "SCMP_ACT_ERRNO",
                        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_FROB"}],
                    }
                ]
            ),
            ["SCMP_CMP_FROB"],
            id="comparison",
        ),
        pytest.param(
            seccomp(architectures=["SCMP_ARCH_FROB"], syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]),
            ["SCMP_ARCH_FROB"],
            id="architecture",
        ),
        pytest.param(append_limit({"type": "RLIMIT_FROB", "soft": 1, "hard": 1}), ["RLIMIT_FROB"], id="resource limit"),
        pytest.param(
            append_limit({"type": "RLIMIT_CORE", "soft": 2, "hard": 1}), ["soft"], id="soft above hard", marks=OF_PYRUN
        ),
        pytest.param(
            append_limit(*[{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2),
            ["RLIMIT_CORE"],
            id="limit twice",
            marks=OF_PYRUN,
        ),
        pytest.param(repeat_namespace("frobnicate"), ["frobnicate"], id="kind of namespace"),
        pytest.param(repeat_namespace("pid"), ["pid"], id="namespace twice"),
        pytest.param(lambda c: configs.without_namespace(c, "uts"), ["hostname"], id="hostname without uts"),
        pytest.param(
            put("frobnicated", "linux", "rootfsPropagation"), ["frobnicated"], id="propagation", marks=OF_PYRUN
        ),
        pytest.param(put("2.0.0", "ociVersion"), ["2.0.0"], id="version", marks=OF_PYRUN),
        pytest.param(
            put({"memory": {"limit": 1 << 30}}, "linux", "resources"), ["memory"], id="limit that cannot be applied"
        ),
        pytest.param(
            put([{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}], "linux", "devices"), [], id="kind of device"
        ),
        pytest.param(
            put([{"path": "/dev/x", "type": "c"}], "linux", "devices"), ["major"], id="device number", marks=OF_PYRUN
        ),
        pytest.param(
            put([{"allow": True, "type": "z", "access": "rwm"}], "linux", "resources", "devices"), [], id="device rule"
        ),
        pytest.param(put({"frob.nicate": "1"}, "linux", "sysctl"), ["frob.nicate"], id="unknown sysctl"),
        pytest.param(
            put({"net.missing.name": "1"}, "linux", "sysctl"), ["no such file or directory"], id="missing sysctl"
        ),
    ],
)
def test_bad_configuration(runtime: Runtime, make_bundle: MakeBundle, change: Change, words: list[str]) -> None:
    bundle = make_bundle()
    change(bundle.config)
    bundle.may_change.add("rootfs/dev")
    runtime.run("test", bundle).failed(*words)


NEEDS = {
    "apparmorProfile": ("/sys/module/apparmor", "AppArmor", ["process"], "profile"),
    "selinuxLabel": ("/sys/fs/selinux/enforce", "SELinux", ["process"], "label"),
    "mountLabel": ("/sys/fs/selinux/enforce", "SELinux", ["linux"], "label"),
    "intelRdt": ("/sys/fs/resctrl/schemata", "resctrl", ["linux"], {"closID": "class"}),
    "netDevices": ("/sys/class/net/missing0", "missing0", ["linux"], {"missing0": {}}),
}


@pytest.mark.pyrun_only("runc 1.1.5 ignores some of it")
@pytest.mark.parametrize("name", NEEDS)
def test_what_the_host_does_not_have(runtime: Runtime, make_bundle: MakeBundle, name: str) -> None:
    evidence, words, section, value = NEEDS[name]
    if os.path.exists(evidence):
        pytest.skip(f"this host has it: {evidence}")
    bundle = make_bundle()
    put(value, *section, name)(bundle.config)
    runtime.run("test", bundle).failed(f"pyrun: config.json: /{section[0]}/{name}", words)


def test_real_limit_without_its_controller(runtime: Runtime, make_bundle: MakeBundle) -> None:
    if "cpu" in controllers():
        pytest.skip("cgroup v2 has the controller cpu here: tests/vm/cgroups covers that")
    bundle = make_bundle()
    bundle.config["linux"]["resources"]["cpu"] = {"shares": 512}
    runtime.run("test", bundle).failed("cpu")


@pytest.mark.pyrun_only("runc wants the files of missing controllers for -1 too")
def test_limits_that_ask_for_nothing(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.shell("echo ran"))
    bundle.config["linux"]["resources"].update(
        {"cpu": {"shares": 0, "quota": 0}, "memory": {}, "blockIO": {"weight": 0}, "pids": {"limit": -1}}
    )
    assert runtime.run("test", bundle).succeeded().output == "ran\n"


def foreign(bundle: Bundle) -> None:
    """Writes an executable for a machine that is not this one: a header of ELF for 32-bit m68k."""
    path = bundle.write("opt/program", "")
    with open(path, "wb") as file:
        file.write(b"\x7fELF\x01\x02\x01" + bytes(9) + b"\x00\x02\x00\x04" + bytes(64))
    os.chmod(path, 0o755)


PROGRAMS = {
    "missing": (["/bin/missing"], ["no such file or directory"]),
    "missing in PATH": (["missing"], ["executable file not found in $PATH"]),
    "directory": (["/etc"], ["permission denied"]),
    "not executable": (["/etc/passwd"], ["permission denied"]),
    "empty": ([""], []),
}


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_program_that_cannot_be_executed(runtime: Runtime, make_bundle: MakeBundle, verb: str, program: str) -> None:
    """Engines expect this error from create."""
    args, words = PROGRAMS[program]
    bundle = make_bundle(configs.default(*args))
    bundle.seal()
    runtime.call(verb, "--bundle", bundle.path, "test").failed(*words)


@pytest.mark.parametrize("uid", [0, 1000])
def test_program_that_the_user_may_not_execute(runtime: Runtime, make_bundle: MakeBundle, uid: int) -> None:
    config = configs.default("/opt/program")
    config["process"]["user"] = {"uid": uid, "gid": uid}
    bundle = make_bundle(config)
    bundle.write("opt/program", "#!/bin/sh\n", 0o600 if uid == 0 else 0o700)
    runtime.run("test", bundle).failed("permission denied")


EXEC_LATE = pytest.mark.pyrun_only("with runc, start does not wait for execve and the container has just ended")


@EXEC_LATE
@pytest.mark.parametrize("verb", ["start", "run"])
def test_program_for_another_machine(runtime: Runtime, make_bundle: MakeBundle, verb: str) -> None:
    bundle = make_bundle(configs.default("/opt/program"))
    foreign(bundle)
    if verb == "run":
        runtime.run("test", bundle).failed("exec format error")
    else:
        container = runtime.container("test", bundle).created()
        container.start().failed("exec format error")


@EXEC_LATE
@pytest.mark.parametrize("content", ["#!/missing/interpreter\n", "no interpreter at all\n"])
def test_script_without_interpreter(runtime: Runtime, make_bundle: MakeBundle, content: str) -> None:
    bundle = make_bundle(configs.default("/opt/program"))
    bundle.write("opt/program", content, 0o755)
    runtime.run("test", bundle).failed("no such file or directory" if content.startswith("#!") else "exec format error")


@EXEC_LATE
def test_failed_start_leaves_a_stopped_container(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/opt/program"))
    foreign(container.bundle)
    container.created()
    container.start().failed("exec format error")
    assert container.status == "stopped"
    container.delete().succeeded()


@pytest.mark.pyrun_only("the way in which errors name their place is pyrun's own")
def test_several_errors_are_counted(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    bundle.config["process"]["cwd"] = "relative"
    bundle.config["process"]["user"]["uid"] = -1
    bundle.config["mounts"][0]["options"] = "ro"
    line = runtime.run("test", bundle).failed("pyrun: config.json: /")
    assert line.endswith(f"(and 2 more: pyrun validate {bundle.path})")


def test_pid_file_that_cannot_be_written(make_container: MakeContainer) -> None:
    container = make_container()
    container.create("--pid-file", "/missing/directory/pid").failed("/missing/directory", "no such file or directory")
    assert not container.exists()


@pytest.mark.pyrun_only("runc 1.1.5 only warns")
def test_cgroup_that_is_in_use(make_container: MakeContainer) -> None:
    """A second container in the first one's cgroup would be killed with it."""
    config = configs.default("/bin/sleep", "1000")
    config["linux"]["cgroupsPath"] = "/shared"
    first = make_container(config).created()
    second = make_container(config)
    second.create().failed("shared")
    assert first.status == "created"


def test_state_root_that_is_a_file(make_bundle: MakeBundle, runtime: Runtime, scratch: str) -> None:
    runtime.root = os.path.join(scratch, "file")
    open(runtime.root, "w", encoding="ascii").close()
    bundle = make_bundle()
    bundle.seal()
    runtime.call("create", "--bundle", bundle.path, "x").failed("not a directory")
