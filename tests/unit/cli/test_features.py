# SPDX-License-Identifier: Apache-2.0
"""The verb ``features``: the OCI document, with every word that the planner takes and no other."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pyrun
from pyrun.errors import PyrunError
from pyrun.seccomp_support import supported_flags
from pyrun_spec.errors import SpecError
from pyrun_spec.load import checked_config
from pyrun_spec.schema import schema_of, validator_of
from unit.cli.conftest import CommandLine, run_program
from unit.plan.configs import arguments_of, compile_for_test, minimal_config
from unit.spec.config_samples import OCI_SCHEMAS
from unit.spec.test_oci_agreement import oci_errors

RUNC = shutil.which("runc", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
MAPPED = [{"containerID": 0, "hostID": 1000, "size": 1}]

# The table "Linux mount options" of runtime-spec 1.3.0, config.md: MUST, SHOULD and MAY.
MOUNT_OPTIONS = """async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev nodiratime
    noexec noiversion nolazytime norelatime nostrictatime nosuid private rbind relatime remount ro rprivate rshared
    rslave runbindable rw shared silent slave strictatime suid sync unbindable
    symfollow nosymfollow idmap ridmap rro rrw rsuid rnosuid rdev rexec rnoexec rdiratime rnodiratime ratime rnoatime
    rrelatime rnorelatime rstrictatime rnostrictatime rsymfollow rnosymfollow
    mand nomand tmpcopyup""".split()
# Not in the table, though its opposite is; runc has it too.
MORE_MOUNT_OPTIONS = ["rnodev"]


@cache
def document() -> dict[str, Any]:
    shown = run_program(["features"])
    assert [shown.returncode, shown.stderr] == [0, ""]
    features: dict[str, Any] = json.loads(shown.stdout)
    return features


def linux(name: str) -> Any:
    return document()["linux"][name]


def enumeration(name: str) -> list[str]:
    """The words that our schema of configurations has for a type."""
    words: list[str] = schema_of("config")["$defs"][name]["enum"]
    return words


def refusals(config: dict[str, Any]) -> list[str]:
    """What the reader and the planner say against a configuration, one line each, on a host that has everything."""
    host = {"cgroup_controllers": ["rdma"], "resctrl_mount": "/sys/fs/resctrl"}
    try:
        plan = compile_for_test(checked_config(json.dumps(config).encode(), "/bundle"), **host)
    except (SpecError, PyrunError) as error:
        return [str(error)]
    assert plan.operations
    return []


def with_linux(**members: Any) -> dict[str, Any]:
    config = minimal_config()
    config["linux"].update(members)
    return config


@pytest.mark.skipif(not OCI_SCHEMAS.is_dir(), reason=f"the OCI project's schemas are not at {OCI_SCHEMAS}")
def test_the_oci_projects_schema_accepts_it() -> None:
    assert oci_errors("features-schema", document()) == []
    broken = copy.deepcopy(document())
    broken["linux"]["seccomp"]["actions"].append("SCMP_ACT_MAYBE")
    assert oci_errors("features-schema", broken) == ["/linux/seccomp/actions/9"]


def test_our_schema_accepts_it_and_it_has_every_member_of_it() -> None:
    assert list(validator_of("features").iter_errors(document())) == []
    definitions = schema_of("features")["$defs"]
    assert set(document()) == set(schema_of("features")["properties"])
    assert set(document()["linux"]) == set(definitions["linux"]["properties"])
    for name in ("cgroup", "seccomp", "intelRdt", "memoryPolicy", "mountExtensions"):
        assert set(linux(name)) == set(definitions[name]["properties"])


@pytest.mark.skipif(RUNC is None, reason="runc is not installed")
def test_runc_has_no_word_that_is_missing_here() -> None:
    shown = subprocess.run([str(RUNC), "features"], check=True, capture_output=True, text=True).stdout
    theirs = json.loads(shown)
    # Those of a filesystem's own are no longer in the lists of runc since 1.2.
    theirs["mountOptions"] = [word for word in theirs["mountOptions"] if word not in ("acl", "noacl")]
    assert list(missing(theirs, document())) == []


def missing(theirs: Any, ours: Any, place: str = "") -> list[str]:
    if isinstance(theirs, dict):
        named = {name: member for name, member in theirs.items() if place != "/annotations" and name != "annotations"}
        return [line for name, member in named.items() for line in missing(member, ours.get(name), f"{place}/{name}")]
    if isinstance(theirs, list):
        return [f"{place}: {word}" for word in theirs if word not in ours]
    return [] if type(theirs) is type(ours) else [place]


@pytest.mark.parametrize("version", ["ociVersionMin", "ociVersionMax"])
def test_versions_are_accepted(version: str) -> None:
    assert refusals(minimal_config(ociVersion=document()[version])) == []


def test_hooks() -> None:
    assert document()["hooks"] == schema_of("features")["$defs"]["hook"]["enum"]
    hook = [{"path": "/hook"}]
    for kind in document()["hooks"]:
        # Only a hook that is known is checked.
        assert refusals(minimal_config(hooks={kind: hook})) == []
        assert len(refusals(minimal_config(hooks={kind: [{"path": ""}]}))) == 1


def test_mount_options_are_those_of_the_specification() -> None:
    assert document()["mountOptions"] == sorted([*MOUNT_OPTIONS, *MORE_MOUNT_OPTIONS])
    assert len(MOUNT_OPTIONS) == 61


def mount(*options: str, kind: str = "tmpfs", **more: Any) -> dict[str, Any]:
    return {"destination": "/mnt", "type": kind, "source": "/tmp", "options": list(options), **more}


@pytest.mark.parametrize("word", [*MOUNT_OPTIONS, *MORE_MOUNT_OPTIONS])
def test_mount_option_is_planned(word: str) -> None:
    config = minimal_config(mounts=[mount(word)])
    if "idmap" in word:
        config["mounts"][0].update(uidMappings=MAPPED, gidMappings=MAPPED)
    assert refusals(config) == []
    operation = {"bind": "bind_mount", "rbind": "bind_mount", "remount": "remount"}.get(word, "mount_filesystem")
    (planned,) = arguments_of(compile_for_test(config), operation)
    # The superblock's own are told to the filesystem by name; a filesystem never sees another one.
    superblock = ("sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime")
    assert (word in str(planned.get("parameters"))) == (word in superblock)


@pytest.mark.parametrize("word", ["size=1m", "acl", "noacl", "bound", "rsync", "Ro", ""])
def test_no_other_mount_option_is_known(word: str) -> None:
    """What is no option of a mount is the filesystem's, and a bind mount has none."""
    assert word not in document()["mountOptions"]
    assert len(refusals(minimal_config(mounts=[mount("bind", word)]))) == 1


