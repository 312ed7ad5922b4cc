# SPDX-License-Identifier: Apache-2.0
"""The overlay root that annotations ask for: mounted in the container's mount namespace only."""

from __future__ import annotations

import os
import subprocess

import pytest

from support import configs
from support.bundle import Bundle
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.snapshot import compare, tree

pytestmark = pytest.mark.pyrun_only("the annotations are pyrun's own")
PREFIX = "org.pyrun.rootfs."


def annotate(bundle: Bundle, lower: list[str], *, writable: bool = True) -> None:
    """Makes the bundle's root an overlay of `lower`, with upper and work directories in the bundle."""
    annotations = {f"{PREFIX}lowerdir": ":".join(lower)}
    if writable:
        for name in ("upper", "work"):
            os.mkdir(os.path.join(bundle.path, name))
            annotations[f"{PREFIX}{name}dir"] = os.path.join(bundle.path, name)
    bundle.config["annotations"] = annotations
    bundle.config["root"]["readonly"] = False
    bundle.may_change |= {"upper", "work"}


def overlaid(make_bundle: MakeBundle, config: Config) -> tuple[Bundle, str]:
    """Returns a bundle whose rootfs is empty, and the directory of what was in it."""
    bundle = make_bundle(config)
    lower = os.path.join(bundle.path, "lower")
    os.rename(bundle.rootfs, lower)
    os.mkdir(bundle.rootfs)
    return bundle, lower


def layer(bundle: Bundle, name: str, content: str) -> str:
    """Makes a layer with /layer holding `content` and a file of the layer's own name."""
    path = os.path.join(bundle.path, name)
    os.makedirs(path)
    for file_name in ("layer", os.path.basename(name)[:20]):
        with open(os.path.join(path, file_name), "w", encoding="ascii") as file:
            file.write(content)
    return path


