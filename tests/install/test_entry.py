# SPDX-License-Identifier: Apache-2.0
"""How the command finds its interpreter and its modules, and what it hands over to them.

Each test lays out a prefix around the real command. In place of pyrun there is a package whose `main` prints
what it got; in place of interpreters that this machine lacks there is a script that prints its own path.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

PYTHON = os.path.realpath(sys.executable)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{VERSION}/site-packages"


def ask_system_python(code: str) -> str:
    """Returns what the distribution's interpreter prints."""
    return subprocess.check_output(["/usr/bin/python3", "-I", "-c", code], text=True).strip()


SYSTEM_VERSION = ask_system_python("import sys; print('%d.%d' % sys.version_info[:2])")

MAIN = """
import json, sys
def main():
    flags = [sys.flags.isolated, sys.flags.no_site, sys.flags.utf8_mode]
    print(json.dumps({"argv": sys.argv, "path": sys.path, "flags": flags}))
"""


class Prefix:
    """A directory with the command in bin/pyrun, around which a test puts what the command is to find."""

    def __init__(self, path: Path, entry: Path) -> None:
        self.path = path
        self.command = path / "bin" / "pyrun"
        self.command.parent.mkdir(parents=True)
        shutil.copy(entry, self.command)

    def add_package(self, directory: str = SITE) -> Path:
        """Installs the package that stands for pyrun into a directory below the prefix."""
        package = self.path / directory / "pyrun" / "cli"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").touch()
        (package / "__init__.py").touch()
        (package / "main.py").write_text(MAIN)
        return self.path / directory

    def add_python(self, name: str = f"bin/python{VERSION}") -> Path:
        """Puts this very interpreter into the prefix."""
        link = self.path / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(PYTHON)
        return link

    def add_stand_in(self, name: str) -> Path:
        """Puts a script that stands for an interpreter into the prefix."""
        script = self.path / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text('#!/bin/sh\necho "$0"\n')
        script.chmod(0o755)
        return script

    def run(
        self,
        *arguments: str,
        command: Sequence[str | Path] = (),
        directory: str | Path = "/",
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Executes the command, with nothing in its environment unless a test says what."""
        return subprocess.run(
            [*(command or [self.command]), *arguments],
            cwd=directory,
            env=environment or {},
            capture_output=True,
            check=False,
        )

    def ask(self, *arguments: str, **keywords: Any) -> dict[str, Any]:
        """Executes the command and returns what its package printed."""
        result = self.run(*arguments, **keywords)
        assert (result.returncode, result.stderr) == (0, b"")
        answer = json.loads(result.stdout)
        assert isinstance(answer, dict)
        return answer

    def interpreter(self, **keywords: Any) -> Path:
        """Executes the command and returns the path of the stand-in that it chose."""
        result = self.run(**keywords)
        assert (result.returncode, result.stderr) == (0, b"")
        return Path(os.fsdecode(result.stdout.strip()))

    def error(self, **keywords: Any) -> str:
        """Executes the command, which must fail, and returns its line of error."""
        result = self.run(**keywords)
        assert (result.returncode, result.stdout) == (1, b"")
        line = os.fsdecode(result.stderr)
        assert line.startswith("pyrun: ") and line.endswith("\n") and line.count("\n") == 1
        return line


@pytest.fixture
def prefix(tmp_path: Path, entry: Path) -> Prefix:
    """A prefix that holds nothing but the command."""
    return Prefix(tmp_path / "prefix", entry)


def test_arguments_arrive_unchanged(prefix: Prefix) -> None:
    prefix.add_package()
    prefix.add_python()
    arguments = ["run", "", "pyrun", "--", "-c", "-I", "a\nb", 'it\'s "quoted"', "ü", os.fsdecode(b"\xff")]
    assert prefix.ask(*arguments)["argv"] == ["pyrun", *arguments]


def test_many_arguments_arrive(prefix: Prefix) -> None:
    prefix.add_package()
    prefix.add_python()
    arguments = [str(number) for number in range(50_000)]
    assert prefix.ask(*arguments)["argv"] == ["pyrun", *arguments]


def test_interpreter_is_isolated_and_in_utf8_mode(prefix: Prefix) -> None:
    prefix.add_package()
    prefix.add_python()
    assert prefix.ask(environment={"LC_ALL": "C", "PYTHONUTF8": "0"})["flags"] == [1, 1, 1]


def test_modules_come_after_the_standard_library(prefix: Prefix) -> None:
    """A module of the same name in site-packages must not replace one of the standard library."""
    site = prefix.add_package()
    prefix.add_python()
    path = prefix.ask()["path"]
    library = os.path.dirname(os.__file__)
    assert path.index(library) < path.index(str(site))
    assert all(os.path.isabs(directory) for directory in path)


@pytest.mark.parametrize(
    "name",
    ["it's", 'a "b"', "back\\slash", "two\nlines", "ünïcode", os.fsdecode(b"\xff\xfe"), "a:b", "pyrun", " "],
)
def test_name_of_the_prefix_may_be_any(tmp_path: Path, entry: Path, name: str) -> None:
    prefix = Prefix(tmp_path / name, entry)
    site = prefix.add_package()
    prefix.add_python()
    assert str(site) in prefix.ask()["path"]


def test_is_found_through_links(prefix: Prefix, tmp_path: Path) -> None:
    prefix.add_package()
    prefix.add_python()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "oci"
    link.symlink_to(prefix.command)
    assert prefix.ask(command=[link])["argv"] == ["pyrun"]


def test_name_that_it_is_called_by_does_not_matter(prefix: Prefix) -> None:
    prefix.add_package()
    prefix.add_python()
    command = ["/bin/bash", "-c", f"exec -a /nonexistent/bin/pyrun {prefix.command}"]
    assert prefix.ask(command=command)["argv"] == ["pyrun"]


def test_takes_the_newest_version(prefix: Prefix) -> None:
    for version in ("3.11", "3.19", "3.20", "3.12"):
        prefix.add_package(f"lib/python{version}/site-packages")
        prefix.add_stand_in(f"bin/python{version}")
    assert prefix.interpreter() == prefix.path / "bin/python3.20"


def test_passes_over_a_version_without_interpreter(prefix: Prefix) -> None:
    for version in ("3.19", "3.20"):
        prefix.add_package(f"lib/python{version}/site-packages")
    prefix.add_stand_in("bin/python3.19")
    assert prefix.interpreter() == prefix.path / "bin/python3.19"


def test_passes_over_a_version_without_package(prefix: Prefix) -> None:
    (prefix.path / "lib/python3.20/site-packages").mkdir(parents=True)
    prefix.add_stand_in("bin/python3.20")
    prefix.add_package("lib/python3.19/site-packages")
    prefix.add_stand_in("bin/python3.19")
    assert prefix.interpreter() == prefix.path / "bin/python3.19"


def test_finds_lib64(prefix: Prefix) -> None:
    site = prefix.add_package(f"lib64/python{VERSION}/site-packages")
    prefix.add_python()
    (prefix.path / SITE).mkdir(parents=True)
    path = prefix.ask()["path"]
    assert str(site) in path
    assert str(prefix.path / SITE) in path, "dependencies without compiled parts are there"


def test_dist_packages_are_for_the_interpreter_of_the_distribution(prefix: Prefix) -> None:
    """Debian's pip installs into /usr/local, where an interpreter that somebody built may be as well."""
    site = prefix.add_package(f"lib/python{SYSTEM_VERSION}/dist-packages")
    prefix.add_stand_in(f"bin/python{SYSTEM_VERSION}")
    assert str(site) in prefix.ask()["path"]


def test_package_of_a_distribution_serves_its_default_interpreter(prefix: Prefix) -> None:
    site = prefix.add_package("lib/python3/dist-packages")
    assert str(site) in prefix.ask()["path"]


def test_target_directory(prefix: Prefix) -> None:
    prefix.add_package(".")
    assert str(prefix.path) in prefix.ask()["path"]


def test_system_directories_follow_for_dependencies(prefix: Prefix) -> None:
    """What pip found to be there already is in the distribution's directories."""
    site = prefix.add_package(f"lib/python{SYSTEM_VERSION}/dist-packages")
    path = prefix.ask()["path"]
    known = ask_system_python("import os, site; print(*filter(os.path.isdir, site.getsitepackages()))")
    assert path[path.index(str(site)) + 1 :] == known.split()


class TestVirtualEnvironment:
    def test_has_no_modules_but_its_own(self, prefix: Prefix) -> None:
        site = prefix.add_package()
        prefix.add_python()
        (prefix.path / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
        path = prefix.ask()["path"]
        assert path[-1] == str(site)
        assert not any("dist-packages" in directory for directory in path)

    def test_has_those_of_the_system_too_if_it_says_so(self, prefix: Prefix, tmp_path: Path) -> None:
        base = tmp_path / "base"
        (base / SITE).mkdir(parents=True)
        (base / "bin").mkdir()
        site = prefix.add_package()
        prefix.add_python()
        configuration = prefix.path / "pyvenv.cfg"
        configuration.write_text(f"version = {VERSION}\nhome = {base}/bin\ninclude-system-site-packages = true\n")
        path = prefix.ask()["path"]
        assert path[path.index(str(site)) :] == [str(site), str(base / SITE)]

    def test_has_no_interpreter_but_its_own(self, prefix: Prefix) -> None:
        prefix.add_package()
        (prefix.path / "pyvenv.cfg").write_text("home = /usr/bin\n")
        other = prefix.add_stand_in(f"elsewhere/python{VERSION}")
        line = prefix.error(environment={"PATH": str(other.parent)})
        assert str(prefix.path / SITE) in line and "no interpreter" in line


class TestSearchPath:
    """PATH is the last resort, for interpreters that are neither in the prefix nor in /usr."""

    VERSION = "3.25"

    @pytest.fixture
    def prefix(self, prefix: Prefix) -> Prefix:
        prefix.add_package(f"lib/python{self.VERSION}/site-packages")
        return prefix

    def test_is_searched(self, prefix: Prefix, tmp_path: Path) -> None:
        script = prefix.add_stand_in(f"elsewhere/python{self.VERSION}")
        search = f"/nonexistent:{tmp_path}:{script.parent}"
        assert prefix.interpreter(environment={"PATH": search}) == script

    @pytest.mark.parametrize("search", ["", ":", ".", "::/nonexistent", "elsewhere", "../prefix/elsewhere:."])
    def test_parts_that_are_not_absolute_are_passed_over(self, prefix: Prefix, search: str) -> None:
        prefix.add_stand_in(f"elsewhere/python{self.VERSION}")
        prefix.add_stand_in(f"python{self.VERSION}")
        assert "no interpreter" in prefix.error(environment={"PATH": search}, directory=prefix.path)

    def test_comes_last(self, prefix: Prefix) -> None:
        other = prefix.add_stand_in(f"elsewhere/python{self.VERSION}")
        own = prefix.add_stand_in(f"bin/python{self.VERSION}")
        assert prefix.interpreter(environment={"PATH": str(other.parent)}) == own


class TestEditableInstall:
    def test_reads_the_list_of_source_roots(self, prefix: Prefix, tmp_path: Path) -> None:
        source = Prefix(tmp_path / "it's söurce", prefix.command)
        source.add_package("runtime")
        for name in ("spec", "cgroups"):
            (source.path / name).mkdir()
        roots = [str(source.path / name) for name in ("spec", "cgroups", "runtime")]
        site = prefix.path / SITE
        site.mkdir(parents=True)
        (site / "_pyrun_oci.pth").write_text("\n".join(["# roots", "import os", "relative", *roots]))
        prefix.add_python()
        path = prefix.ask()["path"]
        assert path[path.index(roots[0]) :][:4] == [*roots, str(site)]
        assert "import os" not in path and "relative" not in path

    def test_refuses_a_list_that_is_too_long(self, prefix: Prefix) -> None:
        site = prefix.path / SITE
        site.mkdir(parents=True)
        (site / "_pyrun_oci.pth").write_text("".join(f"/root{number}\n" for number in range(1000)))
        prefix.add_python()
        assert "too many" in prefix.error()


class TestErrors:
    def test_package_is_missing(self, prefix: Prefix) -> None:
        prefix.add_python()
        assert f"{prefix.path}: the Python package" in prefix.error()

    def test_package_is_for_a_python_that_is_too_old(self, prefix: Prefix) -> None:
        prefix.add_package("lib/python3.10/site-packages")
        prefix.add_stand_in("bin/python3.10")
        assert f"{prefix.path}: the Python package" in prefix.error()

    def test_interpreter_cannot_be_executed(self, prefix: Prefix) -> None:
        prefix.add_package()
        python = prefix.add_stand_in(f"bin/python{VERSION}")
        python.chmod(0o644)
        assert f"{python}: Permission denied" in prefix.error()

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to cover /proc in a mount namespace")
    def test_procfs_is_not_mounted(self, prefix: Prefix) -> None:
        prefix.add_package()
        prefix.add_python()
        cover = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount -t tmpfs tmpfs /proc && exec "$0"',
            str(prefix.command),
        ]
        line = prefix.error(command=cover, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        assert "/proc/self/exe: No such file" in line
