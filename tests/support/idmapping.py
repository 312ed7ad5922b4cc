# SPDX-License-Identifier: Apache-2.0
"""Configurations with mounts whose ids are mapped, and what owners are seen of files.

A mapping says which id of the file system (containerID) is which id of the host (hostID), whoever looks.
"""

from __future__ import annotations

import os
from typing import Any

from support import configs
from support.configs import Config

FIRST, OTHER_FIRST, SIZE, NOBODY = 100000, 300000, 65536, 65534
# Ids on disk: the host's root, another one, and one that is in no mapping here.
OWNERS = {"root": 0, "seven": 7, "high": 90000}
# What a program sees of them that is not in a user namespace, and one that is.
OUTSIDE = {"root": FIRST, "seven": FIRST + 7, "high": NOBODY}
INSIDE = {"root": 0, "seven": 7, "high": NOBODY}
LOOK = "for f in root seven high; do stat -c '%n %u %g' $f; done"


def ids(inside: int = 0, outside: int = FIRST, size: int = SIZE) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": outside, "size": size}]


def mappings(inside: int = 0, outside: int = FIRST, size: int = SIZE) -> dict[str, Any]:
    return {"uidMappings": ids(inside, outside, size), "gidMappings": ids(inside, outside, size)}


def program(script: str, *mounts: dict[str, Any]) -> Config:
    """Returns a configuration of a shell in /tmp, where the first mount is to be; block devices may be opened."""
    config = configs.shell(f"cd /tmp && {{ {script}; }}")
    config["mounts"] += mounts
    config["linux"]["resources"]["devices"].append({"allow": True, "type": "b", "access": "rwm"})
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] += ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]
    return config


def bind(source: str, *options: str, **more: Any) -> dict[str, Any]:
    return {**configs.bind(source, "/tmp", *options), **more}


def new(kind: str, source: str, *options: str, **more: Any) -> dict[str, Any]:
    return {"destination": "/tmp", "type": kind, "source": source, "options": list(options), **more}


def seen(output: str) -> dict[str, int]:
    """Reads lines of name, user and group, which must be the same."""
    found = {}
    for line in output.splitlines():
        name, user, group = line.split()
        assert user == group
        found[name] = int(user)
    return found


def owner(*path: str) -> int:
    status = os.lstat(os.path.join(*path))
    assert status.st_uid == status.st_gid
    return status.st_uid
