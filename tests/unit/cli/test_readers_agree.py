# SPDX-License-Identifier: Apache-2.0
"""The fast reader and click read every command line alike, and as it was meant."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pyrun.cli import commands, reader
from pyrun.cli.tables import GLOBAL_OPTIONS, VERBS
from pyrun.errors import PyrunError

if TYPE_CHECKING:
    from pyrun.cli.tables import Option

SPELLINGS = {True: ["1", "t", "T", "true", "True", "TRUE"], False: ["0", "f", "F", "false", "False", "FALSE"]}
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=8) | st.sampled_from(
    ["-", "--", "-x", "--root", "=", "a=b", "help", "state"]
)


@dataclass
class Meant:
    """What a command line is meant to say, and its words."""

    words: list[str]
    verb: str
    values: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)


Read = tuple[tuple[str, dict[str, Any]] | None, dict[str, Any]]


def read_fast(words: list[str]) -> Read:
    taken = reader.Settings()
    invocation = reader.read(words, taken)
    return invocation, in_a_dict(taken)


def read_with_click(words: list[str]) -> Read:
    taken = reader.Settings()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            invocation = commands.read(words, taken)
    except PyrunError:
        invocation = None
    return invocation, in_a_dict(taken)


def in_a_dict(taken: reader.Settings) -> dict[str, Any]:
    return {name: getattr(taken, name) for name in reader.Settings.__slots__}


@st.composite
def options(draw: st.DrawFn, option: Option) -> tuple[str, Any, list[str]]:
    """One use of an option: its name in code, its value, its words."""
    name, letter, metavar, choices, default, _ = option
    spelling = draw(st.sampled_from([f"--{name}", f"-{name}", *([f"-{letter}", f"--{letter}"] if letter else [])]))
    key = name.replace("-", "_")
    if not metavar:
        switch = draw(st.booleans())
        alone = [[spelling]] if switch else []
        return (
            key,
            switch,
            draw(st.sampled_from([*alone, *[[f"{spelling}={word}"] for word in SPELLINGS[switch]]])),
        )
    value, text = draw(numbers() if isinstance(default, int) else texts(choices))
    words = draw(st.sampled_from([[spelling, text], [f"{spelling}={text}"]]))
    return key, [value] if default == () else value, words


@st.composite
def numbers(draw: st.DrawFn) -> tuple[int, str]:
    number = draw(st.integers(0, reader.GREATEST_NUMBER))
    return number, draw(st.sampled_from([str(number), hex(number), oct(number), bin(number), f"0{number:o}"]))


def texts(choices: tuple[str, ...]) -> st.SearchStrategy[tuple[str, str]]:
    return (st.sampled_from(choices) if choices else TEXT).map(lambda text: (text, text))


def uses(table: tuple[Option, ...]) -> st.SearchStrategy[list[tuple[str, Any, list[str]]]]:
    return st.lists(st.sampled_from(table).flatmap(options), max_size=5) if table else st.just([])


@st.composite
def command_lines(draw: st.DrawFn) -> Meant:
    verb = draw(st.sampled_from(sorted(VERBS)))
    _, _, places, own = VERBS[verb]
    plain = tuple(option for option in GLOBAL_OPTIONS if option[0] not in ("help", "version"))
    inherited = tuple(option for option in plain if option[0] not in {option[0] for option in own})

    before, of_verb, after = draw(uses(plain)), draw(uses(own)), draw(uses(inherited))
    passes_on = reader.takes_the_rest(places)
    single = places[:-1] if passes_on else places
    arguments = draw(st.lists(TEXT, min_size=sum(place[2] for place in single), max_size=len(single)))
    rest = draw(st.lists(TEXT | st.just(""), max_size=4)) if passes_on else []
    # Arguments that look like options come after a "--", and with them all that follow.
    looks = [word.startswith("-") and word != "-" for word in arguments]
    first_behind = draw(st.integers(0, [*looks, True].index(True)))
    behind = arguments[first_behind:]
    if passes_on:
        # There all arguments do, because the first one ends the options.
        first_behind, behind = 0, arguments
    # Other words come in any order that keeps the arguments' and each table's own.
    queues = [
        [words for _, _, words in of_verb],
        [words for _, _, words in after],
        [[word] for word in arguments[:first_behind]],
    ]
    words: list[str] = []
    while any(queues):
        words += draw(st.sampled_from([queue for queue in queues if queue])).pop(0)
    dashes_before, dashes_after = draw(st.tuples(st.booleans(), st.booleans()))
    if dashes_after or (any(looks) if passes_on else behind):
        words.append("--")
    words += [*behind, *rest]

    meant = Meant(
        [*[word for _, _, use in before for word in use], *["--"] * dashes_before, verb, *words],
        verb,
        {option[0].replace("-", "_"): [] if option[4] == () else option[4] for option in own},
        in_a_dict(reader.Settings()),
    )
    for index, (name, *_) in enumerate(single):
        meant.values[name] = arguments[index] if index < len(arguments) else None
    if passes_on:
        meant.values[places[-1][0]] = rest
    for key, value, _ in of_verb:
        meant.values[key] = [*meant.values[key], *value] if isinstance(value, list) else value
    meant.settings.update({key: value for key, value, _ in [*before, *after]})
    return meant


@given(command_lines())
@settings(max_examples=300, deadline=None)
def test_well_formed_lines_are_read_as_meant(meant: Meant) -> None:
    expected = ((meant.verb, meant.values), meant.settings)
    assert read_fast(meant.words) == expected
    assert read_with_click(meant.words) == expected


FRAGMENTS = sorted(
    {
        *VERBS,
        *[
            spelling
            for table in (GLOBAL_OPTIONS, *[verb[3] for verb in VERBS.values()])
            for option in table
            for spelling in (f"--{option[0]}", f"-{option[0]}=true", f"-{option[1]}", f"--{option[0]}=")
        ],
        *[
            "",
            "-",
            "--",
            "---",
            "-=",
            "x",
            "json",
            "true",
            "help",
            "--help=false",
            "--no-all",
            "--forc",
            "-fq",
            "--bund",
            "7",
            "0x7",
            "-7",
            "A=1",
        ],
    }
)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=7))
@settings(max_examples=1000, deadline=None)
def test_neither_reads_what_the_other_refuses(words: list[str]) -> None:
    invocation, taken = read_fast(words)
    with_click, taken_by_click = read_with_click(words)
    assert invocation == with_click
    if invocation is not None:
        assert taken == taken_by_click
