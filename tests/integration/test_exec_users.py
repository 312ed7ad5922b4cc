# SPDX-License-Identifier: Apache-2.0
"""exec: as whom, and with which privileges and limits its program runs."""

from __future__ import annotations

import os
from typing import Any

import pytest

from integration.test_seccomp import deny, filtered
from support import configs, process
from support.configs import Config
from support.execs import process_file, wait_until_alone
from support.runtime import Container, MakeContainer

PASSWD = "root:x:0:0::/root:/bin/sh\nowner:x:5:6::/home/owner:/bin/sh\nother:x:1:9::/home/other:/bin/sh\n"
GROUP = "root:x:0:\nwheel:x:10:other,owner\nusers:x:44:other\n"

WHO = ("sh", "-c", "id -u; id -g; id -G; echo $HOME")
STATUS = ("cat", "/proc/self/status")

SETS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "ambient": "CapAmb",
}


def started(make_container: MakeContainer, config: Config | None = None, **of_process: Any) -> Container:
    """Starts a container with users and groups, of a config with these members of its process."""
    config = config or configs.default("/bin/sleep", "1000")
    config["process"].update(of_process)
    container = make_container(config)
    container.bundle.write("etc/passwd", PASSWD)
    container.bundle.write("etc/group", GROUP)
    return container.started()


@pytest.fixture
def container(make_container: MakeContainer) -> Container:
    """A container whose program runs as owner, in two more groups."""
    return started(make_container, user={"uid": 5, "gid": 6, "additionalGids": [33, 34]})


def status(container: Container, *options: str) -> dict[str, str]:
    """Returns /proc/PID/status of the program of an exec."""
    lines = container.exec(*STATUS, options=options).succeeded().output.splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def capabilities(container: Container, *options: str) -> dict[str, set[str]]:
    """Returns the capability sets of the program of an exec."""
    found = status(container, *options)
    return {name: set(process.capability_names(found[label])) for name, label in SETS.items()}


def test_user_of_the_config(container: Container) -> None:
    assert container.exec(*WHO).succeeded().output.splitlines() == ["5", "6", "6 33 34", "/home/owner"]


USERS = {
    "0": ("0", "6", "/root"),
    "1": ("1", "6", "/home/other"),
    "1:2": ("1", "2", "/home/other"),
    "0:0": ("0", "0", "/root"),
    "01": ("1", "6", "/home/other"),
    "1:02": ("1", "2", "/home/other"),
    "1000:1000": ("1000", "1000", "/"),
    "2147483647:2147483647": ("2147483647", "2147483647", "/"),
}


@pytest.mark.parametrize("option", ["--user", "-u"])
def test_user(container: Container, option: str) -> None:
    """CVE-2026-30892 of crun. The group is the config's if it is left out; groups of the image's files don't count."""
    for text, (uid, gid, home) in USERS.items():
        lines = container.exec(*WHO, options=[option, text]).succeeded().output.splitlines()
        assert lines == [uid, gid, f"{gid} 33 34", home], text


NO_USERS = [
    *(":", "1:", ":1", "::", "1:2:3", "1:2:", "1::2"),
    *("-1", "1:-1", " 1", "1 ", "1\n", "1: 2"),
    *("root", "other", "1:wheel", "root:root"),
    *("0x1", "1_0", "1.0", "1e1", "1,2", "٣", "１"),
    *("2147483648", "1:2147483648", "4294967295", "99999999999999999999"),
]
# runc 1.1.5 takes them for another number: digits are cut to 32 bits, and a sign is allowed.
NO_USERS_OF_PYRUN = ["+1", "1:+1", "4294967296", "4294967297", "1:4294967296", "99999999999"]


def test_what_is_no_user(container: Container) -> None:
    is_pyrun = container.runtime.name == "pyrun"
    for text in [*NO_USERS, *(NO_USERS_OF_PYRUN if is_pyrun else [])]:
        result = container.exec("true", options=[f"--user={text}"])
        assert result.status == 255, (text, result)
        if is_pyrun:
            result.failed("--user: ", status=255)
    wait_until_alone(container)


@pytest.mark.parametrize("form", ["--additional-gids 44 --additional-gids 7", "-g 44 -g 7", "-g=44 -g=7"])
def test_additional_groups(container: Container, form: str) -> None:
    lines = container.exec(*WHO, options=form.split()).succeeded().output.splitlines()
    assert lines[:2] == ["5", "6"]
    assert set(lines[2].split()) == {"6", "7", "33", "34", "44"}


def test_number_that_is_no_group(container: Container) -> None:
    numbers = ["-1", "2147483648", "4294967295"]
    for text in [*numbers, *(["4294967296"] if container.runtime.name == "pyrun" else [])]:
        result = container.exec("true", options=["-g", "7", f"-g={text}"])
        assert result.status == 255, (text, result)


