# SPDX-License-Identifier: Apache-2.0
"""What a service manager gives a container: descriptors of socket activation, and a socket for notifications."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun.errors import PyrunError
from pyrun.plan.describe import as_text
from pyrun.plan.mount_options import MS_PRIVATE, NO_SLOT, NODEV, NOEXEC, NOSUID, RDONLY
from pyrun.plan.operations import Plan

from .configs import arguments_of, compile_for_test, minimal_config, names_of

DIRECTORY = "/state/box/notify"
BIND = {"destination": "/mnt", "type": "bind", "source": "/srv", "options": ["bind"]}
USER_NAMESPACE = {
    "namespaces": [{"type": "user"}, {"type": "pid"}, {"type": "mount"}],
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
    "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
}


def with_environment(*entries: str) -> dict[str, Any]:
    config = minimal_config()
    config["process"]["env"] = list(entries)
    return config


def executed(plan: Plan) -> tuple[Any, Any]:
    (arguments,) = arguments_of(plan, "execute_program")
    return arguments["env"], arguments["listen_descriptors"]


def test_no_service_manager() -> None:
    plan = compile_for_test(with_environment("LISTEN_FDS=1", "LISTEN_PID=1", "NOTIFY_SOCKET=/n"))
    assert executed(plan) == (["LISTEN_FDS=1", "LISTEN_PID=1", "NOTIFY_SOCKET=/n"], 0)
    assert arguments_of(plan, "bind_mount") == []
    assert "listen_descriptors" not in as_text(plan)


@pytest.mark.parametrize(
    ("names", "expected"),
    [("", ["A=b", "LISTEN_FDS=2"]), ("web:admin", ["A=b", "LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin"])],
)
def test_descriptors_of_socket_activation(names: str, expected: list[str]) -> None:
    """LISTEN_PID is not known yet: pyrun-init adds it."""
    plan = compile_for_test(with_environment("A=b"), listen_descriptors=2, listen_names=names)
    assert executed(plan) == (expected, 2)


def test_variables_of_the_config_do_not_stand_beside() -> None:
    config = with_environment("LISTEN_PID=7", "NOTIFY_SOCKET=/n", "LISTEN_FDS=7", "LISTEN_FDNAMES=x")
    plan = compile_for_test(config, listen_descriptors=1, listen_names="y", notify_directory=DIRECTORY)
    entries = ["NOTIFY_SOCKET=/run/notify/notify.sock", "LISTEN_FDS=1", "LISTEN_FDNAMES=y"]
    assert executed(plan) == (entries, 1)


def test_directory_of_the_notification_socket() -> None:
    plan = compile_for_test(minimal_config(mounts=[BIND]), notify_directory=DIRECTORY)
    assert arguments_of(plan, "bind_mount")[-1] == {
        "slot": NO_SLOT,
        "source": DIRECTORY,
        "destination": "/run/notify",
        "recursive": 0,
        "set": RDONLY | NOSUID | NODEV | NOEXEC,
        "clear": 0,
        "recursive_set": 0,
        "recursive_clear": 0,
        "propagation": [MS_PRIVATE],
        "flags": 0,
        "mapping": NO_SLOT,
    }
    assert "NOTIFY_SOCKET=/run/notify/notify.sock" in executed(plan)[0]
    assert "open_bind_source" not in names_of(plan)


@pytest.mark.parametrize("mounts", [[], [BIND]])
def test_directory_of_the_notification_socket_in_a_user_namespace(mounts: list[dict[str, Any]]) -> None:
    """The namespace's root can't reach the state directory: the outer stage opens the source."""
    plan = compile_for_test(minimal_config(mounts=mounts, linux=USER_NAMESPACE), notify_directory=DIRECTORY)
    sources = [arguments["source"] for arguments in arguments_of(plan, "open_bind_source")]
    assert sources == [mount["source"] for mount in mounts] + [DIRECTORY]
    mounted = {arguments["slot"]: arguments["source"] for arguments in arguments_of(plan, "bind_mount")}
    assert mounted == dict(enumerate(sources))


def test_no_mount_namespace_to_have_the_directory_in() -> None:
    config = minimal_config(linux={"namespaces": [{"type": "pid"}]})
    with pytest.raises(PyrunError, match="/linux/namespaces: NOTIFY_SOCKET .* needs a mount namespace"):
        compile_for_test(config, notify_directory=DIRECTORY)
