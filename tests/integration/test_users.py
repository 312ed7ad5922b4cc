# SPDX-License-Identifier: Apache-2.0
"""Who may use the runtime: root; others are told so in one line."""

from __future__ import annotations

import os

import pytest

from support.runtime import MakeBundle, Runtime, runtime_under_test

WITHOUT_ROOT = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def readable_by_all(path: str) -> bool:
    """Tells whether a user without privileges can execute what is at `path`."""
    while path != "/":
        if os.stat(path).st_mode & 0o005 != 0o005:
            return False
        path = os.path.dirname(path)
    return True


@pytest.mark.pyrun_only("runc fails later, and with more words")
@pytest.mark.parametrize("wrapper", [WITHOUT_ROOT, WITHOUT_CAPABILITIES], ids=["user", "root without capabilities"])
def test_without_privileges(case: str, make_bundle: MakeBundle, wrapper: tuple[str, ...]) -> None:
    path = os.path.realpath(runtime_under_test())
    if not readable_by_all(path) or not readable_by_all(os.path.dirname(os.path.abspath(__file__))):
        pytest.skip(f"other users cannot execute {path}")
    bundle = make_bundle()
    bundle.seal()
    runtime = Runtime(path, case, wrapper=wrapper)
    own = (os.path.dirname(case), case, str(runtime.root))
    for directory in own:
        os.chown(directory, 12345 if wrapper is WITHOUT_ROOT else 0, -1)
    try:
        runtime.call("create", "--bundle", bundle.path, "test").failed("pyrun: ")
    finally:
        for directory in own:
            os.chown(directory, 0, -1)
