# SPDX-License-Identifier: Apache-2.0
"""overlayfs can't be mapped: instead each of its layers is."""

from __future__ import annotations

import os
from typing import Any

import pytest

from support import configs, kernel
from support.filesystems import linux, user_namespace
from support.idmapping import FIRST, OTHER_FIRST, mappings, new, owner, program, seen
from support.runtime import MakeContainer, Run

pytestmark = pytest.mark.pyrun_only("runc 1.1.5 knows no mappings of mounts")


@pytest.fixture
def layers(source: str) -> dict[str, str]:
    """Directories for an overlay: two lower ones with a file each, an upper and a work directory."""
    if linux() < (5, 19):
        pytest.skip("Linux 5.19 is the first that takes mapped layers")
    made = {name: os.path.join(source, name) for name in ("one", "two:colon", "upper", "work")}
    for name, path in made.items():
        os.mkdir(path)
        os.chmod(path, 0o777)
        if name in ("one", "two:colon"):
            with open(os.path.join(path, f"of-{name[:3]}"), "w", encoding="ascii"):
                pass
            os.chown(os.path.join(path, f"of-{name[:3]}"), 7, 7)
    return made


def overlay(layers: dict[str, str], *options: str, writable: bool = True, **more: Any) -> dict[str, Any]:
    lower = f"lowerdir={layers['one']}:{layers['two:colon'].replace(':', chr(92) + ':')}"
    upper = [f"upperdir={layers['upper']}", f"workdir={layers['work']}"] if writable else []
    return new("overlay", "overlay", lower, *upper, *options, **more)


SHOW_LAYERS = "stat -c '%n %u %g' of-one of-two"


@pytest.mark.parametrize("namespace", ["", "new", "joined"])
@pytest.mark.parametrize("writable", [False, True], ids=["read-only", "writable"])
def test_overlay(run: Run, layers: dict[str, str], namespace: str, writable: bool) -> None:
    """Its layers are mapped, the lower ones and the upper one."""
    first = OTHER_FIRST if namespace == "joined" else FIRST
    with user_namespace(first) as path:
        script = SHOW_LAYERS + ("; mkdir d; touch new; rm of-one; chown 8:8 of-two; true" if writable else "")
        config = program(script, overlay(layers, "idmap", writable=writable, **mappings(0, first)))
        if namespace == "new":
            configs.with_user_namespace(config)
        elif namespace == "joined":
            configs.with_namespace(config, "user", path)
        else:
            # Root without a user namespace has no id on disk; the one that is mapped has.
            config["process"]["user"] = {"uid": FIRST, "gid": FIRST}
            held = ["CAP_CHOWN", "CAP_DAC_OVERRIDE"]
            kinds = ("bounding", "effective", "permitted", "inheritable", "ambient")
            config["process"]["capabilities"] = dict.fromkeys(kinds, held)
            config["process"]["args"][2] = config["process"]["args"][2].replace("8:8", f"{FIRST + 8}:{FIRST + 8}")
        found = seen(run(config))
    seven = 7 if namespace else FIRST + 7
    assert found == {"of-one": seven, "of-two": seven}
    if writable:
        upper = layers["upper"]
        assert {name: owner(upper, name) for name in os.listdir(upper)} == {"d": 0, "new": 0, "of-one": 0, "of-two": 8}
        assert owner(layers["two:colon"], "of-two") == 7


def test_overlay_of_many_layers(run: Run, source: str) -> None:
    """More than a parameter of 255 bytes can name."""
    if linux() < (6, 7):
        pytest.skip("Linux 6.7 is the first that takes so many")
    paths = [os.path.join(source, f"layer{number}") for number in range(120)]
    for number, path in enumerate(paths):
        os.mkdir(path)
        with open(os.path.join(path, f"f{number}"), "w", encoding="ascii"):
            pass
    mount = new("overlay", "overlay", f"lowerdir={':'.join(paths)}", "idmap", **mappings())
    assert run(program("ls | grep -c ^f; stat -c %u f0 f119", mount)) == f"120\n{FIRST}\n{FIRST}\n"


def test_overlay_whose_writable_layers_are_apart(make_container: MakeContainer, layers: dict[str, str]) -> None:
    apart = {**layers, "work": layers["work"] + ".mounted"}
    os.mkdir(apart["work"])
    kernel.mount(layers["work"], apart["work"], flags=kernel.MS_BIND)
    try:
        container = make_container(program("true", overlay(apart, "idmap", **mappings())))
        container.create().failed("/mounts/7", "upperdir and workdir must be in one mount")
    finally:
        kernel.unmount(apart["work"])


@pytest.mark.parametrize("missing", ["upperdir", "workdir"])
def test_overlay_with_half_of_the_writable_layers(
    make_container: MakeContainer, layers: dict[str, str], missing: str
) -> None:
    mount = overlay(layers, "idmap", **mappings())
    mount["options"] = [option for option in mount["options"] if not option.startswith(missing)]
    make_container(program("true", mount)).create().failed("upperdir", "workdir")


def test_overlay_with_a_missing_layer(make_container: MakeContainer, layers: dict[str, str]) -> None:
    os.rmdir(layers["work"])
    make_container(program("true", overlay(layers, "idmap", **mappings()))).create().failed(layers["work"], "/mounts/7")
