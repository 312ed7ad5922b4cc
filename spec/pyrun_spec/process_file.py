# SPDX-License-Identifier: Apache-2.0
"""Reads, parses and checks a file with one process object of OCI: what `exec --process` is given.

As with a config.json, a document is only found good or bad here; what is wrong with a bad one is found out by
modules that are loaded only then.
"""

from __future__ import annotations

import os

from pyrun_spec.check import process as check_process
from pyrun_spec.errors import SpecError
from pyrun_spec.load import FILE_TYPES, S_IFMT, parse_json, read_all
from pyrun_spec.rules import rules_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLACE = "/process"  # of the same object in a config.json

# stat(2): a file, or a pipe as shells pass one for <(COMMAND).
READABLE_TYPES = (0o100000, 0o010000)


def load_process(path: str, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the checked process object (config.md of the specification, "Process") that is in a file.

    Members that are null are dropped, as those of a config.json are.

    Args:
        path: the file.
        config: the checked configuration of the container that the process is for.

    Raises:
        SpecError: for the first thing that is wrong with the file or with what is in it.
    """
    process: dict[str, Any] = parse_json(read_file(path), path, drop_null=True)
    if not check_process(process):
        from pyrun_spec.explain import explain_process

        found = explain_process(process)[0]
        raise SpecError(found.message, source=path, pointer=found.pointer)

    def refuse(pointer: str, message: str) -> None:
        raise SpecError(message, source=path, pointer=pointer.removeprefix(PLACE))

    merged = {**config, "process": process}
    for rule, properties in rules_for({"process": process}):
        if properties[0].startswith(PLACE):
            rule(merged, refuse)
    return process


def read_file(path: str) -> bytes:
    """Returns what is in a file that the command line names, or comes through a pipe.

    Raises:
        SpecError: it can't be read, is something else, or is too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise SpecError(f"can't be opened: {_words(error)}", source=path) from None
    try:
        status = os.fstat(descriptor)
        kind = status.st_mode & S_IFMT
        if kind not in READABLE_TYPES:
            raise SpecError(f"is {FILE_TYPES[kind]}, not a file", source=path)
        return read_all(descriptor, status.st_size, path)
    except OSError as error:
        raise SpecError(f"can't be read: {_words(error)}", source=path) from None
    finally:
        os.close(descriptor)


def _words(error: OSError) -> str:
    """Returns the kernel's words with a small first letter, as engines know them from Go."""
    words = str(error.strerror)
    return words[:1].lower() + words[1:]
