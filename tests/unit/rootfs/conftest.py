# SPDX-License-Identifier: Apache-2.0
"""A C compiler that makes the programs and libraries of these tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Compile = Callable[..., Path]


@pytest.fixture
def compile_c(tmp_path: Path) -> Compile:
    """``compile_c(output, source, *options)`` compiles a few lines of C into a file and returns its path."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")

    def compile_c(output: Path, source: str, *options: str) -> Path:
        output.parent.mkdir(parents=True, exist_ok=True)
        source_file = tmp_path / f"{output.name}.c"
        source_file.write_text(source)
        subprocess.run([compiler, "-o", output, source_file, *options], check=True)
        return output

    return compile_c
