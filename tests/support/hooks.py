# SPDX-License-Identifier: Apache-2.0
"""Hooks that write down what they find, in a directory that they see on the host and in the container."""

from __future__ import annotations

import json
import os
from typing import Any

from support import configs
from support.configs import Config
from support.waiting import wait_until

Hook = dict[str, Any]

IN_RUNTIME = ("prestart", "createRuntime", "poststart", "poststop")
AT_CREATE = ("prestart", "createRuntime", "createContainer")
KINDS = (*AT_CREATE, "startContainer", "poststart", "poststop")

INSIDE = "/tmp"


class Notes:
    """The directory for what hooks write down; a container of `config` has it too."""

    def __init__(self, scratch: str, config: Config) -> None:
        self.path = os.path.join(scratch, "notes")
        os.mkdir(self.path)
        open(os.path.join(self.path, "order"), "w", encoding="ascii").close()
        for path in (self.path, os.path.join(self.path, "order")):
            os.chmod(path, 0o777)
        config["mounts"].append(configs.bind(self.path, INSIDE))
        config.setdefault("hooks", {})

    def place(self, kind: str) -> str:
        """Returns how hooks of a kind reach the directory."""
        return INSIDE if kind == "startContainer" else self.path

    def shell(self, kind: str, script: str, **properties: Any) -> Hook:
        """Returns a hook that executes a script in the directory."""
        return {"path": "/bin/sh", "args": ["sh", "-c", f"cd {self.place(kind)} || exit; {script}"], **properties}

    def copy(self, kind: str, source: str, name: str, **properties: Any) -> Hook:
        """Returns a hook that copies a file, which no shell has changed anything about."""
        return {"path": "/bin/cp", "args": ["cp", source, f"{self.place(kind)}/{name}"], **properties}

    def tell(self, kind: str, **properties: Any) -> Hook:
        """Returns a hook that writes down that it ran, and its state."""
        return self.shell(kind, f"cat >{kind}.state && echo {kind} >>order", **properties)

    def read(self, name: str) -> str:
        """Returns what was written to a file of the directory, once it is there; nothing after a while."""
        path = os.path.join(self.path, name)
        wait_until(lambda: os.path.exists(path), f"{name} has been written")
        with open(path, encoding="utf-8") as file:
            return file.read()

    def exists(self, name: str) -> bool:
        """Tells whether a file of the directory has been written."""
        return os.path.exists(os.path.join(self.path, name))

    def order(self) -> list[str]:
        """Returns the kinds of hooks that have told that they ran."""
        return self.read("order").split()

    def wait_for(self, kind: str) -> None:
        """Waits until a hook has told that it ran: runc's start does not wait for startContainer."""
        wait_until(lambda: kind in self.order(), f"a {kind} hook has run")

    def state(self, kind: str) -> dict[str, Any]:
        """Returns the state that a hook was told."""
        document = json.loads(self.read(f"{kind}.state"))
        assert isinstance(document, dict)
        return document


def hooks_of(notes: Notes, *kinds: str) -> dict[str, list[Hook]]:
    """Returns one hook of each kind, that tells that it ran."""
    return {kind: [notes.tell(kind)] for kind in kinds or KINDS}
