# SPDX-License-Identifier: Apache-2.0
"""A terminal in an ordinary user's container."""

from __future__ import annotations

import os

import pytest

from support.runtime import Container
from support.terminal import Receiver, Session
from support.users import USER, MakeUsersContainer, UsersRuntime, map_range, missing_mapper

# runc gives the terminal its size a moment after the start.
SCRIPT = """tty; stat -c '%t:%T %u' /dev/console; until stty size 2>/dev/null | grep '33 101'; do sleep 0.1; done
    read line; echo got $line; exit 7"""

ranges = pytest.mark.skipif(missing_mapper() is not None, reason=str(missing_mapper()))


def interactive(container: Container) -> Container:
    container.bundle.config["process"]["terminal"] = True
    return container


@pytest.mark.parametrize("user", [0, pytest.param(1000, marks=ranges)])
def test_in_the_foreground(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, user: int) -> None:
    container = interactive(make_users_container("/bin/sh", "-c", SCRIPT))
    if user:
        map_range(container.bundle.config, USER)["process"]["user"] = {"uid": user, "gid": user}
    container.bundle.seal()
    command = users_runtime.command("run", "--bundle", container.bundle.path, container.id)
    with Session(command, users_runtime.environment) as session:
        output = session.expect("33 101").decode()
        assert "/dev/pts/0" in output
        assert f"88:0 {user}" in output
        session.write("words\n")
        session.expect("got words")
        assert session.wait() == 7
        assert session.attributes() == session.before
    assert users_runtime.remains() == []


def test_by_a_console_socket(make_users_container: MakeUsersContainer) -> None:
    container = interactive(make_users_container("/bin/sh", "-c", "read line; echo got $line; exec sleep 1000"))
    path = os.path.join(USER.runtime_directory, "console")
    with Receiver(path) as receiver:
        USER.owns(path)
        container.created("--console-socket", path)
        with receiver.receive() as master:
            container.start().succeeded()
            master.write("words\n")
            master.expect("got words")
            container.stop()


def test_of_exec(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime) -> None:
    container = make_users_container("/bin/sleep", "1000").started()
    command = users_runtime.command("exec", "--tty", container.id, "/bin/sh", "-c", "tty; read line; echo got $line")
    with Session(command, users_runtime.environment) as session:
        session.expect("/dev/pts/0")
        session.write("words\n")
        session.expect("got words")
        assert session.wait() == 0
    container.stop()


def test_of_another_user(make_users_container: MakeUsersContainer, users_runtime: UsersRuntime, scratch: str) -> None:
    """A console socket that the user may not write to."""
    container = interactive(make_users_container("/bin/true"))
    path = os.path.join(scratch, "console")
    with Receiver(path):
        os.chmod(path, 0o600)
        result = container.create("--console-socket", path)
        assert result.status == 1
        assert "permission denied" in result.error_line
    assert users_runtime.remains() == []
