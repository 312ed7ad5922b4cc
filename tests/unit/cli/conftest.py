# SPDX-License-Identifier: Apache-2.0
"""Running the command line: inside this process with verbs replaced, and as the program that users run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import click
import pytest

import pyrun
import pyrun_cgroups
import pyrun_spec
from pyrun.cli.main import run

SECONDS = 60


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    status: int
    output: str
    errors: str


CommandLine = Callable[..., Ended]
Stub = Callable[..., None]


@pytest.fixture
def command_line(capfd: pytest.CaptureFixture[str]) -> CommandLine:
    """A function that runs words as ``pyrun WORDS`` in this process."""

    def call(*words: str) -> Ended:
        capfd.readouterr()
        status = run(list(words))
        return Ended(status, *capfd.readouterr())

    return call


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """A function that replaces a module, which a verb imports, by one that holds the given names."""

    def replace(name: str, **contents: Any) -> None:
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)

    return replace


def program(before: str, words: Sequence[str]) -> list[str]:
    """The command that runs pyrun as its entry does: isolated, without site, source roots appended.

    ``before`` is Python that runs first, to replace what a verb would import.
    """
    packages = (pyrun, pyrun_cgroups, pyrun_spec, click)
    roots = sorted({os.path.dirname(os.path.dirname(str(package.__file__))) for package in packages})
    code = f"import sys; sys.path.extend({roots!r})\n{before}\nfrom pyrun.cli.main import main; main()"
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", code, *words]


def run_program(words: Sequence[str], before: str = "", **keywords: Any) -> subprocess.CompletedProcess[str]:
    """Run pyrun in a process of its own and return how it ended."""
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **keywords}
    return subprocess.run(program(before, words), text=True, timeout=SECONDS, check=False, **keywords)
