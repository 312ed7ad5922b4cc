# SPDX-License-Identifier: Apache-2.0
"""pids.max: a fork bomb stops there, and goes away wholly."""

from __future__ import annotations

import pytest

from support.managed import MakeManaged, limited
from support.waiting import wait_until

LIMIT, FORKS = 24, 400


def test_fork_bomb(make_managed: MakeManaged) -> None:
    """It ends by itself at FORKS forks, so that the machine lives where nothing is limited."""
    container = make_managed(limited({"pids": {"limit": LIMIT}}, f"load bomb:{FORKS} &")).started()
    wait_until(lambda: container.count("pids.events", "max") > LIMIT, "forks are refused in many processes")
    assert int(container.value("pids.current")) == LIMIT
    assert int(container.value("pids.peak")) == LIMIT
    assert len(container.members()) == LIMIT
    container.deleted()


@pytest.mark.pyrun_only("runc 1.1.5 takes 0 for unlimited")
def test_limit_of_zero_is_one_process(make_managed: MakeManaged) -> None:
    config = {**limited({"pids": {"limit": 0}}, "echo one; sleep 1000 & echo two"), "ociVersion": "1.3.0"}
    container = make_managed(config).started()
    container.wait_for_words("one\n")
    wait_until(lambda: "can't fork" in container.errors, "the fork is refused")
    assert container.output == "one\n"
