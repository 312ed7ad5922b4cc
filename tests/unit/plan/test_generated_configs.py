# SPDX-License-Identifier: Apache-2.0
"""Thousands of configurations, valid and broken: each becomes a plan, or an error that names its place.

PYRUN_EXAMPLES multiplies how many are tried, and then others each time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrun.caller import Caller
from pyrun.errors import PyrunError
from pyrun.plan import Request, labels, mount_label
from pyrun.plan.create import compile_config, find_problems
from pyrun.plan.describe import as_json, as_text
from pyrun.plan.operations import Plan
from pyrun_spec.errors import SpecError
from pyrun_spec.load import checked_config
from support.generated_configs import Config, is_place, valid_configs
from unit.spec.config_samples import changed_configs, full_config, without_null

from .configs import BUNDLE, minimal_config

MULTIPLIER = int(os.environ.get("PYRUN_EXAMPLES", "0"))
COMMON: dict[str, Any] = {
    "deadline": None,
    "derandomize": not MULTIPLIER,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
LONGEST_LINE = 1000
WHOLE_TEXT = re.compile(
    r"line \d+, column \d+: .|is empty|starts with a byte order mark|is UTF-16|expected an|objects and arrays"
)

ALL_CONTROLLERS = ["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"]
HOST: dict[str, Any] = {
    "cgroup_mount": "/sys/fs/cgroup",
    "cgroup_controllers": ALL_CONTROLLERS,
    "resctrl_mount": "/sys/fs/resctrl",
    "own_cgroup": "/user/session",
}
REQUESTS = (
    Request("box", BUNDLE, **HOST),
    Request("box", BUNDLE, **HOST, no_pivot=True, keyring=None, listen_descriptors=2, notify_directory="/run/notify"),
    Request("box", BUNDLE, **HOST, caller=Caller(is_host_root=False)),
    Request("box", BUNDLE, cgroup_mount="/sys/fs/cgroup/unified", resctrl_mount="/none"),
    Request(
        "box",
        BUNDLE,
        **HOST,
        cgroup_denied=True,
        caller=Caller(1000, 1000, is_host_root=False, uid_mapper="/bin/newuidmap", gid_mapper="/bin/newgidmap"),
    ),
)


@pytest.fixture(autouse=True, scope="module")
def _security_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An imagined host that has them."""
    switch = tmp_path_factory.mktemp("apparmor") / "enabled"
    switch.write_text("Y")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "APPARMOR_ENABLED", str(switch))
        patch.setattr(labels, "SELINUX_MOUNT", "/")
        patch.setattr(mount_label, "SELINUX_MOUNT", "/")
        yield


def compiled(config: Config, request: Request) -> Plan | None:
    """Compiles a checked configuration; an error has to name a place that there is, in one line."""
    try:
        return compile_config(config, request)
    except PyrunError as error:
        assert error.pointer and error.source == "config.json" and error.more is not None
        for pointer, message in find_problems(config, request):
            assert is_place(config, pointer), pointer
            assert message and len(message) < LONGEST_LINE, message
        return None


def test_valid_configurations() -> None:
    plans = 0

    @settings(max_examples=2000 * max(1, MULTIPLIER), **COMMON)
    @given(valid_configs(), st.sampled_from(REQUESTS))
    def become_plans_or_errors(config: Config, request: Request) -> None:
        nonlocal plans
        checked = checked_config(json.dumps(config).encode(), BUNDLE)
        assert checked == config
        plan = compiled(checked, request)
        assert checked == config, "compiling changed the configuration"
        if plan is not None:
            plans += 1
            assert plan.encode() and as_text(plan) and json.dumps(as_json(plan))
            for _, pointer, _ in plan.operations:
                assert pointer == "" or pointer.startswith("/")

    become_plans_or_errors()
    assert plans > 500 * max(1, MULTIPLIER)


def judged(text: bytes, request: Request) -> None:
    """Loads and compiles a text; whatever is wrong with it has to be one line that names its place."""
    try:
        config = checked_config(text, BUNDLE)
    except SpecError as error:
        line = str(error)
        assert line.isprintable() and len(line) < LONGEST_LINE, line
        assert line.startswith("config.json: ")
        assert (error.pointer or "").startswith("/") or WHOLE_TEXT.match(error.message), line
        return
    compiled(config, request)


@settings(max_examples=1000 * max(1, MULTIPLIER), **COMMON)
@given(changed_configs(valid_configs() | st.builds(full_config)), st.sampled_from(REQUESTS))
def test_configurations_with_something_changed(config: Config, request: Request) -> None:
    judged(json.dumps(config).encode(), request)


JUNK = (
    *(b"", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b" "),
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"'", b"\\", b"//", b"/*", b"-", b"+1", b".5", b"0x1", b"01"),
    *(b"null", b"None", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"1E5", b"9" * 5000, b"-" + b"9" * 5000),
    *(b'"\\ud800"', b'"\\u0000"', b'"\\x"', b'"a":1,"a":2', b"[" * 3000, b'{"a":' * 3000, b"[" * 200_000),
)


@st.composite
def broken_texts(draw: st.DrawFn) -> bytes:
    """Draws the text of a configuration after something was put in, cut out, doubled or encoded otherwise."""
    text = json.dumps(draw(st.sampled_from((minimal_config(), full_config())))).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        change = draw(st.sampled_from(("replace", "double", "cut", "utf-16")))
        if change == "replace":
            text = text[:start] + draw(st.sampled_from(JUNK)) + text[end:]
        elif change == "double":
            text = text[:end] + text[start:]
        elif change == "cut":
            text = text[:start]
        else:
            text = text.decode("utf-8", "replace").encode("utf-16" if draw(st.booleans()) else "utf-16-be")
    return text


@settings(max_examples=1000 * max(1, MULTIPLIER), **COMMON)
@given(broken_texts())
def test_texts_with_something_broken(text: bytes) -> None:
    judged(text, REQUESTS[0])


def test_null_is_absent_everywhere() -> None:
    config = full_config()
    for _, section in config.items():
        if isinstance(section, dict):
            section["null"] = None
    assert checked_config(json.dumps(config).encode(), BUNDLE) == without_null(config)
