# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt against an imitation of the resctrl file system (`support.resctrl` says what it imitates).

As the imitation's groups are not inherited by children, the tests look at who entered a group, and when: the outer
stage does, before it clones the container's init.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from support import configs, strace
from support.configs import Config
from support.resctrl import MOUNT, Resctrl
from support.runtime import MakeBundle, MakeContainer, Runtime
from support.users import MakeUsersContainer

pytestmark = pytest.mark.pyrun_only("runc looks for a file system of the type resctrl, which only hardware has")

POINTER = "/linux/intelRdt"
L3, MB = "L3:0=f;1=f0", "MB:0=50;1=70"


def with_settings(settings: Any, *arguments: str) -> Config:
    config = configs.default(*(arguments or ("/bin/sleep", "1000")))
    config["linux"]["intelRdt"] = settings
    return config


def schemata_written(resctrl: Resctrl, group: str) -> list[str]:
    """Returns what was written to a group's schemata, write by write."""
    path = f"{group}/schemata".lstrip("/")
    return [each.text for each in resctrl.writes if each.path == path]


def entered(resctrl: Resctrl) -> list[str]:
    """Returns the groups that the runtime entered, in that order; who writes can only mean itself."""
    tasks = [each for each in resctrl.writes if each.path.endswith("tasks")]
    assert all((each.pid, each.program) == (int(each.text), "pyrun-init") for each in tasks)
    return [os.path.dirname(each.path) or "/" for each in tasks]


def test_class_of_the_containers_own(resctrl: Resctrl, make_container: MakeContainer) -> None:
    container = make_container(with_settings({"l3CacheSchema": L3, "memBwSchema": MB})).created()
    assert resctrl.groups.keys() == {container.id}
    assert entered(resctrl) == [container.id]
    assert schemata_written(resctrl, container.id) == [f"{L3}\n", f"{MB}\n"]
    group = resctrl.groups[container.id]
    assert (group.schemata["L3"], group.schemata["MB"]) == ({"0": 0xF, "1": 0xF0}, {"0": 50, "1": 70})
    container.delete("--force").succeeded()
    assert not resctrl.groups


def test_empty_settings_make_a_class_without_limits(resctrl: Resctrl, make_container: MakeContainer) -> None:
    container = make_container(with_settings({})).created()
    assert entered(resctrl) == [container.id]
    assert not schemata_written(resctrl, container.id)
    container.delete("--force").succeeded()
    assert not resctrl.groups


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"l3CacheSchema": L3}, [f"{L3}\n"]),
        ({"memBwSchema": MB}, [f"{MB}\n"]),
        ({"schemata": [L3, "L2:0=3", MB]}, [f"{L3}\nL2:0=3\n{MB}\n"]),
        (
            {"schemata": ["L3:0=3", "MB:1=20"], "memBwSchema": MB, "l3CacheSchema": L3},
            [f"{L3}\n", f"{MB}\n", "L3:0=3\nMB:1=20\n"],
        ),
        ({"l3CacheSchema": f"{L3}\nMB:0=90", "memBwSchema": MB}, [f"{L3}\nMB:0=90\n", f"{MB}\n"]),
        ({"schemata": [], "l3CacheSchema": "", "closID": ""}, []),
    ],
)
def test_order_of_the_schemata(
    resctrl: Resctrl, make_container: MakeContainer, settings: dict[str, Any], written: list[str]
) -> None:
    container = make_container(with_settings(settings)).created()
    assert schemata_written(resctrl, container.id) == written
    # What is written later counts.
    if len(written) == 3:
        group = resctrl.groups[container.id]
        assert (group.schemata["L3"], group.schemata["MB"]) == ({"0": 3, "1": 0xF0}, {"0": 50, "1": 20})


def test_class_that_exists_is_entered_and_kept(resctrl: Resctrl, make_container: MakeContainer) -> None:
    os.mkdir(f"{MOUNT}/shared")
    container = make_container(with_settings({"closID": "shared"})).created()
    assert entered(resctrl) == ["shared"]
    assert not schemata_written(resctrl, "shared")
    container.delete("--force").succeeded()
    assert resctrl.groups.keys() == {"shared"}


