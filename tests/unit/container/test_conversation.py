# SPDX-License-Identifier: Apache-2.0
"""pyrun's end of the control socket, with a process at the other end that is not pyrun-init."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyrun.container.launch import Conversation, control_sockets
from pyrun.errors import PyrunError

FAILING = r"""
import socket, sys
connection = socket.socket(fileno=int(sys.argv[1]))
connection.send(b"failed\0" b"0\0" b"1\0" b"new_session\0" b"\0" b"start a session")
"""


def test_failure_of_a_process_that_did_not_hear_go() -> None:
    """The kernel tells of the unread word first, and then hands over what was said before."""
    ours, theirs = control_sockets()
    descriptor = theirs.fileno()
    with subprocess.Popen([sys.executable, "-c", FAILING, str(descriptor)], pass_fds=[descriptor]) as process:
        process.wait()
        begun = Conversation(ours, process.pid, None)
        begun.go()
        theirs.close()
        with pytest.raises(PyrunError, match="start a session: operation not permitted"):
            begun.wait_until_executed()
        begun.close()
