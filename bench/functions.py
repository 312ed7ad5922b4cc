# SPDX-License-Identifier: Apache-2.0
"""Which Python functions the time of one command goes to, as cProfile sees it from inside."""

from __future__ import annotations

import marshal
import os
import re
from dataclasses import dataclass

from measure import wall_time

# Calls whose time is another process's work. read(2) is how pyrun hears from pyrun-init; the few files that
# it reads take no time beside that.
WAITING = {"poll", "posix_spawn", "read", "sigwait", "waitpid"}

# What takes the place of the entry's code: the same preparation, then the modules that are needed anyway, so
# that the profile is of pyrun's own work alone.
CODE = """
import sys
words = sys.argv
end = words.index("pyrun")
sys.path += words[1:end]
del words[:end]
import cProfile, importlib, os
from pyrun.cli.main import run
for name in {modules!r}:
    importlib.import_module(name)
profile = cProfile.Profile()
status = profile.runcall(run, words[1:])
profile.dump_stats({output!r})
os._exit(status)
"""


@dataclass(frozen=True)
class Function:
    """Times of one function in seconds: ``own`` without, ``total`` with what it called."""

    name: str
    calls: int
    own: float
    total: float

    @property
    def waits(self) -> bool:
        return self.name.rpartition(".")[2] in WAITING


def profile(interpreted: list[str], modules: list[str], directory: str) -> list[Function]:
    """Run a command of the interpreter with a profiler inside.

    Args:
        interpreted: the argument vector that pyrun's entry executes.
        modules: what the command imports.
        directory: for a temporary file.

    Raises:
        BenchError: the command failed.
    """
    output = os.path.join(directory, "functions")
    place = interpreted.index("-c") + 1
    code = CODE.format(modules=modules, output=output)
    wall_time([*interpreted[:place], code, *interpreted[place + 1 :]])
    with open(output, "rb") as file:
        entries = marshal.load(file)
    return [Function(_name(*function), calls, own, total) for function, (_, calls, own, total, _) in entries.items()]


def _name(path: str, line: int, function: str) -> str:
    """MODULE.FUNCTION of what is written in C, FILE:LINE FUNCTION of what is written in Python."""
    if path != "~":
        return f"{os.path.join(*path.split(os.sep)[-2:])}:{line} {function}"
    method = re.fullmatch(r"<method '(.+)' of '(.+)' objects>", function)
    return f"{method[2]}.{method[1]}" if method else function.strip("<>").removeprefix("built-in method ")
