# SPDX-License-Identifier: Apache-2.0
"""Rules of the specification about a process that are easily missed: warnings of capabilities, limits, mask, HOME."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from support import configs, process
from support.configs import Config
from support.execs import process_file
from support.runtime import Container, MakeBundle, MakeContainer, Run, Runtime

SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
WARNS = pytest.mark.pyrun_only("runc 1.1.5 says nothing, or fails")

LIMITS = {
    "RLIMIT_AS": "Max address space",
    "RLIMIT_CORE": "Max core file size",
    "RLIMIT_CPU": "Max cpu time",
    "RLIMIT_DATA": "Max data size",
    "RLIMIT_FSIZE": "Max file size",
    "RLIMIT_LOCKS": "Max file locks",
    "RLIMIT_MEMLOCK": "Max locked memory",
    "RLIMIT_MSGQUEUE": "Max msgqueue size",
    "RLIMIT_NICE": "Max nice priority",
    "RLIMIT_NOFILE": "Max open files",
    "RLIMIT_NPROC": "Max processes",
    "RLIMIT_RSS": "Max resident set",
    "RLIMIT_RTPRIO": "Max realtime priority",
    "RLIMIT_RTTIME": "Max realtime timeout",
    "RLIMIT_SIGPENDING": "Max pending signals",
    "RLIMIT_STACK": "Max stack size",
}


def with_capabilities(config: Config, **sets: list[str]) -> Config:
    config["process"]["capabilities"] = sets
    return config


def warnings(container: Container, scratch: str) -> list[str]:
    """Creates a container, and returns the warnings in its log."""
    path = os.path.join(scratch, "log")
    container.bundle.seal()
    words = ["--bundle", container.bundle.path, container.id]
    container.runtime.call("create", *words, options=["--log", path]).succeeded()
    with open(path, encoding="utf-8") as file:
        return [line.partition(" level=warning ")[2].strip() for line in file if " level=warning " in line]


@WARNS
def test_unknown_capability_is_a_warning(make_container: MakeContainer, scratch: str) -> None:
    """Spec: what maps to nothing that the kernel has MUST be logged as a warning."""
    words = ("/bin/grep", "CapBnd", "/proc/self/status")
    known = ["CAP_KILL"]
    container = make_container(
        with_capabilities(configs.default(*words), bounding=[*known, "CAP_TEST"], permitted=known)
    )
    assert warnings(container, scratch) == ['msg="/process/capabilities: CAP_TEST: not known to pyrun, and left out"']
    assert process.capability_names(process.status(container.pid)["CapBnd"]) == known


@WARNS
def test_what_can_not_be_granted_is_a_warning(make_container: MakeContainer, scratch: str) -> None:
    """By name: an ambient capability has to be permitted and inheritable, an inheritable one in the bounding set."""
    sets = {kind: ["CAP_KILL"] for kind in SETS[:3]} | {"inheritable": ["CAP_CHOWN"], "ambient": ["CAP_KILL"]}
    container = make_container(with_capabilities(configs.default(), **sets))
    inheritable, ambient = warnings(container, scratch)
    assert inheritable.startswith('msg="/process/capabilities: CAP_CHOWN: not inheritable: ')
    assert ambient.startswith('msg="/process/capabilities: CAP_KILL: not ambient: ')


@WARNS
def test_what_the_runtime_lacks_is_a_warning(runtime: Runtime, make_container: MakeContainer, scratch: str) -> None:
    """Once for each kind, though the sets are set more than once where something is kept for a while."""
    sets = dict.fromkeys(SETS[:3], ["CAP_KILL", "CAP_SYS_TIME"])
    config = with_capabilities(configs.default(), **sets)
    config["process"]["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 10_000_000}
    runtime.wrapper = ("setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time")
    container = make_container(config)
    bounding, permitted = warnings(container, scratch)
    assert bounding.startswith('msg="/process/capabilities/bounding: CAP_SYS_TIME: not in the bounding set: ')
    assert permitted.startswith('msg="/process/capabilities: CAP_SYS_TIME: not granted: ')
    assert process.capability_names(process.status(container.pid)["CapPrm"]) == ["CAP_KILL"]


@WARNS
def test_exec_warns_too(make_container: MakeContainer, scratch: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    sets = {"bounding": ["CAP_KILL", "CAP_NO_SUCH_THING"]}
    path = process_file(scratch, "/bin/true", capabilities=sets)
    log = os.path.join(scratch, "log")
    container.runtime.call("exec", "--process", path, container.id, options=["--log", log]).succeeded()
    with open(log, encoding="utf-8") as file:
        assert "CAP_NO_SUCH_THING: not known to pyrun, and left out" in file.read()


@WARNS
@pytest.mark.parametrize("name", ["KILL", "cap_kill", "CAP_", "CAP KILL", ""])
def test_what_can_not_be_a_capability(runtime: Runtime, make_bundle: MakeBundle, name: str) -> None:
    bundle = make_bundle(with_capabilities(configs.default(), permitted=["CAP_KILL", name]))
    runtime.run("test", bundle).failed("/process/capabilities/permitted/1: ")


def limits_of(status: str) -> dict[str, list[str]]:
    return {line[:25].strip(): line[25:].split()[:2] for line in status.splitlines()[1:]}


def test_every_resource_limit(run: Run) -> None:
    """Each with values of its own, the hard one not above what the caller has."""
    with open("/proc/self/limits", encoding="ascii") as file:
        own = limits_of(file.read())
    expected = {}
    for number, (kind, row) in enumerate(LIMITS.items()):
        most = own[row][1]
        hard = (1 << 30) + number if most == "unlimited" else int(most)
        expected[kind] = [str(hard - hard // 4), str(hard)]
    config = configs.default("/bin/cat", "/proc/self/limits")
    config["process"]["rlimits"] = [
        {"type": kind, "soft": int(soft), "hard": int(hard)} for kind, (soft, hard) in expected.items()
    ]
    found = limits_of(run(config))
    assert {kind: found[row] for kind, row in LIMITS.items()} == expected


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_hard_limit_above_the_callers(runtime: Runtime, make_bundle: MakeBundle, user_namespace: bool) -> None:
    config = configs.default()
    config["process"]["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 4096}]
    bundle = make_bundle(configs.with_user_namespace(config) if user_namespace else config)
    bundle.may_change.add("rootfs/dev")
    runtime.wrapper = ("prlimit", "--core=0:0", "setpriv", "--bounding-set", "-sys_resource")
    line = runtime.run("test", bundle).failed("operation not permitted")
    if runtime.name == "pyrun":
        assert "/process/rlimits/0/hard: " in line and "only CAP_SYS_RESOURCE may raise a hard limit" in line


def process_with(**members: Any) -> Config:
    config = configs.shell("umask; echo $HOME")
    config["process"].update(members)
    return config


@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's mask without a mount namespace, as it did until 1.6")
@pytest.mark.parametrize(("umask", "expected"), [(None, "0022"), (0o007, "0007")])
def test_mask_without_a_mount_namespace(
    runtime: Runtime, make_bundle: MakeBundle, umask: int | None, expected: str
) -> None:
    config = process_with(user={"uid": 0, "gid": 0} | ({} if umask is None else {"umask": umask}))
    config = configs.without_namespace(config, "mount")
    config["mounts"], config["linux"]["maskedPaths"], config["linux"]["readonlyPaths"] = [], [], []
    config["root"]["readonly"] = False
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs/dev")
    previous = os.umask(0o077)
    try:
        assert runtime.run("test", bundle).succeeded().output.split() == [expected, "/root"]
    finally:
        os.umask(previous)


@pytest.mark.pyrun_only("runc 1.1.5 leaves an empty HOME, as it did until 1.3")
@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (1000, "/home/alice"), (4242, "/")])
@pytest.mark.parametrize("env", [["HOME="], ["HOME=/x", "HOME="], []], ids=str)
def test_home_that_is_empty_or_missing(run: Run, uid: int, home: str, env: list[str]) -> None:
    assert run(process_with(user={"uid": uid, "gid": 0}, env=[configs.PATH, *env])).split() == ["0022", home]


def test_variable_twice(run: Run) -> None:
    config = configs.default("/bin/env")
    config["process"]["env"] = [configs.PATH, "A=1", "HOME=/h", "A=2", "B=", "A=3"]
    assert sorted(run(config).splitlines()) == ["A=3", "B=", "HOME=/h", configs.PATH]


@pytest.mark.pyrun_only("runc 1.1.5 does not look at the values")
@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"user": {"uid": 0, "gid": 0, "umask": 0o1000}}, ["/process/user/umask: "]),
        ({"user": {"uid": 0, "gid": 0, "umask": -1}}, ["/process/user/umask: "]),
        ({"rlimits": [{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]}, ["/process/rlimits/0/type: "]),
        ({"rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}, ["/process/rlimits/0"]),
        ({"rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2}, ["/process/rlimits/1: "]),
        ({"rlimits": [{"type": "RLIMIT_CORE", "hard": 1}]}, ["/process/rlimits/0"]),
        ({"apparmorProfile": 1}, ["/process/apparmorProfile: "]),
        ({"selinuxLabel": 1}, ["/process/selinuxLabel: "]),
        ({"consoleSize": {"height": "1", "width": 1}}, ["/process/consoleSize/height: "]),
        ({"consoleSize": {"height": 1}}, ["/process/consoleSize"]),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_bad_value(runtime: Runtime, make_bundle: MakeBundle, members: dict[str, Any], words: list[str]) -> None:
    runtime.run("test", make_bundle(process_with(**members))).failed("config.json: ", *words)


def test_terminal_size_without_a_terminal(run: Run) -> None:
    """Spec: it is ignored then."""
    assert run(process_with(terminal=False, consoleSize={"height": 5, "width": 7})).split() == ["0022", "/root"]


APPARMOR = os.path.exists("/sys/module/apparmor/parameters/enabled")
SELINUX = os.path.exists("/sys/fs/selinux/enforce")


@pytest.mark.skipif(APPARMOR, reason="this host has AppArmor: tests/vm/test_apparmor.py")
def test_apparmor_profile_without_apparmor(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(process_with(apparmorProfile="strict"))
    bundle.may_change.add("rootfs/dev")
    line = runtime.run("test", bundle).failed()
    if runtime.name == "pyrun":
        assert "/process/apparmorProfile: this host has no AppArmor; leave the profile out" in line


@pytest.mark.pyrun_only("runc 1.1.5 fails")
@pytest.mark.skipif(APPARMOR, reason="this host has AppArmor: tests/vm/test_apparmor.py")
def test_unconfined_without_apparmor(run: Run) -> None:
    """What engines write where confinement is switched off, and every process is that."""
    assert run(process_with(apparmorProfile="unconfined")).split() == ["0022", "/root"]


@pytest.mark.skipif(SELINUX, reason="this host has SELinux: tests/vm/test_selinux.py")
def test_selinux_label_without_selinux(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(process_with(selinuxLabel="system_u:system_r:container_t:s0:c1,c2"))
    bundle.may_change.add("rootfs/dev")
    line = runtime.run("test", bundle).failed("selinux" if runtime.name == "runc" else "/process/selinuxLabel: ")
    assert runtime.name == "runc" or "this host has no SELinux; leave the label out" in line


@pytest.mark.pyrun_only("runc 1.1.5 fails")
def test_kernel_parameter_in_a_user_namespace_without_a_mount_namespace(make_container: MakeContainer) -> None:
    """Nothing may be mounted then, not even a procfs of the runtime's own; the host's is as good."""
    config = configs.without_namespace(configs.default("/bin/sleep", "1000"), "mount")
    configs.with_user_namespace(config)
    config["mounts"], config["linux"]["maskedPaths"], config["linux"]["readonlyPaths"] = [], [], []
    config["root"]["readonly"] = False
    config["linux"]["sysctl"] = {"kernel.msgmax": "4321"}
    container = make_container(config)
    container.bundle.may_change.add("rootfs/dev")
    container.started()
    command = ["nsenter", f"--ipc=/proc/{container.pid}/ns/ipc", "cat", "/proc/sys/kernel/msgmax"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "4321\n"
