# SPDX-License-Identifier: Apache-2.0
"""Everything that is wrong with a configuration at once, in order, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from pyrun_spec.check import check_config
from pyrun_spec.errors import SpecError
from pyrun_spec.explain import Finding, explain_config
from pyrun_spec.load import load_config
from pyrun_spec.schema import schema_of
from pyrun_spec.validate import errors_of, validate_config
from unit.spec.config_samples import (
    PATIENT,
    Config,
    changed_configs,
    full_config,
    minimal_config,
    valid_configs,
    without_null,
)


def validated(config: object) -> list[Finding]:
    """Returns the findings for the text of a configuration."""
    return validate_config(json.dumps(config).encode())


@pytest.mark.parametrize("config", [config for config in valid_configs() if "process" in config])
def test_nothing_is_found_in_valid_configurations(config: Config) -> None:
    assert validated(config) == []


def test_a_configuration_without_a_process_is_valid_but_hardly_meant() -> None:
    words = "missing: a container can be created without a process, but not started"
    assert validated(minimal_config()) == [Finding("/process", words, warning=True)]


def test_a_bundle_is_validated(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(minimal_config() | {"hostname": "x"}))
    assert [found.pointer for found in validate_config(str(tmp_path))] == ["/hostname"]


def test_what_cannot_be_read_is_one_finding(tmp_path: Path) -> None:
    assert validate_config(str(tmp_path))[0].message.startswith("not found in the bundle")
    assert validate_config(b'{"a": 1,}') == [Finding("", 'line 1, column 9: a comma too many before "}"')]
    assert validate_config(b'{"a": {"b": 1, "b": 2}}') == [
        Finding("/a/b", 'line 1, column 16: "b" is given twice (remove one)')
    ]


def test_errors_of_shape_and_rules_come_together_in_the_order_of_the_file() -> None:
    config = {
        "linux": {"namespaces": [{"type": "uts"}, {"type": "uts"}], "cgroupsPath": 5, "maskedPaths": ["/x"]},
        "process": {"env": ["X"], "cwd": "tmp", "args": ["sh", 1]},
        "ociVersion": "1",
    }
    assert [found.pointer for found in validated(config)] == [
        "/linux/namespaces/1",
        "/linux/cgroupsPath",
        "/linux/maskedPaths",
        "/process/env/0",
        "/process/cwd",
        "/process/args/1",
        "/ociVersion",
        "/root",
    ]


def test_no_rule_judges_what_has_the_wrong_shape() -> None:
    """A misspelt namespace is one error: it is not missing as well."""
    config = minimal_config() | {"hostname": "x", "linux": {"namespaces": [{"type": "utss"}], "sysctl": {}}}
    assert [found.pointer for found in validated(config)] == ["/linux/namespaces/0/type"]
    config = minimal_config() | {"hostname": 5, "linux": []}
    assert [found.pointer for found in validated(config)] == ["/hostname", "/linux"]


def test_loading_reports_what_validation_does(tmp_path: Path) -> None:
    config = full_config() | {"hostname": 5, "ociVersion": "x"}
    config["process"]["args"] = []
    (tmp_path / "config.json").write_text(json.dumps(config))
    findings = validate_config(str(tmp_path))
    with pytest.raises(SpecError) as caught:
        load_config(str(tmp_path))
    assert (caught.value.pointer, caught.value.message) == (findings[0].pointer, findings[0].message)
    assert caught.value.more == len(findings) - 1 == 2


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        (
            {"hostnames": "x"},
            "/hostnames",
            'unknown and ignored (did you mean "hostname"?)',
        ),
        (
            {"process": {"cwd": "/", "args": ["sh"], "capabilites": {}}},
            "/process/capabilites",
            'unknown and ignored (did you mean "capabilities"?)',
        ),
        (
            {"mounts": [{"destination": "tmp", "type": "tmpfs"}]},
            "/mounts/0/destination",
            '"tmp" is relative, which is deprecated (write "/tmp")',
        ),
        (
            {"linux": {"resources": {"rdma": {"mlx": {"hcaHandles": 1, "hcaObject": 2}}}}},
            "/linux/resources/rdma/mlx/hcaObject",
            'unknown and ignored (did you mean "hcaObjects"?)',
        ),
        (
            {"process": {"cwd": "/", "args": ["sh"], "capabilities": {"ambient": ["CAP_KILL", "CAP_SYSADMIN"]}}},
            "/process/capabilities/ambient/1",
            '"CAP_SYSADMIN" is unknown and left out (did you mean "CAP_SYS_ADMIN"?)',
        ),
    ],
)
def test_warnings(tmp_path: Path, change: Config, pointer: str, message: str) -> None:
    config = minimal_config() | {"process": {"cwd": "/", "args": ["sh"]}} | change
    assert validated(config) == [Finding(pointer, message, warning=True)]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_config(str(tmp_path)) == config


def test_extensions_are_not_warned_of() -> None:
    config: dict[str, Any] = full_config() | {
        "vm": {"kernel": {"path": "/vmlinuz"}},
        "com.example": {"root": 1},
    }
    config["linux"]["resources"]["oomScoreAdj"] = 100
    assert validated(config) == []


def test_known_capabilities_are_those_of_the_kernel() -> None:
    names = schema_of("config")["$defs"]["capability"]["examples"]
    assert len(names) == len(set(names)) == 41
    assert (names[0], names[21], names[40]) == ("CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE")


@settings(PATIENT, max_examples=500)
@given(changed_configs(valid_configs()))
def test_whatever_is_wrong_is_found_once_and_in_words(config: Config) -> None:
    config = without_null(config)
    findings = errors_of(config)
    assert len(set(findings)) == len(findings)
    assert set(explain_config(config)) <= set(findings)
    if not check_config(config):
        assert findings
    for found in findings:
        assert found.message and "\n" not in found.pointer + found.message
        assert not found.warning
