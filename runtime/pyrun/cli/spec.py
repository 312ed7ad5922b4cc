# SPDX-License-Identifier: Apache-2.0
"""Writes a config.json to begin with."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from typing import Any

from pyrun.errors import PyrunError

_NAME = "config.json"
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def write_config(bundle: str, config: dict[str, Any]) -> None:
    """Write ``config`` as the config.json of a bundle: wholly or not at all, and never over another one.

    Raises:
        PyrunError: there is a config.json already.
        OSError: the bundle cannot be written.
    """
    path = os.path.join(bundle, _NAME)
    if os.path.lexists(path):
        raise _exists()
    try:
        _write_new(bundle, path, json.dumps(config, indent="\t") + "\n")
    except FileExistsError as error:
        raise _exists() from error
    except OSError as error:
        error.filename = path
        raise


def _write_new(bundle: str, path: str, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".config.json.", dir=bundle)
    try:
        _fill(descriptor, text)
        _publish(temporary, path)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _fill(descriptor: int, text: str) -> None:
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(descriptor, 0o666 & ~_umask())
        os.fsync(descriptor)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _publish(temporary: str, path: str) -> None:
    """Give the finished file its name; a hard link, unlike a rename, never replaces another file."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        os.rename(temporary, path)


def _exists() -> PyrunError:
    return PyrunError(f"File {_NAME} exists. Remove it first")
