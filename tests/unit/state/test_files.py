# SPDX-License-Identifier: Apache-2.0
"""Files of a state directory are whole or not there, and read and written where they stand."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrun.errors import PyrunError
from pyrun.state import VERSION, StateDirectory
from pyrun_spec.errors import SpecError
from support.waiting import wait_until

from .children import on_full_disk, running, with_file_size_limit


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    """The state directory of the container `box` below `tmp_path`."""
    with closing(StateDirectory.make(str(tmp_path), "box")) as made:
        yield made


@pytest.mark.parametrize("content", [b"", b"\0\n\xff", b"x" * (3 << 20)], ids=["empty", "binary", "large"])
def test_what_is_written_is_read(state: StateDirectory, content: bytes) -> None:
    state.write("plan", content)
    assert state.read("plan") == content
    assert os.listdir(state.descriptor) == ["plan"]
    assert stat.S_IMODE(os.stat("plan", dir_fd=state.descriptor).st_mode) == 0o600


def test_file_that_is_not_there(state: StateDirectory) -> None:
    assert state.read("plan") is None
    assert state.read_state() is None


def test_descriptors_are_closed(state: StateDirectory) -> None:
    before = os.listdir("/proc/self/fd")
    state.write("plan", b"content")
    state.read("plan")
    state.read("missing")
    assert os.listdir("/proc/self/fd") == before


def test_directory_that_was_renamed_is_still_meant(state: StateDirectory, tmp_path: Path) -> None:
    (tmp_path / "box").rename(tmp_path / "moved")
    (tmp_path / "box").mkdir()
    state.write("plan", b"content")
    assert state.read("plan") == b"content"
    assert (tmp_path / "moved" / "plan").read_bytes() == b"content"


def test_symlinks_are_not_followed(state: StateDirectory, tmp_path: Path) -> None:
    """Neither a file's nor that of the unfinished one."""
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    for name in ("plan", "process.new"):
        os.symlink(target, name, dir_fd=state.descriptor)
    with pytest.raises(OSError) as caught:
        state.read("plan")
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(OSError) as caught:
        state.write("process", b"ours")
    assert caught.value.errno == errno.ELOOP
    state.write("plan", b"ours")
    assert target.read_bytes() == b"theirs"
    assert not os.path.islink(tmp_path / "box" / "plan")


def test_fifo_does_not_keep_the_reader(state: StateDirectory) -> None:
    os.mkfifo("process", dir_fd=state.descriptor)
    assert state.read_process() is None


def test_unfinished_file_of_a_killed_process_is_replaced(state: StateDirectory) -> None:
    with open("plan.new", "wb", opener=lambda name, flags: os.open(name, flags, dir_fd=state.descriptor)) as file:
        file.write(b"unfinished and longer")
    state.write("plan", b"content")
    assert state.read("plan") == b"content"
    assert os.listdir(state.descriptor) == ["plan"]


def test_reader_sees_the_old_or_the_new(state: StateDirectory, tmp_path: Path) -> None:
    contents = (b"a" * 5000, b"b" * 9000)
    state.write("plan", contents[0])

    def write_forever() -> None:
        writer = StateDirectory(str(tmp_path), "box")
        while True:
            for content in contents:
                writer.write("plan", content)

    with running(write_forever):
        wait_until(lambda: state.read("plan") == contents[1], "the other has begun")
        seen: set[bytes | None] = set()

        def have_both_been_seen() -> bool:
            seen.update(state.read("plan") for _ in range(2000))
            return len(seen) > 1

        wait_until(have_both_been_seen, "the other has written while this read")
    assert seen == set(contents)


def write_again(root: str) -> tuple[int | None, str | None, bytes | None, list[str]]:
    """Writes the plan of the container `box`; returns the error's number and file, what the plan is then, all files."""
    with closing(StateDirectory(root, "box")) as state:
        number = place = None
        try:
            state.write("plan", b"new" * 1000)
        except OSError as error:
            number, place = error.errno, error.filename
        return number, place, state.read("plan"), os.listdir(state.path)


def make_with_plan(root: str) -> None:
    """Makes the container `box` with a plan."""
    with closing(StateDirectory.make(root, "box")) as state:
        state.write("plan", b"old")


def test_full_disk(tmp_path: Path) -> None:
    root = str(tmp_path)
    ended = on_full_disk(root, lambda: make_with_plan(root), lambda: write_again(root))
    assert ended == (errno.ENOSPC, f"{root}/box/plan", b"old", ["plan"])


@pytest.mark.parametrize("size", [0, 1, 2999])
def test_file_that_may_not_grow(tmp_path: Path, size: int) -> None:
    root = str(tmp_path)
    make_with_plan(root)
    assert with_file_size_limit(size, lambda: write_again(root)) == (errno.EFBIG, f"{root}/box/plan", b"old", ["plan"])


STATE: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "id": "box",
    "annotations": {"a": "b"},
    "cgroup": None,
    "cgroupsMade": 2,
}


def test_state_is_json_with_a_version(state: StateDirectory) -> None:
    state.write_state(STATE)
    content = state.read("state.json")
    assert content is not None and content.endswith(b"}\n")
    assert json.loads(content) == {"version": VERSION, **STATE}
    assert state.read_state() == {"version": VERSION, **STATE}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())))
def test_state_keeps_everything(state: StateDirectory, members: dict[str, Any]) -> None:
    members.pop("version", None)
    state.write_state(members)
    assert state.read_state() == {"version": VERSION, **members}


def test_state_keeps_names_that_are_no_utf8(state: StateDirectory) -> None:
    bundle = os.fsdecode(b"/b\xfcndel/\xe2\x82")
    state.write_state({"bundle": bundle})
    known = state.read_state()
    assert known is not None
    assert os.fsencode(known["bundle"]) == b"/b\xfcndel/\xe2\x82"


@pytest.mark.parametrize("version", [VERSION + 1, VERSION - 1, str(VERSION), None])
def test_state_of_another_version(state: StateDirectory, version: object) -> None:
    state.write("state.json", json.dumps({**STATE, "version": version}).encode())
    with pytest.raises(PyrunError) as caught:
        state.read_state()
    line = f"version {version} of the state is not known; use the pyrun that made the container"
    assert str(caught.value) == f"{state.path}/state.json: {line}"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'{"version": 1', b"\xff", b"\0" * 100], ids=str)
def test_state_that_is_no_json(state: StateDirectory, content: bytes) -> None:
    """As after a loss of power: the error says which file."""
    state.write("state.json", content)
    with pytest.raises((PyrunError, SpecError)) as caught:
        state.read_state()
    assert str(caught.value).startswith(f"{state.path}/state.json: ")
    assert "\n" not in str(caught.value)
