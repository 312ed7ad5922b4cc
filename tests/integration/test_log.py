# SPDX-License-Identifier: Apache-2.0
"""Global options: where they may stand, and the log that engines read errors from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from support import configs
from support.runtime import MakeBundle, MakeContainer, Runtime

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def entries(path: str) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def last_error_as_containerd_reads_it(path: str) -> str:
    """containerd (pkg/process, getLastRuntimeError) decodes {level, msg, time} line by line, keeping errors."""
    last = ""
    for entry in entries(path):
        assert RFC3339.fullmatch(entry["time"])
        if entry["level"] == "error":
            last = entry["msg"].strip()
    return last


def missing_program() -> configs.Config:
    return configs.default("/bin/nonsense")


def missing_source() -> configs.Config:
    config = configs.default()
    config["mounts"].append(configs.bind("/nonsense", "/mnt"))
    return config


@pytest.mark.parametrize(
    ("make_config", "words"),
    [
        (missing_program, "no such file or directory"),
        (lambda: configs.default("nonsense"), "executable file not found in $PATH"),
        (lambda: configs.default("/etc"), "permission denied"),
        (missing_source, "no such file or directory"),
    ],
)
def test_json_log_holds_the_error(
    runtime: Runtime,
    make_bundle: MakeBundle,
    scratch: str,
    make_config: Callable[[], configs.Config],
    words: str,
) -> None:
    bundle = make_bundle(make_config())
    bundle.may_change.add("rootfs/mnt")
    bundle.seal()
    path = os.path.join(scratch, "log.json")
    result = runtime.call("create", "--bundle", bundle.path, "test", options=["--log", path, "--log-format", "json"])
    assert result.status == 1
    assert words in last_error_as_containerd_reads_it(path)


def test_error_goes_to_standard_error_too(runtime: Runtime, scratch: str) -> None:
    path = os.path.join(scratch, "log.json")
    result = runtime.call("state", "missing", options=["--log", path, "--log-format", "json"])
    result.failed("container does not exist")
    assert "container does not exist" in last_error_as_containerd_reads_it(path)


def test_text_log(runtime: Runtime, scratch: str) -> None:
    path = os.path.join(scratch, "log")
    runtime.call("state", "missing", options=["--log", path]).failed("container does not exist")
    with open(path, encoding="utf-8") as file:
        (line,) = file.read().splitlines()
    assert re.fullmatch(r'time="[^"]+" level=error msg="container does not exist.*"', line)


def test_log_is_appended_to(runtime: Runtime, scratch: str) -> None:
    path = os.path.join(scratch, "log")
    for _ in range(2):
        runtime.call("state", "missing", options=["--log", path, "--log-format", "json"])
    assert ["container does not exist" in entry["msg"] for entry in entries(path)] == [True, True]


def test_debug_writes_more_and_only_to_the_log(make_container: MakeContainer, scratch: str) -> None:
    container = make_container()
    path = os.path.join(scratch, "log.json")
    result = container.create(options=["--debug", "--log", path, "--log-format", "json"]).succeeded()
    assert result.errors == ""
    assert any(entry["level"] == "debug" for entry in entries(path))


def test_log_directory_is_missing(runtime: Runtime, scratch: str) -> None:
    path = os.path.join(scratch, "missing", "log")
    runtime.call("list", options=["--log", path]).failed("no such file or directory")


def test_unknown_log_format(runtime: Runtime) -> None:
    runtime.call("list", options=["--log-format", "xml"]).failed("xml")


@pytest.mark.parametrize(
    "options",
    [
        ["--debug"],
        ["--rootless", "false"],
        ["--rootless=auto"],
        ["--rootless", "true"],
        ["--log-format=text"],
    ],
)
def test_global_option_is_accepted(runtime: Runtime, options: list[str]) -> None:
    assert runtime.call("list", "-q", options=options).succeeded().output == ""


def test_option_and_value_in_one_word(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.shell("echo ran"))
    bundle.seal()
    assert runtime.call("run", f"--bundle={bundle.path}", "test").succeeded().output == "ran\n"


def test_options_of_a_verb_after_its_argument(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.shell("echo ran"))
    bundle.seal()
    assert runtime.call("run", "test", "-b", bundle.path).succeeded().output == "ran\n"
    runtime.call("delete", "test", "--force").succeeded()


@pytest.mark.pyrun_only("runc reads global options before the verb only")
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_global_option_after_the_verb(make_container: MakeContainer, place: str) -> None:
    container = make_container().created()
    root = ["--root", str(container.runtime.root)]
    words = {
        "before": [*root, "state", container.id],
        "between": ["state", *root, container.id],
        "after": ["state", container.id, *root],
    }[place]
    container.runtime.root, kept = None, container.runtime.root
    result = container.runtime.call(*words)
    container.runtime.root = kept
    assert json.loads(result.succeeded().output)["id"] == container.id


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_verb(runtime: Runtime, option: str) -> None:
    text = runtime.call(option).succeeded().output
    for verb in ("create", "start", "state", "kill", "delete", "run", "list", "spec"):
        assert re.search(rf"^ +{verb} ", text, re.MULTILINE), verb


def test_version(runtime: Runtime) -> None:
    text = runtime.call("--version").succeeded().output
    assert text.startswith(f"{runtime.name} version ")
    assert re.search(r"^spec: 1\.\d+\.\d+", text, re.MULTILINE)
