# SPDX-License-Identifier: Apache-2.0
"""The words for what is wrong with the shape of a configuration."""

from __future__ import annotations

from typing import Any

import pytest

from pyrun_spec.explain import MESSAGES, explain, explain_config
from pyrun_spec.schema import schema_of
from unit.spec.config_samples import full_config

ABSENT = object()


def explained(path: str, value: object) -> list[tuple[str, str]]:
    """Returns the findings for a full configuration with `value` at `path`."""
    config = full_config()
    parent: Any = config
    *steps, last = path.split("/")[1:]
    for step in steps:
        parent = parent[int(step) if isinstance(parent, list) else step]
    name: Any = int(last) if isinstance(parent, list) else last
    if value is ABSENT:
        del parent[name]
    else:
        parent[name] = value
    return [(found.pointer, found.message) for found in explain_config(config)]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("/hostname", 5, 'expected a string, found the number 5 (write "5")'),
        ("/hostname", True, 'expected a string, found true (write "true")'),
        ("/hostname", ["a"], "expected a string, found an array"),
        ("/process/cwd", 5, "expected an absolute path, found the number 5"),
        ("/process/terminal", "true", 'expected true or false, found the string "true" (write true)'),
        ("/process/terminal", "yes", 'expected true or false, found the string "yes"'),
        ("/process/terminal", 1, "expected true or false, found the number 1"),
        ("/process/args", "sh", 'expected an array, found the string "sh" (write ["sh"])'),
        ("/process/args/1", None, "expected a string, found null"),
        ("/process/capabilities", ["CAP_KILL"], "expected an object, found an array"),
        (
            "/process/capabilities/bounding/0",
            "sys_admin",
            '"sys_admin" is not a capability (did you mean "CAP_SYS_ADMIN"?)',
        ),
        ("/mounts", {}, "expected an array, found an object"),
        (
            "/mounts/0",
            "/proc",
            'expected an object, found the string "/proc"',
        ),
        (
            "/process/user/uid",
            "1000",
            'expected an integer from 0 to 4294967294, found the string "1000" (write 1000)',
        ),
        (
            "/process/user/uid",
            "99999999999",
            'expected an integer from 0 to 4294967294, found the string "99999999999"',
        ),
        (
            "/process/user/uid",
            1.0,
            "expected an integer from 0 to 4294967294, found the number 1.0 (write 1)",
        ),
        ("/process/user/uid", 1.5, "expected an integer from 0 to 4294967294, found the number 1.5"),
        ("/process/user/uid", False, "expected an integer from 0 to 4294967294, found false"),
        ("/process/user/uid", -1, "-1 is not an integer from 0 to 4294967294"),
        ("/process/user/uid", 2**32, "4294967296 is not an integer from 0 to 4294967294"),
        ("/process/oomScoreAdj", 2000, "2000 is not an integer from -1000 to 1000"),
        ("/linux/resources/memory/limit", 2**63, "9223372036854775808 is not a 64-bit integer"),
        (
            "/linux/namespaces/0/type",
            "net",
            '"net" is not a type of namespace (did you mean "network"?)',
        ),
        (
            "/linux/namespaces/0/type",
            "zzz",
            '"zzz" is not a type of namespace (it is one of pid, network, mount, ipc, uts, user, cgroup, time)',
        ),
        (
            "/linux/seccomp/defaultAction",
            "allow",
            '"allow" is not a seccomp action (did you mean "SCMP_ACT_ALLOW"?)',
        ),
        (
            "/process/rlimits/0/type",
            "xyzzy",
            '"xyzzy" is not a resource of setrlimit(2) (it is one of RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, '
            "RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, "
            "RLIMIT_NOFILE and 6 more)",
        ),
        (
            "/process/rlimits/0/type",
            "rlimit_nofiles",
            '"rlimit_nofiles" is not a resource of setrlimit(2) (did you mean "RLIMIT_NOFILE"?)',
        ),
        (
            "/linux/rootfsPropagation",
            "",
            '"" is not a mount propagation (it is one of private, rprivate, shared, rshared, slave, rslave, '
            "unbindable, runbindable)",
        ),
        (
            "/linux/maskedPaths/0",
            "proc/kcore",
            '"proc/kcore" is not an absolute path (it has to start with "/")',
        ),
        (
            "/linux/resources/hugepageLimits/0/pageSize",
            "64kB",
            '"64kB" is not a page size (such as "64KB", "2MB" or "1GB")',
        ),
        (
            "/linux/resources/devices/0/access",
            "rwx",
            '"rwx" is not an access to a device (a combination of r (read), w (write) and m (mknod))',
        ),
        ("/process/args/1", "a\0b", '"a\\x00b" contains a NUL character'),
        (
            "/process/args/1",
            "a\ud800",
            '"a\\ud800" contains half of a surrogate pair, which is no character',
        ),
        ("/root/path", "", "expected a non-empty string, found an empty one"),
        ("/linux/seccomp/syscalls/0/names", [], "expected a list of system calls, found an empty one"),
        ("/process/cwd", ABSENT, 'missing: the working directory inside the container, such as "/"'),
        ("/root", ABSENT, 'missing: the root filesystem, such as {"path": "rootfs"}'),
        ("/linux/namespaces/0/type", None, 'missing: the type of the namespace, such as "pid"'),
        ("/process/apparmorProfile", ["x" * 200], "expected a string, found an array"),
        (
            "/linux/namespaces/0/type",
            "x" * 200,
            f'"{"x" * 80}..." is not a type of namespace (it is one of pid, network, mount, ipc, uts, user, '
            "cgroup, time)",
        ),
    ],
)
def test_messages(path: str, value: object, message: str) -> None:
    assert explained(path, value) == [(path, message)]


