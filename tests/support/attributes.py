# SPDX-License-Identifier: Apache-2.0
"""A program for containers that says how the kernel schedules it, and where its memory comes from: see attributes.c."""

from __future__ import annotations

import os
import shutil
import subprocess

from support import configs
from support.bundle import Bundle
from support.configs import Config

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attributes.c")
PATH = "bin/attributes"

Attributes = dict[str, list[str]]


def compile_program(directory: str) -> str:
    """Compiles the program into `directory`, statically, so that it runs anywhere; returns its path."""
    output = os.path.join(directory, "attributes")
    subprocess.run(
        ["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", SOURCE, "-o", output], check=True
    )
    return output


def default() -> Config:
    """Returns the default configuration with the program."""
    return configs.default(f"/{PATH}")


def install(program: str, bundle: Bundle) -> None:
    """Puts the program into a bundle's root filesystem."""
    shutil.copy(program, os.path.join(bundle.rootfs, PATH))


def parse(output: str) -> Attributes:
    """Returns the words of each attribute in what the program has written."""
    lines = (line.partition(":") for line in output.splitlines())
    return {name: words.split() for name, _, words in lines}