def test_text_that_is_no_group(container: Container) -> None:
    """For runc that is an error of usage, with status 1."""
    for text in ("wheel", " 1", "1 ", "0x1", "1,2", "٣", ":"):
        result = container.exec("true", options=[f"-g={text}"])
        assert result.status == (255 if container.runtime.name == "pyrun" else 1), (text, result)
        assert text in result.error_line


def test_home_of_the_config(make_container: MakeContainer) -> None:
    """A variable HOME counts, unless it is empty."""
    container = started(make_container, env=[configs.PATH, "HOME=/own"])
    assert container.exec("sh", "-c", "echo $HOME", options=["-u", "1"]).succeeded().output == "/own\n"
    empty = ["-u", "1", "-e", "HOME="]
    assert container.exec("sh", "-c", "echo $HOME", options=empty).succeeded().output == "/home/other\n"


def test_capabilities_of_the_config(make_container: MakeContainer) -> None:
    sets = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}
    container = started(make_container, capabilities=sets)
    assert capabilities(container) == {
        "bounding": {"CAP_KILL", "CAP_CHOWN"},
        "effective": {"CAP_KILL"},
        "permitted": {"CAP_KILL"},
        "inheritable": set(),
        "ambient": set(),
    }


@pytest.mark.parametrize("option", ["--cap", "-c"])
def test_more_capabilities(make_container: MakeContainer, option: str) -> None:
    """CVE-2022-29162 of runc: never inheritable, and so not ambient either."""
    sets = {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")}
    container = started(make_container, capabilities=sets)
    assert capabilities(container, option, "CAP_CHOWN", option, "CAP_SETUID") == {
        "bounding": {"CAP_KILL", "CAP_CHOWN", "CAP_SETUID"},
        "effective": {"CAP_KILL", "CAP_CHOWN", "CAP_SETUID"},
        "permitted": {"CAP_KILL", "CAP_CHOWN", "CAP_SETUID"},
        "inheritable": set(),
        "ambient": set(),
    }
    assert capabilities(container)["bounding"] == {"CAP_KILL"}


def test_more_capabilities_for_an_ordinary_user(make_container: MakeContainer) -> None:
    """They are in its bounding set, and no more than that."""
    sets = {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")}
    container = started(make_container, capabilities=sets)
    found = capabilities(container, "--cap", "CAP_CHOWN", "--user", "5")
    assert found.pop("bounding") == {"CAP_KILL", "CAP_CHOWN"}
    assert not any(found.values())


def test_inheritable_capabilities_of_the_config(make_container: MakeContainer) -> None:
    """Those stay as the config has them; an added one does not join them, and so can't be ambient."""
    container = started(make_container, capabilities={kind: ["CAP_KILL"] for kind in SETS})
    found = capabilities(container, "--cap", "CAP_CHOWN")
    assert found["inheritable"] == found["ambient"] == {"CAP_KILL"}
    assert found["permitted"] == {"CAP_KILL", "CAP_CHOWN"}


@pytest.mark.pyrun_only("runc 1.1.5 panics")
def test_more_capabilities_where_the_config_has_none(make_container: MakeContainer) -> None:
    config = configs.default("/bin/sleep", "1000")
    del config["process"]["capabilities"]
    found = capabilities(started(make_container, config), "--cap", "CAP_CHOWN")
    assert found["bounding"] == found["permitted"] == {"CAP_CHOWN"}


@pytest.mark.pyrun_only("runc 1.1.5 leaves them out, with a warning")
def test_unknown_capability(sleeper: Container) -> None:
    for name, words in {"CAP_KIL": "CAP_KILL", "kill": "CAP_KILL", "ALL": "ALL"}.items():
        sleeper.exec("true", options=["--cap", name]).failed("--cap", words, status=255)


@pytest.mark.pyrun_only("runc 1.1.5 waits for a writer of the fifo, and fails at a directory")
def test_home_in_a_hostile_image(make_container: MakeContainer) -> None:
    """What stands for the passwd of the image is no file: HOME is "/"."""
    config = configs.default("/bin/sleep", "1000")
    container = make_container(config)
    container.bundle.may_change.add("rootfs/etc/passwd")
    path = container.bundle.write("etc/passwd", PASSWD)
    container.started()
    for target in (None, "/dev/zero", "/dev/ptmx", "/proc/self/fd/3", "/proc/1/root/etc/passwd", "passwd", "/"):
        os.unlink(path)
        os.symlink(target, path) if target else os.mkfifo(path)
        assert container.exec("sh", "-c", "echo $HOME", options=["-u", "5"]).succeeded().output == "/\n", target


@pytest.mark.parametrize(("own", "options"), [(True, []), (False, []), (False, ["--no-new-privs"])])
def test_no_new_privileges(make_container: MakeContainer, own: bool, options: list[str]) -> None:
    container = started(make_container, noNewPrivileges=own)
    assert status(container, *options)["NoNewPrivs"] == ("1" if own or options else "0")


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("uid", ["0", "1000"])
def test_seccomp_filter(make_container: MakeContainer, no_new_privileges: bool, uid: str) -> None:
    """The container's own, also for a program that a process file describes."""
    config = filtered(configs.default("/bin/sleep", "1000"), deny("chmod", "fchmodat", errnoRet=17))
    config["process"]["noNewPrivileges"] = no_new_privileges
    container = started(make_container, config)
    result = container.exec("chmod", "700", "/dev/shm", options=["--user", uid])
    assert result.status == 1 and "File exists" in result.errors
    assert status(container, "--user", uid)["Seccomp"] == "2"


def test_seccomp_filter_and_a_process_file(make_container: MakeContainer, scratch: str) -> None:
    config = filtered(configs.default("/bin/sleep", "1000"), deny("chmod", "fchmodat", errnoRet=17))
    container = started(make_container, config)
    result = container.exec(options=["--process", process_file(scratch, "chmod", "700", "/dev/shm")])
    assert result.status == 1 and "File exists" in result.errors


def test_limits(make_container: MakeContainer) -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 200, "hard": 200},  # runc sometimes raises the soft one
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 1024},
        {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 21},
    ]
    container = started(make_container, rlimits=limits)
    output = container.exec("cat", "/proc/self/limits").succeeded().output
    rows = {line[:25].strip(): line[25:].split()[:2] for line in output.splitlines()}
    assert rows["Max open files"] == ["200", "200"]
    assert rows["Max core file size"] == ["0", "1024"]
    assert rows["Max stack size"] == [str(1 << 20), str(1 << 21)]


