# SPDX-License-Identifier: Apache-2.0
"""Hooks of the runtime's namespaces that come late: what is asked of the early ones holds for them too."""

from __future__ import annotations

import pytest

from support import configs
from support.hooks import Notes
from support.runtime import MakeContainer


@pytest.mark.parametrize("kind", ["poststart", "poststop"])
def test_arguments_of_late_hooks(scratch: str, make_container: MakeContainer, kind: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    notes = Notes(scratch, container.bundle.config)
    script = f'printf "<%s>" "$0" "$@" >{notes.place(kind)}/words'
    words = ["another name", "-c", script, "", "one two", ""]
    container.bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": words}]}
    container.started()
    container.stop()
    container.delete().succeeded()
    assert notes.read("words") == "<><one two><>"


@pytest.mark.pyrun_only("runc 1.1.5 waits for what a hook that it has killed left behind")
@pytest.mark.parametrize("kind", ["createRuntime", "poststop"])
def test_timeout_of_hooks_of_the_runtime(scratch: str, make_container: MakeContainer, kind: str) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    notes = Notes(scratch, container.bundle.config)
    hanging = notes.shell(kind, "sleep 1000; echo too late >>order", timeout=1)
    container.bundle.config["hooks"] = {kind: [hanging, notes.tell(kind)]}
    if kind == "createRuntime":
        container.create().failed("timeout of 1")
        assert notes.order() == []
    else:
        container.created()
        container.delete("--force").succeeded()
        # Only of poststop hooks the next one has its turn.
        assert notes.order() == ["poststop"]
    assert not container.exists()