def test_namespaces() -> None:
    assert sorted(linux("namespaces")) == sorted(enumeration("namespaceType"))
    for kind in linux("namespaces"):
        mapped = {"uidMappings": MAPPED, "gidMappings": MAPPED} if kind == "user" else {}
        kinds = {"mount", "pid", kind}
        assert refusals(with_linux(namespaces=[{"type": each} for each in kinds], **mapped)) == []
    assert refusals(with_linux(namespaces=[{"type": "mount"}, {"type": "other"}]))


def test_capabilities() -> None:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        assert len(linux("capabilities")) >= int(file.read()) + 1
    config = minimal_config()
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    for number, name in enumerate(linux("capabilities")):
        config["process"]["capabilities"] = {each: [name] for each in sets}
        (planned,) = arguments_of(compile_for_test(config), "limit_bounding_set")
        assert list(planned.values()) == [1 << number]


def test_cgroup_managers() -> None:
    assert linux("cgroup") == {"v1": False, "v2": True, "systemd": True, "systemdUser": True, "rdma": True}
    assert refusals(with_linux(resources={"rdma": {"mlx5_1": {"hcaHandles": 3}}})) == []


def profile(**members: Any) -> dict[str, Any]:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", **members.pop("rule", {})}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **members}


NOTIFYING = {"rule": {"action": "SCMP_ACT_NOTIFY"}, "listenerPath": "/agent"}


def test_seccomp_actions() -> None:
    actions = linux("seccomp")["actions"]
    assert sorted(actions) == sorted(enumeration("seccompAction"))
    for action in actions:
        listener = {"listenerPath": "/agent"} if action == "SCMP_ACT_NOTIFY" else {}
        assert refusals(with_linux(seccomp=profile(rule={"action": action}, **listener))) == []
    assert refusals(with_linux(seccomp=profile(rule={"action": "SCMP_ACT_MAYBE"})))


def test_seccomp_operators() -> None:
    operators = linux("seccomp")["operators"]
    assert sorted(operators) == sorted(enumeration("seccompOperator"))
    for operator in [*operators, "SCMP_CMP_MAYBE"]:
        rule = {"args": [{"index": 0, "value": 1, "valueTwo": 1, "op": operator}]}
        assert bool(refusals(with_linux(seccomp=profile(rule=rule)))) == (operator not in operators)


def test_seccomp_flags() -> None:
    seccomp = linux("seccomp")
    assert sorted(seccomp["knownFlags"]) == sorted(enumeration("seccompFlag"))
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])
    for flag in seccomp["knownFlags"]:
        assert refusals(with_linux(seccomp=profile(flags=[flag], **NOTIFYING))) == []


