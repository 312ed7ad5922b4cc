# SPDX-License-Identifier: Apache-2.0
"""Our schemas say the same as the OCI project's own, but for differences that are listed with reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT4

from pyrun_spec.check import check_config
from pyrun_spec.defaults import default_config
from pyrun_spec.errors import SpecError, join_pointer
from pyrun_spec.explain import explain, explain_config
from pyrun_spec.load import parse_json
from pyrun_spec.schema import schema_of
from unit.spec.config_samples import (
    OCI_SCHEMAS,
    PATIENT,
    Config,
    changed_configs,
    full_config,
    valid_configs,
    without_null,
)

pytestmark = pytest.mark.skipif(not OCI_SCHEMAS.is_dir(), reason=f"the OCI project's schemas are not at {OCI_SCHEMAS}")

ABSENT = object()

# Where ours refuses what theirs accepts: a value that shows it, and why. "*" stands for any name or index.
STRICTER: dict[str, tuple[object, str]] = {
    "/root": (ABSENT, "config.md: root is required on Linux"),
    "/root/path": ("", "an empty path names no directory"),
    "/process/cwd": ("tmp", "config.md: an absolute path"),
    "/process/capabilities/*/*": ("KILL", "not the name of a capability"),
    "/process/user/umask": (512, "umask(2) drops other bits"),
    "/process/user/uid": (2**32 - 1, 'means "unchanged" to setresuid(2)'),
    "/process/user/gid": (2**32 - 1, 'means "unchanged" to setresgid(2)'),
    "/process/user/additionalGids/*": (2**32 - 1, "setgroups(2) refuses it"),
    "/linux/devices/*/uid": (2**32 - 1, 'means "unchanged" to chown(2)'),
    "/linux/devices/*/gid": (2**32 - 1, 'means "unchanged" to chown(2)'),
    "/process/oomScoreAdj": (1001, "the kernel's range"),
    "/process/rlimits/*/type": ("RLIMIT_FOO", "config.md: an error for what the kernel does not have"),
    "/process/ioPriority/priority": (8, "config.md: 0 to 7"),
    "/mounts/*/destination": ("", "an empty path is no place to mount"),
    "/hooks/*/*/path": ("hook", "config.md: an absolute path"),
    "/hooks/*/*/timeout": (2**63, "runc keeps it in 64 bits"),
    "/annotations/": ("x", "config.md: names are not empty"),
    "/linux/sysctl/": (1, "a value is a string, whatever its name"),
    "/linux/namespaces/*/path": ("run/netns", "config-linux.md: an absolute path"),
    "/linux/timeOffsets/*/nanosecs": (10**9, "the kernel's range"),
    "/linux/devices/*/path": ("null", "config-linux.md: the full path"),
    "/linux/memoryPolicy/mode": (ABSENT, "config-linux.md: required"),
    "/linux/personality/domain": (ABSENT, "config-linux.md: required"),
    "/linux/maskedPaths/*": ("proc/kcore", "config-linux.md: absolute paths"),
    "/linux/readonlyPaths/*": ("proc/sys", "config-linux.md: absolute paths"),
    "/linux/resources/devices/*/type": ("p", "config-linux.md: a, c or b"),
    "/linux/resources/devices/*/access": ("rx", "config-linux.md: a combination of r, w and m"),
    **{
        f"/linux/resources/blockIO/throttle{kind}Device/*/rate": (ABSENT, "config-linux.md: required")
        for kind in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")
    },
    "/linux/resources/unified/*": ("a\0", "no NUL in what is written to a file"),
    "/linux/resources/unified/": ("x", "the name of a file is not empty and has no slash"),
    "/linux/resources/unified/a~1b": ("x", "the name of a file is not empty and has no slash"),
    "/linux/intelRdt/memBwSchema": ("MB:\0", "no NUL in what is written to a file"),
    "/linux/seccomp/syscalls/*/args/*/index": (6, "system calls have six arguments"),
}

# Where ours accepts what theirs refuses.
LOOSER: dict[str, tuple[object, str]] = {
    "/linux/devices/*/fileMode": (
        0o21777,
        "engines send all mode bits, as runc takes them",
    ),
    "/linux/rootfsPropagation": (
        "rslave",
        "engines send rslave and rshared too, as runc takes them",
    ),
    "/process/commandLine": (5, "of Windows, ignored"),
    "/process/user/username": (5, "of Windows, ignored"),
}


def _anchored(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The keyword pattern of ECMA-262, in which "$" does not match before a line break."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError("no match")


@cache
def oci_validator(name: str) -> Draft4Validator:
    """Returns a validator by one of the OCI project's schemas."""
    contents = {file.name: json.loads(file.read_text()) for file in OCI_SCHEMAS.glob("*.json")}
    registry: Registry[Any] = Registry().with_contents(contents.items(), default_specification=DRAFT4)
    # Theirs have no identifiers: as files of one directory they refer to each other by name.
    schema = {"$ref": f"{name}.json"}
    strict = extend(Draft4Validator, {"pattern": _anchored})  # type: ignore[no-untyped-call]
    validator: Draft4Validator = strict(schema, registry=registry)
    return validator


