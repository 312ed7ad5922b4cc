# SPDX-License-Identifier: Apache-2.0
"""Seccomp filters: what they deny, and that they are loaded late enough and early enough."""

from __future__ import annotations

import os
from typing import Any

import pytest

from support import configs, process
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Run, Runtime

ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def filtered(config: Config, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> Config:
    """Gives `config` a filter; returns `config`."""
    profile = {"defaultAction": default, "syscalls": list(rules), **more}
    if os.uname().machine == "x86_64":
        profile["architectures"] = ARCHITECTURES
    config["linux"]["seccomp"] = profile
    return config


def deny(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ERRNO", **more}


RUNC_LOADS_EARLY = pytest.mark.pyrun_only("runc loads the filter long before it executes the program")
RUNC_HAS_NO_FLAGS = pytest.mark.pyrun_only("runc 1.1.5 supports no flags")
MAKE = "mkdir /tmp/made 2>&1; true"


def writable(config: Config) -> Config:
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    return config


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_denied_call(run: Run, no_new_privileges: bool, uid: int) -> None:
    config = filtered(
        configs.shell("chmod 700 /dev/shm 2>&1; grep Seccomp: /proc/self/status"), deny("chmod", "fchmodat")
    )
    config["process"]["noNewPrivileges"] = no_new_privileges
    config["process"]["user"] = {"uid": uid, "gid": uid}
    output = run(config)
    assert "Operation not permitted" in output
    assert output.split()[-2:] == ["Seccomp:", "2"]


@pytest.mark.parametrize(
    ("number", "words"), [(38, "Function not implemented"), (17, "File exists"), (28, "No space left")]
)
def test_error_number(run: Run, number: int, words: str) -> None:
    config = writable(filtered(configs.shell(MAKE), deny("mkdir", "mkdirat", errnoRet=number)))
    assert words in run(config)


def test_default_error_number(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    profile = configs.captured("docker", bundle.path, "test")["linux"]["seccomp"]
    profile["defaultErrnoRet"] = 17
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if not name.startswith("mkdir")]
    bundle.config = writable(configs.shell(MAKE))
    bundle.config["linux"]["seccomp"] = profile
    assert "File exists" in runtime.run("test", bundle).succeeded().output


def test_rule_that_looks_at_an_argument(run: Run) -> None:
    """kill(2) is denied for signal 10 only."""
    rule = deny("kill", args=[{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}])
    script = "trap '' USR1; kill -USR1 $$ 2>&1; kill -WINCH $$ && echo sent"
    output = run(filtered(configs.shell(script), rule))
    assert "Operation not permitted" in output and output.endswith("sent\n")


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"])
def test_killed_by_a_call(run: Run, action: str) -> None:
    config = filtered(
        writable(configs.shell("(mkdir /tmp/made); echo $?")), {"names": ["mkdir", "mkdirat"], "action": action}
    )
    assert run(config).split()[-1] == str(128 + 31)  # SIGSYS


def test_program_itself_killed(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = filtered(configs.default("/bin/uname"), {"names": ["uname"], "action": "SCMP_ACT_KILL_PROCESS"})
    assert runtime.run("test", make_bundle(config)).status == 128 + 31


@pytest.mark.parametrize("no_new_privileges", [True, pytest.param(False, marks=RUNC_LOADS_EARLY)])
def test_calls_of_the_runtime_may_be_denied(runtime: Runtime, make_bundle: MakeBundle, no_new_privileges: bool) -> None:
    """What the runtime does before the program begins is not what the filter is about."""
    names = ["mount", "setuid", "setgid", "setgroups", "capset", "setsid", "keyctl", "prctl", "chdir", "close_range"]
    names += ["setresuid", "setresgid", "sendmsg", "recvmsg", "socket", "connect", "accept", "accept4", "dup3"]
    config = filtered(configs.default("/bin/true"), deny(*names))
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config["process"]["noNewPrivileges"] = no_new_privileges
    result = runtime.run("test", make_bundle(config))
    assert result.errors == "" and result.status == 0


def test_unknown_call_is_ignored(run: Run) -> None:
    assert run(filtered(configs.shell("echo ran"), deny("frobnicate", "another_unknown"))) == "ran\n"


@pytest.mark.parametrize(
    "flags",
    [
        [],
        pytest.param(["SECCOMP_FILTER_FLAG_LOG"], marks=RUNC_HAS_NO_FLAGS),
        pytest.param(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], marks=RUNC_HAS_NO_FLAGS),
        pytest.param(["SECCOMP_FILTER_FLAG_TSYNC"], marks=RUNC_HAS_NO_FLAGS),
    ],
)
def test_flags(run: Run, flags: list[str]) -> None:
    config = filtered(configs.shell("grep Seccomp: /proc/self/status"), deny("mkdir"), flags=flags)
    assert run(config).split() == ["Seccomp:", "2"]


@RUNC_LOADS_EARLY
def test_created_container_is_not_filtered_yet(make_container: MakeContainer) -> None:
    container = make_container(filtered(configs.default("/bin/sleep", "1000"), deny("mkdir"))).created()
    assert process.status(container.pid)["Seccomp"] == "0"
    container.start().succeeded()
    assert process.status(container.pid)["Seccomp"] == "2"


def test_dockers_profile(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    docker = configs.captured("docker", bundle.path, "test")
    bundle.config = configs.shell("unshare -m true 2>&1; mount -t tmpfs x /tmp 2>&1; echo ran")
    bundle.config["linux"]["seccomp"] = docker["linux"]["seccomp"]
    output = runtime.run("test", bundle).succeeded().output
    assert output.endswith("ran\n") and output.count("not permitted") + output.count("denied") == 2


def test_second_container_with_the_same_filter(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = filtered(writable(configs.shell(MAKE)), deny("mkdir", "mkdirat"))
    for _ in range(2):
        assert "Operation not permitted" in runtime.run("test", make_bundle(config)).succeeded().output


@pytest.mark.pyrun_only("with runc, start does not wait for execve")
def test_filter_that_denies_execve(make_container: MakeContainer) -> None:
    container = make_container(filtered(configs.default("/bin/true"), deny("execve", "execveat"))).created()
    container.start().failed("operation not permitted")