def test_class_of_others_with_the_containers_id(resctrl: Resctrl, make_container: MakeContainer) -> None:
    os.mkdir(f"{MOUNT}/mine")
    container = make_container(with_settings({"memBwSchema": "MB:0=50"}), "mine")
    container.create().failed(POINTER, "resctrl group mine", "file exists")
    assert resctrl.groups.keys() == {"mine"} and not resctrl.writes


def test_class_that_has_to_exist(resctrl: Resctrl, make_container: MakeContainer) -> None:
    make_container(with_settings({"closID": "missing"})).create().failed(POINTER, "missing", "make the group")
    assert not resctrl.groups and not resctrl.writes


def test_default_class(resctrl: Resctrl, make_container: MakeContainer) -> None:
    container = make_container(with_settings({"closID": "/", "enableMonitoring": True})).created()
    assert entered(resctrl) == ["/", f"mon_groups/{container.id}"]
    assert not resctrl.groups
    container.delete("--force").succeeded()
    assert not resctrl.default.monitors


def test_class_with_schemata_is_made_and_stays(resctrl: Resctrl, make_container: MakeContainer) -> None:
    """The specification: a class that the configuration names is not removed, whoever made it."""
    container = make_container(with_settings({"closID": "made", "l3CacheSchema": L3})).created()
    assert schemata_written(resctrl, "made") == [f"{L3}\n"]
    container.delete("--force").succeeded()
    assert resctrl.groups.keys() == {"made"}


@pytest.mark.parametrize(
    ("settings", "agrees"),
    [
        ({"l3CacheSchema": "L3:0=f;1=f0"}, True),
        ({"l3CacheSchema": "L3:1=00f0;0=0F"}, True),
        ({"l3CacheSchema": "L3:1=f0"}, True),
        ({"memBwSchema": "MB:0=50"}, True),
        ({"l3CacheSchema": L3, "memBwSchema": "MB:0=50;1=100"}, True),
        ({"l3CacheSchema": "L3:0=f;1=f"}, False),
        ({"l3CacheSchema": L3, "memBwSchema": "MB:0=40"}, False),
        ({"l3CacheSchema": "L3:2=f"}, False),
        ({"l3CacheSchema": "L3CODE:0=f"}, False),
        ({"l3CacheSchema": "L3"}, False),
        ({"memBwSchema": "MB:x"}, False),
    ],
)
def test_class_that_exists_must_agree(
    resctrl: Resctrl, make_container: MakeContainer, settings: dict[str, Any], agrees: bool
) -> None:
    os.mkdir(f"{MOUNT}/shared")
    with open(f"{MOUNT}/shared/schemata", "w", encoding="ascii") as file:
        file.write("L3:0=f;1=f0\nMB:0=50\n")
    resctrl.writes.clear()
    container = make_container(with_settings({"closID": "shared", **settings}))
    if agrees:
        container.created()
        assert entered(resctrl) == ["shared"]
    else:
        container.create().failed(POINTER, "the group exists", "schemata")
        assert not resctrl.writes
    assert resctrl.groups["shared"].schemata["L3"] == {"0": 0xF, "1": 0xF0}


def test_schemata_of_a_class_that_exists_are_changed(resctrl: Resctrl, make_container: MakeContainer) -> None:
    """The specification has only the other two properties compared."""
    os.mkdir(f"{MOUNT}/shared")
    make_container(with_settings({"closID": "shared", "schemata": ["L3:0=3"]})).created()
    assert resctrl.groups["shared"].schemata["L3"] == {"0": 3, "1": 0xFF}


@pytest.mark.parametrize("settings", [{}, {"closID": "shared"}, {"closID": "made", "schemata": ["L3:0=1"]}])
def test_monitoring_group(resctrl: Resctrl, make_container: MakeContainer, settings: dict[str, Any]) -> None:
    os.mkdir(f"{MOUNT}/shared")
    container = make_container(with_settings({**settings, "enableMonitoring": True})).created()
    name = settings.get("closID", container.id)
    assert resctrl.groups[name].monitors.keys() == {container.id}
    assert entered(resctrl) == [name, f"{name}/mon_groups/{container.id}"]
    container.delete("--force").succeeded()
    assert resctrl.groups.keys() == {"shared", *[settings["closID"] for _ in settings if "closID" in settings]}
    assert not any(group.monitors for group in resctrl.classes())


