# SPDX-License-Identifier: Apache-2.0
"""The page on conformance tells of every property, and each row names tests that are there."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from conformance import DATA, FOREIGN, PAGE, Row, expand, leaves, page, problems, properties, rows
from unit.spec.config_samples import OCI_SCHEMAS

# Words that are no word of the property (config-linux.md), or another platform's.
LEFT_OUT = ("/linux/resources/devices/*/type", "/vm/image/format")


def the_rows() -> list[Row]:
    return rows(tomllib.loads(DATA.read_text()))


def test_every_property_has_a_row_and_every_row_a_test() -> None:
    assert problems(the_rows()) == []


def test_the_page_is_what_the_tool_makes() -> None:
    assert PAGE.read_text() == page(the_rows()), "run tools/conformance.py"


@pytest.mark.skipif(not OCI_SCHEMAS.is_dir(), reason=f"the OCI project's schemas are not at {OCI_SCHEMAS}")
@pytest.mark.parametrize("document", ["config", "state", "features"])
def test_the_oci_projects_schema_has_no_other_property(document: str) -> None:
    ours = properties(document)
    for pointer, words in oci_properties(document).items():
        # Where theirs is coarser, there is something below.
        assert any(f"{known}/".startswith(f"{pointer}/") for known in ours), pointer
        assert set(words) <= set(ours.get(pointer, ())) or pointer in LEFT_OUT, pointer


def oci_properties(document: str) -> dict[str, tuple[str, ...]]:
    # A reference within a file gets the file's name, so that it means the same everywhere.
    texts = {file.name: file.read_text().replace('"#', f'"{file.name}#') for file in OCI_SCHEMAS.glob("*.json")}
    files = {name: json.loads(text) for name, text in texts.items()}

    def resolve(node: Any) -> Any:
        while "$ref" in node:
            name, _, path = node["$ref"].partition("#")
            # The schemas of other platforms are not there.
            node = files.get(name, {})
            for step in path.strip("/").split("/"):
                node = node.get(step, {})
        parts = [resolve(part) for part in node.get("allOf", ())]
        members = {name: member for part in parts for name, member in part.get("properties", {}).items()}
        return {**node, "properties": {**node.get("properties", {}), **members}} if members else node

    return dict(leaves(files[f"{document}-schema.json"], resolve))


def test_foreign_properties_are_not_ours() -> None:
    assert all(properties("config")[pointer] == () for pointer in FOREIGN)


def test_spellings() -> None:
    assert expand("/a") == ["/a"]
    assert expand("/{a,b}/{c,d}=x") == ["/a/c=x", "/a/d=x", "/b/c=x", "/b/d=x"]


def test_what_is_missing_or_wrong_is_told() -> None:
    found = the_rows()
    kept = [row for row in found if row.pointer != "/hostname" and "SCHED_FIFO" not in row.words]
    damaged = kept[0]._replace(pointer="/nowhere", words=("x",), tests=("unit/docs/test_conformance.py::test_nothing",))
    told = problems([*kept, kept[0], damaged, kept[1]._replace(words=("y",), tests=(), how="")])
    assert told == [
        f"config: {kept[0].place} stands twice",
        "config: /nowhere=x is not a property",
        'config: /nowhere=x: no word "x"',
        "config: /nowhere=x: no test unit/docs/test_conformance.py::test_nothing",
        f'config: {kept[1].pointer}=y: no word "y"',
        f"config: {kept[1].pointer}=y: how or support is not right",
        f"config: {kept[1].pointer}=y has no test",
        *[line for line in told if "has no row" in line],
    ]
    missing = [line for line in told if "has no row" in line]
    assert "config: /hostname has no row" in missing
    assert any(line.startswith("config: /process/scheduler/policy has no row for") for line in missing)
