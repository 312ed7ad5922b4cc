# SPDX-License-Identifier: Apache-2.0
"""Loading the config.json of a bundle."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyrun_spec.defaults import default_config
from pyrun_spec.errors import SpecError, quote
from pyrun_spec.load import SIZE_LIMIT, load_config
from unit.spec.config_samples import ROOT, Config, full_config, minimal_config, valid_configs


def write(bundle: Path, config: object) -> str:
    """Writes a config.json and returns the bundle."""
    (bundle / "config.json").write_text(json.dumps(config))
    return str(bundle)


def refusal(bundle: Path | str) -> SpecError:
    """Returns the error of a bundle that must be refused."""
    with pytest.raises(SpecError) as caught:
        load_config(str(bundle))
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("config", valid_configs())
def test_valid_configurations_are_returned(tmp_path: Path, config: Config) -> None:
    assert load_config(write(tmp_path, config)) == config


def test_null_members_are_dropped(tmp_path: Path) -> None:
    config = minimal_config() | {"hostname": None, "annotations": {"a": None}, "linux": {"seccomp": None}}
    assert load_config(write(tmp_path, config)) == minimal_config() | {"annotations": {}, "linux": {}}


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text(json.dumps(minimal_config()))
    (tmp_path / "config.json").symlink_to("elsewhere.json")
    assert load_config(str(tmp_path)) == minimal_config()


def test_missing_file(tmp_path: Path) -> None:
    assert str(refusal(tmp_path)) == (
        f'config.json: not found in the bundle "{tmp_path}" (to make one: pyrun spec --bundle "{tmp_path}")'
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing", "no such file or directory"), ("file", "not a directory"), ("file/below", "not a directory")],
)
def test_the_bundle_is_no_directory(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    error = str(refusal(tmp_path / name))
    assert quote(str(tmp_path / name)) in error  # which shortens a long one
    assert words in error


def test_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("/nowhere/config.json")
    assert str(refusal(tmp_path)) == 'config.json: is a link to "/nowhere/config.json", which does not exist'


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("config.json")
    assert str(refusal(tmp_path)).startswith("config.json: can't be opened: Too many levels")


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    assert str(refusal(tmp_path)) == "config.json: is a directory, not a regular file"


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert str(refusal(tmp_path)) == "config.json: is a fifo, not a regular file"


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("config.json")
        assert str(refusal(tmp_path)) == "config.json: is a socket, not a regular file"


def test_a_device(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("/dev/zero")
    assert str(refusal(tmp_path)) == "config.json: is a character device, not a regular file"


def test_ten_megabytes_are_accepted_quickly(tmp_path: Path) -> None:
    config = full_config()
    config["process"]["env"] = [f"NAME{number}={'x' * 100}" for number in range(50_000)]
    config["annotations"] = {f"org.example.{number}": "y" * 50 for number in range(50_000)}
    config["linux"]["seccomp"]["syscalls"] *= 5_000
    assert len(json.dumps(config)) > 10_000_000
    bundle = write(tmp_path, config)
    start = time.monotonic()
    assert load_config(bundle) == config
    assert time.monotonic() - start < 5


def test_the_limit_of_size(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(minimal_config()).ljust(SIZE_LIMIT))
    assert load_config(str(tmp_path)) == minimal_config()
    file.write_text(json.dumps(minimal_config()).ljust(SIZE_LIMIT + 1))
    assert str(refusal(tmp_path)) == "config.json: is larger than 16 MiB"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    load_config(write(tmp_path, minimal_config()))
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    refusal(tmp_path)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("document", [None, [], "text", 5])
def test_something_else_than_an_object(tmp_path: Path, document: object) -> None:
    assert str(refusal(write(tmp_path, document))).startswith("config.json: expected an object, found ")


def test_a_wrong_shape_names_the_first_error_and_counts_the_others(tmp_path: Path) -> None:
    config = minimal_config() | {"process": {"cwd": "/", "args": "sh", "user": {"uid": "0"}}, "hostname": 5}
    error = refusal(write(tmp_path, config))
    assert (error.source, error.pointer, error.more) == ("config.json", "/process/args", 2)
    assert str(error) == (
        'config.json: /process/args: expected an array, found the string "sh" (write ["sh"])'
        f" (and 2 more: pyrun validate {tmp_path})"
    )


def test_a_broken_rule_names_the_first_error_and_counts_the_others(tmp_path: Path) -> None:
    config = minimal_config() | {"ociVersion": "1.0", "process": {"cwd": "/", "args": ["sh"], "env": ["X"]}}
    error = refusal(write(tmp_path, config))
    assert str(error) == (
        'config.json: /ociVersion: "1.0" is not a semantic version (write "1.3.0")'
        f" (and 1 more: pyrun validate {tmp_path})"
    )


def test_errors_of_syntax_are_reported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"ociVersion": "1.0.0",}')
    assert str(refusal(tmp_path)) == 'config.json: line 1, column 24: a comma too many before "}"'


@pytest.mark.parametrize(
    ("config", "own"),
    [
        (default_config(), ["check", "errors", "load", "rules"]),
        (full_config(), ["check", "errors", "load", "rare_rules", "rules"]),
    ],
)
def test_a_good_configuration_loads_no_library(tmp_path: Path, config: Config, own: list[str]) -> None:
    """The modules that loading takes are few: an import costs more than the loading."""
    bundle = write(tmp_path, config)
    script = (
        "import sys; before = set(sys.modules); sys.path.append(sys.argv[1]);"
        "from pyrun_spec.load import load_config; load_config(sys.argv[2]);"
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(ROOT / "spec"), bundle]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    interpreter = {
        "__future__",
        "_collections_abc",
        "_json",
        "_stat",
        "errno",
        "genericpath",
        "os",
        "os.path",
    }
    interpreter |= {"posixpath", "stat"}
    assert set(printed) - interpreter == {"pyrun_spec", *(f"pyrun_spec.{name}" for name in own)}
