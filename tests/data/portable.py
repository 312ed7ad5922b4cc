# SPDX-License-Identifier: Apache-2.0
"""Takes what belongs to one machine or one container out of a captured config.json.

usage: portable.py CONFIG.json > PORTABLE.json

Paths of the engine's storage and the container's id become the words @ROOTFS@, @ID@ and @FILES@, which
`support.configs` fills in again for the bundle at hand; what a hook names of the engine becomes @ENGINE@.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

ID = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b|\bcaptured\b")


def portable(config: dict[str, Any]) -> dict[str, Any]:
    """Returns `config` with the rootfs, engine-made files and ids replaced by words in @."""
    config["root"]["path"] = "@ROOTFS@"
    for mount in config.get("mounts", []):
        if "bind" in mount.get("options", []) or "rbind" in mount.get("options", []):
            mount["source"] = "@FILES@/" + os.path.basename(mount["source"])
    for hook in (hook for hooks in config.get("hooks", {}).values() for hook in hooks):
        hook["path"] = "@ENGINE@"
        hook["args"] = [re.sub(r"(?<==)/.*", "@ENGINE@", argument) for argument in hook["args"]]
    replaced: dict[str, Any] = json.loads(ID.sub("@ID@", json.dumps(config)))
    return replaced


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        json.dump(portable(json.load(file)), sys.stdout, indent=2)
    print()
