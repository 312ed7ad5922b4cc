# SPDX-License-Identifier: Apache-2.0
"""Makes docs/conformance.md of docs/conformance.toml, and says what is missing or wrong there.

The data file has a table for each property of the schemas in spec/pyrun_spec/schemas, by its JSON pointer with "*"
for an index or a free name; "{a,b}" stands for each of several spellings. "=" and words behind a pointer make a row
for these words of an enumeration, "=*" for all of them. A table has:

    how      what pyrun does about it
    tests    the tests that prove it: FILE::FUNCTION, FILE below tests/
    support  "yes" when left out, else one of SUPPORT

and `imitation = true` where the tests imitate what they are about. Where else a row is proved is told by the folders of
its tests.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pyrun.plan.mount_options import known_options

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "docs" / "conformance.toml"
PAGE = ROOT / "docs" / "conformance.md"
SCHEMAS = ROOT / "spec" / "pyrun_spec" / "schemas"
TESTS = ROOT / "tests"

UNIT_TEST = "unit test"
SUPPORT = ("yes", "ignored", "refused")
DOCUMENTS = ("config", "state", "features")

# Sections of the page: title, document, and how the pointers in it begin.
SECTIONS = (
    ("The file", "config", ("/ociVersion", "/hostname", "/domainname", "/annotations")),
    ("Root", "config", ("/root/",)),
    ("Mounts", "config", ("/mounts/",)),
    ("Process", "config", ("/process/",)),
    ("Hooks", "config", ("/hooks/",)),
    ("Namespaces", "config", ("/linux/namespaces/", "/linux/uidMappings", "/linux/gidMappings", "/linux/timeOffsets")),
    ("Devices", "config", ("/linux/devices/", "/linux/netDevices")),
    ("Cgroups", "config", ("/linux/cgroupsPath", "/linux/resources/")),
    ("Seccomp", "config", ("/linux/seccomp/",)),
    ("More of Linux", "config", ("/linux/",)),
    ("Virtual machines and other platforms", "config", ("/",)),
    ("State", "state", ("/",)),
    ("Features", "features", ("/",)),
)

# What the specification has for virtual machines and other systems, which our schema passes over on purpose.
FOREIGN = (
    *(f"/vm/hypervisor/{name}" for name in ("path", "parameters")),
    *(f"/vm/kernel/{name}" for name in ("path", "parameters", "initrd")),
    *(f"/vm/image/{name}" for name in ("path", "format")),
    *(f"/vm/hwConfig/{name}" for name in ("deviceTree", "vcpus", "memory", "dtdevs", "irqs")),
    *(f"/vm/hwConfig/iomems/*/{name}" for name in ("firstGFN", "firstMFN", "nrMFNs")),
    "/process/commandLine",
    "/process/user/username",
    "/windows",
    "/solaris",
    "/zos",
    "/freebsd",
)

HEAD = """# Conformance

What pyrun does about each property of the OCI runtime specification 1.3.0 on Linux, and which test proves it. There \
are {} rows: one for each property of `config.json`, of the state and of the features document, for the words that a \
property takes where these are certain ones, and for the rules of the specification that are about no property.

*Supported* is *yes*, *ignored* for what the specification wants to be ignored and what has no meaning for cgroup v2, \
or *refused*, by an error that says so, for what only cgroup v1 has and for a word that no kernel here can obey or \
that could only do harm. A row is *proved* by a test on the machine that runs the tests ("here"), in a virtual \
machine with a stock kernel that has what others lack, by an imitation of what no machine at hand has, or by a unit \
test alone.

This page is made by `tools/conformance.py` from `docs/conformance.toml`. A test fails when a property of the schemas \
has no row, when a row names a test that does not exist, and when the page is not what the tool makes.
"""

# JSON pointers of properties, each with the words of its enumeration.
Properties = dict[str, tuple[str, ...]]


class Row(NamedTuple):
    """One row of the page: a property, or some words of one; a rule has its text as the pointer."""

    document: str
    pointer: str
    words: tuple[str, ...]
    support: str
    how: str
    tests: tuple[str, ...]
    proved: str

    @property
    def place(self) -> str:
        """The row's key in the data file, with one pointer."""
        return self.pointer + (f"={','.join(self.words)}" if self.words else "")


