# SPDX-License-Identifier: Apache-2.0
"""What the author of a valid configuration may not have meant: warnings for `pyrun validate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyrun_spec.errors import join_pointer, quote
from pyrun_spec.explain import Finding, near
from pyrun_spec.schema import schema_of

LIKENESS_OF_NAMES = 0.75
CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def advice(config: dict[str, Any]) -> list[Finding]:
    """Returns warnings for a configuration that satisfies the schema and has no members that are null."""
    return [
        *_missing_process(config),
        *_misspelt_names(schema_of("config"), config, ""),
        *_relative_destinations(config),
        *_unknown_capabilities(config),
    ]


def _missing_process(config: dict[str, Any]) -> Iterator[Finding]:
    """Spec: required when the container is started."""
    if "process" not in config:
        words = "missing: a container can be created without a process, but not started"
        yield Finding("/process", words, warning=True)


def _misspelt_names(schema: Any, value: Any, pointer: str) -> Iterator[Finding]:
    """Spec: unknown properties are ignored; those that are almost known ones were hardly meant to be."""
    if "$ref" in schema:
        schema = schema_of("config")["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if schema["type"] == "array":
        for index, item in enumerate(value):
            yield from _misspelt_names(schema["items"], item, join_pointer(pointer, index))
    if schema["type"] != "object":
        return
    properties = schema.get("properties", {})
    for name, member in value.items():
        place = join_pointer(pointer, name)
        if name in properties:
            yield from _misspelt_names(properties[name], member, place)
        elif "additionalProperties" in schema:
            yield from _misspelt_names(schema["additionalProperties"], member, place)
        elif meant := near(name, properties.keys() - value.keys(), LIKENESS_OF_NAMES):
            yield Finding(place, f"unknown and ignored (did you mean {quote(meant)}?)", warning=True)


def _relative_destinations(config: dict[str, Any]) -> Iterator[Finding]:
    """Spec: deprecated since 1.2."""
    for index, mount in enumerate(config.get("mounts", ())):
        destination = mount["destination"]
        if not destination.startswith("/"):
            yield Finding(
                f"/mounts/{index}/destination",
                f"{quote(destination)} is relative, which is deprecated (write {quote('/' + destination)})",
                warning=True,
            )


def _unknown_capabilities(config: dict[str, Any]) -> Iterator[Finding]:
    """Spec: what the kernel does not have is left out with a warning."""
    known = schema_of("config")["$defs"]["capability"]["examples"]
    for kind, names in ((config.get("process") or {}).get("capabilities") or {}).items():
        for index, name in enumerate(names if kind in CAPABILITY_SETS else ()):
            if name not in known:
                meant = near(name, known)
                hint = f" (did you mean {quote(meant)}?)" if meant else ""
                place = f"/process/capabilities/{kind}/{index}"
                yield Finding(place, f"{quote(name)} is unknown and left out{hint}", warning=True)
