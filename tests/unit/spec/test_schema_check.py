# SPDX-License-Identifier: Apache-2.0
"""The fast check says the same as the schema, for valid configurations and for changed ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrun_spec import check, generate
from pyrun_spec.check import check_config
from pyrun_spec.explain import explain_config
from pyrun_spec.schema import schema_of
from unit.spec.config_samples import PATIENT, Config, changed_configs, full_config, valid_configs

CONFIG_SCHEMA = schema_of("config")


def test_the_check_is_what_the_schema_generates() -> None:
    assert Path(check.__file__).read_text() == generate.source()


def test_a_keyword_that_cannot_be_translated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {
        "type": "object",
        "title": "x",
        "properties": {"a": {"$ref": "#/$defs/b"}},
        "$defs": {"b": {"title": "b", "type": "integer", "minimum": 0, "maximum": 9, "multipleOf": 3}},
    }
    monkeypatch.setattr(generate, "schema_of", lambda document: schema)
    with pytest.raises(ValueError, match="multipleOf"):
        generate.source()


@pytest.mark.parametrize("config", valid_configs())
def test_valid_configurations_are_accepted(config: Config) -> None:
    assert explain_config(config) == []
    assert check_config(config)


def _properties(schema: Any, path: str = "") -> Iterator[str]:
    """Yields the path of every property that the schema has below a place."""
    if "$ref" in schema:
        schema = CONFIG_SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    for name, member in schema.get("properties", {}).items():
        yield f"{path}/{name}"
        yield from _properties(member, f"{path}/{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from _properties(schema[keyword], f"{path}/*")


def _present(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """Yields the path of every property of the schema that a document has."""
    if "$ref" in schema:
        schema = CONFIG_SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, list):
        for item in value:
            yield from _present(item, schema["items"], f"{path}/*")
    elif isinstance(value, dict):
        for name, member in value.items():
            if "additionalProperties" in schema:
                yield from _present(member, schema["additionalProperties"], f"{path}/*")
            else:
                yield f"{path}/{name}"
                yield from _present(member, schema["properties"][name], f"{path}/{name}")


def test_the_sample_has_every_property() -> None:
    assert set(_present(full_config(), CONFIG_SCHEMA)) == set(_properties(CONFIG_SCHEMA))


@settings(PATIENT, max_examples=600)
@given(changed_configs(valid_configs()))
def test_the_check_agrees_with_the_schema(config: Config) -> None:
    assert check_config(config) == (explain_config(config) == [])


@settings(PATIENT, max_examples=300)
@given(st.data())
def test_patterns_are_translated_faithfully(data: st.DataObject) -> None:
    """Each string definition, asked about texts that nearly match its pattern."""
    strings = {name: d for name, d in CONFIG_SCHEMA["$defs"].items() if "pattern" in d}
    name = data.draw(st.sampled_from(sorted(strings)))
    definition = strings[name]
    alphabet = st.sampled_from(list("/rwm0123456789, -KMGB:\n\0aé²\ud800"))
    text = data.draw(st.text(alphabet, max_size=6) | st.from_regex(definition["pattern"]))
    expected = len(text) >= definition.get("minLength", 0) and re.fullmatch(definition["pattern"], text)
    function = getattr(check, generate.identifier(name))
    assert function(text) == bool(expected)


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_only_objects_are_configurations(value: object) -> None:
    assert not check_config(value)


@pytest.mark.parametrize("section", ["vm", "windows", "solaris", "zos", "freebsd", "extension"])
@pytest.mark.parametrize("content", [{}, [], 5, {"nested": [1, {"a": "\0"}]}])
def test_other_platforms_and_extensions_are_ignored(section: str, content: object) -> None:
    config = full_config()
    config[section] = content
    config["linux"][section] = content
    config["process"]["user"][section] = content
    assert check_config(config)
    assert explain_config(config) == []


def test_null_members_are_absent() -> None:
    config = full_config()
    for name in ("hostname", "mounts", "hooks", "annotations", "process"):
        config[name] = None
    config["linux"]["seccomp"] = None
    config["linux"]["resources"]["unified"] = {"memory.high": None}
    assert check_config(config)
    assert explain_config(config) == []
    config["root"] = None
    assert not check_config(config)
    assert [found.pointer for found in explain_config(config)] == ["/root"]


INTEGERS = {
    ("process", "user", "uid"): (0, 2**32 - 2),
    ("process", "user", "umask"): (0, 0o777),
    ("process", "oomScoreAdj"): (-1000, 1000),
    ("process", "ioPriority", "priority"): (0, 7),
    ("process", "scheduler", "nice"): (-(2**31), 2**31 - 1),
    ("process", "scheduler", "runtime"): (0, 2**64 - 1),
    ("process", "rlimits", 0, "hard"): (0, 2**64 - 1),
    ("mounts", 1, "uidMappings", 0, "size"): (0, 2**32 - 1),
    ("hooks", "prestart", 0, "timeout"): (1, 2**63 - 1),
    ("linux", "timeOffsets", "monotonic", "nanosecs"): (0, 999999999),
    ("linux", "timeOffsets", "monotonic", "secs"): (-(2**63), 2**63 - 1),
    ("linux", "devices", 0, "fileMode"): (0, 2**32 - 1),
    ("linux", "devices", 0, "major"): (-(2**63), 2**63 - 1),
    ("linux", "resources", "memory", "limit"): (-(2**63), 2**63 - 1),
    ("linux", "resources", "cpu", "shares"): (0, 2**64 - 1),
    ("linux", "resources", "blockIO", "weight"): (0, 2**16 - 1),
    ("linux", "resources", "pids", "limit"): (-(2**63), 2**63 - 1),
    ("linux", "seccomp", "syscalls", 1, "args", 0, "index"): (0, 5),
    ("linux", "seccomp", "syscalls", 1, "args", 0, "value"): (0, 2**64 - 1),
}


@pytest.mark.parametrize(("path", "limits"), INTEGERS.items())
def test_integers_have_the_range_of_the_specification(path: tuple[str | int, ...], limits: tuple[int, int]) -> None:
    least, greatest = limits
    for value, valid in (
        (least, True),
        (greatest, True),
        (least - 1, False),
        (greatest + 1, False),
        (float(least), False),
        (str(least), False),
        (True, False),
    ):
        config = full_config()
        parent: Any = config
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = value
        assert check_config(config) is valid, value
