# SPDX-License-Identifier: Apache-2.0
"""Generates `check.py` from `schemas/config.json`.

The hot path can't afford to load a schema and a validator. Each definition of the schema becomes one plain
function that says whether a value satisfies it. After a change of the schema run
`python -m pyrun_spec.generate`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from pyrun_spec.schema import schema_of

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check.py")

LINE_LENGTH = 120

Schema = dict[str, Any]

ANNOTATIONS = {"$schema", "$id", "$comment", "$defs", "title", "description", "examples"}

# What a pattern of the schema is in Python without `re`: conditions on `value`, known to be a string.
PATTERNS = {
    r"^[^\u0000\ud800-\udfff]*$": ["clean(value)"],
    r"^/[^\u0000\ud800-\udfff]*$": ['value.startswith("/")', "clean(value)"],
    r"^[^/\u0000\ud800-\udfff]+$": ['value != ""', '"/" not in value', "clean(value)"],
    r"^MB:[^\n\u0000\ud800-\udfff]*$": ['value.startswith("MB:")', '"\\n" not in value', "clean(value)"],
    r"^[0-9, -]*$": ['value.strip("0123456789, -") == ""'],
    r"^CAP_[A-Z0-9_]+$": [
        'value.startswith("CAP_")',
        "len(value) > 4",
        'value[4:].strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""',
    ],
    r"^[rwm]*$": ['value.strip("rwm") == ""'],
    r"^[1-9][0-9]*[KMG]B$": [
        "value.isascii()",
        "value[:-2].isdecimal()",
        'value[0] != "0"',
        'value[-2:] in {"KB", "MB", "GB"}',
    ],
}

HEADER = '''\
# SPDX-License-Identifier: Apache-2.0
"""Says fast whether a config.json has the right shape; `explain.py` says what is wrong with one that has not.

Each function but the helpers at the top checks a value against one definition of the schema.
Generated from schemas/config.json by `python -m pyrun_spec.generate`: change the schema, not this file.
None for a member of an object counts as absent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def clean(text: str) -> bool:
    """Whether a string has neither NUL nor half a surrogate pair."""
    if "\\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def boolean(value: object) -> bool:
    """Whether `value` is true or false."""
    return value is True or value is False


def texts(value: object) -> bool:
    """Whether `value` is an array of strings, each of them clean."""
    if type(value) is not list:
        return False
    try:
        return clean("".join(value))
    except TypeError:
        return False


def each(value: object, check: Callable[[object], bool]) -> bool:
    """Whether `value` is an array with items that satisfy `check`."""
    if type(value) is not list:
        return False
    for item in value:
        if not check(item):
            return False
    return True


def mapping(value: object, check_name: Callable[[object], bool], check: Callable[[object], bool]) -> bool:
    """Whether `value` is an object with names that satisfy `check_name` and members that satisfy `check`."""
    if type(value) is not dict:
        return False
    for name, item in value.items():
        if item is not None and not (check_name(name) and check(item)):
            return False
    return True
'''


def source() -> str:
    """Returns the text of `check.py` for the present schema.

    Raises:
        ValueError: for a keyword that can't be translated.
    """
    schema = schema_of("config")
    used = set(_references(schema))
    functions = [_function("check_config", schema)]
    for name, definition in schema["$defs"].items():
        if name in used:
            functions.append(_function(identifier(name), definition))
    return "\n\n".join([HEADER, *functions])


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield _referenced(schema["$ref"])
        for member in schema.values():
            yield from _references(member)


def _referenced(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def identifier(name: str) -> str:
    """`idMapping` becomes `id_mapping`, `execCPUAffinity` `exec_cpu_affinity`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _keywords(schema: Schema, *allowed: str) -> None:
    unknown = schema.keys() - ANNOTATIONS - set(allowed)
    if unknown:
        raise ValueError(f"keywords that can't be translated: {', '.join(sorted(unknown))}")


def _function(name: str, schema: Schema) -> str:
    conditions = {"object": _object, "array": _array, "integer": _integer, "string": _string}
    lines = [
        f"def {name}(value: object) -> bool:",
        f'    """Checks {schema["title"]}."""',
        *_conjunction(conditions[schema["type"]](schema)),
    ]
    for line in lines:
        if len(line) > LINE_LENGTH:
            raise ValueError(f"line too long: {line}")
    return "\n".join(lines) + "\n"


def _conjunction(conditions: list[str]) -> list[str]:
    """Returns the statement that returns whether all conditions hold, laid out as ruff would."""
    line = f"    return {' and '.join(conditions)}"
    if len(line) <= LINE_LENGTH or "\n" in line:
        return line.split("\n")
    first, *others = conditions
    return [
        "    return (",
        f"        {first}",
        *(f"        and {condition}" for condition in others),
        "    )",
    ]


def _object(schema: Schema) -> list[str]:
    _keywords(schema, "type", "properties", "required")
    conditions = ["type(value) is dict"]
    for name, member in schema["properties"].items():
        if name in schema.get("required", []):
            conditions.append(_condition(member, f'value.get("{name}")'))
        else:
            conditions.append(f'((item := value.get("{name}")) is None or {_condition(member, "item")})')
    return conditions


def _array(schema: Schema) -> list[str]:
    _keywords(schema, "type", "items", "minItems")
    not_empty = {0: [], 1: ["value != []"]}[schema.get("minItems", 0)]
    return [*not_empty, _each(schema["items"], "value")]


def _integer(schema: Schema) -> list[str]:
    _keywords(schema, "type", "minimum", "maximum")
    return ["type(value) is int", f"{schema['minimum']} <= value <= {schema['maximum']}"]


def _string(schema: Schema) -> list[str]:
    _keywords(schema, "type", "minLength", "pattern", "enum")
    if "enum" in schema:
        return ["type(value) is str", _membership(schema["enum"])]
    not_empty = {0: [], 1: ['value != ""']}[schema.get("minLength", 0)]
    return ["type(value) is str", *not_empty, *PATTERNS[schema["pattern"]]]


def _membership(values: list[str]) -> str:
    quoted = [f'"{value}"' for value in values]
    line = f"value in {{{', '.join(quoted)}}}"
    if len("    return type(value) is str and ") + len(line) <= LINE_LENGTH:
        return line
    return "\n".join(["value in {", *(f"        {value}," for value in quoted), "    }"])


def _condition(schema: Schema, variable: str) -> str:
    """Returns a call that says whether `variable` satisfies the schema of a member."""
    if "$ref" in schema:
        _keywords(schema, "$ref")
        return f"{_function_name(schema)}({variable})"
    if schema["type"] == "boolean":
        _keywords(schema, "type")
        return f"boolean({variable})"
    if schema["type"] == "array":
        _keywords(schema, "type", "items")
        return _each(schema["items"], variable)
    _keywords(schema, "type", "propertyNames", "additionalProperties")
    names, members = schema["propertyNames"], schema["additionalProperties"]
    return f"mapping({variable}, {_function_name(names)}, {_function_name(members)})"


def _each(items: Schema, variable: str) -> str:
    name = _function_name(items)
    return f"texts({variable})" if name == "text" else f"each({variable}, {name})"


def _function_name(schema: Schema) -> str:
    return identifier(_referenced(schema["$ref"]))


def main() -> None:
    """Writes `check.py`."""
    with open(CHECK, "w", encoding="utf-8") as file:
        file.write(source())


if __name__ == "__main__":
    main()
