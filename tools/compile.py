# SPDX-License-Identifier: Apache-2.0
"""Compiles pyrun's static C programs from runtime/init.

`pyrun` is the command that executes Python; `pyrun-init` carries plans out. CC names the compiler. Without it
musl is preferred where musl-gcc is installed: its programs start sooner and are a tenth of the size, and
`pyrun-init` is copied for every container.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "runtime" / "init"
ENTRY = "entry.c"

STANDARD = ["-std=gnu17", "-D_GNU_SOURCE", "-O2"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion"]
SMALL = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-s"]
HARDENING = [
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE",  # some distributions' compilers define another level
    "-D_FORTIFY_SOURCE=2",
    "-Wl,-z,relro,-z,now,-z,noexecstack",
]
HARDENING_OF_MACHINE = {"x86_64": ["-fcf-protection"], "aarch64": ["-mbranch-protection=standard"]}


class CompilationError(Exception):
    """There is no compiler, or it refused."""


def compiler() -> list[str]:
    """Returns the command of the C compiler.

    Raises:
        CompilationError: there is none.
    """
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("musl-gcc", "cc", "gcc"):
        if shutil.which(name):
            return [name]
    raise CompilationError("no C compiler found: install gcc and libc6-dev, or name one in CC")


def machine() -> str:
    """Returns the machine that the compiler compiles for, in the kernel's words: ``x86_64``, ``aarch64``."""
    return _ask("-dumpmachine").partition("-")[0]


def compile_program(name: str, output: Path, extra: list[str] | None = None) -> None:
    """Compiles the program `name` to the file `output`, which is replaced in one step.

    Raises:
        CompilationError: there is no compiler, or it refused.
    """
    sources = [SOURCES / ENTRY] if name == "pyrun" else sorted(set(SOURCES.glob("*.c")) - {SOURCES / ENTRY})
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    flags = [
        *STANDARD,
        *WARNINGS,
        *SMALL,
        *HARDENING,
        *HARDENING_OF_MACHINE.get(machine(), []),
        *(extra or []),
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run([*compiler(), *flags, *_static(), *map(str, sources), "-o", str(unfinished)])
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


def _static() -> list[str]:
    """Returns the flags that link a static, position-independent program against the compiler's C library."""
    if not os.path.basename(compiler()[0]).endswith("musl-gcc"):
        return ["-fPIE", "-static-pie"]
    # musl's wrapper around gcc makes a dynamic program of -static-pie, and hides the kernel's headers.
    startup = re.search(r'([^\s"]+)/Scrt1\.o', _ask("-###", "-xc", os.devnull))
    if startup is None:
        raise CompilationError(f"{compiler()[0]} does not tell where musl is: set CC=gcc")
    headers = ["/usr/include", f"/usr/include/{_ask('-print-multiarch')}"]
    return [
        "-fPIE",
        "-nostartfiles",
        f"{startup[1]}/rcrt1.o",
        "-Wl,-static,-pie,--no-dynamic-linker,-z,text",
        *(f"-idirafter{directory}" for directory in headers),
    ]


def _ask(*question: str) -> str:
    """Returns what the compiler answers to one of its options that print."""
    return _run([*compiler(), *question], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.strip()


def _run(command: list[str], stdout: int | None = None, stderr: int | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, check=True, text=True, stdout=stdout, stderr=stderr)
    except OSError as error:
        raise CompilationError(f"{command[0]}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        raise CompilationError(f"{command[0]} ended with exit status {error.returncode}") from None


def main() -> None:
    """Compiles the program and reports failures in one line."""
    parser = argparse.ArgumentParser(description="Compile one of pyrun's C programs.")
    parser.add_argument("program", choices=["pyrun", "pyrun-init"])
    parser.add_argument("output", type=Path)
    parser.add_argument("flags", nargs="*", help="further flags for the compiler, after --")
    arguments = parser.parse_args()
    try:
        compile_program(arguments.program, arguments.output, arguments.flags)
    except CompilationError as error:
        sys.exit(f"pyrun: {error}")


if __name__ == "__main__":
    main()