def test_writes_land_in_the_upper_directory(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle, lower = overlaid(make_bundle, configs.shell("echo new >/made; rm /etc/passwd; cat /made; ls /etc/passwd"))
    annotate(bundle, [lower])
    before = tree(lower)
    result = runtime.run("test", bundle)
    assert result.output == "new\n"
    with open(os.path.join(bundle.path, "upper/made"), encoding="ascii") as file:
        assert file.read() == "new\n"
    assert compare("lower", before, tree(lower)) == []
    assert os.listdir(bundle.rootfs) == []


def test_host_sees_no_mount_while_it_runs_nor_after(make_bundle: MakeBundle, runtime: Runtime) -> None:
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as table:
        before = table.read()
    bundle, lower = overlaid(make_bundle, configs.shell("grep ' / ' /proc/self/mountinfo; exec sleep 1000"))
    annotate(bundle, [lower])
    container = runtime.container("test", bundle).started()
    container.wait_for_output("overlay")
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as table:
        assert table.read() == before
    container.delete("--force").succeeded()
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as table:
        assert table.read() == before


def test_several_lower_directories_the_first_on_top(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle, lower = overlaid(make_bundle, configs.shell("cat /layer; ls /top /middle"))
    top, middle = layer(bundle, "top", "top\n"), layer(bundle, "middle", "middle\n")
    annotate(bundle, [top, middle, lower])
    assert runtime.run("test", bundle).succeeded().output == "top\n/middle\n/top\n"


def test_read_only_overlay_without_an_upper_directory(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle, lower = overlaid(make_bundle, configs.shell("cat /layer; touch /new 2>&1"))
    top = layer(bundle, "top", "top\n")
    annotate(bundle, [top, lower], writable=False)
    result = runtime.run("test", bundle)
    assert result.output.startswith("top\n") and "Read-only file system" in result.output


def test_relative_paths_count_from_the_bundle(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle, _ = overlaid(make_bundle, configs.shell("echo x >/made"))
    annotate(bundle, ["lower"])
    bundle.config["annotations"][f"{PREFIX}upperdir"] = "upper"
    bundle.config["annotations"][f"{PREFIX}workdir"] = "work"
    runtime.run("test", bundle).succeeded()
    assert os.path.exists(os.path.join(bundle.path, "upper/made"))


@pytest.mark.parametrize("count", [1, 20, 60])
def test_long_paths_of_many_layers(runtime: Runtime, make_bundle: MakeBundle, count: int) -> None:
    """fsconfig(2) takes 255 bytes in a string, mount(2) a page: neither holds these."""
    bundle, lower = overlaid(make_bundle, configs.shell("cat /layer; ls / | grep -c number"))
    deep = "/".join(["directory-with-a-long-name"] * 12)
    layers = [layer(bundle, f"{deep}/number{number}", f"{number}\n") for number in range(count)]
    assert len(layers[0]) > 300
    annotate(bundle, [*layers, lower])
    assert runtime.run("test", bundle).succeeded().output == f"0\n{count}\n"


@pytest.mark.parametrize(
    "name", ["with space", "with,comma", "with\\backslash", "with:colon", "with=equals", "ünïcödé"]
)
def test_characters_that_mount_options_treat_specially(runtime: Runtime, make_bundle: MakeBundle, name: str) -> None:
    bundle, lower = overlaid(make_bundle, configs.shell("cat /layer"))
    path = os.path.join(bundle.path, name)
    os.mkdir(path)
    with open(os.path.join(path, "layer"), "w", encoding="ascii") as file:
        file.write("found\n")
    escaped = path.replace("\\", "\\\\").replace(":", "\\:")
    annotate(bundle, [escaped, lower])
    assert runtime.run("test", bundle).succeeded().output == "found\n"


def test_read_only_root_of_a_writable_overlay(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle, lower = overlaid(make_bundle, configs.shell("touch /new 2>&1"))
    annotate(bundle, [lower])
    bundle.config["root"]["readonly"] = True
    assert "Read-only file system" in runtime.run("test", bundle).output
    assert not os.path.exists(os.path.join(bundle.path, "upper/new"))


def test_with_a_user_namespace(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.with_user_namespace(configs.shell("echo new >/tmp/made; stat -c %u /tmp/made"))
    bundle, lower = overlaid(make_bundle, config)
    annotate(bundle, [lower])
    for directory in (bundle.path, os.path.join(bundle.path, "upper"), os.path.join(bundle.path, "work")):
        os.chown(directory, 100000, 100000)
    for directory, _, _ in os.walk(lower):
        os.chown(directory, 100000, 100000)
    assert runtime.run("test", bundle).succeeded().output == "0\n"
    assert os.stat(os.path.join(bundle.path, "upper/tmp/made")).st_uid == 100000


def test_without_pivot_root(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle, lower = overlaid(make_bundle, configs.shell("echo new >/made"))
    annotate(bundle, [lower])
    runtime.run("test", bundle, "--no-pivot").succeeded()
    assert os.path.exists(os.path.join(bundle.path, "upper/made"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lowerdir": "/missing/layer"}, ["/missing/layer", "no such file or directory"]),
        ({"upperdir": "/missing/upper"}, ["/missing/upper", "no such file or directory"]),
        ({"workdir": None}, ["workdir"]),
        ({"upperdir": None}, ["upperdir"]),
        ({"lowerdir": None}, ["lowerdir"]),
        ({"lowerdir": ""}, ["lowerdir"]),
        ({"lowerdir": "/etc/passwd"}, ["/etc/passwd", "not a directory"]),
    ],
)
def test_impossible_overlay(
    runtime: Runtime, make_bundle: MakeBundle, changes: dict[str, str | None], words: list[str]
) -> None:
    bundle, lower = overlaid(make_bundle, configs.default())
    annotate(bundle, [lower])
    for name, value in changes.items():
        if value is None:
            del bundle.config["annotations"][PREFIX + name]
        else:
            bundle.config["annotations"][PREFIX + name] = value
    runtime.run("test", bundle).failed(*words)


def test_two_containers_share_a_lower_directory(make_container: MakeContainer, make_bundle: MakeBundle) -> None:
    first, lower = overlaid(make_bundle, configs.shell("echo first >/made; exec sleep 1000"))
    annotate(first, [lower])
    second, _ = overlaid(make_bundle, configs.shell("ls /made; echo end; exec sleep 1000"))
    annotate(second, [lower])
    one = make_container().runtime.container("one", first).started()
    two = one.runtime.container("two", second).started()
    two.wait_for_output("end")
    assert "/made\n" not in two.output


def test_nothing_is_left_when_pyrun_and_its_container_are_killed(make_bundle: MakeBundle, runtime: Runtime) -> None:
    bundle, lower = overlaid(make_bundle, configs.shell("echo ready; exec sleep 1000"))
    annotate(bundle, [lower])
    bundle.seal()
    container = runtime.container("test", bundle)
    call = runtime.start("run", "--bundle", bundle.path, "test")
    call.wait_for_output("ready")
    pid = container.pid
    call.process.kill()
    os.kill(pid, 9)
    assert call.process.wait() == -9
    points = subprocess.run(["grep", "-c", bundle.path, "/proc/thread-self/mountinfo"], capture_output=True)
    assert points.stdout == b"0\n"
    container.delete("--force").succeeded()
