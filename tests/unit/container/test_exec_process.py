# SPDX-License-Identifier: Apache-2.0
"""The process object of an exec, from the container's config and the options of the command line."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pyrun.container.exec import ExecOptions
from pyrun.container.exec_process import process_for
from pyrun.errors import PyrunError
from support import configs

LARGEST = 2147483647


def process_of(config: configs.Config, **options: Any) -> dict[str, Any]:
    """Returns the process object for `true` with these options; the config has to stay as it was."""
    before = copy.deepcopy(config)
    process = process_for(config, ExecOptions(**{"args": ["true"], **options}))
    assert config == before
    return process


def refusal(config: configs.Config | None = None, **options: Any) -> str:
    """Returns the one line of the error that these options must be."""
    with pytest.raises(PyrunError) as caught:
        process_of(config or configs.default(), **options)
    line = str(caught.value)
    assert line.isprintable(), line
    return line


def of_user(**user: Any) -> configs.Config:
    config = configs.default()
    config["process"]["user"] = user
    return config


def with_capabilities(**sets: list[str]) -> configs.Config:
    config = configs.default()
    config["process"]["capabilities"] = sets
    return config


def test_program_and_all_else_of_the_container() -> None:
    config = configs.default()
    config["process"]["terminal"] = True
    config["process"]["oomScoreAdj"] = 100
    expected = {**config["process"], "args": ["/bin/echo", "-n", ""], "terminal": False}
    assert process_of(config, args=["/bin/echo", "-n", ""]) == expected


def test_the_least_config() -> None:
    config = {"process": {"args": ["sh"], "cwd": "/"}}
    process = process_of(config, env=["A=1"], user="1", additional_gids=["2"], capabilities=["CAP_KILL"])
    assert process["env"] == ["A=1"]
    assert process["user"] == {"uid": 1, "additionalGids": [2]}
    assert process["capabilities"] == {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")}


@pytest.mark.parametrize("args", [[], [""], ["", "x"]])
def test_no_program(args: list[str]) -> None:
    assert "empty" in refusal(args=args)


@pytest.mark.parametrize(
    ("text", "uid", "gid"),
    [
        ("0", 0, 7),
        ("1", 1, 7),
        ("01", 1, 7),
        ("1:2", 1, 2),
        ("0:0", 0, 0),
        ("1:02", 1, 2),
        ("0000000000001:2", 1, 2),
        (f"{LARGEST}", LARGEST, 7),
        (f"{LARGEST}:{LARGEST}", LARGEST, LARGEST),
        ("0" * 5000, 0, 7),
    ],
)
def test_user(text: str, uid: int, gid: int) -> None:
    config = of_user(uid=5, gid=7, additionalGids=[33], umask=0o77)
    expected = {"uid": uid, "gid": gid, "additionalGids": [33], "umask": 0o77}
    assert process_of(config, user=text)["user"] == expected


@pytest.mark.parametrize(
    "part",
    [
        "",
        "-1",
        "+1",
        "-0",
        " 1",
        "1 ",
        "1\n",
        "1\t",
        "0x1",
        "0o1",
        "1_0",
        "1.0",
        "1e1",
        "1,2",
        "root",
        "٣",
        "１",
        "²",
        "①",
        "\udcff",
        "2147483648",
        "4294967295",
        "4294967296",
        "4294967297",
        "99999999999",
        "1" * 5000,
    ],
)
def test_what_is_no_number(part: str) -> None:
    """CVE-2026-30892 of crun: "1" must not be read as 0:0, nor anything else as some user."""
    for text in (part, f"{part}:0", f"0:{part}"):
        assert refusal(user=text).startswith("--user: ")
    assert refusal(additional_gids=[part]).startswith("--additional-gids: ")
    assert refusal(additional_gids=["1", part]).startswith("--additional-gids: ")


@pytest.mark.parametrize("text", [":", "1:", ":1", "::", "1:2:", "1:2:3", ":1:2", "1::2", "root:root", "1:wheel"])
def test_what_is_no_user(text: str) -> None:
    assert "UID:GID" in refusal(user=text)


def test_user_of_a_config_without_one() -> None:
    config = configs.default()
    del config["process"]["user"]
    assert process_of(config, user="1")["user"] == {"uid": 1, "additionalGids": []}


def test_additional_groups_come_after_those_of_the_config() -> None:
    config = of_user(uid=5, gid=7, additionalGids=[33])
    process = process_of(config, additional_gids=["44", "0", f"{LARGEST}"])
    assert process["user"] == {"uid": 5, "gid": 7, "additionalGids": [33, 44, 0, LARGEST]}


@pytest.mark.parametrize("options", [{"user": "65536"}, {"user": "0:65536"}, {"additional_gids": ["65536"]}])
def test_ids_that_the_user_namespace_does_not_map(options: dict[str, Any]) -> None:
    line = refusal(configs.with_user_namespace(configs.default()), **options)
    option = "--user" if "user" in options else "--additional-gids"
    assert line.startswith(f"{option}: 65536 is not in /linux/"), line


def test_ids_that_the_user_namespace_maps() -> None:
    config = configs.with_user_namespace(configs.default())
    process = process_of(config, user="65535:65535", additional_gids=["65535"])
    assert process["user"] == {"uid": 65535, "gid": 65535, "additionalGids": [65535]}


def test_capabilities_are_added_and_never_inheritable() -> None:
    """CVE-2022-29162 of runc."""
    config = with_capabilities(bounding=["CAP_KILL"], permitted=["CAP_KILL"], effective=[], inheritable=[])
    given = process_of(config, capabilities=["CAP_CHOWN", "CAP_MKNOD"])["capabilities"]
    assert given == {
        "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_MKNOD"],
        "permitted": ["CAP_KILL", "CAP_CHOWN", "CAP_MKNOD"],
        "effective": ["CAP_CHOWN", "CAP_MKNOD"],
        "inheritable": [],
    }


def test_ambient_capabilities_are_added_where_some_are_inheritable() -> None:
    sets = {kind: ["CAP_KILL"] for kind in ("bounding", "permitted", "effective", "inheritable", "ambient")}
    given = process_of(with_capabilities(**sets), capabilities=["CAP_CHOWN"])["capabilities"]
    assert given["ambient"] == ["CAP_KILL", "CAP_CHOWN"]
    assert given["inheritable"] == ["CAP_KILL"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CAP_KIL", "CAP_KILL"),
        ("KILL", "CAP_KILL"),
        ("cap_sys_admin", "CAP_SYS_ADMIN"),
        ("sys_admin", "CAP_SYS_ADMIN"),
        ("", None),
        ("ALL", None),
        ("\n", None),
    ],
)
def test_unknown_capability(name: str, meant: str | None) -> None:
    line = refusal(capabilities=["CAP_CHOWN", name])
    assert line.startswith("--cap: ")
    assert ("did you mean" in line) == (meant is not None)
    assert meant is None or f"did you mean {meant}?" in line


def test_variables_are_appended() -> None:
    process = process_of(configs.default(), env=["A=1", "TERM=", "B==\udcff"])
    assert process["env"] == [configs.PATH, "TERM=xterm", "A=1", "TERM=", "B==\udcff"]


@pytest.mark.parametrize("entry", ["", "A", "=", "=1", "A\n"])
def test_malformed_variable(entry: str) -> None:
    assert refusal(env=["A=1", entry]).startswith("--env: ")


@pytest.mark.parametrize("path", ["", "tmp", "./tmp", "../tmp"])
def test_relative_working_directory(path: str) -> None:
    assert refusal(cwd=path).startswith("--cwd: ")


def test_other_options() -> None:
    process = process_of(
        configs.default(), cwd="/tmp", no_new_privileges=True, apparmor="profile", process_label="label", terminal=True
    )
    assert process["cwd"] == "/tmp"
    assert process["noNewPrivileges"] is True
    assert process["apparmorProfile"] == "profile"
    assert process["selinuxLabel"] == "label"
    assert process["terminal"] is True


@pytest.mark.parametrize("own", [True, False])
def test_no_new_privileges_is_never_taken_back(own: bool) -> None:
    config = configs.default()
    config["process"]["noNewPrivileges"] = own
    assert process_of(config)["noNewPrivileges"] is own