def leaves(node: Any, resolve: Callable[[Any], Any], pointer: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the pointer of each property of a JSON Schema that has none below it, with its enumeration.

    Args:
        node: a part of the schema.
        resolve: returns what the part says, with references followed.
        pointer: where the part belongs.
    """
    node = resolve(node)
    below = [(f"{pointer}/{name}", member) for name, member in node.get("properties", {}).items()]
    free = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
    for part in (node.get("items"), free):
        part = part[0] if isinstance(part, list) else part
        if isinstance(part, dict) and resolve(part).get("properties"):
            below.append((f"{pointer}/*", part))
    if below:
        for place, member in below:
            yield from leaves(member, resolve, place)
        return
    item = node.get("items")
    yield pointer, tuple((resolve(item) if isinstance(item, dict) else node).get("enum", ()))


@functools.cache
def properties(document: str) -> Properties:
    """Return the properties of ``config``, ``state`` or ``features`` by our schema, in its order."""
    documents = {name: json.loads((SCHEMAS / f"{name}.json").read_text()) for name in DOCUMENTS}

    def resolve(node: Any) -> Any:
        while "$ref" in node:
            name, _, path = node["$ref"].partition("#")
            node = documents[name.removesuffix(".json") or document]
            for step in path.split("/")[1:]:
                node = node[step]
        return node

    found = dict(leaves(documents[document], resolve))
    if document == "config":
        found["/mounts/*/options"] = tuple(sorted(known_options()))
        found.update(dict.fromkeys(FOREIGN, ()))
    return found


def expand(text: str) -> list[str]:
    """Return each spelling that a text with ``{a,b}`` stands for."""
    match = re.search(r"\{([^{}]*)\}", text)
    if match is None:
        return [text]
    return [each for word in match[1].split(",") for each in expand(text[: match.start()] + word + text[match.end() :])]


def rows(data: dict[str, Any]) -> list[Row]:
    """Return the rows of the data file, those of properties first."""
    found = []
    for document in (*DOCUMENTS, "rules"):
        for key, table in data.get(document, {}).items():
            for place in [key] if document == "rules" else expand(key):
                pointer, _, words = (place, "", "") if document == "rules" else place.partition("=")
                found.append(_row(document, pointer, words, table))
    return found


def _row(document: str, pointer: str, words: str, table: dict[str, Any]) -> Row:
    listed = tuple(words.split(",")) if words else ()
    if words == "*":
        listed = properties(document).get(pointer, ())
    tests = tuple(table.get("tests", ()))
    proved = _places(tests, imitation=table.get("imitation", False))
    if document != "config" and proved == UNIT_TEST:
        proved = "here"  # what is printed or judged needs no container
    return Row(document, pointer, listed, table.get("support", "yes"), table.get("how", ""), tests, proved)


def _places(tests: tuple[str, ...], *, imitation: bool) -> str:
    """Return where tests prove something; unit tests count where there are no others."""
    folders = {test.partition("/")[0] for test in tests} - {"unit"}
    if not folders:
        return UNIT_TEST
    places = ["imitation" if imitation else "here"] if folders - {"vm"} else []
    return " and ".join([*places, *(["virtual machine"] if "vm" in folders else [])])


def problems(found: list[Row]) -> list[str]:
    """Return a line for each row that is wrong, and for each property and word that has none."""
    return [*_wrong_rows(found), *_missing_rows(found)]


def _wrong_rows(found: list[Row]) -> Iterator[str]:
    seen = set()
    for row in found:
        place = f"{row.document}: {row.place}"
        if (row.document, row.place) in seen:
            yield f"{place} stands twice"
        seen.add((row.document, row.place))
        if row.document != "rules":
            known = properties(row.document)
            if row.pointer not in known:
                yield f"{place} is not a property"
            yield from (f'{place}: no word "{word}"' for word in row.words if word not in known.get(row.pointer, ()))
        if not row.how or row.support not in SUPPORT:
            yield f"{place}: how or support is not right"
        if not row.tests:
            yield f"{place} has no test"
        yield from (f"{place}: no test {test}" for test in row.tests if not _test_exists(test))


def _missing_rows(found: list[Row]) -> Iterator[str]:
    for document in DOCUMENTS:
        told: dict[str, set[str]] = {}
        for row in found:
            if row.document == document:
                told.setdefault(row.pointer, set()).update(row.words)
        for pointer, words in properties(document).items():
            if pointer not in told:
                yield f"{document}: {pointer} has no row"
            elif set(words) - told[pointer]:
                yield f"{document}: {pointer} has no row for {', '.join(sorted(set(words) - told[pointer]))}"


def _test_exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return name.startswith("test") and name in _functions(TESTS / file)


@functools.cache
def _functions(file: Path) -> frozenset[str]:
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_bytes())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def page(found: list[Row]) -> str:
    """Return the text of docs/conformance.md."""
    parts = [HEAD.format(len(found))]
    left = [row for row in found if row.document != "rules"]
    for title, document, prefixes in SECTIONS:
        own = [row for row in left if row.document == document and _begins(row, prefixes)]
        left = [row for row in left if row not in own]
        parts.append(_section(title, "property", _in_order(own, document)))
    parts.append(_section("Rules", "rule", [row for row in found if row.document == "rules"]))
    return "\n".join(parts)


def _begins(row: Row, prefixes: tuple[str, ...]) -> bool:
    # What is another system's stands with it, whatever object it is in.
    foreign = row.document == "config" and row.pointer in FOREIGN
    return row.pointer.startswith(prefixes) and (not foreign or prefixes == ("/",))


def _in_order(own: list[Row], document: str) -> list[Row]:
    places = {pointer: place for place, pointer in enumerate(properties(document))}
    return sorted(own, key=lambda row: places[row.pointer])


def _section(title: str, column: str, own: list[Row]) -> str:
    lines = [f"## {title}", "", f"| {column} | supported | how | proved | by |", "| --- | --- | --- | --- | --- |"]
    for row in own:
        subject = row.pointer if row.document == "rules" else f"`{row.pointer}`"
        subject += f": {', '.join(f'`{word}`' for word in row.words)}" if row.words else ""
        cells = (subject, row.support, row.how, row.proved, ", ".join(_link(test) for test in row.tests))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, ""])


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name.removeprefix('test_')}](../tests/{file})"


def main() -> int:
    """Write the page, or say what is wrong with the data file; return the exit status."""
    found = rows(tomllib.loads(DATA.read_text()))
    wrong = problems(found)
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    if not wrong:
        PAGE.write_text(page(found))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
