# SPDX-License-Identifier: Apache-2.0
"""A damaged plan is refused in words, before anything of it is carried out.

PYRUN_FUZZ_EXAMPLES is the number of plans that hypothesis damages.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fuzz import builds
from fuzz.damage import damaged
from fuzz.decoder import Decoder, running
from fuzz.encoding import COUNT_AT, HEADER_BYTES, LENGTH_AT, VERSION_AT, is_plan, layout_of, with_length
from fuzz.guarded import FREE, GUARD, guarded
from fuzz.samples import sample_plans
from pyrun.container.launch import operation_error
from pyrun.errors import PyrunError
from pyrun.plan.operations import OPERATIONS, Plan
from support.world import World

EXAMPLES = int(os.environ.get("PYRUN_FUZZ_EXAMPLES", "1000"))
SECONDS_OF_EXAMPLE = 0.1
FUZZING = settings(
    max_examples=EXAMPLES,
    deadline=None,
    # The decoder is the same for all examples, and keeps nothing of the one before.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.pyrun_only("pyrun-init is pyrun's own")
DAMAGED = "plan is damaged or of another version of pyrun"


@pytest.fixture
def decoder(reporting_init: str, scratch: str) -> Iterator[Decoder]:
    """pyrun-init with sanitizers."""
    with running(reporting_init, scratch) as started:
        yield started


@pytest.fixture(scope="session")
def plans(world: World) -> dict[str, bytes]:
    """The guarded plans of all samples."""
    with world.entered():
        directory = os.path.join(world.directory, "samples")
        os.mkdir(directory)
        return {name: guarded(plan) for name, plan in sample_plans(directory).items()}


@pytest.fixture(scope="session")
def examples(plans: dict[str, bytes]) -> st.SearchStrategy[bytes]:
    """A strategy for damaged copies of them."""
    return damaged(plans)


def small_plan() -> bytes:
    """A plan with an argument of each kind, a list with members and one without, and an operation without arguments."""
    plan = Plan()
    plan.add("set_identity", "/process/user", 1, 2**64 - 1, [5, 6, 7])
    plan.add("new_session", "")
    plan.add("load_seccomp", "/linux/seccomp", 0, b"\0\1\2")
    plan.add("overlay_root", "", "/root", ["/a", ""], "", "/work", [])
    return guarded(plan)


SMALL = small_plan()


def failure(decoder: Decoder, plan: bytes | None) -> PyrunError | None:
    """Returns the error that pyrun-init reports, which must end orderly: exit status 1, no report of a sanitizer."""
    outcome = decoder.give(plan)
    assert outcome.errors == ""
    assert outcome.status == 1, outcome
    if not outcome.messages:
        return None
    (message,) = outcome.messages
    assert message.startswith(b"failed\0")
    return operation_error(message)


def check(decoder: Decoder, data: bytes) -> None:
    """Checks that a guarded plan ends at the guard, and what is no plan is refused."""
    error = failure(decoder, data)
    if not is_plan(data):
        assert error is not None
        assert (error.operation, error.pointer, error.errno) == ("", None, errno.EINVAL)
        assert error.message.startswith(DAMAGED)
    elif len(data) == HEADER_BYTES:
        assert error is None
    else:
        assert error is not None
        assert (error.operation, error.errno) == (GUARD, errno.ENOENT)


def test_sound_plans_are_begun(decoder: Decoder, plans: dict[str, bytes]) -> None:
    assert is_plan(SMALL)
    for data in [*plans.values(), SMALL, guarded(Plan())]:
        check(decoder, data)


def test_every_truncation(decoder: Decoder) -> None:
    for length in range(len(SMALL)):
        check(decoder, SMALL[:length])
        check(decoder, with_length(SMALL[:length]))


def test_every_number_at_its_edges(decoder: Decoder) -> None:
    places = [VERSION_AT, COUNT_AT, LENGTH_AT, *(at for at in layout_of(SMALL).numbers if at >= FREE)]
    for at in places:
        number, rest = int.from_bytes(SMALL[at : at + 4], "little"), len(SMALL) - at - 4
        for wrong in (0, number - 1, number + 1, rest, len(OPERATIONS), 2**31 - 1, 2**31, 2**32 - 5, 2**32 - 1):
            check(decoder, SMALL[:at] + (wrong % 2**32).to_bytes(4, "little") + SMALL[at + 4 :])


def test_every_missing_nul(decoder: Decoder) -> None:
    for at in layout_of(SMALL).ends:
        if at >= FREE:
            check(decoder, SMALL[:at] + b"x" + SMALL[at + 1 :])


@pytest.mark.timeout(120 + SECONDS_OF_EXAMPLE * EXAMPLES)
@FUZZING
@given(st.data())
def test_damage(decoder: Decoder, examples: st.SearchStrategy[bytes], data: st.DataObject) -> None:
    example = data.draw(examples)
    event("still a plan" if is_plan(example) else "no plan")
    check(decoder, example)


@pytest.mark.timeout(120 + SECONDS_OF_EXAMPLE * EXAMPLES)
@settings(FUZZING, max_examples=max(EXAMPLES // 10, 1))
@given(st.integers(0, 2**32 - 1), st.binary(max_size=400))
def test_arbitrary_operations(decoder: Decoder, count: int, content: bytes) -> None:
    header = guarded(Plan())
    check(decoder, with_length(header[:COUNT_AT] + count.to_bytes(4, "little") + header[COUNT_AT + 4 :] + content))


def make_missing(path: Path) -> None:
    """Leaves nothing."""


def make_huge(path: Path) -> None:
    """Makes a file a little larger than the largest plan, 64 MiB, which takes no space."""
    path.touch(0o644)
    os.truncate(path, (64 << 20) + 1)


@pytest.mark.parametrize(
    ("make", "number", "words"),
    [
        (make_missing, errno.ENOENT, "open plan"),
        (lambda path: path.symlink_to("/etc/hostname"), errno.ELOOP, "open plan"),
        (lambda path: path.mkdir(), errno.EINVAL, "plan is not a plan"),
        (make_huge, errno.EINVAL, "plan is not a plan"),
        (lambda path: path.touch(0o644), errno.EINVAL, DAMAGED),
    ],
    ids=["missing", "symlink", "directory", "huge", "empty"],
)
def test_what_is_no_file_with_a_plan(
    decoder: Decoder, scratch: str, make: Callable[[Path], None], number: int, words: str
) -> None:
    make(Path(scratch, "test", "plan"))
    error = failure(decoder, None)
    assert error is not None
    assert error.errno == number
    assert error.message.startswith(words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("char *text = malloc(4); memset(text, 'x', 4); return strlen(text) > 4;", "heap-buffer-overflow"),
        ("return 1 << (count + 40);", "shift exponent"),
    ],
    ids=["address", "undefined"],
)
def test_report_of_a_sanitizer_would_be_noticed(scratch: str, body: str, words: str) -> None:
    """In the same surroundings: a memory file, an empty environment, nobody's process."""
    source = Path(scratch, "broken.c")
    start = "#include <stdlib.h>\n#include <string.h>\nint main(int count, char **words) { (void)words; (void)count; "
    source.write_text(f"{start}{body} }}\n")
    program = builds.compile_reporting([source], Path(scratch, "broken"))
    with running(str(program), scratch) as broken:
        outcome = broken.give(SMALL)
    assert outcome.status == builds.REPORT_STATUS
    assert words in outcome.errors
