# SPDX-License-Identifier: Apache-2.0
"""Which pyrun is measured: one as its users have it, from a wheel for the system's Python, or another."""

from __future__ import annotations

import argparse
import glob
import os
import subprocess
import sys
from collections.abc import Sequence

from measure import BenchError
from runtimes import Runtime, told_version

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `chosen_pyrun` reads."""
    parser.add_argument("--pyrun", metavar="PATH", help="measure this pyrun (default: an installed wheel)")
    parser.add_argument(
        "--python",
        metavar="PATH",
        default="/usr/bin/python3",
        help="interpreter that the wheel is installed for",
    )


def chosen_pyrun(options: argparse.Namespace, directory: str) -> Runtime:
    """The pyrun that the options ask for; what it needs is put below ``directory``.

    Raises:
        BenchError: the wheel cannot be built or installed.
    """
    if options.pyrun:
        path = os.path.abspath(options.pyrun)
        version = told_version(path)
    else:
        path, version = _install_wheel(os.path.join(directory, "installation"), options.python)
    return Runtime("pyrun", path, version, os.path.join(directory, "state-pyrun"))


def _install_wheel(directory: str, python: str) -> tuple[str, str]:
    """Build the wheel of this checkout and install it into a new virtual environment of ``python``.

    Dependencies are left out: none of them is loaded by what is measured.
    """
    os.mkdir(directory)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _do([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, SOURCE])
    environment = os.path.join(directory, "environment")
    _do([python, "-m", "venv", "--without-pip", environment])
    (wheel,) = glob.glob(os.path.join(directory, "*.whl"))
    target = os.path.join(environment, "bin", "python")
    _do([*pip, "--python", target, "install", "--no-deps", "--no-index", wheel])
    version = os.path.basename(wheel).split("-")[1]
    return os.path.join(environment, "bin", "pyrun"), f"pyrun version {version}, installed wheel"


def _do(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)} failed:\n{done.stderr or done.stdout}")