def test_names_are_part_of_the_place() -> None:
    assert explained("/annotations", {"a/b~c": 5}) == [
        ("/annotations/a~1b~0c", 'expected a string, found the number 5 (write "5")')
    ]
    assert explained("/annotations", {"a\nb": 5})[0][0] == "/annotations/a\\nb"
    assert explained("/linux/resources/unified", {"a/b": "1"}) == [
        (
            "/linux/resources/unified/a~1b",
            '"a/b" is not a file of a cgroup (a name without "/", such as "memory.high")',
        )
    ]


def test_a_name_in_the_wrong_case_is_recognized() -> None:
    config = full_config()
    config["process"]["CWD"] = config["process"].pop("cwd")
    assert [found.message for found in explain_config(config)] == [
        'missing: the working directory inside the container, such as "/" (is it what "CWD" is meant to be?)'
    ]


def test_every_error_is_found() -> None:
    config = full_config()
    config["process"]["user"] = {"uid": -1, "gid": "x", "additionalGids": [1, "2", 3.0]}
    assert {found.pointer for found in explain_config(config)} == {
        "/process/user/uid",
        "/process/user/gid",
        "/process/user/additionalGids/1",
        "/process/user/additionalGids/2",
    }


@pytest.mark.parametrize("document", ["config", "state", "features"])
def test_every_keyword_of_the_schemas_has_words(document: str) -> None:
    """No error can come up for which there is no message."""
    applicators = {"properties", "additionalProperties", "propertyNames", "items", "$ref", "if", "then"}
    annotations = {"$schema", "$id", "$comment", "$defs", "title", "description", "examples"}
    used: set[str] = set()

    def collect(schema: dict[str, Any]) -> None:
        used.update(schema)
        for keyword in ("properties", "$defs"):
            for member in schema.get(keyword, {}).values():
                collect(member)
        for keyword in ("items", "additionalProperties", "propertyNames", "if", "then"):
            if keyword in schema:
                collect(schema[keyword])

    collect(schema_of(document))
    assert used <= applicators | annotations | {"type", "required"} | {str(key) for key in MESSAGES}


def test_every_required_property_has_a_description() -> None:
    for document in ("config", "state", "features"):
        schema = schema_of(document)
        for definition in (schema, *schema["$defs"].values()):
            for name in definition.get("required", []):
                assert definition["properties"][name]["description"]


def test_other_documents_are_explained_too() -> None:
    state = {"ociVersion": "1.3.0", "id": "x", "status": "runing", "bundle": "b"}
    assert [(found.pointer, found.message) for found in explain("state", state)] == [
        ("/status", '"runing" is not a container status (did you mean "running"?)'),
        ("/bundle", '"b" is not an absolute path (it has to start with "/")'),
    ]
    assert [found.pointer for found in explain("state", state | {"status": "running", "bundle": "/b"})] == ["/pid"]
    features = {"ociVersionMin": "1.0.0", "linux": {"seccomp": {"actions": ["SCMP_ACT_ALOW"]}}}
    assert {found.pointer for found in explain("features", features)} == {
        "/ociVersionMax",
        "/linux/seccomp/actions/0",
    }
