# SPDX-License-Identifier: Apache-2.0
"""The cache keeps compiled seccomp filters, and gives back none but what would be compiled now."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pyrun.errors import PyrunError
from pyrun.plan import seccomp
from pyrun.plan.seccomp import compile_filter

from .seccomp_profiles import LATEST, Profile, condition, docker_profile, profile_of, rule


@pytest.fixture
def cache(tmp_path: Any) -> str:
    """A cache directory that is not there yet."""
    return os.path.join(tmp_path, "state", "filters")


def cached_file(cache: str) -> str:
    """Returns the only file in a cache."""
    (name,) = os.listdir(cache)
    return os.path.join(cache, name)


def hides_pyseccomp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every compilation fail."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)


def is_cached(monkeypatch: pytest.MonkeyPatch, profile: Profile, cache: str) -> bool:
    """Returns whether a profile needs no compilation."""
    with monkeypatch.context() as context:
        hides_pyseccomp(context)
        try:
            compile_filter(profile, cache)
        except PyrunError:
            return False
        return True


def test_second_time_needs_no_libseccomp(cache: str) -> None:
    """A process that finds the filter loads nothing but the cache."""
    profile = docker_profile()
    expected = compile_filter(profile, cache)
    script = (
        "import sys, json, pyrun.plan; before = set(sys.modules)\n"
        "from pyrun.plan.seccomp import compile_filter\n"
        "flags, program = compile_filter(json.load(sys.stdin), sys.argv[1])\n"
        "print(flags, program.hex(), *set(sys.modules) - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, cache],
        input=json.dumps(profile),
        capture_output=True,
        text=True,
        check=True,
    )
    flags, program, *modules = ran.stdout.split()
    assert (int(flags), bytes.fromhex(program)) == expected
    assert set(modules) <= {"pyrun.plan.seccomp", "_blake2"}


def test_cache_is_private(cache: str) -> None:
    compile_filter(profile_of(LATEST), cache)
    assert os.stat(cache).st_mode & 0o777 == 0o700
    assert os.stat(cached_file(cache)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "changed",
    [
        profile_of(rule("write")),
        profile_of(rule("read"), defaultErrnoRet=2),
        profile_of(rule("read"), architectures=["SCMP_ARCH_X86"]),
        profile_of(rule("read", args=[condition(0, "EQ", 1)])),
        profile_of(rule("read"), flags=[]),
    ],
)
def test_another_profile_is_another_entry(monkeypatch: pytest.MonkeyPatch, cache: str, changed: Profile) -> None:
    profile = profile_of(rule("read"))
    compile_filter(profile, cache)
    assert is_cached(monkeypatch, profile, cache)
    assert not is_cached(monkeypatch, changed, cache)
    assert compile_filter(changed, cache) == compile_filter(changed, None)


def test_what_only_the_agent_is_told_makes_no_other_entry(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    """Engines put the container's id there."""
    notifying = profile_of(rule("read", action="SCMP_ACT_NOTIFY"), listenerPath="/a", listenerMetadata="1")
    compile_filter(notifying, cache)
    assert is_cached(monkeypatch, {**notifying, "listenerPath": "/b", "listenerMetadata": "2"}, cache)
    assert not is_cached(monkeypatch, {**notifying, "syscalls": [rule("read")]}, cache)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (None, False),
        ([], False),
        ([rule("read"), rule("write", action="SCMP_ACT_ERRNO")], False),
        ([rule("read"), rule("write", action="SCMP_ACT_NOTIFY")], True),
    ],
)
def test_notifies(rules: list[Profile] | None, expected: bool) -> None:
    assert seccomp.notifies({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/a", "syscalls": rules}) == expected


def corrupt(change: Callable[[bytes], bytes]) -> Callable[[str], None]:
    """Returns a function that changes the contents of a file."""

    def act(path: str) -> None:
        with open(path, "r+b") as file:
            content = change(file.read())
            file.seek(0)
            file.truncate()
            file.write(content)

    return act


def make_fifo(path: str) -> None:
    """Puts a fifo into the place of a file."""
    os.unlink(path)
    os.mkfifo(path)


def make_symlink(path: str) -> None:
    """Puts a symbolic link to a file into its place."""
    os.rename(path, path + ".elsewhere")
    os.symlink(path + ".elsewhere", path)


DAMAGE: dict[str, Callable[[str], None]] = {
    "empty": corrupt(lambda content: b""),
    "truncated": corrupt(lambda content: content[:-8]),
    "header": corrupt(lambda content: content[:20]),
    "longer": corrupt(lambda content: content + bytes(8)),
    "bit": corrupt(lambda content: content[:-1] + bytes([content[-1] ^ 1])),
    "flags": corrupt(lambda content: content.replace(b"\n4\n", b"\n0\n")),
    "format": corrupt(lambda content: content.replace(b"filter 2", b"filter 1")),
    "zeros": corrupt(lambda content: bytes(len(content))),
    "huge": corrupt(lambda content: content + bytes(100_000)),
    "fifo": make_fifo,
    "symlink": make_symlink,
    "writable": lambda path: os.chmod(path, 0o622),
    "owner": lambda path: os.chown(path, 12345, 12345),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_replaced(monkeypatch: pytest.MonkeyPatch, cache: str, damage: str) -> None:
    if damage == "owner" and os.geteuid() != 0:
        pytest.skip("needs root to give a file away")
    profile = profile_of(rule("read"))
    expected = compile_filter(profile, cache)
    path = cached_file(cache)
    DAMAGE[damage](path)
    assert not is_cached(monkeypatch, profile, cache)
    assert compile_filter(profile, cache) == expected
    assert is_cached(monkeypatch, profile, cache)


def test_file_of_another_profile_is_not_taken(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    """A strict profile must not get the filter of a lax one by a renamed file."""
    strict, lax = profile_of(rule("read")), {"defaultAction": "SCMP_ACT_ALLOW"}
    compile_filter(strict, cache)
    path = cached_file(cache)
    os.unlink(path)
    compile_filter(lax, cache)
    os.rename(cached_file(cache), path)
    assert not is_cached(monkeypatch, strict, cache)
    assert compile_filter(strict, cache) == compile_filter(strict, None)


def test_another_libseccomp_compiles_anew(monkeypatch: pytest.MonkeyPatch, cache: str, tmp_path: Any) -> None:
    library = os.path.join(tmp_path, "libseccomp.so.2")
    with open(library, "wb") as file:
        file.write(b"old")
    monkeypatch.setattr(seccomp, "_loaded_libseccomp", lambda: os.fsencode(library))
    profile = profile_of(rule("read"))
    compile_filter(profile, cache)
    assert is_cached(monkeypatch, profile, cache)
    with open(library + ".new", "wb") as file:
        file.write(b"new")
    os.rename(library + ".new", library)
    assert not is_cached(monkeypatch, profile, cache)
    compile_filter(profile, cache)
    assert is_cached(monkeypatch, profile, cache)
    os.unlink(library)
    assert not is_cached(monkeypatch, profile, cache)


def test_loaded_libseccomp_is_found() -> None:
    compile_filter(profile_of(LATEST), None)
    assert os.path.basename(seccomp._loaded_libseccomp()).startswith(b"libseccomp.so.2")


def test_cache_is_bounded(cache: str) -> None:
    for number in range(70):
        compile_filter(profile_of(LATEST, defaultErrnoRet=number), cache)
        os.utime(newest(cache), ns=(number, number))
    assert len(os.listdir(cache)) == 64
    assert min(os.stat(os.path.join(cache, name)).st_mtime_ns for name in os.listdir(cache)) == 6


def newest(cache: str) -> str:
    """Returns the last written file of a cache."""
    return max((os.path.join(cache, name) for name in os.listdir(cache)), key=lambda path: os.stat(path).st_mtime_ns)


@pytest.mark.parametrize("failing", ["makedirs", "open", "write", "rename"])
def test_cache_that_cannot_be_written_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, cache: str, failing: str
) -> None:
    """As on a full disk or a read-only file system."""
    profile = profile_of(rule("read"))
    original = getattr(os, failing)

    def fail(*arguments: Any, **options: Any) -> Any:
        if str(arguments[0]).startswith(cache) or failing == "write":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(os, failing, fail)
        assert compile_filter(profile, cache) == compile_filter(profile, None)
    assert not os.path.exists(cache) or os.listdir(cache) == []


def test_half_written_file_is_taken_away(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: original(descriptor, content[:10]))
    compile_filter(profile_of(rule("read")), cache)
    assert os.listdir(cache) == []


def test_cache_in_the_place_of_a_file(tmp_path: Any) -> None:
    path = os.path.join(tmp_path, "file")
    open(path, "w").close()
    profile = profile_of(rule("read"))
    assert compile_filter(profile, path) == compile_filter(profile, None)
