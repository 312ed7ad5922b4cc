# SPDX-License-Identifier: Apache-2.0
"""Where an ordinary user's containers have their state, when the command line does not say."""

from __future__ import annotations

import os
import stat

from pyrun.errors import PyrunError, error_words


def users_state_root() -> str:
    """Return the directory below $XDG_RUNTIME_DIR for this user's containers; it need not exist yet.

    Raises:
        PyrunError: the variable is not set, or one of both directories is not this user's own: whoever owns it could
            put other containers' state there (XDG Base Directory Specification, "Environment variables").
    """
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if not directory:
        raise PyrunError("XDG_RUNTIME_DIR is not set, the directory for users other than root; set it, or use --root")
    try:
        _check_owner(directory, os.stat(directory).st_uid)
    except OSError as error:
        reason = error_words(error.errno or 0)
        raise PyrunError(f"XDG_RUNTIME_DIR is {directory}: {reason}; make it, or use --root") from None
    root = f"{os.path.abspath(directory)}/pyrun"
    try:
        status = os.lstat(root)
    except FileNotFoundError:
        return root
    _check_owner(root, status.st_uid)
    if not stat.S_ISDIR(status.st_mode):
        raise PyrunError(f"{root}: not a directory; remove it, or use --root")
    return root


def _check_owner(path: str, owner: int) -> None:
    if owner != os.geteuid():
        raise PyrunError(f"{path} belongs to user {owner}; set XDG_RUNTIME_DIR to a directory of yours, or use --root")
