# SPDX-License-Identifier: Apache-2.0
"""The options of update, as runc takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyrun.cli.tables import VERBS
from pyrun.container.update_request import OPTIONS, request_of, size_of
from pyrun.errors import PyrunError
from pyrun_spec.check import resources as is_valid
from pyrun_spec.errors import SpecError

NAMES = [option[0].replace("-", "_") for option in VERBS["update"][3]]


def values(**given: str) -> dict[str, Any]:
    return {**dict.fromkeys(NAMES), **given}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-1", -1),
        ("4096", 4096),
        ("32b", 32),
        ("512m", 512 << 20),
        ("512M", 512 << 20),
        ("1 GiB", 1 << 30),
        ("1gb", 1 << 30),
        ("1.5k", 1536),
        ("0.5 KB", 512),
        ("2t", 2 << 40),
        ("1P", 1 << 50),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_size(text: str, expected: int) -> None:
    assert size_of(text, "--memory") == expected


@pytest.mark.parametrize(
    "text",
    ["5x", "m", "-5", "-1m", "1,5k", "1.k", ".5k", "5 5", "5  k", "0x10", "5kk", "5kib3", "٣", "5bb", "1e3", "9" * 30],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(PyrunError) as caught:
        size_of(text, "--memory")
    assert caught.value.source == "--memory"
    assert text[:20] in caught.value.message


def test_options() -> None:
    request = request_of(
        values(
            blkio_weight="500",
            cpu_burst="1",
            cpu_idle="0",
            cpu_period="100000",
            cpu_quota="-1",
            cpu_rt_period="5",
            cpu_rt_runtime="0",
            cpu_share="1024",
            cpuset_cpus="0-1",
            cpuset_mems="0",
            kernel_memory="5m",
            kernel_memory_tcp="x",
            memory="512m",
            memory_reservation="1g",
            memory_swap="-1",
            pids_limit="100",
            l3_cache_schema="L3:0=f",
            mem_bw_schema="MB:0=50",
        )
    )
    assert request.resources == {
        "blockIO": {"weight": 500},
        "cpu": {
            "burst": 1,
            "idle": 0,
            "period": 100000,
            "quota": -1,
            "realtimePeriod": 5,
            "realtimeRuntime": 0,
            "shares": 1024,
            "cpus": "0-1",
            "mems": "0",
        },
        "memory": {"limit": 512 << 20, "reservation": 1 << 30, "swap": -1},
        "pids": {"limit": 100},
    }
    assert request.schemata == {"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=50"}
    assert is_valid(request.resources)


def test_every_option_makes_valid_resources() -> None:
    for name in OPTIONS:
        assert is_valid(request_of(values(**{name: "0"})).resources)


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("cpu_period", "-3", "whole number, 0 or more"),
        ("cpu_share", "1.5", "whole number"),
        ("cpu_share", "18446744073709551616", "too large"),
        ("cpu_quota", "9223372036854775808", "too large"),
        ("pids_limit", "many", "whole number"),
        ("blkio_weight", "65536", "too large"),
        ("cpuset_cpus", "0\n1", "can't be printed"),
    ],
)
def test_wrong_value_names_its_option(option: str, text: str, words: str) -> None:
    with pytest.raises(PyrunError, match=words) as caught:
        request_of(values(**{option: text}))
    assert caught.value.source == f"--{option.replace('_', '-')}"


def test_file_instead_of_options(tmp_path: Path) -> None:
    file = tmp_path / "resources.json"
    file.write_text(json.dumps({"memory": {"limit": 5, "swap": None}, "pids": None}))
    request = request_of(values(resources=str(file), memory="512m", mem_bw_schema="MB:0=50"))
    assert request.resources == {"memory": {"limit": 5}}
    assert request.schemata == {"memBwSchema": "MB:0=50"}
    assert str(request.error("/memory/limit", "no")) == f"{file}: /memory/limit: no"


def test_errors_name_the_option() -> None:
    request = request_of(values(memory="5"))
    assert str(request.error("/memory/limit", "no")) == "--memory: no"
    assert str(request.error("/memory/swap", "no")) == "--memory-swap: no"


@pytest.mark.parametrize(
    ("text", "pointer", "words"),
    [
        ('{"memory":{"limit":"x"}}', "/memory/limit", "64-bit integer"),
        ('{"hugepageLimits":[{"limit":1}]}', "/hugepageLimits/0/pageSize", "missing"),
        ('{"cpu":{"quota":5,"burst":6}}', "/cpu/burst", "above the quota"),
        ('{"devices":[{"allow":true,"type":"x"}]}', "/devices/0/type", "type of device rule"),
        ("[]", "", "expected"),
        ("{", None, "line 1"),
        ("{} {}", None, "line 1"),
    ],
)
def test_wrong_file_names_the_place(tmp_path: Path, text: str, pointer: str | None, words: str) -> None:
    file = tmp_path / "resources.json"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        request_of(values(resources=str(file)))
    assert caught.value.source == str(file)
    assert caught.value.pointer == pointer
    assert words in str(caught.value)


def test_missing_file() -> None:
    with pytest.raises(SpecError, match="no such file"):
        request_of(values(resources="/nowhere/resources.json"))
