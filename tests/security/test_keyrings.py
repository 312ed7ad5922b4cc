# SPDX-License-Identifier: Apache-2.0
"""Keys that a container or its host keeps in a session keyring are nobody else's (session-keyring(7))."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support import configs
from support.machine import COVERED
from support.runtime import MakeBundle, Runtime, runtime_under_test
from support.users import USER, UsersRuntime

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/keys"), reason=f"this kernel has no keyrings: {COVERED}")

# Joins the session keyring named in the first word and lets others of the user join it, or joins a new one where the
# word is empty; puts a key into it, shows its serial number and all keys that it sees, and executes the other words.
KEYRING = """
import ctypes, os, sys
call = ctypes.CDLL(None).syscall
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
JOIN_SESSION, SET_PERMISSIONS, SESSION = 1, 5, -3
FOR_POSSESSOR_AND_USER = 0x3F3F0000
keyring = call(keyctl, JOIN_SESSION, sys.argv[1].encode() or None)
assert keyring > 0 and call(add_key, b"user", b"secret-of-the-host", b"x", 1, SESSION) > 0
if sys.argv[1]:
    call(keyctl, SET_PERMISSIONS, keyring, FOR_POSSESSOR_AND_USER)
print(f"{keyring:08x}", open("/proc/keys").read(), flush=True)
if sys.argv[2:]:
    os.execvp(sys.argv[2], sys.argv[2:])
sys.stdin.read()
"""


def joining(name: str, *command: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", KEYRING, name, *command]


@pytest.mark.pyrun_only("runc 1.1.5 joins what has the name")
def test_keyring_of_the_name_that_is_there_already(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Whoever knows the id, and is the same user, has made one before, to read what the container will keep in it."""
    config = configs.shell("cat /proc/keys")
    config["linux"]["maskedPaths"] = []
    name = f"squatted-{os.getpid()}"
    command = joining(f"_ses.{name}")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as squatter:
        assert squatter.stdout is not None
        serial = squatter.stdout.read(8).decode()
        output = runtime.run(name, make_bundle(config)).succeeded().output
        squatter.communicate()
    own = [line for line in output.splitlines() if f"_ses.{name}" in line and not line.startswith(serial)]
    assert len(own) == 1, output
    assert own[0].endswith(": empty"), "the secret is in it"


@pytest.mark.pyrun_only("runc 1.1.5 shows the name, by which it can be joined")
def test_name_is_not_shown_to_others(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Root of other containers, who is the same user, could join it by its name."""
    container = runtime.container(f"unseen-{os.getpid()}", make_bundle(configs.default("/bin/sleep", "1000")))
    container.started()
    shown = subprocess.run(joining(""), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    assert "secret-of-the-host" in shown
    assert container.id not in shown


@pytest.mark.pyrun_only("the state is pyrun's own")
def test_hook_of_a_user_for_whom_root_deletes(users_runtime: UsersRuntime, case: str, scratch: str) -> None:
    """It runs as the user, but who possesses a keyring needs no other right to the keys in it."""
    told = os.path.join(scratch, "told")
    os.chmod(scratch, 0o777)
    directory = os.path.join(str(users_runtime.root), "forged")
    os.makedirs(directory)
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"id -u >{told}; cat /proc/keys >>{told}"], "env": [configs.PATH]}
    state = {"version": 1, "ociVersion": "1.3.0", "id": "forged", "bundle": "/", "hooks": {"poststop": [hook]}}
    with open(os.path.join(directory, "state.json"), "w", encoding="ascii") as file:
        json.dump(state, file)
    USER.owns(str(users_runtime.root), directory, file.name)
    roots = Runtime(runtime_under_test(), case, wrapper=joining(""))
    roots.root = users_runtime.root
    roots.call("delete", "--force", "forged").succeeded()
    with open(told, encoding="utf-8") as lines:
        user, *keys = lines.read().splitlines()
    assert int(user) == USER.number
    assert not [line for line in keys if "secret-of-the-host" in line], keys
