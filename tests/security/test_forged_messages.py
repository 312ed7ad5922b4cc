# SPDX-License-Identifier: Apache-2.0
"""A container that may trace has the control socket of the process that exec brings in, and says things in its name."""

from __future__ import annotations

import _socket
import array
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pyrun.container.launch import Conversation, control_sockets
from pyrun.container.seccomp_agent import Agent as AgentOfPyrun
from pyrun.errors import PyrunError
from support import process
from support.seccomp_agent import Agent
from support.waiting import wait_for_exit

pytestmark = pytest.mark.pyrun_only("the messages are pyrun's own")

SPEAKER = """
import array, os, socket, sys
connection = socket.socket(fileno=int(sys.argv[1]))
sent = array.array("i", map(int, sys.argv[3:]))
connection.sendmsg([sys.argv[2].encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)] if sent else [])
"""


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is no child of this one."""
    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        yield pid
        parent.kill()
        subprocess.run(["kill", "-KILL", str(pid)], check=True)
        wait_for_exit(pid)


def say(end: _socket.socket, message: str, *descriptors: int) -> subprocess.Popen[bytes]:
    """Starts a process that sends a message through `end`."""
    command = [sys.executable, "-c", SPEAKER, str(end.fileno()), message, *map(str, descriptors)]
    return subprocess.Popen(command, pass_fds=[end.fileno(), *descriptors])


@pytest.fixture
def entrant() -> Iterator[subprocess.Popen[bytes]]:
    """The process that is to go into the container."""
    with subprocess.Popen(["sleep", "1000"]) as sleeping:
        yield sleeping
        sleeping.kill()


@pytest.fixture
def conversation(entrant: subprocess.Popen[bytes]) -> Iterator[tuple[Conversation, _socket.socket]]:
    """A conversation whose outer stage has named the entrant, and the other end of its socket."""
    ours, theirs = control_sockets()
    outer = say(theirs, f"pid {entrant.pid}")
    begun = Conversation(ours, outer.pid, None)
    begun.wait_for_init()
    outer.returncode = 0  # reaped by the conversation
    yield begun, theirs
    theirs.close()


@pytest.mark.parametrize("forged", ["pid {0}", "pid -{0}", "inside", "failed\x010\x011\x01x\x01y\x01z"])
def test_message_of_another_process(
    conversation: tuple[Conversation, _socket.socket], entrant: subprocess.Popen[bytes], stranger: int, forged: str
) -> None:
    """What somebody else says is not heard; who is named is neither told to others nor ended."""
    begun, theirs = conversation
    say(theirs, forged.format(stranger)).wait()
    theirs.close()
    entrant.kill()
    with pytest.raises(PyrunError, match="killed by signal 9"):
        begun.wait_for(b"inside")
    begun.break_off()
    begun.kill()
    assert not process.status(stranger)["State"].startswith("Z"), "it was killed"


def test_terminal_of_another_process(
    conversation: tuple[Conversation, _socket.socket], entrant: subprocess.Popen[bytes]
) -> None:
    """A descriptor that somebody else sends is not taken for the terminal, and does not stay open."""
    begun, theirs = conversation
    source, end = os.pipe()
    say(theirs, "terminal", end).wait()
    theirs.close()
    os.close(end)
    entrant.kill()
    with pytest.raises(PyrunError):
        begun.wait_for(b"inside")
    assert begun.take_terminal() is None
    assert os.read(source, 1) == b""
    os.close(source)
    begun.break_off()


def test_process_that_is_not_a_child(stranger: int) -> None:
    """Root in the container can give another's pid for its own (CAP_SYS_ADMIN, unix(7)): here the test is that root."""
    ours, theirs = control_sockets()
    with subprocess.Popen(["true"]) as outer:
        begun = Conversation(ours, outer.pid, None)
        for sender, message in ((outer.pid, f"pid {outer.pid}"), (outer.pid, f"pid {stranger}")):
            credentials = array.array("i", (sender, 0, 0))
            theirs.sendmsg([message.encode()], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
        begun.wait_for_init()
        with pytest.raises(PyrunError, match="not its own"):
            begun.wait_for(b"inside")
        begun.break_off()
        begun.kill()
        theirs.close()
    assert not process.status(stranger)["State"].startswith("Z"), "it was killed"


def test_listener_whose_sender_takes_no_answer(agent: Agent) -> None:
    """A pipe that is full, and whose other end somebody keeps, must not keep the command that starts the container."""
    known = {"ociVersion": "1.3.0", "id": "test", "bundle": "/"}
    told = AgentOfPyrun({"path": agent.path, "metadata": ""}, known, "created")
    source, full = os.pipe()
    os.set_blocking(full, False)
    with pytest.raises(BlockingIOError):
        while os.write(full, bytes(4096)):
            pass
    os.set_blocking(full, True)
    with pytest.raises(PyrunError, match="interferes"):
        told.deliver([os.dup(source), full], os.getpid())
    os.close(source)


def test_descriptors_that_nobody_asked_for(agent: Agent) -> None:
    """What comes with another message than a listener does not stay open."""
    told = AgentOfPyrun({"path": agent.path, "metadata": ""}, {}, "created")
    ours, theirs = control_sockets()
    told.wait_at(ours.fileno())
    source, end = os.pipe()
    say(theirs, "starting", end).wait()
    os.close(end)
    assert told.receive(ours.fileno(), 64) == b"starting"
    assert os.read(source, 1) == b""
    os.close(source)
    told.close()
    ours.close()
    theirs.close()
