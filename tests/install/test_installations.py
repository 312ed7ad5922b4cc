# SPDX-License-Identifier: Apache-2.0
"""Each way to install pyrun gives a command that works from anywhere, whatever lies around it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from install.installations import KINDS, NEED_ROOT, SEARCH_PATH, Installation, Materials, PythonMissing
from pyrun import __version__
from support.bundle import make_rootfs


@pytest.fixture(scope="module")
def materials(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Materials:
    """The source tree and all wheels."""
    return Materials.make(source, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module", params=KINDS)
def installation(
    request: pytest.FixtureRequest, materials: Materials, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """pyrun, installed in one of the ways."""
    kind = request.param
    if kind in NEED_ROOT and os.geteuid() != 0:
        pytest.skip("needs root for a mount namespace")
    try:
        yield from KINDS[kind](materials, tmp_path_factory.mktemp(kind))
    except PythonMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """A directory with modules and programs that nothing must load; what is loaded leaves a file `caught`."""
    directory = tmp_path / "traps"
    names = (
        "sitecustomize",
        "usercustomize",
        "os",
        "json",
        "click",
        "pyrun_spec",
        "pyrun/__init__",
        "pyrun/cli/main",
    )
    for name in names:
        module = directory / f"{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"open({str(directory / 'caught')!r}, 'a').write({name!r})\n")
    for name in ("python3", *(f"python3.{minor}" for minor in range(11, 15))):
        program = directory / name
        program.write_text(f"#!/bin/sh\necho {name} >>{directory}/caught\n")
        program.chmod(0o755)
    (directory / "pyvenv.cfg").write_text(f"home = {directory}\n")
    return directory


def test_tells_its_version(installation: Installation, tmp_path: Path) -> None:
    """The version is read with click, so the dependencies are found too."""
    result = installation.run("--version", directory=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"pyrun version {__version__}"


def test_writes_a_config(installation: Installation, tmp_path: Path) -> None:
    result = installation.run("spec", directory=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert json.loads((tmp_path / "config.json").read_text())["process"]["args"] == ["sh"]


def test_explains_what_is_wrong_with_a_config(installation: Installation, tmp_path: Path) -> None:
    """The explanation comes from jsonschema and from schemas that are data of a package."""
    installation.run("spec", directory=tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"]["cwd"] = 7
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "rootfs").mkdir()
    result = installation.run("validate", str(tmp_path), directory=Path("/"))
    assert result.returncode == 1
    assert "/process/cwd" in result.stdout + result.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "xx_XX.ISO-8859-1"])
def test_names_may_have_any_letters(installation: Installation, tmp_path: Path, locale: str) -> None:
    bundle = tmp_path / "bündel"
    bundle.mkdir()
    result = installation.run("spec", "--bundle", str(bundle), directory=Path("/"), environment={"LC_ALL": locale})
    assert (result.returncode, result.stderr) == (0, "")
    assert (bundle / "config.json").exists()


def test_takes_nothing_from_directory_or_environment(installation: Installation, traps: Path) -> None:
    environment = {
        "HOME": str(traps),
        "PATH": f"{SEARCH_PATH}:{traps}::.",
        "PYTHONHOME": str(traps),
        "PYTHONINSPECT": "1",
        "PYTHONPATH": str(traps),
        "PYTHONSTARTUP": str(traps / "os.py"),
        "PYTHONUSERBASE": str(traps),
        "PYTHONVERBOSE": "1",
        "VIRTUAL_ENV": str(traps),
    }
    for arguments in (["--version"], ["spec"]):
        result = installation.run(*arguments, directory=traps, environment=environment)
        assert (result.returncode, result.stderr) == (0, "")
    assert not (traps / "caught").exists()
    assert (traps / "config.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces, mounts and cgroups")
def test_runs_a_container(installation: Installation, tmp_path: Path) -> None:
    """`pyrun-init` is where the package looks for it, and executable."""
    make_rootfs(str(tmp_path / "rootfs"))
    installation.run("spec", directory=tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"].update(terminal=False, args=["cat", "/proc/1/comm"])
    (tmp_path / "config.json").write_text(json.dumps(config))
    container = f"pyrun-install-{os.getpid()}"
    result = installation.run("--root", str(tmp_path / "state"), "run", container, directory=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "cat\n", "")
