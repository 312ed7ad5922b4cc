# SPDX-License-Identifier: Apache-2.0
"""The gate, at which a created container waits to be started: a socket that only its creator may speak to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support import configs
from support.runtime import Container, MakeContainer
from support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.pyrun_only("runc waits at a fifo")

STRANGER = 12345
# Says "start" at the gate in the working directory, and prints what comes back.
STARTING = """
import socket
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect("gate")
connection.send(b"start")
print(connection.recv(100))
"""


def state_of(container: Container) -> str:
    return os.path.join(str(container.runtime.root), container.id)


def start_as(user: int, container: Container) -> subprocess.CompletedProcess[str]:
    """Speaks to the gate as another user."""
    command = ["setpriv", f"--reuid={user}", "--clear-groups", sys.executable, "-I", "-S", "-c", STARTING]
    return subprocess.run(command, cwd=state_of(container), capture_output=True, text=True, timeout=PATIENCE * 20)


def test_stranger_cannot_reach_the_gate(make_container: MakeContainer) -> None:
    """CVE-2021-41103, CVE-2024-25621 of containerd: directories with state were open to everybody."""
    container = make_container(configs.default("/bin/sleep", "1000")).created()
    assert "Permission denied" in start_as(STRANGER, container).stderr
    assert container.status == "created"


def test_stranger_who_has_reached_the_gate_is_sent_away(make_container: MakeContainer) -> None:
    """CVE-2020-15257 of containerd: whoever reached the socket was obeyed."""
    container = make_container(configs.default("/bin/sleep", "1000")).created()
    opened = {str(container.runtime.root): 0o711, state_of(container): 0o755}
    kept = {path: os.stat(path).st_mode & 0o777 for path in opened}
    for path, mode in opened.items():
        os.chmod(path, mode)
    try:
        assert start_as(STRANGER, container).stdout in ("b''\n", "")
        assert container.status == "created"
    finally:
        for path, mode in kept.items():
            os.chmod(path, mode)
    container.start().succeeded()
    assert container.status == "running"


def test_gate_has_no_name_without_a_file(make_container: MakeContainer) -> None:
    """CVE-2020-15257 of containerd: an abstract socket can be reached from any container with the host's network."""
    waiting = make_container(configs.default("/bin/sleep", "1000")).created()
    config = configs.without_namespace(configs.shell("cat /proc/net/unix; echo end; exec sleep 1000"), "network")
    looking = make_container(config).started()
    wait_until(lambda: looking.output.endswith("end\n"), "the table is there")
    names = [line.split()[7] for line in looking.output.splitlines() if len(line.split()) == 8]
    assert [name for name in names if "/gate" in name], "the gate's file is not in the table"
    assert [name for name in names if name.startswith("@")] == []
    assert waiting.status == "created"
