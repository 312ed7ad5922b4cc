# SPDX-License-Identifier: Apache-2.0
"""Builds of pyrun-init that notice undefined behaviour."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "runtime" / "init"
ENTRY = SOURCES / "entry.c"
OPTIONS = Path(__file__).resolve().parent / "sanitizer_options.c"

# A report ends the program, with the exit status that OPTIONS sets.
REPORTING = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]
# Undefined behaviour ends the program by an illegal instruction: that needs no library, so the program stays static.
TRAPPING = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
REPORT_STATUS = 99


def compile_reporting(sources: list[Path], output: Path) -> Path:
    """Compiles a dynamic program with AddressSanitizer and UndefinedBehaviorSanitizer, and returns `output`.

    tools/compile.py makes static programs only, and AddressSanitizer has no static library for gcc.
    """
    command = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", *REPORTING, *map(str, [*sources, OPTIONS]), "-o", str(output)]
    subprocess.run(command, check=True)
    return output


def reporting_init(directory: str) -> str:
    """Compiles pyrun-init with reports of sanitizers into `directory`, and returns its path."""
    sources = sorted(set(SOURCES.glob("*.c")) - {ENTRY})
    return str(compile_reporting(sources, Path(directory, "pyrun-init-reporting")))


def trapping_init(directory: str) -> str:
    """Compiles pyrun-init as it is installed, but with undefined behaviour trapped, and returns its path."""
    output = f"{directory}/pyrun-init-trapping"
    compiling = [sys.executable, str(ROOT / "tools" / "compile.py"), "pyrun-init", output]
    subprocess.run([*compiling, "--", *TRAPPING], check=True)
    return output
