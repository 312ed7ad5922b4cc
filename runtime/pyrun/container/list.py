# SPDX-License-Identifier: Apache-2.0
"""list: the states of all containers below a root."""

from __future__ import annotations

import os
import pwd

from pyrun.cli import log
from pyrun.container.state import container_state
from pyrun.errors import PyrunError, error_words
from pyrun.state import StateDamaged, check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def list_states(root: str) -> list[dict[str, Any]]:
    """Return the state of every container, in the order of their ids.

    Those that vanish meanwhile are left out, those whose state is damaged or can't be read are reported in the log.
    """
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    states = []
    for name in names:
        try:
            check_id(name)
            owner = _user_name(os.stat(f"{root}/{name}").st_uid)
            states.append({**container_state(root, name), "owner": owner})
        except StateDamaged as error:
            log.error(str(error))
        except (PyrunError, FileNotFoundError):
            continue
        except OSError as error:
            log.error(f"{root}/{name}: {error_words(error.errno or 0)}")
    return states


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
