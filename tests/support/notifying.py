# SPDX-License-Identifier: Apache-2.0
"""Configurations whose filter notifies an agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.seccomp_agent import Agent

MakeAgent = Callable[..., Agent]

MKDIR = ("mkdir", "mkdirat")
LISTENER = "/linux/seccomp/listenerPath"
MADE = "status 0\nit is there\n"

both_ways = pytest.mark.parametrize("early", [False, True], ids=["on start", "on create"])


def notifying(config: Config, path: str, *names: str, early: bool = False, **more: Any) -> Config:
    """Gives `config` a filter that notifies of some calls; returns `config`.

    Without no_new_privs pyrun loads a filter `early`, before the container waits to be started.
    """
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "syscalls": [{"names": list(names or MKDIR), "action": "SCMP_ACT_NOTIFY"}],
        **more,
    }
    config["process"]["noNewPrivileges"] = not early
    return config


def making(path: str, *names: str, **more: Any) -> Config:
    """Returns a configuration whose program makes a directory, which is notified, and says how that ended."""
    script = "mkdir /dev/shm/made 2>&1; echo status $?; ! test -d /dev/shm/made || echo it is there"
    return notifying(configs.shell(script), path, *names, **more)


def waiting(path: str, **more: Any) -> Config:
    """Returns a configuration whose program makes a directory and then sleeps."""
    return notifying(configs.shell("mkdir /dev/shm/made; echo made; exec sleep 1000"), path, **more)
