# SPDX-License-Identifier: Apache-2.0
"""What the container's program starts with: environment, ids, limits, descriptors, and where it is found."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from support import configs, process
from support.configs import Config
from support.machine import COVERED
from support.runtime import MakeBundle, MakeContainer, Run, Runtime

STANDARD = ["0", "1", "2", "3"]  # the last one is the listing's own
LENIENT = pytest.mark.pyrun_only("runc 1.1.5 takes a field that is no number for zero")


def environment(run: Run, **properties: object) -> list[str]:
    """Runs a program that shows its environment, and returns that."""
    config = configs.default("/bin/cat", "/proc/self/environ")
    config["process"].update(properties)
    return run(config).split("\0")[:-1]


def with_process(script: str, **properties: object) -> Config:
    config = configs.shell(script)
    config["process"].update(properties)
    return config


def test_environment_is_the_given_one_with_home(run: Run) -> None:
    given = [configs.PATH, "A=1", "B=two words", "EMPTY=", "C=x=y"]
    assert sorted(environment(run, env=given)) == sorted([*given, "HOME=/root"])


@pytest.mark.parametrize(
    ("user", "home"),
    [({"uid": 0, "gid": 0}, "/root"), ({"uid": 1000, "gid": 0}, "/home/alice"), ({"uid": 7, "gid": 7}, "/")],
)
def test_home_comes_from_the_containers_passwd(run: Run, user: dict[str, int], home: str) -> None:
    assert run(with_process("echo $HOME", user=user)) == f"{home}\n"


def test_given_home_wins(run: Run) -> None:
    assert run(with_process("echo $HOME", env=[configs.PATH, "HOME=/given"])) == "/given\n"


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        pytest.param("garbage\n::::::\nroot\n", marks=LENIENT),
        pytest.param("root:x:zero:0::/wrong:\n", marks=LENIENT),
    ],
)
def test_home_without_a_good_passwd(runtime: Runtime, make_bundle: MakeBundle, content: str | None) -> None:
    bundle = make_bundle(with_process("echo $HOME"))
    path = os.path.join(bundle.rootfs, "etc/passwd")
    os.unlink(path)
    if content is not None:
        bundle.write("etc/passwd", content)
    assert runtime.run("test", bundle).succeeded().output == "/\n"


def test_last_of_two_values_counts(run: Run) -> None:
    assert [line for line in environment(run, env=[configs.PATH, "A=1", "A=2"]) if line.startswith("A=")] == ["A=2"]


def test_large_environment(run: Run) -> None:
    env = [configs.PATH, *(f"VARIABLE{number}={'x' * 1000}" for number in range(500))]
    assert sum(line.startswith("VARIABLE") for line in environment(run, env=env)) == 500


def test_many_arguments(run: Run) -> None:
    args = ["/bin/sh", "-c", "echo $#", "sh", *["argument"] * 2000]
    assert run(configs.default(*args)) == "2000\n"


def test_arguments_are_passed_as_they_are(run: Run) -> None:
    args = ["", " ", "two words", "new\nline", "$HOME", "*", "ünïcödé", "\\", "'\""]
    script = 'for a in "$@"; do printf "[%s]" "$a"; done'
    assert run(configs.default("/bin/sh", "-c", script, "sh", *args)) == "".join(f"[{each}]" for each in args)


def test_working_directory(run: Run) -> None:
    assert run(with_process("pwd", cwd="/usr")) == "/usr\n"


def test_missing_working_directory_is_made(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = with_process("pwd; stat -c %a .", cwd="/made/for/it")
    config["root"]["readonly"] = False
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs/made")
    assert runtime.run("test", bundle).succeeded().output == "/made/for/it\n755\n"


def test_working_directory_that_is_a_file(make_container: MakeContainer) -> None:
    make_container(with_process("pwd", cwd="/etc/passwd")).create().failed("not a directory")


def test_working_directory_that_only_the_user_may_enter(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(with_process("pwd", cwd="/home/alice", user={"uid": 1000, "gid": 1000}))
    home = os.path.join(bundle.rootfs, "home/alice")
    os.makedirs(home)
    os.chmod(home, 0o700)
    os.chown(home, 1000, 1000)
    assert runtime.run("test", bundle).succeeded().output == "/home/alice\n"


def test_user_and_groups(run: Run) -> None:
    user = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6, 7]}
    assert run(with_process("id -u; id -g; id -G", user=user)) == "1000\n1001\n1001 5 6 7\n"


def test_no_groups_of_the_host_are_left(run: Run) -> None:
    os_groups = os.getgroups()
    os.setgroups([42, 43])
    try:
        output = run(with_process("grep Groups /proc/$$/status"))
    finally:
        os.setgroups(os_groups)
    assert output.split() == ["Groups:"]


@pytest.mark.parametrize(("umask", "expected"), [(None, "0022"), (0, "0000"), (0o77, "0077"), (0o777, "0777")])
def test_umask(run: Run, umask: int | None, expected: str) -> None:
    user = {"uid": 0, "gid": 0} if umask is None else {"uid": 0, "gid": 0, "umask": umask}
    assert run(with_process("umask", user=user)) == f"{expected}\n"


def test_umask_of_the_caller_does_not_matter(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(with_process("umask; stat -c %a /dev /dev/null /dev/shm"))
    previous = os.umask(0o077)
    try:
        output = runtime.run("test", bundle).succeeded().output
    finally:
        os.umask(previous)
    assert output.split() == ["0022", "755", "666", "1777"]


@pytest.mark.parametrize("value", [-1000, -5, 0, 7, 1000])
def test_oom_score(run: Run, value: int) -> None:
    if value < 0 and "CAP_SYS_RESOURCE" not in process.own_capabilities():
        pytest.skip(f"lowering the score needs CAP_SYS_RESOURCE: {COVERED}")
    assert run(with_process("cat /proc/$$/oom_score_adj", oomScoreAdj=value)) == f"{value}\n"


def test_oom_score_is_inherited_without_one(run: Run) -> None:
    with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
        own = file.read()
        file.write("11")
    try:
        assert run(with_process("cat /proc/$$/oom_score_adj")) == "11\n"
    finally:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(own)


def test_resource_limits(run: Run) -> None:
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_CPU", "soft": 100, "hard": 200},
        {"type": "RLIMIT_NPROC", "soft": 50, "hard": 60},
        {"type": "RLIMIT_MSGQUEUE", "soft": 1000, "hard": 2000},
        {"type": "RLIMIT_FSIZE", "soft": 18446744073709551615, "hard": 18446744073709551615},
    ]
    output = run(with_process("cat /proc/$$/limits", rlimits=limits))
    table = {line[:25].strip(): line[25:].split()[:2] for line in output.splitlines()}
    assert table["Max open files"] == ["64", "128"]
    assert table["Max core file size"] == ["0", "0"]
    assert table["Max cpu time"] == ["100", "200"]
    assert table["Max processes"] == ["50", "60"]
    assert table["Max msgqueue size"] == ["1000", "2000"]
    assert table["Max file size"] == ["unlimited", "unlimited"]


@pytest.mark.pyrun_only("runc 1.1.5 sets the limits before it is done with descriptors of its own")
def test_limits_do_not_hinder_the_runtime_itself(run: Run) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3}, {"type": "RLIMIT_NPROC", "soft": 1, "hard": 1}]
    assert run(with_process("ulimit -n", rlimits=limits)) == "3\n"


def test_hostname_and_sysctl(run: Run) -> None:
    config = configs.shell("hostname; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")
    config["hostname"] = "a-name"
    config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4321"}
    assert run(config).split() == ["a-name", "1", "4321"]


@pytest.mark.pyrun_only("runc 1.1.5 does not know domainname")
def test_domain_name(run: Run) -> None:
    config = configs.default("/bin/cat", "/proc/sys/kernel/domainname")
    config["domainname"] = "example.org"
    assert run(config) == "example.org\n"


def test_sysctl_with_slashes(run: Run) -> None:
    config = configs.shell("cat /proc/sys/net/ipv4/conf/lo/forwarding")
    config["linux"]["sysctl"] = {"net/ipv4/conf/lo/forwarding": "1"}
    assert run(config) == "1\n"


@pytest.mark.parametrize(
    ("name", "removed"),
    [("kernel.hostname", ()), ("kernel.panic", ()), ("net.ipv4.ip_forward", ("network",)), ("kernel.msgmax", ("ipc",))],
)
def test_sysctl_of_the_host_is_refused(make_container: MakeContainer, name: str, removed: tuple[str, ...]) -> None:
    config = configs.without_namespace(configs.default(), *removed)
    if "ipc" in removed:
        configs.without_mounts(config, "/dev/mqueue")
    config["linux"]["sysctl"] = {name: "1"}
    make_container(config).create().failed(name)


def test_only_the_standard_descriptors_are_open(run: Run) -> None:
    assert run(configs.default("/bin/ls", "/proc/self/fd")).split() == STANDARD


def test_descriptors_of_the_caller_are_closed(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.default("/bin/ls", "/proc/self/fd"))
    bundle.seal()
    descriptors = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(5)]
    try:
        result = runtime.call("run", "-b", bundle.path, "test", pass_fds=descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert result.succeeded().output.split() == STANDARD


def test_signals_are_as_after_boot(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Neither what the interpreter ignores (SIGPIPE) nor what the caller blocks or ignores reaches the program."""
    bundle = make_bundle(configs.default("/bin/grep", "Sig[BI]", "/proc/self/status"))
    bundle.seal()
    script = "trap '' HUP USR1 PIPE; exec \"$@\""
    command = ["sh", "-c", script, "sh", *runtime.command("run", "-b", bundle.path, "test")]
    result = subprocess.run(command, env=runtime.environment, capture_output=True, text=True, check=True)
    blocked, ignored = (line.split()[1] for line in result.stdout.splitlines())
    assert (int(blocked, 16), int(ignored, 16)) == (0, 0)