def oci_errors(name: str, document: Any) -> list[str]:
    """Returns the pointers of the errors that the OCI project's schema finds."""
    pointers = []
    for error in oci_validator(name).iter_errors(document):
        pointer = ""
        for part in error.absolute_path:
            pointer = join_pointer(pointer, part)
        if error.validator == "required":
            pointer = join_pointer(pointer, error.message.split("'")[1])
        pointers.append(pointer)
    return pointers


def _listed(pointer: str, differences: dict[str, tuple[object, str]]) -> bool:
    patterns = (re.escape(place).replace(r"\*", "[^/]+") for place in differences)
    return any(re.fullmatch(pattern, pointer) for pattern in patterns)


def _example(place: str, value: object) -> Config:
    """Returns a configuration with a value at a place that may have "*" for names and indices."""
    config = full_config()
    parent: Any = config
    *steps, last = (part.replace("~1", "/") for part in place.split("/")[1:])
    for step in steps:
        if step == "*":
            parent = parent[-1] if isinstance(parent, list) else next(iter(parent.values()))
        else:
            parent = parent[step]
    name: Any = last
    if last == "*":
        name = 0 if isinstance(parent, list) else next(iter(parent))
    if value is ABSENT:
        del parent[name]
    else:
        parent[name] = value
    return config


def _is_unclean(document: Config, pointer: str) -> bool:
    """Whether the value at a pointer, or its name, is a string with NUL or half a surrogate pair."""
    value: Any = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)]
        elif name in value:
            value = value[name]
        else:
            return True  # a name that was made printable for the pointer
    return isinstance(value, str) and not re.fullmatch("[^\0\ud800-\udfff]*", value)


FOREIGN = ("/solaris", "/windows", "/vm", "/zos", "/freebsd", "/process/commandLine", "/process/user/username")
# Theirs are a pattern, or no enumeration; or ours has words more that engines send.
OWN_WORDS = (
    "/process/rlimits/*/type",
    "/linux/devices/*/type",
    "/linux/resources/devices/*/type",
    "/linux/rootfsPropagation",
)


@cache
def _oci_file(name: str) -> Any:
    return json.loads((OCI_SCHEMAS / name).read_text())


