# SPDX-License-Identifier: Apache-2.0
"""Explains in words what is wrong with the shape of a document."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jsonschema import ValidationError

from pyrun_spec.errors import join_pointer, quote, shorten
from pyrun_spec.schema import schema_of, validator_of

MOST_CHOICES_SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """Something that is wrong in a document, or that its author may not have meant.

    Attributes:
        pointer: JSON pointer (RFC 6901) of the place; "" is the whole document.
        message: the words for a person, without the place.
        warning: whether the document is valid nevertheless.
    """

    pointer: str
    message: str
    warning: bool = False


def explain_config(config: object) -> list[Finding]:
    """Returns all that is wrong with the shape of a config.json; nothing if `check_config` accepts it."""
    return explain("config", config)


def explain_process(process: object) -> list[Finding]:
    """Returns all that is wrong with the shape of a process object; nothing if `check.process` accepts it."""
    return _explain(process, validator_of("config").evolve(schema=schema_of("config")["$defs"]["process"]))


def explain_resources(resources: object) -> list[Finding]:
    """Returns all that is wrong with the shape of a resources object; nothing if `check.resources` accepts it."""
    return _explain(resources, validator_of("config").evolve(schema=schema_of("config")["$defs"]["resources"]))


def explain(document: str, value: object) -> list[Finding]:
    """Returns what keeps a parsed document from satisfying its schema: `config`, `state` or `features`."""
    return _explain(value, validator_of(document))


def _explain(value: object, validator: Any) -> list[Finding]:
    return [_finding(error, validator) for error in validator.iter_errors(value)]


def _finding(error: ValidationError, validator: Any) -> Finding:
    pointer = ""
    for part in error.absolute_path:
        pointer = join_pointer(pointer, part)
    value, schema = error.instance, error.schema
    if error.validator == "required":
        return Finding(pointer, _missing(str(error.path[-1]), value, schema))
    if error.validator == "type":
        return Finding(pointer, _wrong_type(value, schema, validator.evolve(schema=schema)))
    return Finding(pointer, MESSAGES[error.validator](value, schema))


def _missing(name: str, value: Any, schema: Any) -> str:
    written = near(name, value.keys() - schema["properties"].keys(), 0.7)
    meant = f" (is it what {quote(written)} is meant to be?)" if written else ""
    return f"missing: {schema['properties'][name]['description']}{meant}"


def _wrong_type(value: Any, schema: Any, validator: Any) -> str:
    kind = schema["type"]
    expected = CONTAINERS.get(kind) or _title(schema)
    meant = _converted(value, kind)
    hint = f" (write {shorten(json.dumps(meant))})" if validator.is_valid(meant) else ""
    return f"expected {expected}, found {_described(value)}{hint}"


def _title(schema: Any) -> str:
    title: str = schema.get("title", "true or false")
    return title


def _described(value: object) -> str:
    if isinstance(value, str):
        return f"the string {quote(value)}"
    if isinstance(value, dict):
        return CONTAINERS["object"]
    if isinstance(value, list):
        return CONTAINERS["array"]
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return f"the number {shorten(str(value))}"


def _converted(value: Any, kind: str) -> object:
    """Returns what was probably meant by a value of the wrong type, or the value itself."""
    if kind == "array":
        return [value]
    if kind == "string" and isinstance(value, bool | int | float):
        return json.dumps(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "integer" and isinstance(value, str) and re.fullmatch("-?[0-9]{1,20}", value):
        return int(value)
    if kind == "boolean":
        return {"true": True, "false": False}.get(str(value))
    return value


def _not_among(value: Any, schema: Any) -> str:
    return f"{quote(value)} is not {_title(schema)} ({_suggestion(value, schema['enum'])})"


def _suggestion(value: str, choices: list[str]) -> str:
    if nearest := near(value, choices):
        return f"did you mean {quote(nearest)}?"
    rest = len(choices) - MOST_CHOICES_SHOWN
    return f"it is one of {', '.join(choices[:MOST_CHOICES_SHOWN])}{f' and {rest} more' if rest > 0 else ''}"


def near(name: str, choices: Iterable[str], likeness: float = 0.6) -> str | None:
    """Returns that of `choices` which is most like `name`, whatever the case, or None if none is.

    Args:
        name: what was written.
        choices: what may have been meant.
        likeness: how alike they must be, from 0 to 1 (difflib).
    """
    by_lower_case = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, 1, likeness)
    if not matches and name:
        matches = [choice for choice in by_lower_case if choice.endswith(f"_{name.lower()}")]
    return by_lower_case[matches[0]] if matches else None


def _no_match(value: Any, schema: Any) -> str:
    if "\0" in value:
        return f"{quote(value)} contains a NUL character"
    if not re.fullmatch("[^\ud800-\udfff]*", value):
        return f"{quote(value)} contains half of a surrogate pair, which is no character"
    hint = _suggestion(value, schema["examples"]) if "examples" in schema else schema.get("description")
    return f"{quote(value)} is not {_title(schema)}{f' ({hint})' if hint else ''}"


def _out_of_range(value: Any, schema: Any) -> str:
    return f"{shorten(str(value))} is not {_title(schema)}"


def _empty(value: Any, schema: Any) -> str:
    return f"expected {_title(schema)}, found an empty one"


CONTAINERS = {"object": "an object", "array": "an array"}

MESSAGES: dict[object, Callable[[Any, Any], str]] = {
    "enum": _not_among,
    "pattern": _no_match,
    "minimum": _out_of_range,
    "maximum": _out_of_range,
    "minLength": _empty,
    "minItems": _empty,
}