def test_session_of_its_own(run: Run) -> None:
    assert run(configs.shell("cut -d' ' -f5,6 /proc/self/stat; cut -d' ' -f1,6 /proc/$$/stat")).split()[1:] == [
        "1",
        "1",
        "1",
    ]


@pytest.mark.parametrize("program", ["sh", "true", "busybox"])
def test_program_is_found_by_the_containers_path(run: Run, program: str) -> None:
    run(configs.default(program, *(["-c", "true"] if program == "sh" else [])))


def test_path_is_searched_in_order(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.default("program")
    config["process"]["env"] = ["PATH=/missing:/first:/second:/bin"]
    bundle = make_bundle(config)
    bundle.write("first/program", "#!/bin/sh\necho not executable\n", 0o644)
    bundle.write("second/program", "#!/bin/sh\necho second\n", 0o755)
    assert runtime.run("test", bundle).succeeded().output == "second\n"


def test_program_relative_to_the_working_directory(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.default("./program")
    config["process"]["cwd"] = "/opt"
    bundle = make_bundle(config)
    bundle.write("opt/program", "#!/bin/sh\necho ran\n", 0o755)
    assert runtime.run("test", bundle).succeeded().output == "ran\n"


def test_program_that_only_the_user_may_execute(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.default("/opt/program")
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    bundle = make_bundle(config)
    path = bundle.write("opt/program", "#!/bin/sh\necho ran\n", 0o700)
    os.chown(path, 1000, 1000)
    assert runtime.run("test", bundle).succeeded().output == "ran\n"


@pytest.mark.parametrize("new", [True, False])
def test_session_keyring(runtime: Runtime, make_bundle: MakeBundle, new: bool) -> None:
    if not os.path.exists("/proc/keys"):
        pytest.skip(f"this kernel has no keyrings: {COVERED}")
    config = configs.shell("cat /proc/keys")
    config["linux"]["maskedPaths"] = []
    # What earlier containers of the same name had may still be listed.
    name = f"keyring-{os.getpid()}-{new}"
    output = runtime.run(name, make_bundle(config), *([] if new else ["--no-new-keyring"])).succeeded().output
    assert (re.search(rf"_ses\.{name}(\.\w+)?:", output) is not None) is new