def test_containers_share_a_class_but_no_monitoring_group(resctrl: Resctrl, make_container: MakeContainer) -> None:
    settings = {"closID": "made", "l3CacheSchema": L3, "enableMonitoring": True}
    first, second = (make_container(with_settings(settings)).created() for _ in range(2))
    assert resctrl.groups["made"].monitors.keys() == {first.id, second.id}
    first.delete("--force").succeeded()
    assert resctrl.groups["made"].monitors.keys() == {second.id}


def test_exec_enters_the_groups(resctrl: Resctrl, make_container: MakeContainer) -> None:
    container = make_container(with_settings({"enableMonitoring": True})).started()
    resctrl.writes.clear()
    container.exec("true").succeeded()
    assert entered(resctrl) == [container.id, f"{container.id}/mon_groups/{container.id}"]


def test_groups_are_entered_before_the_init_is_cloned(
    resctrl: Resctrl, runtime: Runtime, case: str, make_bundle: MakeBundle
) -> None:
    if not strace.available():
        pytest.skip("needs strace: apt-get install strace")
    bundle = make_bundle(with_settings({}, "/bin/true"))
    bundle.seal()
    strace.traced(runtime, case, follow=True).call("run", "--bundle", bundle.path, "test").succeeded()
    outer = strace.read_trace(case)[1]
    write = strace.first(outer, rf'write\(\d+, "{resctrl.writes[-1].text}"')
    assert strace.first(outer, r"clone3\(.*CLONE_PARENT") > write


@pytest.mark.parametrize("user_namespace", [False, True])
def test_life_of_a_container(resctrl: Resctrl, make_container: MakeContainer, user_namespace: bool) -> None:
    config = with_settings({"l3CacheSchema": L3, "enableMonitoring": True})
    if user_namespace:
        # The kernel lets nobody see a new sysfs where the host's is covered, here by the imitation.
        configs.without_mounts(configs.with_user_namespace(config), "/sys", "/sys/fs/cgroup")
        config["linux"]["maskedPaths"] = []
    container = make_container(config).started()
    assert container.status == "running"
    container.stop()
    assert resctrl.groups.keys() == {container.id}
    container.delete().succeeded()
    assert not resctrl.groups


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"l3CacheSchema": "L3:0=fff"}, ("L3 value fff out of range", "invalid argument")),
        ({"schemata": ["L4:0=f"]}, ("Unknown or unsupported resource name 'L4'",)),
        ({"schemata": ["L3:0=f", "L3:0=3"]}, ("Duplicate domain",)),
        ({"schemata": [""]}, ("Unknown or unsupported resource name",)),
        ({"memBwSchema": "MB:0=200"}, ("out of range",)),
        ({"closID": "made", "memBwSchema": "MB:0=200", "enableMonitoring": True}, ("out of range",)),
    ],
)
def test_what_the_kernel_refuses(
    resctrl: Resctrl, make_container: MakeContainer, settings: dict[str, Any], words: tuple[str, ...]
) -> None:
    container = make_container(with_settings(settings))
    container.create().failed(POINTER, *words)
    assert not resctrl.groups and not container.exists()


@pytest.mark.parametrize(("what", "words"), [("class", "Out of CLOSIDs"), ("monitor", "Out of monitoring groups")])
def test_hardware_has_no_more_groups(resctrl: Resctrl, make_container: MakeContainer, what: str, words: str) -> None:
    resctrl.room = 1
    os.mkdir(f"{MOUNT}/shared")
    os.mkdir(f"{MOUNT}/shared/mon_groups/other")
    settings = {} if what == "class" else {"closID": "shared", "enableMonitoring": True}
    make_container(with_settings(settings)).create().failed(POINTER, words, "are in use")
    assert resctrl.groups.keys() == {"shared"}
    assert resctrl.groups["shared"].monitors.keys() == {"other"}


def test_monitoring_group_that_is_there_already(resctrl: Resctrl, make_container: MakeContainer) -> None:
    os.mkdir(f"{MOUNT}/shared")
    os.mkdir(f"{MOUNT}/shared/mon_groups/mine")
    container = make_container(with_settings({"closID": "shared", "enableMonitoring": True}), "mine")
    container.create().failed(POINTER, "monitoring group mine", "file exists")
    assert resctrl.groups["shared"].monitors.keys() == {"mine"}


