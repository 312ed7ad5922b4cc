# SPDX-License-Identifier: Apache-2.0
"""Reads, parses and checks one resources object of OCI: what `update --resources` is given.

As with a config.json, a document is only found good or bad here; what is wrong with a bad one is found out by
modules that are loaded only then.
"""

from __future__ import annotations

import os

from pyrun_spec.check import resources as check_resources
from pyrun_spec.errors import SpecError
from pyrun_spec.load import parse_json, read_all
from pyrun_spec.process_file import read_file
from pyrun_spec.rules import check_resources as check_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STANDARD_INPUT = "-"
PLACE = "/linux/resources"  # of the same object in a config.json


def load_resources(path: str) -> dict[str, Any]:
    """Returns the checked resources object (config-linux.md of the specification, "Control groups") in a file.

    Members that are null are dropped, as those of a config.json are.

    Args:
        path: the file; "-" for standard input.

    Raises:
        SpecError: for the first thing that is wrong with the file or with what is in it.
    """
    source = source_of(path)
    text = _read_standard_input() if path == STANDARD_INPUT else read_file(path)
    resources: dict[str, Any] = parse_json(text, source, drop_null=True)
    if not check_resources(resources):
        from pyrun_spec.explain import explain_resources

        found = explain_resources(resources)[0]
        raise SpecError(found.message, source=source, pointer=found.pointer)

    def refuse(pointer: str, message: str) -> None:
        raise SpecError(message, source=source, pointer=pointer.removeprefix(PLACE))

    check_rules({"linux": {"resources": resources}}, refuse)
    return resources


def source_of(path: str) -> str:
    """Returns what errors call the file."""
    return "standard input" if path == STANDARD_INPUT else path


def _read_standard_input() -> bytes:
    try:
        return read_all(0, 0, source_of(STANDARD_INPUT))
    except OSError as error:
        raise SpecError(f"can't be read: {os.strerror(error.errno or 0)}", source=source_of(STANDARD_INPUT)) from None
