# SPDX-License-Identifier: Apache-2.0
"""A program for containers that makes single system calls and tells what becomes of them: see caller.c."""

from __future__ import annotations

import os
import shutil
import subprocess

import pyseccomp

from support import configs
from support.bundle import Bundle
from support.configs import Config

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "caller.c")
PATH = "bin/caller"
LAST = 600  # no system call has a number as large


def number(name: str, architecture: int = pyseccomp.Arch.NATIVE) -> int:
    """Returns the number of a system call on this machine, or on another architecture."""
    return int(pyseccomp.resolve_syscall(architecture, name))


def known_calls() -> list[str]:
    """Returns the names of all system calls of this machine that libseccomp knows."""
    names = []
    for each in range(LAST):
        try:
            names.append(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, each).decode())
        except ValueError:
            continue
    return names


def compile_caller(directory: str) -> str:
    """Compiles the program into `directory`, statically, so that it runs anywhere; returns its path."""
    output = os.path.join(directory, "caller")
    flags = ["-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread"]
    subprocess.run(["gcc", *flags, SOURCE, "-o", output], check=True)
    return output


def calling(*words: str) -> Config:
    """Returns the default configuration with the program, which makes the calls that the words say."""
    return configs.default(f"/{PATH}", *words)


def install(caller: str, bundle: Bundle, path: str = PATH) -> None:
    """Puts the program into a bundle's root filesystem."""
    shutil.copy(caller, os.path.join(bundle.rootfs, path))
