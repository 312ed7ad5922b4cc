# SPDX-License-Identifier: Apache-2.0
"""The manual says what is so: the command line as the program has it, and files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyrun.cli.tables import GLOBAL_OPTIONS, VERBS
from pyrun.plan.operations import OPERATIONS

REPOSITORY = Path(__file__).parents[3]
MANUAL = REPOSITORY / "docs"
PAGES = sorted(MANUAL.glob("*.md"))


def sections() -> dict[str, str]:
    """The text below each heading of the page on the command line."""
    _, *parts = re.split(r"^## (.+)\n", (MANUAL / "command-line.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| `")]


def row(name: str, letter: str, metavar: str, text: str) -> str:
    spelling = f"`--{name} {metavar}`" if metavar else f"`--{name}`"
    return f"| {f'`-{letter}`, ' if letter else ''}{spelling} | {text} |"


def test_the_page_has_every_verb_in_order() -> None:
    assert list(sections()) == ["Global options", *VERBS]


def test_the_global_options_are_the_programs() -> None:
    expected = [row(name, letter, metavar, text) for name, letter, metavar, _, _, text in GLOBAL_OPTIONS]
    assert rows(sections()["Global options"]) == expected


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_described_as_in_its_help(verb: str) -> None:
    _, description, arguments, options = VERBS[verb]
    section = sections()[verb]
    words = [f"    pyrun {verb}", *(["[options]"] if options else [])]
    words += [metavar if required else f"[{metavar}]" for _, metavar, required, _ in arguments]
    assert section.splitlines()[1] == " ".join(words)
    assert description in section
    assert rows(section) == [row(name, letter, metavar, text) for name, letter, metavar, _, _, text in options]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    folders = "bench|cgroups|docs|examples|rootfs-tools|runtime|spec|tests|tools"
    for name in re.findall(rf"`((?:{folders})(?:/[\w./-]+)?)`", page.read_text()):
        assert (REPOSITORY / name).exists(), name
    for name in re.findall(r"`(\w+\.c)`", page.read_text()):
        assert (REPOSITORY / "runtime/init" / name).exists(), name


def test_the_operations_of_the_life_of_a_container_exist() -> None:
    text = (MANUAL / "life-of-a-container.md").read_text()
    plan = re.search(r"^    outer stage\n((?: {4,}.*\n)+)", text, flags=re.MULTILINE)
    assert plan is not None
    named = re.findall(r"^      ([a-z_]+)", plan[1], flags=re.MULTILINE)
    named += re.findall(r"^- ((?:`[a-z_]+`(?:, )?)+)", text, flags=re.MULTILINE)
    operations = [word for entry in named for word in re.findall(r"[a-z_]+", entry)]
    assert len(operations) > 6
    assert set(operations) <= set(OPERATIONS)
