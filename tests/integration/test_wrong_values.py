# SPDX-License-Identifier: Apache-2.0
"""Wrong values and contradictions, given to `create`: one line that names the place, and nothing is made."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from pyrun_spec.errors import join_pointer
from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.contradictions import CONTRADICTIONS, Contradiction
from support.runtime import MakeBundle, Runtime
from support.wrong_values import NAMES, WRONG_VALUES, place_of, pointer_of, put
from unit.spec.config_samples import full_config

pytestmark = pytest.mark.pyrun_only("the places that errors name are pyrun's own")

# All of them take a minute here: what loading says of each is tested without a process of its own.
SAMPLE = list(WRONG_VALUES)[::4]


def refusal(runtime: Runtime, bundle: Bundle, config: Config) -> str:
    """Returns the line of error of a create of `config`, which must leave no state."""
    with open(os.path.join(bundle.path, "config.json"), "w", encoding="ascii") as file:
        json.dump(config, file)
    line = runtime.call("create", "--bundle", bundle.path, "test").failed()
    assert os.listdir(str(runtime.root)) == []
    return line


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    made = make_bundle()
    made.may_change.add("config.json")
    made.seal()
    return made


@pytest.mark.parametrize("start", range(8))
def test_wrong_values(runtime: Runtime, bundle: Bundle, start: int) -> None:
    for path in SAMPLE[start::8]:
        config = full_config()
        place = place_of(config, path)
        put(config, place, WRONG_VALUES[path][-1])
        assert f"pyrun: config.json: {pointer_of(place)}: " in refusal(runtime, bundle, config)


def test_wrong_names(runtime: Runtime, bundle: Bundle) -> None:
    for path, value, names in NAMES:
        config = full_config()
        put(config, (*place_of(config, path), names[0]), value)
        assert f"pyrun: config.json: {join_pointer(path, names[0])}: " in refusal(runtime, bundle, config)


@pytest.mark.parametrize("contradiction", CONTRADICTIONS, ids=lambda each: each.name)
def test_contradictions(runtime: Runtime, bundle: Bundle, contradiction: Contradiction) -> None:
    assert f"pyrun: config.json: {contradiction.pointer}: " in refusal(runtime, bundle, contradiction.config())


def test_validate_shows_all_that_create_counts(runtime: Runtime, bundle: Bundle) -> None:
    config = configs.without_namespace(configs.default(), "uts", "mount")
    config["process"]["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]
    line = refusal(runtime, bundle, config)
    assert line.endswith(f"(and 3 more: pyrun validate {bundle.path})")
    command = [runtime.path, "validate", bundle.path]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert [text.split(": ")[1] for text in (shown.stdout + shown.stderr).splitlines()] == [
        "/process/rlimits/0/soft",
        "/hostname",
        "/linux/maskedPaths",
        "/linux/readonlyPaths",
    ]