@pytest.mark.parametrize("settings", [{"l3CacheSchema": L3}, {"closID": "made", "l3CacheSchema": L3}])
def test_failed_create_removes_what_it_made(
    resctrl: Resctrl, make_container: MakeContainer, settings: dict[str, Any]
) -> None:
    container = make_container(with_settings({**settings, "enableMonitoring": True}, "/missing"))
    container.create().failed("/missing", status=1)
    assert not resctrl.groups


def test_failed_create_leaves_what_others_use(resctrl: Resctrl, make_container: MakeContainer) -> None:
    settings = {"closID": "made", "l3CacheSchema": L3}
    container = make_container(with_settings(settings)).created()
    # Which it has inherited, where the file system is a real one.
    with open(f"{MOUNT}/made/tasks", "w", encoding="ascii") as tasks:
        tasks.write(str(container.pid))
    make_container(with_settings(settings, "/missing")).create().failed("/missing")
    assert resctrl.groups.keys() == {"made"}


@pytest.mark.parametrize("settings", [{"l3CacheSchema": L3}, {"closID": "made", "l3CacheSchema": L3}])
def test_killed_pyrun(
    resctrl: Resctrl, runtime: Runtime, case: str, make_bundle: MakeBundle, settings: dict[str, Any]
) -> None:
    """delete --force removes the groups of a container whose creation was interrupted."""
    if not strace.available():
        pytest.skip("needs strace: apt-get install strace")
    bundle = make_bundle(with_settings({**settings, "enableMonitoring": True}))
    bundle.seal()
    words = ["create", "--bundle", bundle.path, "test"]
    strace.traced(runtime, case).call(*words).succeeded()
    runtime.call("delete", "--force", "test").succeeded()
    for name in list(resctrl.groups):
        os.rmdir(f"{MOUNT}/{name}")
    calls = strace.read_trace(case)[0]
    go = calls[strace.first(calls, r'(write|sendmsg|sendto)\(.*"go"')]
    killed = strace.traced(runtime, case, f"{go.name}:signal=SIGKILL:when={go.occurrence}").start(*words)
    killed.wait()
    assert killed.process.returncode == -signal.SIGKILL and resctrl.groups
    runtime.call("delete", "--force", "test").succeeded()
    assert not resctrl.groups


def test_ordinary_user(resctrl: Resctrl, make_users_container: MakeUsersContainer) -> None:
    container = make_users_container("true")
    container.bundle.config["linux"]["intelRdt"] = {"l3CacheSchema": L3}
    container.create().failed(POINTER, "permission denied")
    assert not resctrl.groups


@pytest.mark.parametrize("settings", [{}, {"closID": "x"}, {"l3CacheSchema": L3}])
def test_without_a_resctrl_file_system(make_container: MakeContainer, settings: dict[str, Any]) -> None:
    make_container(with_settings(settings)).create().failed(POINTER, "no resctrl file system is mounted", "mount -t")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"closID": ".."}, f"{POINTER}/closID"),
        ({"closID": "a/b"}, f"{POINTER}/closID"),
        ({"closID": "info"}, f"{POINTER}/closID"),
        ({"closID": 7}, f"{POINTER}/closID"),
        ({"memBwSchema": "L3:0=f"}, f"{POINTER}/memBwSchema"),
        ({"memBwSchema": "MB:0=1\nMB:1=1"}, f"{POINTER}/memBwSchema"),
        ({"schemata": "L3:0=f"}, f"{POINTER}/schemata"),
        ({"schemata": ["L3:0=f\nL3:1=f"]}, f"{POINTER}/schemata/0"),
        ({"schemata": [1]}, f"{POINTER}/schemata/0"),
        ({"enableMonitoring": "yes"}, f"{POINTER}/enableMonitoring"),
        ("x", POINTER),
    ],
)
def test_wrong_values(resctrl: Resctrl, make_container: MakeContainer, settings: Any, words: str) -> None:
    make_container(with_settings(settings)).create().failed(words)
    assert not resctrl.groups and not resctrl.writes