def _oci_properties(schema: Any, file: str, path: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields path and words of every property that the OCI project's schema has; words are those of an enumeration."""
    if "$ref" in schema:
        name, _, place = schema["$ref"].partition("#")
        file = name or file
        schema = _oci_file(file)
        for part in place.strip("/").split("/"):
            schema = schema[part]
        yield from _oci_properties(schema, file, path)
        return
    yield path, tuple(schema.get("enum", ()))
    for name, member in schema.get("properties", {}).items():
        if f"{path}/{name}" not in FOREIGN:
            yield from _oci_properties(member, file, f"{path}/{name}")
    for member in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from _oci_properties(member, file, path)
    for member in (
        schema.get("items"),
        schema.get("additionalProperties"),
        *schema.get("patternProperties", {}).values(),
    ):
        if isinstance(member, dict):
            yield from _oci_properties(member, file, f"{path}/*")


def _our_properties(schema: Any, path: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    if "$ref" in schema:
        schema = schema_of("config")["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    yield path, tuple(schema.get("enum", ()))
    for name, member in schema.get("properties", {}).items():
        yield from _our_properties(member, f"{path}/{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from _our_properties(schema[keyword], f"{path}/*")


def test_every_property_and_every_word_is_known_and_no_other() -> None:
    ours = dict(_our_properties(schema_of("config")))
    theirs: dict[str, tuple[str, ...]] = {}
    for path, words in _oci_properties(_oci_file("config-schema.json"), "config-schema.json"):
        theirs[path] = theirs.get(path) or words
    assert ours.keys() == theirs.keys()
    assert {path: set(words) for path, words in ours.items() if path not in OWN_WORDS} == {
        path: set(words) for path, words in theirs.items() if path not in OWN_WORDS
    }


SAMPLES = sorted(OCI_SCHEMAS.glob("test/*/*/*.json"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda file: "/".join(file.parts[-3:]))
def test_samples_of_the_project_are_judged_as_it_says(sample: Any) -> None:
    document, verdict = sample.parts[-3:-1]
    try:
        value = parse_json(sample.read_bytes(), sample.name)
    except SpecError:
        assert verdict == "bad"
        return
    assert (explain(document, value) == []) == (verdict == "good")
    if document == "config":
        assert check_config(value) == (verdict == "good")


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 10


@pytest.mark.parametrize("config", [default_config(), default_config(rootless=True), full_config()])
def test_our_configurations_satisfy_their_schema(config: Config) -> None:
    assert oci_errors("config-schema", config) == []


@pytest.mark.parametrize("place", STRICTER)
def test_what_only_ours_refuses(place: str) -> None:
    config = _example(place, STRICTER[place][0])
    (found,) = explain_config(config)
    assert _listed(found.pointer, {place: STRICTER[place]})
    assert oci_errors("config-schema", config) == []


@pytest.mark.parametrize("place", LOOSER)
def test_what_only_theirs_refuses(place: str) -> None:
    config = _example(place, LOOSER[place][0])
    assert explain_config(config) == []
    (pointer,) = oci_errors("config-schema", config)
    assert _listed(pointer, {place: LOOSER[place]})


@settings(PATIENT, max_examples=600)
@given(changed_configs(valid_configs()))
def test_changed_configurations_are_judged_alike(config: Config) -> None:
    ours = [found.pointer for found in explain_config(config)]
    bare = without_null(config)
    theirs = oci_errors("config-schema", bare)
    if not theirs:
        assert [p for p in ours if not _listed(p, STRICTER) and not _is_unclean(bare, p)] == []
    if not ours:
        assert [pointer for pointer in theirs if not _listed(pointer, LOOSER)] == []


VALUES = [
    None,
    True,
    1,
    "",
    "x",
    [],
    ["x"],
    {},
    {"enabled": True},
    ["CAP_KILL"],
    ["SCMP_ACT_LOG"],
    "paused",
    -1,
]


@settings(PATIENT, max_examples=300)
@given(st.data())
def test_changed_features_and_states_are_judged_alike(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["features", "state"]))
    good = [json.loads(file.read_text()) for file in sorted((OCI_SCHEMAS / "test" / kind / "good").glob("*"))]
    document = data.draw(st.sampled_from(good))
    linux = document.get("linux", {})
    section = data.draw(st.sampled_from([part for part in (document, linux, linux.get("seccomp")) if part]))
    name = data.draw(st.sampled_from(sorted(section)))
    section[name] = data.draw(st.sampled_from(VALUES))
    ours = {found.pointer for found in explain(kind, document)}
    theirs = set(oci_errors(f"{kind}-schema", without_null(document)))
    # Ours has absolute paths, IDs that are not empty, known kinds of hooks, and the pid of a process.
    stricter = {"/bundle", "/rootfs", "/id", "/pid"} | {p for p in ours if p.startswith("/hooks/")}
    assert not ours - theirs - stricter
    # runc, crun and the engines have the status paused.
    assert not theirs - ours - ({"/status"} if document.get("status") == "paused" else set())
