# SPDX-License-Identifier: Apache-2.0
"""Commands and places that the tests of building and installing share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")

_BUILT = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "*.egg-info"
)


def copy_source(target: Path) -> Path:
    """Copies the source tree as a clean checkout has it, and returns `target`."""
    shutil.copytree(ROOT, target, ignore=_BUILT, symlinks=True)
    shutil.rmtree(target / "runtime" / "pyrun" / "bin", ignore_errors=True)
    return target


def build_wheel(source: Path, directory: Path) -> Path:
    """Builds the wheel of a source tree or distribution with what is installed here, and returns its path."""
    without_index = ("--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run([*PIP, "wheel", *without_index, "--wheel-dir", directory, source], check=True)
    (built,) = directory.glob("*.whl")
    return built


def files_below(directory: Path) -> set[str]:
    """Returns the paths of all files below `directory`, relative to it, except compiled modules."""
    files = (path for path in directory.rglob("*") if path.suffix != ".pyc" and not path.is_dir())
    return {str(path.relative_to(directory)) for path in files}
