# SPDX-License-Identifier: Apache-2.0
"""A program for containers that talks to the outside by sockets: see actor.c."""

from __future__ import annotations

import os
import shutil
import subprocess

from support import configs
from support.bundle import Bundle
from support.configs import Config

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "actor.c")
PATH = "bin/actor"


def compile_actor(directory: str) -> str:
    """Compiles the program into `directory`, statically, so that it runs anywhere; returns its path."""
    output = os.path.join(directory, "actor")
    subprocess.run(
        ["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", SOURCE, "-o", output], check=True
    )
    return output


def acting(*words: str) -> Config:
    """Returns the default configuration with the program, which does what the words say."""
    return configs.default(f"/{PATH}", *words)


def install(actor: str, bundle: Bundle) -> None:
    """Puts the program into a bundle's root filesystem."""
    shutil.copy(actor, os.path.join(bundle.rootfs, PATH))
