# SPDX-License-Identifier: Apache-2.0
"""Damage to encoded plans, for hypothesis: what hardware, a bug or an attacker could make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from fuzz.encoding import COUNT_AT, HEADER_BYTES, LENGTH_AT, layout_of, with_length
from fuzz.guarded import FREE
from pyrun.plan.operations import OPERATIONS

MOST_EDITS = 4
LARGEST = 2**32 - 1
# Where counting and adding go wrong.
EDGES = (0, 1, 7, 8, 127, 128, 255, 256, 2**16, 2**31 - 1, 2**31, LARGEST - 20, LARGEST - 4, LARGEST)


@dataclass(frozen=True)
class Edit:
    """Bytes from `at` on, `removed` of them, that become `inserted`."""

    at: int
    removed: int
    inserted: bytes


def damaged(plans: Mapping[str, bytes]) -> st.SearchStrategy[bytes]:
    """Returns a strategy for damaged copies of guarded plans; a few stay plans, but the guard is in all of them."""
    of_each = {name: _damaged(plan) for name, plan in plans.items()}
    return st.sampled_from(sorted(plans)).flatmap(of_each.__getitem__)


def _damaged(plan: bytes) -> st.SearchStrategy[bytes]:
    def apply(edits: list[Edit], correct_length: bool) -> bytes:
        data = plan
        # From the end to the beginning, so that the offsets of what is still to be done stay right.
        for edit in sorted(edits, key=lambda edit: -edit.at):
            data = data[: edit.at] + edit.inserted + data[edit.at + edit.removed :]
        return with_length(data) if correct_length else data

    # With a wrong length in its header a plan is refused at the first look, so most get the right one.
    return st.builds(
        apply, st.lists(_edit(plan), min_size=1, max_size=MOST_EDITS), st.sampled_from([True] * 3 + [False])
    )


def _edit(plan: bytes) -> st.SearchStrategy[Edit]:
    layout = layout_of(plan)
    header, behind = st.integers(0, HEADER_BYTES - 1), st.integers(FREE, len(plan) - 1)
    opcodes, counts, lengths, texts, ends = (
        st.sampled_from([at for at in places if at >= FREE])
        for places in (layout.opcodes, layout.counts, layout.lengths, layout.texts, layout.ends)
    )
    header_numbers = st.sampled_from((COUNT_AT, LENGTH_AT))
    wrong = st.one_of(st.sampled_from(EDGES), st.integers(0, len(plan) + 1))
    return st.one_of(
        st.builds(_flip(plan), behind | header, st.integers(0, 7)),
        st.builds(lambda at: Edit(at, LARGEST, b""), behind),
        st.builds(Edit, behind, st.integers(0, 40), st.binary(max_size=24)),
        st.builds(_repeat(plan), behind, behind, st.integers(1, 64)),
        st.builds(_overwrite, counts | lengths | header_numbers, wrong),
        st.builds(_change(plan), opcodes | counts | lengths | header_numbers, st.integers(-3, 3)),
        st.builds(_overwrite, opcodes, st.integers(0, len(OPERATIONS) + 1)),
        st.builds(lambda at, byte: Edit(at, 1, bytes([byte])), ends, st.integers(1, 255)),
        st.builds(lambda at: Edit(at, 1, b"\0"), texts),
        st.builds(_nest, lengths, st.integers(0, 3)),
    )


def _flip(plan: bytes) -> Callable[[int, int], Edit]:
    return lambda at, bit: Edit(at, 1, bytes([plan[at] ^ 1 << bit]))


def _repeat(plan: bytes) -> Callable[[int, int, int], Edit]:
    """Returns a function that puts a copy of one place into another."""
    return lambda at, source, size: Edit(at, 0, plan[source : source + size])


def _overwrite(at: int, number: int) -> Edit:
    return Edit(at, 4, number.to_bytes(4, "little"))


def _change(plan: bytes) -> Callable[[int, int], Edit]:
    """Returns a function that makes a number of the plan a little larger or smaller."""
    return lambda at, by: _overwrite(at, (int.from_bytes(plan[at : at + 4], "little") + by) % 2**32)


def _nest(at: int, count: int) -> Edit:
    """Makes a string the first of a list."""
    return Edit(at, 0, count.to_bytes(4, "little"))
