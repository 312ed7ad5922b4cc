# SPDX-License-Identifier: Apache-2.0
"""Root filesystems made from this host, and entered."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrun_rootfs import RootfsError, from_host, root_filesystem_from_host
from pyrun_rootfs.busybox import applet_names

Compile = Callable[..., Path]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) and unshare(2) need root")
needs_busybox = pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
HOST_SHELL = ["sh", "cat", "ls", "id"]


def inside(root: Path, *command: str) -> str:
    """What the command says with ``root`` as its root, a procfs, and nothing of the host's environment."""
    enter = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    entered = ["unshare", "--mount", "sh", "-c", enter, str(root), *command]
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    return subprocess.run(entered, env=environment, capture_output=True, text=True, check=True).stdout


@needs_root
@needs_busybox
def test_busybox_runs_inside(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    root_filesystem_from_host(root)
    assert inside(root, "/bin/sh", "-c", "echo ok; id -un; cat /etc/passwd | wc -l") == "ok\nroot\n2\n"


@needs_root
def test_host_programs_run_inside(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    root_filesystem_from_host(root, HOST_SHELL)
    assert inside(root, "/bin/sh", "-c", "echo ok; id -un; cat /etc/hosts | cat").startswith("ok\nroot\n127.0.0.1")


@needs_root
def test_without_busybox_the_host_shell_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, path: None if name == "busybox" else which(name, path=path))
    root = tmp_path / "rootfs"
    root_filesystem_from_host(root)
    assert not (root / "bin/busybox").exists()
    assert inside(root, "/bin/sh", "-c", "echo ok; cat /etc/group | wc -l") == "ok\n3\n"


@needs_root
def test_libraries_of_uncommon_directories_are_found_inside(tmp_path: Path, compile_c: Compile) -> None:
    library = compile_c(tmp_path / "app/lib/libx.so", "int x(void) { return 3; }", "-shared", "-fPIC")
    program = compile_c(
        tmp_path / "app/bin/main",
        '#include <stdio.h>\nint x(void); int main(void) { return printf("%d\\n", x()) < 0; }',
        *("-L", str(library.parent), "-lx", "-Wl,-rpath,$ORIGIN/../lib"),
    )
    root = tmp_path / "rootfs"
    files = root_filesystem_from_host(root, [str(program)])
    assert {str(program), str(library)} <= set(files)
    assert inside(root, str(program)) == "3\n"


@needs_busybox
def test_every_applet_has_its_link(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    root_filesystem_from_host(root)
    binary = (root / "bin/busybox").read_bytes()
    for name in applet_names(binary):
        link = root / "bin" / name
        assert name == "busybox" or os.path.realpath(f"{root}{os.readlink(link)}") == str(root / "usr/bin/busybox")


def test_the_skeleton_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    before = os.umask(0o077)
    try:
        root_filesystem_from_host(root, HOST_SHELL)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE((root / path).stat().st_mode) for path in (".", "tmp", "root", "usr/bin", "proc")}
    assert modes == {".": 0o755, "tmp": 0o1777, "root": 0o700, "usr/bin": 0o755, "proc": 0o555}
    assert stat.S_IMODE((root / "bin/sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "etc/passwd").stat().st_mode) == 0o644
    assert {"bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr"} <= set(os.listdir(root))


def test_the_list_is_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    files = root_filesystem_from_host(root, HOST_SHELL)
    present = {f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file() or path.is_symlink()} - set(
        from_host.DIRECTORY_LINKS
    )
    resolved = {os.path.realpath(os.path.dirname(f"{root}{file}")) + "/" + os.path.basename(file) for file in files}
    assert resolved == {f"{root}{path}" for path in present}
    assert files == sorted(files)


def test_set_user_id_bits_stay_behind(tmp_path: Path) -> None:
    original = shutil.which("cat")
    assert original is not None
    program = tmp_path / "privileged"
    shutil.copy(original, program)
    program.chmod(0o6755)
    root = tmp_path / "rootfs"
    root_filesystem_from_host(root, [str(program)])
    assert stat.S_IMODE((root / str(program).lstrip("/")).stat().st_mode) == 0o755


@pytest.mark.parametrize("kind", ["file", "empty directory", "dangling link"])
def test_an_existing_target_is_refused(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "rootfs"
    if kind == "file":
        target.touch()
    elif kind == "empty directory":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    before = os.lstat(target)
    with pytest.raises(RootfsError, match='rootfs" exists already'):
        root_filesystem_from_host(target, HOST_SHELL)
    after = os.lstat(target)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert os.listdir(tmp_path) == ["rootfs"]


def test_a_target_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "rootfs"
    build = from_host._Tree.build

    def build_slowly(tree: from_host._Tree, programs: dict[str, str]) -> list[str]:
        target.mkdir()
        return build(tree, programs)

    monkeypatch.setattr(from_host._Tree, "build", build_slowly)
    with pytest.raises(RootfsError, match='rootfs" exists already'):
        root_filesystem_from_host(target, HOST_SHELL)
    assert os.listdir(tmp_path) == ["rootfs"] and not os.listdir(target)


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    for programs, words in {
        ("sh", "no-such-program"): 'the host has no program "no-such-program"',
        ("sh", str(script)): 'is not an ELF program but a script for "/bin/sh"',
        ("sh", str(tmp_path / "absent")): 'the host has no program "',
    }.items():
        with pytest.raises(RootfsError, match=words):
            root_filesystem_from_host(tmp_path / "rootfs", programs)
        assert os.listdir(tmp_path) == ["script"]


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: str, target: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(from_host, "_rename_to_new", interrupt)
    with pytest.raises(KeyboardInterrupt):
        root_filesystem_from_host(tmp_path / "rootfs", HOST_SHELL)
    assert os.listdir(tmp_path) == []


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(RootfsError, match=r'absent.*": No such file or directory'):
        root_filesystem_from_host(tmp_path / "absent" / "rootfs", HOST_SHELL)


def test_a_path_with_dots_stays_inside(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    shell = os.path.realpath("/bin/sh")
    root_filesystem_from_host(root, [f"/../..{shell}", f"/bin/../../../{shell}"])
    assert (root / shell.lstrip("/")).is_file()
    assert sorted(os.listdir(tmp_path)) == ["rootfs"]
