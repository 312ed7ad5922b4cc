# SPDX-License-Identifier: Apache-2.0
"""Which modules the verbs that engines call load: each costs time on every call, so a new one must be meant."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from support import configs
from support.bundle import Bundle
from support.runtime import MakeBundle, Runtime
from support.waiting import wait_for_exit

pytestmark = pytest.mark.pyrun_only("modules of Python")

FORBIDDEN = """json re typing dataclasses enum pathlib subprocess logging socket ctypes asyncio collections functools
    contextlib click jsonschema pyseccomp pyroute2 hashlib signal shutil tempfile prctl inspect""".split()

# What the interpreter loads itself when it starts with -I -S.
INTERPRETER = set(
    """_codecs _imp _io _abc _stat _thread _warnings _weakref abc codecs encodings encodings.aliases encodings.utf_8
    encodings.latin_1 encodings.cp437 errno genericpath io marshal os os.path posix posixpath runpy site stat sys time
    winreg zipimport _frozen_importlib _frozen_importlib_external _collections_abc _signal __main__ builtins""".split()
)
# Modules of the standard library in C, which cost next to nothing.
COMPILED = {
    "__future__",
    "_json",
    "_socket",
    "_signal",
    "fcntl",
    "select",
    "_posixsubprocess",
    "itertools",
    "_operator",
    "binascii",
}
COMMAND_LINE = {"pyrun", "pyrun.cli", "pyrun.cli.handlers", "pyrun.cli.main", "pyrun.cli.reader", "pyrun.cli.tables"}
STATE = COMMAND_LINE | {"pyrun.container", "pyrun.errors", "pyrun.jsontext", "pyrun.state"}
SPECIFICATION = {f"pyrun_spec{name}" for name in ("", ".check", ".errors", ".load", ".rules")}
CONTROL = {"pyrun_cgroups", "pyrun_cgroups.control"}
LAUNCH = {"pyrun.caller"} | {f"pyrun.container.{name}" for name in ("descriptors", "launch", "recipients")}
PLAN_OF_ALL = {"pyrun.plan"} | {f"pyrun.plan.{name}" for name in ("namespaces", "operations", "process", "root")}
PLAN = (
    PLAN_OF_ALL
    | {f"pyrun.plan.{name}" for name in ("cgroup", "create", "devices", "idmaps", "kernel", "mounts", "mount_options")}
    | {f"pyrun_cgroups.{name}" for name in ("devices", "placement")}
)
CREATE = STATE | SPECIFICATION | LAUNCH | PLAN | {"pyrun_cgroups", "pyrun.container.create"}
START = STATE | {"pyrun.container.launch", "pyrun.container.start"}
DELETE = STATE | SPECIFICATION | CONTROL | {"pyrun.container.delete", "pyrun.container.kill"}
# The container's config was checked when it was created.
EXEC = STATE | CONTROL | LAUNCH | PLAN_OF_ALL | {f"pyrun_spec{name}" for name in ("", ".errors", ".load")}
EXEC |= {"pyrun.plan.exec", "pyrun.container.exec", "pyrun.container.exec_process"}
# What of our own packages each verb may load.
OWN = {
    "create": CREATE,
    "start": START,
    "state": STATE | SPECIFICATION | CONTROL | {"pyrun.container.state"},
    "kill": STATE | {"pyrun.container.kill"},
    "delete": DELETE,
    "pause": STATE | SPECIFICATION | CONTROL | {"pyrun.container.pause"},
    "resume": STATE | SPECIFICATION | CONTROL | {"pyrun.container.pause"},
    "exec": EXEC | {"pyrun.container.kill", "pyrun.container.supervise"},
    "exec --detach": EXEC,
    "run": CREATE | START | DELETE | {"pyrun.container.run", "pyrun.container.supervise"},
}


def interpreter_command(runtime: Runtime, bundle: Bundle) -> list[str]:
    """Returns how the entry executes the interpreter, up to the arguments of pyrun, with every import reported."""
    bundle.seal()
    call = runtime.start("run", "--bundle", bundle.path, "observed")
    call.wait_for_output("ready")
    with open(f"/proc/{call.process.pid}/cmdline", encoding="utf-8") as file:
        words = file.read().split("\0")[:-1]
    runtime.call("kill", "observed", "KILL").succeeded()
    call.wait()
    own = words.index("--root")
    return [words[0], "-X", "importtime", *words[1:own]]


def modules_loaded(errors: str) -> set[str]:
    """Returns the modules that a report of -X importtime names."""
    lines = [line for line in errors.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip() for line in lines} - {"imported package"}


@pytest.fixture
def load(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> Callable[..., set[str]]:
    """A function that calls the runtime, which must succeed, and returns the modules that it loaded."""
    command = interpreter_command(runtime, make_bundle(configs.shell("echo ready; exec sleep 1000")))
    path = os.path.join(scratch, "report")

    def call(*words: str) -> set[str]:
        arguments = [*command, "--root", str(runtime.root), *words]
        with open(path, "w+", encoding="utf-8") as report:
            null = subprocess.DEVNULL
            status = subprocess.call(arguments, env=runtime.environment, stdin=null, stdout=null, stderr=report)
            report.seek(0)
            text = report.read()
        assert status == 0, text[-500:]
        return modules_loaded(text)

    return call


def test_modules_of_each_verb(
    load: Callable[..., set[str]], runtime: Runtime, make_bundle: MakeBundle, scratch: str
) -> None:
    container = runtime.container("test", make_bundle(configs.default("/bin/sleep", "1000")))
    short = make_bundle(configs.default("/bin/true"))
    container.bundle.seal()
    short.seal()
    loaded = {"create": load("create", "--bundle", container.bundle.path, "test")}
    loaded["start"] = load("start", "test")
    loaded["state"] = load("state", "test")
    loaded["exec"] = load("exec", "test", "/bin/true")
    pid_file = os.path.join(scratch, "exec-pid")
    loaded["exec --detach"] = load("exec", "--detach", "--pid-file", pid_file, "test", "/bin/true")
    with open(pid_file, encoding="ascii") as file:
        wait_for_exit(int(file.read()))
    loaded["pause"] = load("pause", "test")
    loaded["resume"] = load("resume", "test")
    pid = container.pid
    loaded["kill"] = load("kill", "test", "KILL")
    wait_for_exit(pid)
    loaded["delete"] = load("delete", "test")
    loaded["run"] = load("run", "--bundle", short.path, "another")
    for verb, modules in loaded.items():
        assert "pyrun.cli.main" in modules
        found = sorted(name for name in modules if name.partition(".")[0] in FORBIDDEN)
        assert not found, f"{verb} loads {found}"
        own = {name for name in modules if name.partition(".")[0] in ("pyrun", "pyrun_spec", "pyrun_cgroups")}
        others = modules - own - INTERPRETER - COMPILED
        assert not others, f"{verb} loads {sorted(others)}, which no list here allows"
        assert own <= OWN[verb], f"{verb} loads {sorted(own - OWN[verb])}, which no list here allows"


@pytest.mark.parametrize("engine", ["docker", "ctr"])
def test_modules_of_run_with_an_engines_configuration(
    load: Callable[..., set[str]], make_bundle: MakeBundle, engine: str
) -> None:
    """The first run of a filter compiles it, by a library; every later one finds it in the cache."""
    bundle = make_bundle()
    bundle.config = configs.captured(engine, bundle.path, "test")
    bundle.config["linux"]["cgroupsPath"] = "/test"
    bundle.seal()
    load("run", "--bundle", bundle.path, "test")
    modules = load("run", "--bundle", bundle.path, "test")
    assert not sorted(name for name in modules if name.partition(".")[0] in FORBIDDEN)


def test_report_would_show_a_forbidden_module() -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", "-c", "import json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"json", "re"} <= modules_loaded(result.stderr)
