# SPDX-License-Identifier: Apache-2.0
"""Every property refuses wrong values, in one line that names its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pyrun_spec.errors import SpecError, join_pointer
from pyrun_spec.load import checked_config
from pyrun_spec.schema import schema_of
from pyrun_spec.validate import validate_config
from support.wrong_values import NAMES, WRONG_VALUES, place_of, pointer_of, put
from unit.spec.config_samples import Config, full_config

SCHEMA = schema_of("config")
LONGEST_LINE = 400


def properties(schema: Any, path: str = "") -> Iterator[str]:
    """Yields the path of every value that the schema describes, but for the whole document."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if path:
        yield path
    for name, member in schema.get("properties", {}).items():
        yield from properties(member, f"{path}/{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from properties(schema[keyword], f"{path}/*")


def free_names(schema: Any, path: str = "") -> Iterator[str]:
    """Yields the path of every object of the schema whose members have free names."""
    return (place[:-2] for place in properties(schema) if place.endswith("/*") and _is_object(place[:-2]))


def _is_object(path: str) -> bool:
    value: Any = full_config()
    for part in place_of(value, path):
        value = value[part]
    return isinstance(value, dict)


def refusal(config: Config) -> SpecError:
    """Returns the error of loading a configuration, which has to be one line."""
    with pytest.raises(SpecError) as caught:
        checked_config(json.dumps(config).encode(), "/bundle")
    error = caught.value
    assert error.message and str(error).startswith(f"config.json: {error.pointer}: ")
    assert str(error).isprintable() and len(str(error)) < LONGEST_LINE
    return error


def found_by_validation(config: Config) -> set[tuple[str, str]]:
    """Returns places and messages of all errors that validation finds, each of which has to be one line."""
    findings = [found for found in validate_config(json.dumps(config).encode()) if not found.warning]
    assert all(found.message.isprintable() and len(found.message) < LONGEST_LINE for found in findings)
    return {(found.pointer, found.message) for found in findings}


def test_every_property_has_wrong_values_and_nothing_else_has() -> None:
    assert set(WRONG_VALUES) == set(properties(SCHEMA))


def test_every_object_with_free_names_has_wrong_ones() -> None:
    extensible = {path for path, _, _ in NAMES} - {"/linux/timeOffsets"}
    assert extensible == set(free_names(SCHEMA))


@pytest.mark.parametrize("path", WRONG_VALUES)
def test_wrong_values(path: str) -> None:
    for value in WRONG_VALUES[path]:
        config = full_config()
        place = place_of(config, path)
        put(config, place, value)
        error = refusal(config)
        if error.pointer != pointer_of(place):
            # Something that depends on it comes first.
            assert pointer_of(place) in {pointer for pointer, _ in found_by_validation(config)}, f"{value!r}: {error}"


@pytest.mark.parametrize(("path", "value", "names"), NAMES)
def test_wrong_names(path: str, value: object, names: tuple[str, ...]) -> None:
    for name in names:
        config = full_config()
        put(config, (*place_of(config, path), name), value)
        assert refusal(config).pointer == join_pointer(path, name)


def test_validation_finds_what_loading_does_and_the_rest() -> None:
    for path in list(WRONG_VALUES)[::10]:
        config = full_config()
        put(config, place_of(config, path), WRONG_VALUES[path][0])
        error, found = refusal(config), found_by_validation(config)
        assert (error.pointer, error.message) in found and error.more == len(found) - 1
