# SPDX-License-Identifier: Apache-2.0
"""New file systems whose ids are mapped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.filesystems import loop_device, user_namespace, why_not
from support.idmapping import FIRST, INSIDE, LOOK, NOBODY, OTHER_FIRST, OUTSIDE, mappings, new, program, seen
from support.runtime import MakeContainer, Run

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")


def test_new_file_system(run: Run, kind: str, images: Callable[[str], str]) -> None:
    """In a user namespace it is the host's root who mounts it: the container's may not mount a device."""
    script = "stat -c 'root %u %g' ." if kind == "tmpfs" else LOOK
    one = {"root": NOBODY, "seven": 0, "high": NOBODY}
    device = contextlib.nullcontext(kind) if kind == "tmpfs" else loop_device(images(kind))
    with device as source, user_namespace(OTHER_FIRST) as path:

        def look(**more: Any) -> Config:
            return program(script, new(kind, source, "ro", "idmap", **more))

        for config, expected in (
            (look(**mappings()), OUTSIDE),
            (configs.with_user_namespace(look()), INSIDE),
            (configs.with_user_namespace(look(**mappings(7, FIRST, 1))), one),
            (configs.with_namespace(look(), "user", path), INSIDE),
            (configs.with_namespace(look(**mappings(7, OTHER_FIRST, 1)), "user", path), one),
        ):
            found = seen(run(config))
            assert found == {name: expected[name] for name in found}
            assert len(found) == (1 if kind == "tmpfs" else 3)


def test_new_tmpfs_is_written_as_mapped(run: Run) -> None:
    """What the container's root makes is on disk what is mapped to it, and comes back as the container's root."""
    if why_not("tmpfs"):
        pytest.skip(str(why_not("tmpfs")))
    script = "mkdir d && touch d/f && chown 9:9 d/f && stat -c '%n %u %g' . d d/f; stat -c %a ."
    output = run(configs.with_user_namespace(program(script, new("tmpfs", "tmpfs", "idmap"))))
    *lines, mode = output.splitlines()
    assert seen("\n".join(lines)) == {".": 0, "d": 0, "d/f": 9}
    assert mode == "1777"  # of the directory that it covers, as any tmpfs
    owned = run(
        configs.with_user_namespace(program("stat -c '%u %a' .", new("tmpfs", "t", "idmap", "mode=700", "uid=5")))
    )
    assert owned == "5 700\n"


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_options_of_a_new_file_system(run: Run, mapped: bool) -> None:
    if why_not("tmpfs"):
        pytest.skip(str(why_not("tmpfs")))
    options = ["idmap", "ro", "nosuid", "nodev", "noexec", "size=64k", "silent", "rprivate"]
    config = program("grep ' /tmp ' /proc/self/mountinfo", new("tmpfs", "tmpfs", *options, **mappings()))
    fields = run(configs.with_user_namespace(config) if mapped else config).split()
    assert {"ro", "nosuid", "nodev", "noexec", "idmapped"} <= set(fields[5].split(","))
    assert "size=64k" in fields[-1]


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user namespace"])
def test_copied_up(make_container: MakeContainer, mapped: bool) -> None:
    """What a tmpfs takes up from the directory that it covers keeps its ids, and they are mapped as all others."""
    if why_not("tmpfs"):
        pytest.skip(str(why_not("tmpfs")))
    config = program("stat -c '%n %u %g' file", new("tmpfs", "tmpfs", "idmap", "tmpcopyup", **mappings()))
    container = make_container(configs.with_user_namespace(config) if mapped else config)
    file = container.bundle.write("tmp/file")
    os.chown(file, FIRST if mapped else 3, FIRST if mapped else 3)
    container.started().wait_for_end()
    assert seen(container.output) == {"file": 0 if mapped else FIRST + 3}
