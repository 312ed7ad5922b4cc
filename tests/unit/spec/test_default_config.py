# SPDX-License-Identifier: Apache-2.0
"""The configuration that `pyrun spec` writes; that it runs is shown by the integration tests."""

from __future__ import annotations

import json
import os

import pytest

from pyrun_spec.check import check_config
from pyrun_spec.defaults import default_config
from pyrun_spec.validate import errors_of, validate_config


@pytest.mark.parametrize("rootless", [False, True])
def test_it_is_valid_and_has_nothing_to_warn_of(rootless: bool) -> None:
    config = default_config(rootless)
    assert check_config(config)
    assert errors_of(config) == []
    assert validate_config(json.dumps(config).encode()) == []


def test_it_runs_a_shell_on_a_terminal() -> None:
    config = default_config()
    assert config["process"]["terminal"] is True
    assert config["process"]["args"] == ["sh"]
    assert config["root"] == {"path": "rootfs", "readonly": True}


def test_namespaces() -> None:
    kinds = [namespace["type"] for namespace in default_config()["linux"]["namespaces"]]
    assert kinds == ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    kinds = [namespace["type"] for namespace in default_config(rootless=True)["linux"]["namespaces"]]
    assert kinds == ["pid", "ipc", "uts", "mount", "cgroup", "user"]


def test_rootless_maps_the_calling_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    linux = default_config(rootless=True)["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 100, "size": 1}]
    assert "resources" not in linux


def test_rootless_mounts_what_a_user_may() -> None:
    mounts = {mount["destination"]: mount for mount in default_config(rootless=True)["mounts"]}
    assert "gid=5" not in mounts["/dev/pts"]["options"]
    assert mounts["/sys"]["source"] == "/sys"
    assert "rbind" in mounts["/sys"]["options"]


def test_each_call_returns_a_new_configuration() -> None:
    """A caller may change its configuration without changing another part of it."""
    config = default_config()
    config["mounts"][3]["options"].append("size=1k")
    config["process"]["capabilities"]["bounding"].clear()
    other = default_config()
    assert other["mounts"][4]["options"] == config["mounts"][4]["options"]
    assert config["process"]["capabilities"]["permitted"] == other["process"]["capabilities"]["bounding"]
