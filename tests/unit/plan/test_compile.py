# SPDX-License-Identifier: Apache-2.0
"""From config to plan: what is asked for, in the right order, with the place it came from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrun.errors import PyrunError
from pyrun.plan.describe import as_json, as_text
from pyrun.plan.operations import Plan
from pyrun.plan.process import BITS

from .configs import arguments_of, compile_for_test, minimal_config, names_of


def linux(**changes: Any) -> dict[str, Any]:
    return {"namespaces": [{"type": "pid"}, {"type": "mount"}], **changes}


def process(**changes: Any) -> dict[str, Any]:
    return {**minimal_config()["process"], **changes}


def refusal(config: dict[str, Any], **changes: Any) -> PyrunError:
    with pytest.raises(PyrunError) as caught:
        compile_for_test(config, **changes)
    return caught.value


def test_privileges_are_dropped_in_the_only_order_that_works() -> None:
    config = minimal_config(
        process=process(noNewPrivileges=True, rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}])
    )
    names = names_of(compile_for_test(config))
    assert names[names.index("find_program") + 1 :] == [
        "limit_bounding_set",
        "change_directory",
        "set_identity",
        "change_directory",
        "set_capabilities",
        "set_no_new_privileges",
        "wait_at_gate",
        "set_resource_limit",
        "set_umask",
        "execute_program",
    ]


def test_mounts_come_before_the_pivot_and_masks_after_it() -> None:
    config = minimal_config(
        mounts=[{"destination": "/proc", "type": "proc", "source": "proc"}],
        linux=linux(maskedPaths=["/proc/kcore"], readonlyPaths=["/proc/sys"], sysctl={"kernel.sem": "1"}),
    )
    names = names_of(compile_for_test(config))
    order = ["bind_root", "mount_filesystem", "make_device", "pivot_to_root", "write_sysctl"]
    assert [name for name in dict.fromkeys(names) if name in order] == order
    assert names.index("write_sysctl") < names.index("readonly_path") < names.index("mask_path")


def test_every_pointer_leads_somewhere() -> None:
    config = minimal_config(
        hostname="h",
        mounts=[{"destination": "/proc", "type": "proc", "source": "proc"}],
        linux=linux(sysctl={"net/ipv4.x": "1"}, maskedPaths=["/a"], devices=[{"path": "/dev/x", "type": "p"}]),
    )
    for _, pointer, _ in compile_for_test(config).operations:
        assert pointer == "" or pointer.startswith("/")
    (sysctl,) = (pointer for name, pointer, _ in compile_for_test(config).operations if name == "write_sysctl")
    assert sysctl == "/linux/sysctl/net~1ipv4.x"


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "sys/net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.1/forwarding", "sys/net/ipv4/conf/eth0.1/forwarding"),
        ("net.ipv4.conf.eth0/1.forwarding", "sys/net/ipv4/conf/eth0.1/forwarding"),
    ],
)
def test_sysctl_names(key: str, path: str) -> None:
    plan = compile_for_test(minimal_config(linux=linux(sysctl={key: "1"})))
    assert arguments_of(plan, "write_sysctl") == [{"path": path, "value": "1"}]


def test_joined_namespaces_user_first_mount_last() -> None:
    kinds = ["mount", "pid", "time", "network", "user", "uts", "ipc", "cgroup"]
    config = minimal_config(linux={"namespaces": [{"type": kind, "path": f"/ns/{kind}"} for kind in kinds]})
    plan = compile_for_test(config)
    opened = [each["path"] for each in arguments_of(plan, "open_namespace")]
    assert (opened[0], opened[-1], sorted(map(str, opened))) == (
        "/ns/user",
        "/ns/mount",
        sorted(f"/ns/{kind}" for kind in kinds),
    )
    assert arguments_of(plan, "clone_init")[0]["flags"] == 0
    names = names_of(plan)
    assert names.index("open_namespace") < names.index("enter_cgroup") < names.index("join_namespaces")


def test_new_namespaces_are_flags_of_the_clone() -> None:
    config = minimal_config(linux={"namespaces": [{"type": "network"}, {"type": "uts"}]})
    config["mounts"] = []
    (clone,) = arguments_of(compile_for_test(config), "clone_init")
    assert clone["flags"] == 0x40000000 | 0x04000000
    names = names_of(compile_for_test(config))
    assert "loopback_up" in names
    assert "change_root" in names and "pivot_to_root" not in names


def test_user_namespace_maps() -> None:
    config = minimal_config(
        linux={
            "namespaces": [{"type": "user"}, {"type": "mount"}],
            "uidMappings": [
                {"containerID": 0, "hostID": 1000, "size": 1},
                {"containerID": 1, "hostID": 5000, "size": 9},
            ],
            "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        }
    )
    (clone,) = arguments_of(compile_for_test(config), "clone_init")
    assert (clone["uid_map"], clone["gid_map"]) == ("0 1000 1\n1 5000 9\n", "0 1000 1\n")


@pytest.mark.parametrize(
    ("cgroups_path", "expected"),
    [(None, "/user/box"), ("/a/b", "/a/b"), ("c", "/user/c"), ("/../../x", "/x")],
)
def test_cgroup_paths(cgroups_path: str | None, expected: str) -> None:
    config = minimal_config(linux=linux(cgroupsPath=cgroups_path))
    (made,) = arguments_of(compile_for_test(config), "make_cgroup")
    assert (made["mount"], made["path"]) == ("/sys/fs/cgroup", expected)


def test_host_without_cgroup2() -> None:
    assert "cgroup2" in str(refusal(minimal_config(), cgroup_mount=None))


def test_real_limit_is_an_error_never_ignored() -> None:
    error = refusal(minimal_config(linux=linux(resources={"memory": {"limit": 1 << 20}})))
    assert error.pointer == "/linux/resources/memory/limit"


def test_harmless_values_of_what_comes_later() -> None:
    compile_for_test(
        minimal_config(
            hooks={"prestart": []},
            process=process(terminal=False, apparmorProfile="unconfined", selinuxLabel=""),
            linux=linux(mountLabel="", intelRdt=None),
        )
    )


def test_several_errors_are_counted() -> None:
    scheduler = {"policy": "SCHED_DEADLINE", "runtime": 2000, "deadline": 3000}
    personality = {"domain": "LINUX", "flags": ["X"]}
    config = minimal_config(linux=linux(personality=personality), process=process(scheduler=scheduler))
    config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    assert str(refusal(config)).endswith("(and 1 more: pyrun validate /bundle)")


def plan_with_filter(*denied: str, no_new_privileges: bool = False, **properties: Any) -> Plan:
    rules = [{"names": list(denied), "action": "SCMP_ACT_ERRNO"}] if denied else []
    config = minimal_config(
        process=process(noNewPrivileges=no_new_privileges),
        linux=linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}),
        **properties,
    )
    plan = compile_for_test(config)
    assert arguments_of(plan, "limit_bounding_set") == [{"kept": 0}]
    return plan


def test_filter_with_no_new_privileges_comes_last() -> None:
    plan = plan_with_filter(no_new_privileges=True)
    assert [sets["permitted"] for sets in arguments_of(plan, "set_capabilities")] == [0]
    assert names_of(plan)[-2:] == ["load_seccomp", "execute_program"]


def test_capability_for_the_filter_is_gone_before_the_init_waits() -> None:
    """Whoever may trace the waiting init must not gain CAP_SYS_ADMIN; so the filter is loaded before."""
    plan = plan_with_filter("mount")
    permitted = [sets["permitted"] for sets in arguments_of(plan, "set_capabilities")]
    assert permitted == [BITS["CAP_SYS_ADMIN"], 0]
    names = names_of(plan)
    at = names.index("load_seccomp")
    assert names[at : at + 3] == ["load_seccomp", "set_capabilities", "wait_at_gate"]


@pytest.mark.parametrize("denied", ["accept4", "read", "capset"])
def test_filter_that_does_not_allow_what_is_left_to_do_comes_last(denied: str) -> None:
    plan = plan_with_filter(denied)
    assert [sets["permitted"] for sets in arguments_of(plan, "set_capabilities")] == [BITS["CAP_SYS_ADMIN"]]
    assert names_of(plan)[-2:] == ["load_seccomp", "execute_program"]


def test_filter_comes_after_hooks_that_need_more() -> None:
    plan = plan_with_filter(hooks={"startContainer": [{"path": "/bin/hook"}]})
    assert names_of(plan)[-2:] == ["load_seccomp", "execute_program"]


def test_environment_last_value_counts_and_an_empty_home_is_looked_up() -> None:
    plan = compile_for_test(minimal_config(process=process(env=["A=1", "HOME=", "PATH=/b", "A=2=3"])))
    assert arguments_of(plan, "execute_program")[0]["env"] == ["A=2=3", "PATH=/b"]
    assert "find_home" in names_of(plan)
    given = compile_for_test(minimal_config(process=process(env=["HOME=/h"])))
    assert "find_home" not in names_of(given)


def test_dev_brought_by_a_bind_mount_is_left_alone() -> None:
    mounts = [{"destination": "/dev/", "source": "/dev", "options": ["rbind"]}]
    names = names_of(compile_for_test(minimal_config(mounts=mounts)))
    assert "make_device" not in names and "make_symlink" not in names


def test_listed_device_replaces_the_default() -> None:
    device = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 7}
    plan = compile_for_test(minimal_config(linux=linux(devices=[device])))
    nulls = [each for each in arguments_of(plan, "make_device") if each["path"] == "/dev/null"]
    assert [(each["mode"], each["uid"]) for each in nulls] == [(0o600, 7)]


@pytest.mark.parametrize(
    ("annotations", "lowers", "upper"),
    [
        ({"lowerdir": "/a:/b"}, ["/a", "/b"], ""),
        ({"lowerdir": "l\\:x:/b", "upperdir": "up", "workdir": "/w"}, ["/bundle/l:x", "/b"], "/bundle/up"),
    ],
)
def test_overlay_annotations(annotations: dict[str, str], lowers: list[str], upper: str) -> None:
    config = minimal_config(annotations={f"org.pyrun.rootfs.{k}": v for k, v in annotations.items()})
    (overlay,) = arguments_of(compile_for_test(config), "overlay_root")
    assert (overlay["lower"], overlay["upper"], overlay["path"]) == (lowers, upper, "/bundle/rootfs")


@pytest.mark.parametrize("names", [("upperdir",), ("lowerdir", "upperdir"), ("lowerdir", "workdir"), ("workdir",)])
def test_incomplete_overlay(names: tuple[str, ...]) -> None:
    config = minimal_config(annotations={f"org.pyrun.rootfs.{name}": "/x" for name in names})
    assert "/annotations/org.pyrun.rootfs." in str(refusal(config))


def test_mounts_without_a_mount_namespace_would_be_the_hosts() -> None:
    config = minimal_config(linux={"namespaces": [{"type": "pid"}]})
    config["mounts"] = [{"destination": "/proc", "type": "proc"}]
    assert refusal(config).pointer == "/mounts"


def test_description_names_stage_operation_and_place() -> None:
    plan = compile_for_test(minimal_config(hostname="h"))
    text = as_text(plan)
    assert text.splitlines()[0] == "outer stage"
    assert any(line.split() == ["set_hostname", 'name="h"', "<-", "/hostname"] for line in text.splitlines())
    entries = json.loads(as_json(plan))
    assert {"stage": "init", "operation": "set_hostname", "pointer": "/hostname", "arguments": {"name": "h"}} in (
        entries
    )
    assert len(entries) == len(plan.operations)


def test_joined_pid_namespace_is_entered_last() -> None:
    config = minimal_config(linux={"namespaces": [{"type": "pid", "path": "/ns/pid"}, {"type": "mount"}]})
    names = names_of(compile_for_test(config))
    assert "join_namespaces" not in names
    at = names.index("enter_pid_namespace")
    assert names[at : at + 3] == ["enter_pid_namespace", "await_go", "wait_at_gate"]
    assert names.index("prepare_pid_namespace") < names.index("bind_root") < names.index("pivot_to_root")
