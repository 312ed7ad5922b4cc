# SPDX-License-Identifier: Apache-2.0
"""The five capability sets and no_new_privs, as /proc/PID/status of the program shows them."""

from __future__ import annotations

import os
import shutil
import struct

import pytest

from support import configs, process
from support.configs import Config
from support.runtime import MakeBundle, MakeContainer, Run, Runtime

SETS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "ambient": "CapAmb",
}


def observed(run: Run, config: Config) -> dict[str, set[str]]:
    """Runs a program that shows its status, and returns its capability sets."""
    config["process"]["args"] = ["/bin/cat", "/proc/self/status"]
    lines = dict(line.split(":\t", 1) for line in run(config).splitlines() if ":\t" in line)
    return {name: set(process.capability_names(lines[label])) for name, label in SETS.items()}


def with_sets(**sets: list[str]) -> Config:
    config = configs.default()
    config["process"]["capabilities"] = sets
    return config


def of_user(config: Config, uid: int) -> Config:
    config["process"]["user"] = {"uid": uid, "gid": uid}
    return config


def test_each_set_of_an_ordinary_user(run: Run) -> None:
    """execve of a program without file capabilities leaves such a user the ambient capabilities alone."""
    config = of_user(
        with_sets(
            bounding=["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"],
            permitted=["CAP_KILL", "CAP_CHOWN"],
            inheritable=["CAP_KILL", "CAP_CHOWN"],
            effective=["CAP_KILL", "CAP_CHOWN"],
            ambient=["CAP_KILL"],
        ),
        1000,
    )
    assert observed(run, config) == {
        "bounding": {"CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"},
        "permitted": {"CAP_KILL"},
        "inheritable": {"CAP_KILL", "CAP_CHOWN"},
        "effective": {"CAP_KILL"},
        "ambient": {"CAP_KILL"},
    }


@pytest.mark.parametrize(("no_new_privileges", "gained"), [(False, {"CAP_KILL", "CAP_CHOWN"}), (True, {"CAP_KILL"})])
def test_sets_of_root(run: Run, no_new_privileges: bool, gained: set[str]) -> None:
    """execve gives root what is in its bounding set, unless that would be more than it had."""
    config = with_sets(bounding=["CAP_KILL", "CAP_CHOWN"], permitted=["CAP_KILL"], effective=["CAP_KILL"])
    config["process"]["noNewPrivileges"] = no_new_privileges
    assert observed(run, config) == {
        "bounding": {"CAP_KILL", "CAP_CHOWN"},
        "permitted": gained,
        "inheritable": set(),
        "effective": gained,
        "ambient": set(),
    }


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_file_capabilities(runtime: Runtime, make_bundle: MakeBundle, no_new_privileges: bool) -> None:
    config = of_user(with_sets(bounding=["CAP_KILL"]), 1000)
    config["process"]["noNewPrivileges"] = no_new_privileges
    config["process"]["args"] = ["/opt/grep", "CapEff", "/proc/self/status"]
    bundle = make_bundle(config)
    os.mkdir(os.path.join(bundle.rootfs, "opt"))
    program = shutil.copy(os.path.join(bundle.rootfs, "bin/busybox"), os.path.join(bundle.rootfs, "opt/grep"))
    # struct vfs_cap_data (linux/capability.h): revision 2 with the effective bit, then permitted and inheritable.
    kill = 1 << configs.CAPABILITIES.index("CAP_KILL")
    os.setxattr(program, "security.capability", struct.pack("<5I", 0x02000001, kill, 0, 0, 0))
    mask = runtime.run("test", bundle).succeeded().output.split()[1]
    assert process.capability_names(mask) == ([] if no_new_privileges else ["CAP_KILL"])


def test_user_without_ambient_capabilities_has_none(run: Run) -> None:
    config = of_user(with_sets(bounding=["CAP_KILL"], permitted=["CAP_KILL"], effective=["CAP_KILL"]), 1000)
    sets = observed(run, config)
    assert sets["bounding"] == {"CAP_KILL"}
    assert sets["permitted"] == sets["effective"] == sets["ambient"] == sets["inheritable"] == set()


def test_ambient_capability_that_is_not_inheritable_is_left_out(run: Run) -> None:
    config = of_user(
        with_sets(bounding=["CAP_KILL"], permitted=["CAP_KILL"], effective=["CAP_KILL"], ambient=["CAP_KILL"]), 1000
    )
    assert observed(run, config)["ambient"] == set()


def test_empty_sets(run: Run) -> None:
    assert observed(run, with_sets()) == {name: set() for name in SETS}


def test_sets_left_out(run: Run) -> None:
    """Without process.capabilities runc gives none, and neither does this runtime."""
    config = configs.default()
    del config["process"]["capabilities"]
    assert observed(run, config) == {name: set() for name in SETS}


def test_inheritable_stays_empty_unless_asked_for(run: Run) -> None:
    """CVE-2022-29162: inheritable capabilities let programs with file capabilities gain more."""
    assert observed(run, configs.default())["inheritable"] == set()


@pytest.mark.pyrun_only("runc 1.1.5 fails")
def test_capability_that_the_runtime_lacks_is_left_out(run: Run) -> None:
    """The specification asks for a warning, not an error, where a capability cannot be granted (since 1.1)."""
    own = process.own_capabilities()
    lacking = set(configs.CAPABILITIES) - set(own)
    if not lacking:
        pytest.skip("this machine gives every capability")
    sets = dict.fromkeys(("bounding", "effective", "permitted"), configs.CAPABILITIES)
    assert observed(run, with_sets(**sets))["bounding"] == set(own)


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(run: Run, value: bool) -> None:
    config = configs.default("/bin/grep", "NoNewPrivs", "/proc/self/status")
    config["process"]["noNewPrivileges"] = value
    assert run(config).split() == ["NoNewPrivs:", str(int(value))]


def test_no_new_privileges_left_out(run: Run) -> None:
    config = configs.default("/bin/grep", "NoNewPrivs", "/proc/self/status")
    del config["process"]["noNewPrivileges"]
    assert run(config).split() == ["NoNewPrivs:", "0"]


def test_secure_bits_are_unset(make_container: MakeContainer) -> None:
    """A set-uid-root program or a change of ids must behave as on any host."""
    config = configs.shell("grep Cap /proc/self/status; exec sleep 1000")
    container = make_container(config).started()
    container.wait_for_output("CapAmb")
    status = process.status(container.pid)
    assert process.capability_names(status["CapPrm"]) == ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"]
