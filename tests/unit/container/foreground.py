# SPDX-License-Identifier: Apache-2.0
"""Runs a command as `run` and `exec -t` do in the foreground, on a new terminal or without one, but in no container.

usage: foreground.py terminal|plain|adopting|signalled COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
from typing import NoReturn

from pyrun.container.supervise import Supervisor
from pyrun.container.terminal import Terminal, check_caller
from pyrun.errors import PyrunError


def main(kind: str, command: list[str]) -> NoReturn:
    """Ends with the exit status of the command."""
    supervisor = Supervisor()
    if kind == "terminal":
        os._exit(on_terminal(supervisor, command))
    if kind == "adopting":
        supervisor.adopt_orphans()
    if kind == "signalled":
        os.kill(os.getpid(), signal.SIGTERM)
    os._exit(supervisor.wait(start(command, None)))


def on_terminal(supervisor: Supervisor, command: list[str]) -> int:
    """Returns the exit status of the command."""
    try:
        check_caller()
    except PyrunError as error:
        os.write(2, f"{error}\n".encode())
        return 1
    master, slave = os.openpty()
    terminal = Terminal(master)
    pid = start(command, slave)
    os.close(slave)
    return supervisor.wait(pid, terminal)


def start(command: list[str], slave: int | None) -> int:
    """Starts the command in a session of its own, and returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    if slave is not None:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for descriptor in (0, 1, 2):
            os.dup2(slave, descriptor)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], command)


main(sys.argv[1], sys.argv[2:])
