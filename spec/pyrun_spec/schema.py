# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas, and a validator that reads them as `check.py` does.

The validator is jsonschema's with these differences: members of objects that are null are absent, 1.0 is no
integer, and "$" in a pattern is the end of the text alone, as in ECMA-262.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT202012

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemas")
DOCUMENTS = ("config", "state", "features")

Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors]


@functools.cache
def schema_of(document: str) -> dict[str, Any]:
    """Returns the JSON Schema of a document: `config`, `state` or `features`."""
    with open(os.path.join(SCHEMAS, f"{document}.json"), encoding="utf-8") as file:
        schema: dict[str, Any] = json.load(file)
    return schema


def _present(instance: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in instance.items() if member is not None}


def _ignoring_null(keyword: str) -> Keyword:
    """Returns the function of a keyword for objects, made blind to members that are null."""
    check = Draft202012Validator.VALIDATORS[keyword]

    def ignoring_null(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
        if type(instance) is dict:
            yield from check(validator, value, _present(instance), schema) or ()

    return ignoring_null


def _property_names(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
    """As jsonschema's, but the error is at the member, not at the object."""
    if type(instance) is dict:
        for name in _present(instance):
            yield from validator.descend(instance=name, schema=value, path=name)


def _required(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
    """As jsonschema's, but the error is where the member should be, not at the object."""
    if type(instance) is dict:
        for name in value:
            if instance.get(name) is None:
                yield ValidationError("missing", path=[name])


def _pattern(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
    """For patterns that are anchored at both ends, as all of ours are."""
    if type(instance) is str and not re.fullmatch(value, instance):
        yield ValidationError("no match")


def _enum(validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
    """For enumerations of strings, as all of ours are; another type is the error of `type` alone."""
    if type(instance) is str and instance not in value:
        yield ValidationError("not in the enumeration")


def _is(kind: type) -> Any:
    return lambda checker, instance: type(instance) is kind


StrictValidator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={
        "properties": _ignoring_null("properties"),
        "additionalProperties": _ignoring_null("additionalProperties"),
        "propertyNames": _property_names,
        "required": _required,
        "enum": _enum,
        "pattern": _pattern,
    },
    type_checker=TypeChecker(
        {
            "object": _is(dict),
            "array": _is(list),
            "string": _is(str),
            "integer": _is(int),
            "number": _is(int),
            "boolean": _is(bool),
        }
    ),
)


@functools.cache
def validator_of(document: str) -> Any:
    """Returns the validator (jsonschema) of a document: `config`, `state` or `features`."""
    contents = [(f"{name}.json", schema_of(name)) for name in DOCUMENTS]
    registry: Registry[Any] = Registry().with_contents(contents, default_specification=DRAFT202012)
    return StrictValidator(schema_of(document), registry=registry)
