# SPDX-License-Identifier: Apache-2.0
"""Plans that can be damaged at will and do nothing.

The first operation of each opens a file without a name, which the kernel refuses always and everywhere, and
pyrun-init stops there. Damage is done before it, in the header, and behind it, but not to it: so whatever becomes
of the rest, no other operation is ever carried out.
"""

from __future__ import annotations

from fuzz.encoding import HEADER_BYTES
from pyrun.plan.operations import Plan

GUARD = "open_namespace"
GUARD_ARGUMENTS = (0, "")


def guarded(plan: Plan) -> bytes:
    """Returns the encoding of `plan` with the operation that fails before all others."""
    copy = Plan()
    copy.add(GUARD, "", *GUARD_ARGUMENTS)
    copy.operations += plan.operations
    return copy.encode()


_EMPTY = guarded(Plan())
GUARD_BYTES = _EMPTY[HEADER_BYTES:]
FREE = len(_EMPTY)
"""Where damage may begin again behind the header."""


def is_guarded(data: bytes) -> bool:
    """Tells whether the guard is what stands behind the header, or as much of it as the bytes have left."""
    return GUARD_BYTES.startswith(data[HEADER_BYTES:FREE])
