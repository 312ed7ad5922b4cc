# SPDX-License-Identifier: Apache-2.0
"""Faults of pyrun-init's outer stage while it makes id mappings of mounts and opens sources by short-lived children.

They stand in namespaces that the outer stage must not enter itself, and must end with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from faults.test_failing_calls import HARMLESS_IN_STAGES, PRETENDED, call_with_error
from faults.test_killed_stages import run_with_fault
from support import configs, stages, strace
from support.filesystems import fill, mounted, user_namespace, why_not
from support.remains import Remains
from support.runtime import MakeBundle, Runtime
from support.strace import SystemCall

pytestmark = [
    pytest.mark.pyrun_only("the stages are pyrun's own"),
    pytest.mark.skipif(why_not("tmpfs") is not None, reason=str(why_not("tmpfs"))),
]
AT_MOST = 20
MAPPINGS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
Faults = Callable[[bool], contextlib.AbstractContextManager[tuple[list[str], list[SystemCall], Remains]]]


@pytest.fixture
def faults(runtime: Runtime, case: str, scratch: str, make_bundle: MakeBundle) -> Faults:
    """A function for a container in a new or joined user namespace.

    It returns a context of the words that run the container, calls of its outer stage, and what would be left.
    """

    @contextlib.contextmanager
    def prepare(joined: bool) -> Iterator[tuple[list[str], list[SystemCall], Remains]]:
        with mounted("tmpfs", os.path.join(scratch, "source"), "tmpfs") as source, user_namespace() as path:
            fill(source, {"file": 0})
            remains = Remains(case, runtime)  # after what the test itself has made
            config = configs.default("/bin/true")
            config["mounts"] += [
                {**configs.bind(source, "/tmp", "idmap"), "uidMappings": MAPPINGS, "gidMappings": MAPPINGS},
                {"destination": "/var", "type": "tmpfs", "source": "tmpfs", "options": ["idmap"]},
            ]
            if joined:
                configs.with_namespace(config, "user", path)
            else:
                configs.with_user_namespace(config)
            bundle = make_bundle(config)
            bundle.seal()
            words = ["run", "--bundle", bundle.path, "test"]
            calls = stages.calls_of(runtime, case, words, stages.OUTER)
            begin = strace.first(calls, "uid_map|clone3")
            yield words, stages.sample(calls[max(begin - 4, 0) :], AT_MOST), remains
            assert not remains.failures, "\n".join(remains.failures)

    return prepare


@pytest.mark.parametrize("joined", [False, True], ids=["new user namespace", "joined user namespace"])
def test_killed(runtime: Runtime, case: str, faults: Faults, joined: bool) -> None:
    with faults(joined) as (words, calls, remains):
        for call in calls:
            run_with_fault(runtime, case, words, call, remains)
            remains.check(call, after_delete=False)


@pytest.mark.parametrize("joined", [False, True], ids=["new user namespace", "joined user namespace"])
def test_failing_calls(runtime: Runtime, case: str, faults: Faults, joined: bool) -> None:
    with faults(joined) as (words, calls, remains):
        for call in calls:
            if call.name in PRETENDED or call.failed():
                continue
            succeeded = call_with_error(runtime, case, words, call, "EPERM", remains, follow=True)
            if succeeded and call.name not in HARMLESS_IN_STAGES:
                remains.note(f"{call} -> EPERM", "run succeeds all the same")
            remains.check(f"{call} -> EPERM", after_delete=False)