def test_seccomp_architectures() -> None:
    architectures = linux("seccomp")["archs"]
    assert sorted(architectures) == sorted(enumeration("seccompArchitecture"))
    for architecture in architectures:
        # libseccomp can only add those that this machine may meet; a name that is not known is another error.
        said = " ".join(refusals(with_linux(seccomp=profile(architectures=[architecture]))))
        assert not said or "libseccomp" in said
    unknown = " ".join(refusals(with_linux(seccomp=profile(architectures=["SCMP_ARCH_X"]))))
    assert unknown and "libseccomp" not in unknown


def test_memory_policy() -> None:
    policy = linux("memoryPolicy")
    assert sorted(policy["modes"]) == sorted(enumeration("memoryPolicyMode"))
    assert sorted(policy["flags"]) == sorted(enumeration("memoryPolicyFlag"))
    for mode in policy["modes"]:
        nodes = {} if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
        assert refusals(with_linux(memoryPolicy={"mode": mode, **nodes})) == []
    for flag in policy["flags"]:
        assert refusals(with_linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]})) == []


@pytest.mark.parametrize(
    ("place", "config"),
    [
        (("intelRdt", "enabled"), with_linux(intelRdt={"closID": "guaranteed", "l3CacheSchema": "L3:0=f"})),
        (("intelRdt", "schemata"), with_linux(intelRdt={"schemata": ["L3:0=f"]})),
        (("intelRdt", "monitoring"), with_linux(intelRdt={"enableMonitoring": True})),
        (
            ("mountExtensions", "idmap", "enabled"),
            minimal_config(mounts=[mount(uidMappings=MAPPED, gidMappings=MAPPED)]),
        ),
        (
            ("netDevices", "enabled"),
            with_linux(
                netDevices={"eth1": {"name": "eth0"}},
                namespaces=[{"type": "network"}, {"type": "mount"}, {"type": "pid"}],
            ),
        ),
    ],
)
def test_what_is_enabled_is_planned(place: tuple[str, ...], config: dict[str, Any]) -> None:
    value: Any = document()["linux"]
    for name in place:
        value = value[name]
    assert value is True
    assert refusals(config) == []


def test_annotations_that_change_what_pyrun_does() -> None:
    prefix, of_systemd = document()["potentiallyUnsafeConfigAnnotations"]
    plain = compile_for_test(minimal_config())
    # The latter are for the systemd manager, and no part of the plan.
    for harmless in ({"org.example.x": "1"}, {"bundle": "/elsewhere"}, {f"{of_systemd}CPUWeight": "1"}):
        assert compile_for_test(minimal_config(annotations=harmless)).operations == plain.operations
    overlay = {f"{prefix}lowerdir": "/lower"}
    assert compile_for_test(minimal_config(annotations=overlay)).operations != plain.operations


def test_no_annotation_is_left_out() -> None:
    """Whatever the planner and the verbs call by a name in reverse domain notation begins with one that is listed."""
    listed = tuple(document()["potentiallyUnsafeConfigAnnotations"])
    sources = Path(pyrun.__file__).parent
    named = {
        node.value
        for folder in ("plan", "container")
        for file in (sources / folder).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and re.fullmatch(r"(org|io|com|run)\.[a-z]+\.[\w.]*", str(node.value))
    }
    assert named
    assert all(str(name).startswith(listed) for name in named)


def test_versions_in_the_annotations(command_line: CommandLine) -> None:
    shown = command_line("--version").output
    versions = document()["annotations"]
    assert f"pyrun version {versions['org.pyrun.version']}\n" in shown
    assert f"libseccomp: {versions['io.github.seccomp.libseccomp.version']}\n" in shown


def test_supported_flags_follow_the_kernel() -> None:
    assert supported_flags({"of the future": 1 << 31, "TSYNC": 1}) == ["TSYNC"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_sees_the_same() -> None:
    shown = run_program(["features"], user=65534, group=65534, extra_groups=[], cwd="/")
    assert [shown.returncode, json.loads(shown.stdout)] == [0, document()]


def test_the_form_is_runcs(command_line: CommandLine) -> None:
    ended = command_line("features")
    assert ended.output == json.dumps(document(), indent=4) + "\n"
    assert command_line("features", "x").status == 1


@pytest.mark.parametrize(("module", "name"), [("apparmor", "apparmorProfile"), ("selinux", "selinuxLabel")])
def test_the_security_modules(module: str, name: str) -> None:
    """A host without one is told from a runtime without it."""
    assert linux(module) == {"enabled": True}
    process = {**minimal_config()["process"], name: "a_label"}
    assert all("this host" in refusal for refusal in refusals(minimal_config(process=process)))
