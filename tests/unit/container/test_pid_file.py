# SPDX-License-Identifier: Apache-2.0
"""The pid file: engines wait for it, read it once, and trust it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrun.container.recipients import write_pid_file
from pyrun.errors import PyrunError
from support.waiting import wait_until
from unit.state.children import Call, on_full_disk, running, with_file_size_limit

LARGEST = 2**22  # pids (PID_MAX_LIMIT)
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the pid is to be written."""
    return str(tmp_path / "pid")


def refusal(act: Callable[[], object]) -> PyrunError:
    """Returns the error that `act` raises."""
    with pytest.raises(PyrunError) as caught:
        act()
    return caught.value


def check(error: PyrunError, path: str, number: int) -> None:
    """Checks that the error names the file and the reason."""
    reason = os.strerror(number)
    assert str(error) == f"can't write the pid file {path}: {reason[0].lower()}{reason[1:]}"
    assert error.errno == number


@pytest.mark.parametrize("pid", [1, 4711, LARGEST])
def test_digits_and_nothing_else(path: str, pid: int) -> None:
    write_pid_file(path, pid)
    assert Path(path).read_bytes() == str(pid).encode()
    assert os.listdir(os.path.dirname(path)) == ["pid"]


def test_path_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pid_file("pid", 7)
    assert (tmp_path / "pid").read_text() == "7"
    assert os.listdir(tmp_path) == ["pid"]


def test_others_may_read_it(path: str) -> None:
    before = os.umask(0o022)
    try:
        write_pid_file(path, 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644


def test_file_of_an_earlier_container_is_replaced(path: str) -> None:
    Path(path).write_text("4194304\n")
    write_pid_file(path, 7)
    assert Path(path).read_text() == "7"


def test_unfinished_file_of_a_killed_pyrun_is_replaced(path: str, tmp_path: Path) -> None:
    (tmp_path / ".pid").write_text("4194304")
    write_pid_file(path, 7)
    assert Path(path).read_text() == "7"
    assert os.listdir(tmp_path) == ["pid"]


def test_reader_sees_no_part_of_it(path: str) -> None:
    write_pid_file(path, 1)

    def write_forever() -> None:
        while True:
            for pid in (1, LARGEST):
                write_pid_file(path, pid)

    with running(write_forever):
        wait_until(lambda: Path(path).read_text() == str(LARGEST), "the other has begun")
        assert {Path(path).read_text() for _ in range(2000)} == {"1", str(LARGEST)}


def test_link_is_replaced_and_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    os.symlink(target, path)
    write_pid_file(path, 7)
    assert target.read_text() == "theirs"
    assert not os.path.islink(path) and Path(path).read_text() == "7"


def test_link_in_the_place_of_the_unfinished_file_is_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    os.symlink(target, tmp_path / ".pid")
    write_pid_file(path, 7)
    assert target.read_text() == "theirs"
    assert Path(path).read_text() == "7"
    assert set(os.listdir(tmp_path)) == {"pid", "target"}


def test_file_that_another_holds_open_is_not_used(path: str, tmp_path: Path) -> None:
    """In a directory like /tmp anyone can put it there first, and change the pid later."""
    with open(tmp_path / ".pid", "w", encoding="ascii") as theirs:
        write_pid_file(path, 7)
        theirs.write("8")
    assert Path(path).read_text() == "7"


def test_directory_that_does_not_exist(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "pid")
    check(refusal(lambda: write_pid_file(path, 7)), path, errno.ENOENT)


def test_directory_in_the_place_of_the_file(path: str, tmp_path: Path) -> None:
    os.mkdir(path)
    check(refusal(lambda: write_pid_file(path, 7)), path, errno.EISDIR)
    assert os.listdir(tmp_path) == ["pid"]


def test_directory_that_may_not_be_written(tmp_path: Path) -> None:
    def as_nobody() -> None:
        # By descriptor, because nobody may not pass the directories above it.
        directory = os.open(tmp_path, os.O_PATH)
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        write_pid_file(f"/proc/self/fd/{directory}/pid", 7)

    os.chmod(tmp_path, 0o555)
    error = refusal(Call(as_nobody).result)
    assert error.errno == errno.EACCES
    assert str(error).endswith("/pid: permission denied")
    assert os.listdir(tmp_path) == []


def write_and_list(path: str) -> tuple[PyrunError | None, set[str]]:
    """Writes the pid file; returns the error, and what is in its directory then."""
    error = None
    try:
        write_pid_file(path, LARGEST)
    except PyrunError as raised:
        error = raised
    return error, set(os.listdir(os.path.dirname(path)))


def test_full_disk(path: str) -> None:
    error, left = on_full_disk(os.path.dirname(path), lambda: None, lambda: write_and_list(path))
    check(error, path, errno.ENOSPC)
    assert left == {"rest"}


@pytest.mark.parametrize("size", [0, 3])
def test_file_that_may_not_grow(path: str, size: int) -> None:
    """Half a pid is another pid."""
    error, left = with_file_size_limit(size, lambda: write_and_list(path))
    assert error is not None
    check(error, path, errno.EFBIG)
    assert left == set()