@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's limits")
def test_limits_of_the_config_hold_for_a_process_file_without(make_container: MakeContainer, scratch: str) -> None:
    container = started(make_container, rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}])
    path = process_file(scratch, "sh", "-c", "ulimit -Sn; ulimit -Hn")
    assert container.exec(options=["--process", path]).succeeded().output.split() == ["100", "200"]


@pytest.mark.pyrun_only("runc 1.1.5 leaves the caller's mask")
def test_mask_of_the_config(make_container: MakeContainer, scratch: str) -> None:
    container = started(make_container, user={"uid": 0, "gid": 0, "umask": 0o027})
    assert container.exec("sh", "-c", "umask").succeeded().output == "0027\n"
    assert container.exec("sh", "-c", "umask", options=["--user", "5:6"]).succeeded().output == "0027\n"
    path = process_file(scratch, "sh", "-c", "umask")
    assert container.exec(options=["--process", path]).succeeded().output == "0027\n"
    path = process_file(scratch, "sh", "-c", "umask", user={"uid": 0, "gid": 0, "umask": 0o077})
    assert container.exec(options=["--process", path]).succeeded().output == "0077\n"


def test_oom_score(make_container: MakeContainer, scratch: str) -> None:
    container = started(make_container, oomScoreAdj=500)
    assert container.exec("cat", "/proc/self/oom_score_adj").succeeded().output == "500\n"
    path = process_file(scratch, "cat", "/proc/self/oom_score_adj")
    assert container.exec(options=["--process", path]).succeeded().output == "500\n"


@pytest.mark.pyrun_only("runc 1.1.5 takes the container's")
def test_oom_score_of_a_process_file(make_container: MakeContainer, scratch: str) -> None:
    container = started(make_container, oomScoreAdj=500)
    path = process_file(scratch, "cat", "/proc/self/oom_score_adj", oomScoreAdj=600)
    assert container.exec(options=["--process", path]).succeeded().output == "600\n"


def test_program_that_only_the_user_may_execute(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    path = container.bundle.write("opt/program", "#!/bin/sh\necho ran\n", 0o700)
    os.chown(path, 1000, 1000)
    container.started()
    assert container.exec("/opt/program", options=["--user", "1000"]).succeeded().output == "ran\n"
    container.exec("/opt/program", options=["--user", "1001"]).failed("permission denied", status=255)


def test_directory_that_only_the_user_may_enter(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000"))
    path = os.path.join(container.bundle.rootfs, "private")
    os.mkdir(path, 0o700)
    os.chown(path, 1000, 1000)
    container.started()
    options = ["--user", "1000", "--cwd", "/private"]
    assert container.exec("pwd", options=options).succeeded().output == "/private\n"
