# SPDX-License-Identifier: Apache-2.0
"""pyrun installed for real, in each of the ways that its users have.

What goes into the system's directories goes into a private mount namespace, so this machine stays as it is.
"""

from __future__ import annotations

import glob
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from install.building import PIP, copy_source

SYSTEM_PYTHON = "/usr/bin/python3"
SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Installation:
    """An installed pyrun: its command, and what goes before it to enter the namespace that it is in."""

    command: Path
    enter: tuple[str, ...] = ()

    def run(
        self, *arguments: str, directory: Path, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Executes pyrun in `directory`, with nothing in its environment but `environment`."""
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        return subprocess.run(
            [*self.enter, "env", "-i", "-C", directory, *variables, self.command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@dataclass(frozen=True)
class Materials:
    """Where installations come from: the source tree, and the wheels of pyrun and of all that it needs."""

    source: Path
    wheels: Path

    @classmethod
    def make(cls, source: Path, wheels: Path) -> Materials:
        """Fills the directory `wheels` for the distribution's interpreter."""
        _do([*PIP, "--python", SYSTEM_PYTHON, "wheel", "--wheel-dir", wheels, source])
        return cls(source, wheels)

    def install(self, python: str | Path, *options: str, enter: Sequence[str] = ()) -> None:
        """Installs pyrun and its dependencies from the wheels, as the pip of `python` would."""
        without_index: list[str | Path] = [
            "install",
            "--no-index",
            "--find-links",
            self.wheels,
            "--root-user-action",
            "ignore",
        ]
        _do([*enter, *PIP, "--python", python, *without_index, *options, "pyrun-oci"])


def virtual_environment(materials: Materials, place: Path) -> Iterator[Installation]:
    """``python3 -m venv``, in a directory with a name that asks for quoting."""
    yield _in_virtual_environment(materials, place / "it's a vénv")


def virtual_environment_with_system_packages(materials: Materials, place: Path) -> Iterator[Installation]:
    """``python3 -m venv --system-site-packages``."""
    yield _in_virtual_environment(materials, place / "venv", "--system-site-packages")


def system(materials: Materials, place: Path) -> Iterator[Installation]:
    """``pip install`` by root for the distribution's interpreter, which goes to /usr/local."""
    with _private_mounts("mount -t tmpfs tmpfs /usr/local") as enter:
        materials.install(SYSTEM_PYTHON, "--break-system-packages", enter=enter)
        yield Installation(Path("/usr/local/bin/pyrun"), enter)


def distribution_package(materials: Materials, place: Path) -> Iterator[Installation]:
    """What a package of the distribution would hold: /usr/bin/pyrun and /usr/lib/python3/dist-packages."""
    layer = place / "layer"
    layer.mkdir()
    script = (
        f"cd {layer} && mount -t tmpfs tmpfs . && cd {layer} && mkdir upper work && "
        "mount -t overlay -o lowerdir=/usr,upperdir=upper,workdir=work overlay /usr"
    )
    packages = Path("/usr/lib/python3/dist-packages")
    with _private_mounts(script) as enter:
        materials.install(SYSTEM_PYTHON, "--target", str(packages), "--upgrade", enter=enter)
        _do([*enter, "mv", packages / "bin" / "pyrun", "/usr/bin/pyrun"])
        yield Installation(Path("/usr/bin/pyrun"), enter)


def user(materials: Materials, place: Path) -> Iterator[Installation]:
    """``pip install --user``."""
    materials.install(SYSTEM_PYTHON, "--user", "--break-system-packages", enter=("env", f"HOME={place}"))
    yield Installation(place / ".local" / "bin" / "pyrun")


def prefix(materials: Materials, place: Path) -> Iterator[Installation]:
    """``pip install --prefix``."""
    materials.install(SYSTEM_PYTHON, "--prefix", str(place), "--ignore-installed")
    (command,) = place.rglob("bin/pyrun")
    yield Installation(command)


def target(materials: Materials, place: Path) -> Iterator[Installation]:
    """``pip install --target``."""
    materials.install(SYSTEM_PYTHON, "--target", str(place / "target"))
    yield Installation(place / "target" / "bin" / "pyrun")


def editable(materials: Materials, place: Path) -> Iterator[Installation]:
    """``pip install -e .``; the dependencies are there already."""
    installed = _in_virtual_environment(materials, place / "venv")
    python = installed.command.with_name("python")
    source = copy_source(place / "source")
    _do([*PIP, "--python", python, "install", "--no-deps", "--editable", source])
    yield installed


def python_3_12(materials: Materials, place: Path) -> Iterator[Installation]:
    """``pip install .`` with Python 3.12."""
    yield _with_other_python(materials, place / "venv", "3.12")


def python_3_13(materials: Materials, place: Path) -> Iterator[Installation]:
    """``pip install .`` with Python 3.13."""
    yield _with_other_python(materials, place / "venv", "3.13")


KINDS: dict[str, Callable[[Materials, Path], Iterator[Installation]]] = {
    function.__name__: function
    for function in (
        virtual_environment,
        virtual_environment_with_system_packages,
        system,
        distribution_package,
        user,
        prefix,
        target,
        editable,
        python_3_12,
        python_3_13,
    )
}
NEED_ROOT = ("system", "distribution_package")


class PythonMissing(Exception):
    """This machine has no interpreter of the version."""


def find_python(version: str) -> str:
    """Returns an interpreter of that version, from the distribution or from pyenv; raises PythonMissing."""
    patterns = [f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"]
    patterns.append(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}"))
    for path in (path for pattern in patterns for path in glob.glob(pattern)):
        return path
    raise PythonMissing(f"this machine has no Python {version}")


def _in_virtual_environment(materials: Materials, path: Path, *options: str) -> Installation:
    _do([SYSTEM_PYTHON, "-m", "venv", "--without-pip", *options, path])
    materials.install(path / "bin" / "python")
    return Installation(path / "bin" / "pyrun")


def _with_other_python(materials: Materials, path: Path, version: str) -> Installation:
    """Installs with the pip that comes with that Python; another pip may not know it yet."""
    _do([find_python(version), "-m", "venv", path])
    _do([path / "bin" / "python", *PIP[1:], "install", materials.source])
    return Installation(path / "bin" / "pyrun")


def _do(command: Sequence[str | Path]) -> None:
    subprocess.run(command, check=True)


@contextmanager
def _private_mounts(script: str) -> Iterator[tuple[str, ...]]:
    """Mounts what `script` says in a new mount namespace, and gives the command that enters it."""
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"{script} && echo done && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"done\n", f"could not mount: {script}"
        yield ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt")
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait()
