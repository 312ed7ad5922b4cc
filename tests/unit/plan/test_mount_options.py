# SPDX-License-Identifier: Apache-2.0
"""The table of mount options: it is the specification's, and each word ends where it belongs."""

from __future__ import annotations

import pytest

from pyrun.plan.mount_options import (
    ATIME,
    ATTRIBUTES,
    NOATIME,
    RECURSIVE_ATTRIBUTES,
    RELATIME,
    STRICTATIME,
    Options,
    known_options,
    read_options,
)

# runtime-spec 1.3.0, config.md, "Linux mount options".
MUST = """async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev nodiratime noexec
noiversion nolazytime norelatime nostrictatime nosuid private rbind relatime remount ro rprivate rshared rslave
runbindable rw shared silent slave strictatime suid sync unbindable""".split()
SHOULD = """idmap nosymfollow ratime rdev rdiratime rexec ridmap rnoatime rnodiratime rnoexec rnorelatime rnostrictatime
rnosuid rnosymfollow rrelatime rro rrw rstrictatime rsuid rsymfollow symfollow""".split()
MAY = ["mand", "nomand", "tmpcopyup"]
# Its opposite, rdev, is in the table; runc and crun know it.
BEYOND = ["rnodev"]


def read(*options: str) -> Options:
    return read_options({"options": list(options)})


def test_table_is_that_of_the_specification() -> None:
    assert (len(MUST), len(SHOULD), len(MAY)) == (37, 21, 3)
    assert known_options() == sorted([*MUST, *SHOULD, *MAY, *BEYOND])


@pytest.mark.parametrize("option", [*MUST, *SHOULD, *MAY, *BEYOND])
def test_option_is_taken_by_what_applies_it(option: str) -> None:
    """None but those of the superblock reaches the file system, and none of the others is lost."""
    options = read(option)
    assert options.parameters == ([option] if option in known_to_fsconfig() else [])
    without_effect = {"defaults", "norelatime", "rnorelatime", "loud", *known_to_fsconfig()}
    assert (said(options) == said(read())) is (option in without_effect)


def known_to_fsconfig() -> set[str]:
    return {"sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime"}


def said(options: Options) -> dict[str, object]:
    attributes = {name: vars(getattr(options, name)) for name in ("attributes", "recursive")}
    return {**vars(options), **attributes, "parameters": []}


def test_other_words_are_the_file_systems() -> None:
    assert read("size=1k", "nosuid", "acl", "mode=755").parameters == ["size=1k", "acl", "mode=755"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["noatime"], NOATIME),
        (["noatime", "strictatime"], STRICTATIME),
        (["noatime", "atime"], RELATIME),
        (["strictatime", "atime"], STRICTATIME),
        (["strictatime", "nostrictatime"], RELATIME),
        (["noatime", "nostrictatime"], NOATIME),
        (["strictatime", "norelatime"], STRICTATIME),
        (["relatime", "norelatime"], RELATIME),
        (["atime"], RELATIME),
    ],
)
def test_access_time(options: list[str], expected: int) -> None:
    for attributes in (read(*options).attributes, read(*(f"r{option}" for option in options)).recursive):
        assert (attributes.set & ATIME, attributes.clear) == (expected, ATIME)


def test_access_time_never_stays_half_set() -> None:
    """mount_setattr(2) refuses to change one of its values without clearing them all."""
    for option in ATTRIBUTES:
        attributes = read(option).attributes
        assert not attributes.set & ATIME or attributes.clear == ATIME, option


def test_recursive_options_are_the_others_with_an_r() -> None:
    assert len(RECURSIVE_ATTRIBUTES) == len(ATTRIBUTES) == 18
    for option, name in RECURSIVE_ATTRIBUTES.items():
        assert vars(read(option).recursive) == vars(read(name).attributes), option
        assert vars(read(option).attributes) == {"set": 0, "clear": 0}
