# SPDX-License-Identifier: Apache-2.0
"""Hooks of all six kinds: when they run, where, and what they find there."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator

import pytest

from support import configs, process
from support.hooks import AT_CREATE, IN_RUNTIME, KINDS, Hook, Notes, hooks_of
from support.runtime import Container, MakeBundle, MakeContainer, Runtime
from support.waiting import wait_until

LIBRARY_SIGNALS = 3 << 31  # signals 32 and 33: glibc's posix_spawn ignores them
POSTSTART = pytest.mark.pyrun_only("runc 1.1.5 runs poststart hooks on create")


def sleeper(scratch: str, make_container: MakeContainer) -> tuple[Container, Notes]:
    """Returns a container whose program sleeps, and where its hooks take notes."""
    container = make_container(configs.default("/bin/sleep", "1000"))
    return container, Notes(scratch, container.bundle.config)


def live(container: Container, notes: Notes) -> None:
    """Takes a container through its whole life."""
    container.started()
    if container.bundle.config["hooks"].get("startContainer"):
        wait_until(lambda: is_executed(container), "the program is executed")
    container.stop()
    container.delete().succeeded()


def is_executed(container: Container) -> bool:
    """Tells whether the program runs: runc's start does not wait for that."""
    return os.readlink(f"/proc/{container.pid}/exe").endswith("busybox")


# When.


def test_order(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = hooks_of(notes, *AT_CREATE, "startContainer", "poststop")
    container.created()
    assert notes.order() == [*AT_CREATE]
    container.start().succeeded()
    notes.wait_for("startContainer")
    container.stop()
    assert notes.order() == [*AT_CREATE, "startContainer"]
    container.delete().succeeded()
    assert notes.order() == [*AT_CREATE, "startContainer", "poststop"]


@POSTSTART
def test_order_with_poststart(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = hooks_of(notes)
    container.created()
    assert "poststart" not in notes.order()
    container.start().succeeded()
    assert notes.order() == [*AT_CREATE, "startContainer", "poststart"]
    container.stop()
    container.delete().succeeded()
    assert notes.order() == [*KINDS]


def test_several_of_a_kind_follow_each_other(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = {
        kind: [notes.shell(kind, f"echo {kind}{number} >>order") for number in range(3)]
        for kind in (*AT_CREATE, "startContainer", "poststop")
    }
    live(container, notes)
    assert notes.order() == [
        f"{kind}{number}" for kind in (*AT_CREATE, "startContainer", "poststop") for number in range(3)
    ]


def test_of_a_run_in_the_foreground(scratch: str, runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.shell("echo program >>/tmp/order; cat /tmp/order"))
    notes = Notes(scratch, bundle.config)
    bundle.config["hooks"] = hooks_of(notes, *AT_CREATE, "startContainer", "poststop")
    expected = [*AT_CREATE, "startContainer", "program"]
    assert runtime.run("test", bundle).succeeded().output.split() == expected
    assert notes.order() == [*expected, "poststop"]


@POSTSTART
def test_poststart_runs_when_the_program_does(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    script = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/exe >program"
    container.bundle.config["hooks"]["poststart"] = [notes.shell("poststart", script)]
    container.started()
    assert notes.read("program").strip().endswith("/bin/busybox")


@POSTSTART
def test_poststart_of_a_program_that_has_ended(scratch: str, runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(configs.default("/bin/true"))
    notes = Notes(scratch, bundle.config)
    bundle.config["hooks"]["poststart"] = [notes.shell("poststart", "sleep 0.3; echo poststart >>order")]
    runtime.run("test", bundle).succeeded()
    assert notes.order() == ["poststart"]


def test_delete_of_a_container_that_was_not_started(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = hooks_of(notes, "startContainer", "poststop")
    container.created()
    container.delete("--force").succeeded()
    assert notes.order() == ["poststop"]


def test_later_changes_of_the_bundle_do_not_count(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = hooks_of(notes, "poststop")
    container.bundle.may_change.add("config.json")
    container.started()
    with open(os.path.join(container.bundle.path, "config.json"), "w", encoding="ascii") as file:
        file.write("{}")
    container.stop()
    container.delete().succeeded()
    assert notes.order() == ["poststop"]


def test_poststop_when_the_bundle_is_gone(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = hooks_of(notes, "poststop")
    container.bundle.may_change.add("")
    container.started()
    container.stop()
    os.rename(container.bundle.path, container.bundle.path + ".away")
    container.delete().succeeded()
    os.rename(container.bundle.path + ".away", container.bundle.path)
    assert notes.order() == ["poststop"]


@pytest.mark.parametrize("hooks", [{}, {"prestart": []}, {"poststop": [], "createContainer": []}])
def test_no_hooks(make_container: MakeContainer, hooks: dict[str, list[object]]) -> None:
    config = configs.default("/bin/true")
    config["hooks"] = hooks
    container = make_container(config).started()
    container.wait_for_end()
    container.delete().succeeded()


# The state.


def test_state_of_each(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["annotations"] = {"org.example.key": 'a "value"', "org.example.other": ""}
    container.bundle.config["hooks"] = hooks_of(notes)
    container.started()
    version, pid = container.state()["ociVersion"], container.pid
    notes.wait_for("startContainer")
    container.stop()
    container.delete().succeeded()
    expected = {
        "ociVersion": version,
        "id": container.id,
        "status": "creating",
        "pid": pid,
        "bundle": container.bundle.path,
        "annotations": container.bundle.config["annotations"],
    }
    for kind in ("prestart", "createRuntime"):
        assert list(notes.state(kind).items()) == list(expected.items())
    assert notes.state("createContainer") == {**expected, "pid": 1}
    assert notes.state("startContainer") == {**expected, "status": "created", "pid": 1}
    assert {**notes.state("poststart"), "status": ""} == {**expected, "status": ""}
    del expected["pid"]
    assert notes.state("poststop") == {**expected, "status": "stopped"}


@POSTSTART
def test_status_for_poststart(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = hooks_of(notes, "poststart")
    container.started()
    assert notes.state("poststart")["status"] == "running"


def test_state_is_one_line_for_simple_readers(scratch: str, make_container: MakeContainer) -> None:
    """Scripts take the pid out of it by a regular expression, and read(1) takes one line."""
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = hooks_of(notes)
    live(container, notes)
    for kind in KINDS:
        text = notes.read(f"{kind}.state")
        assert "\n" not in text
        assert text == json.dumps(json.loads(text), separators=(",", ":"))
        assert "annotations" not in text


def test_pid_is_the_containers_in_its_pid_namespace(scratch: str, make_container: MakeContainer) -> None:
    """In the runtime's namespaces and in the container's; here they are the same."""
    container, notes = sleeper(scratch, make_container)
    configs.without_namespace(container.bundle.config, "pid")
    container.bundle.config["hooks"] = hooks_of(notes, "prestart", "createContainer", "startContainer")
    container.started()
    notes.wait_for("startContainer")
    assert {notes.state(kind)["pid"] for kind in ("prestart", "createContainer", "startContainer")} == {container.pid}


@pytest.mark.pyrun_only("runc 1.1.5 does not know a container that is being created")
def test_runtime_answers_a_hook(scratch: str, runtime: Runtime, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    command = " ".join(runtime.command("state", container.id))
    container.bundle.config["hooks"]["createRuntime"] = [notes.shell("createRuntime", f"{command} >answer")]
    container.created()
    answer = json.loads(notes.read("answer"))
    assert (answer["id"], answer["status"], answer["pid"]) == (container.id, "creating", container.pid)


# Where.


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_namespaces_of_each(scratch: str, make_container: MakeContainer, user_namespace: bool) -> None:
    container, notes = sleeper(scratch, make_container)
    if user_namespace:
        configs.with_user_namespace(container.bundle.config)
        for directory, _, _ in os.walk(container.bundle.rootfs):
            os.chown(directory, 100000, 100000)
    kinds = [kind for kind in KINDS if kind != "poststop"]
    script = "for n in /proc/self/ns/*; do echo ${{n##*/}} $(readlink $n); done >{}.namespaces; echo {} >>order"
    container.bundle.config["hooks"] = {kind: [notes.shell(kind, script.format(kind, kind))] for kind in KINDS}
    container.started()
    notes.wait_for("startContainer")
    names = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
    inside = {name: os.readlink(f"/proc/{container.pid}/ns/{name}") for name in names}
    own = {name: os.readlink(f"/proc/thread-self/ns/{name}") for name in names}
    for kind in kinds:
        found = dict(line.split() for line in notes.read(f"{kind}.namespaces").splitlines())
        expected = inside if kind.endswith("Container") else own
        assert {name: found[name] for name in names} == expected, kind
    container.stop()
    container.delete().succeeded()
    found = dict(line.split() for line in notes.read("poststop.namespaces").splitlines())
    assert {name: found[name] for name in names} == own


def test_create_hooks_find_the_mounts(scratch: str, make_container: MakeContainer) -> None:
    """As those of NVIDIA do: they enter the mount namespace of the pid, and look at the root filesystem there."""
    container, notes = sleeper(scratch, make_container)
    rootfs = container.bundle.rootfs
    enter = "nsenter -t $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/') -m"
    container.bundle.config["hooks"] = {
        "prestart": [notes.shell("prestart", f"{enter} cat /proc/self/mountinfo >entered")],
        "createContainer": [notes.shell("createContainer", "cat /proc/self/mountinfo >inside")],
        "createRuntime": [notes.shell("createRuntime", "cat /proc/self/mountinfo >outside")],
    }
    container.created()
    for name in ("entered", "inside"):
        points = [line.split()[4] for line in notes.read(name).splitlines()]
        expected = [rootfs + mount["destination"] for mount in container.bundle.config["mounts"]]
        assert set(expected) <= set(points), name
        assert "/" in points
    assert rootfs not in notes.read("outside")


def test_joined_pid_namespace(scratch: str, make_container: MakeContainer) -> None:
    """The pid is good for the other namespaces from the first hook on, though pyrun enters this one late."""
    other = make_container(configs.default("/bin/sleep", "1000")).started()
    container, notes = sleeper(scratch, make_container)
    configs.with_namespace(container.bundle.config, "pid", f"/proc/{other.pid}/ns/pid")
    outside = "readlink /proc/$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')/ns/mnt >prestart.mnt"
    container.bundle.config["hooks"] = {
        **hooks_of(notes),
        "prestart": [notes.shell("prestart", outside)],
        "startContainer": [
            notes.tell("startContainer"),
            notes.shell("startContainer", "readlink /proc/self/ns/pid >inside"),
        ],
    }
    container.started()
    notes.wait_for("startContainer")
    assert notes.read("prestart.mnt").strip() == process.namespace(container.pid, "mount")
    assert notes.read("inside").strip() == process.namespace(other.pid, "pid")
    assert notes.state("startContainer")["pid"] == int(process.status(container.pid)["NSpid"].split()[-1])
    container.stop()
    container.delete().succeeded()
    assert "createContainer" in notes.order() and notes.order()[-1] == "poststop"


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_prestart_hook_changes_the_network(
    scratch: str, runtime: Runtime, make_bundle: MakeBundle, user_namespace: bool
) -> None:
    """As Docker's does, which finds the network namespace by the pid."""
    bundle = make_bundle(configs.shell("cat /proc/sys/net/ipv4/ip_default_ttl"))
    notes = Notes(scratch, bundle.config)
    if user_namespace:
        configs.with_user_namespace(bundle.config)
    script = "nsenter -t $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/') -n sh -c 'echo 77 >/proc/sys/net/ipv4/ip_default_ttl'"
    bundle.config["hooks"]["prestart"] = [notes.shell("prestart", script)]
    assert runtime.run("test", bundle).succeeded().output == "77\n"


def test_hooks_change_the_container(scratch: str, runtime: Runtime, make_bundle: MakeBundle) -> None:
    """A file in the root filesystem from outside, a mount from inside, and a file in that by the image's program."""
    bundle = make_bundle(configs.shell("cat /var/greeting /etc/added; grep -c ' /var ' /proc/self/mountinfo"))
    notes = Notes(scratch, bundle.config)
    bundle.may_change |= {"rootfs/etc", "rootfs/etc/added"}
    bundle.write("bin/greet", "#!/bin/sh\necho hello >/var/greeting\n", 0o755)
    bundle.config["hooks"] = {
        "createRuntime": [notes.shell("createRuntime", f"echo added >{bundle.rootfs}/etc/added")],
        "createContainer": [notes.shell("createContainer", f"mount -n -t tmpfs none {bundle.rootfs}/var")],
        "startContainer": [{"path": "/bin/greet"}],
    }
    assert runtime.run("test", bundle).succeeded().output.split() == ["hello", "added", "1"]


@pytest.mark.pyrun_only("runc 1.1.5 needs /proc in the image")
def test_without_a_mount_namespace(scratch: str, runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.without_namespace(configs.default("/bin/true"), "mount")
    for name in ("maskedPaths", "readonlyPaths"):
        config["linux"][name] = []
    bundle = make_bundle(config)
    notes = Notes(scratch, bundle.config)
    config["mounts"] = []
    config["root"]["readonly"] = False
    config["hooks"] = hooks_of(notes, *AT_CREATE, "poststop")
    bundle.may_change.add("rootfs/dev")
    runtime.run("test", bundle).succeeded()
    assert notes.order() == [*AT_CREATE, "poststop"]


# What they find.


@pytest.mark.parametrize("kind", AT_CREATE)
def test_arguments(scratch: str, make_container: MakeContainer, kind: str) -> None:
    """The first word need not be the program's name."""
    container, notes = sleeper(scratch, make_container)
    words = ["another name", "/proc/self/cmdline", f"{notes.path}/words"]
    container.bundle.config["hooks"][kind] = [{"path": "/bin/cp", "args": words}]
    container.created()
    assert notes.read("words").split("\0") == [*words, ""]


@pytest.mark.parametrize("kind", [*AT_CREATE, "startContainer"])
def test_arguments_that_are_empty_or_have_spaces(scratch: str, make_container: MakeContainer, kind: str) -> None:
    container, notes = sleeper(scratch, make_container)
    script = f'printf "<%s>" "$0" "$@" >{notes.place(kind)}/words'
    container.bundle.config["hooks"][kind] = [
        {"path": "/bin/sh", "args": ["sh", "-c", script, "", "one two", "", "$0"]}
    ]
    live(container, notes)
    assert notes.read("words") == "<><one two><><$0>"


@pytest.mark.parametrize("kind", ["prestart", "createContainer"])
def test_first_argument_that_is_empty(scratch: str, make_container: MakeContainer, kind: str) -> None:
    container, notes = sleeper(scratch, make_container)
    words = ["", "/proc/self/environ", f"{notes.path}/copied"]
    container.bundle.config["hooks"][kind] = [{"path": "/bin/cp", "args": words}]
    container.created()
    assert notes.exists("copied")


@pytest.mark.parametrize("args", [None, []], ids=["left out", "empty"])
@pytest.mark.parametrize("kind", ["prestart", "createContainer", "startContainer"])
def test_no_arguments(scratch: str, make_container: MakeContainer, kind: str, args: list[str] | None) -> None:
    """The path is the first word then."""
    container, notes = sleeper(scratch, make_container)
    text = f'#!/bin/sh\necho "$0" $# >{notes.place(kind)}/words\n'
    path = container.bundle.write("bin/hook", text, 0o755)
    hook: dict[str, object] = {"path": path if kind != "startContainer" else "/bin/hook"}
    if args is not None:
        hook["args"] = args
    container.bundle.config["hooks"][kind] = [hook]
    container.started()
    assert notes.read("words") == f"{hook['path']} 0\n"


def variables(notes: Notes, kind: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in notes.read(f"{kind}.environ").split("\0") if entry)


def tell_environment(notes: Notes, **properties: object) -> dict[str, list[Hook]]:
    """Returns a hook of each kind that writes down its environment."""
    return {kind: [notes.copy(kind, "/proc/self/environ", f"{kind}.environ", **properties)] for kind in KINDS}


@pytest.mark.parametrize("entries", [["B=2=2", "A=", "C=ä"], []], ids=["some", "none"])
def test_environment_that_is_given(scratch: str, make_container: MakeContainer, entries: list[str]) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = tell_environment(notes, env=entries)
    live(container, notes)
    for kind in KINDS:
        assert variables(notes, kind) == dict(entry.split("=", 1) for entry in entries), kind


def test_environment_that_is_left_out(scratch: str, runtime: Runtime, make_container: MakeContainer) -> None:
    """In the runtime's namespaces that of the runtime's caller; for a program of the image that of the process.

    A program of the host that the init runs gets nothing of the image's (CVE-2025-23266; runc 1.1.5 gives it all).
    """
    container, notes = sleeper(scratch, make_container)
    del runtime.environment["LANG"]
    runtime.environment["OF_THE_CALLER"] = "yes"
    container.bundle.config["process"]["env"] = [configs.PATH, "TWICE=1", "TWICE=2", "OF_THE_PROCESS=yes"]
    container.bundle.config["hooks"] = tell_environment(notes)
    live(container, notes)
    of_process = {"PATH": configs.PATH.removeprefix("PATH="), "TWICE": "2", "OF_THE_PROCESS": "yes"}
    assert variables(notes, "startContainer") == {**of_process, "HOME": "/root"}
    assert variables(notes, "createContainer") == (of_process if runtime.name == "runc" else {})
    for kind in IN_RUNTIME:
        assert variables(notes, kind) == runtime.environment, kind


def working_directory(scratch: str, make_container: MakeContainer, kind: str) -> tuple[str, Container]:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["process"]["cwd"] = "/usr"
    script = f"pwd >{notes.place(kind)}/directory"
    container.bundle.config["hooks"][kind] = [{"path": "/bin/sh", "args": ["sh", "-c", script]}]
    live(container, notes)
    return notes.read("directory").strip(), container


@pytest.mark.parametrize("kind", [*AT_CREATE, "poststart"])
def test_working_directory(scratch: str, make_container: MakeContainer, kind: str) -> None:
    found, container = working_directory(scratch, make_container, kind)
    assert found == (container.bundle.rootfs if kind == "createContainer" else container.bundle.path)


def test_working_directory_of_start_container(scratch: str, make_container: MakeContainer) -> None:
    assert working_directory(scratch, make_container, "startContainer")[0] == "/usr"


@pytest.mark.pyrun_only("runc runs poststop where delete was called, or in the bundle when it is called by run")
def test_working_directory_of_poststop(scratch: str, make_container: MakeContainer) -> None:
    found, container = working_directory(scratch, make_container, "poststop")
    assert found == container.bundle.path


def test_credentials(scratch: str, make_container: MakeContainer) -> None:
    """Those of the runtime; but a program of the image gets no more than the container's own."""
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7], "umask": 0o27}
    container.bundle.config["hooks"] = {
        kind: [
            notes.copy(kind, "/proc/self/status", f"{kind}.status"),
            notes.copy(kind, "/proc/self/limits", f"{kind}.limits"),
        ]
        for kind in KINDS
    }
    live(container, notes)
    for kind in KINDS:
        found = dict(line.split(":\t", 1) for line in notes.read(f"{kind}.status").splitlines() if ":\t" in line)
        descended = kind == "startContainer"
        assert found["Uid"].split() == ["1000" if descended else "0"] * 4, kind
        assert found["Gid"].split() == ["1001" if descended else "0"] * 4, kind
        assert found["NoNewPrivs"] == ("1" if descended else "0"), kind
        assert found["Umask"] == ("0027" if descended else process.status("self")["Umask"]), kind
        assert process.capability_names(found["CapEff"]) == ([] if descended else process.own_capabilities()), kind
        assert found["SigBlk"] == "0" * 16, kind
        assert int(found["SigIgn"], 16) & ~LIBRARY_SIGNALS == 0, kind
        (files,) = (
            line.split()[3] for line in notes.read(f"{kind}.limits").splitlines() if line.startswith("Max open")
        )
        assert (files == "1024") == descended, kind


def test_capabilities_of_start_container(scratch: str, make_container: MakeContainer) -> None:
    """Of root those of the bounding set, as the program has them; not that which loading a filter takes."""
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["process"]["noNewPrivileges"] = False
    container.bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    hook = notes.copy("startContainer", "/proc/self/status", "status")
    container.bundle.config["hooks"]["startContainer"] = [hook]
    live(container, notes)
    found = dict(line.split(":\t", 1) for line in notes.read("status").splitlines() if ":\t" in line)
    expected = container.bundle.config["process"]["capabilities"]["bounding"]
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert sorted(process.capability_names(found[name])) == sorted(expected)


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_start_container_hooks_are_filtered_as_the_program(
    scratch: str, make_container: MakeContainer, no_new_privileges: bool
) -> None:
    """What stands at the path is the image's, and may leave a daemon behind."""
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    }
    container.bundle.config["process"]["noNewPrivileges"] = no_new_privileges
    script = "mkdir made || grep Seccomp: /proc/self/status >refused"
    container.bundle.config["hooks"]["startContainer"] = [notes.shell("startContainer", script)]
    container.started()
    assert not notes.exists("made")
    assert notes.read("refused").split() == ["Seccomp:", "2"]
    assert process.status(container.pid)["Seccomp"] == "2"


def test_output_goes_nowhere(scratch: str, make_container: MakeContainer) -> None:
    """Neither to the caller nor to the container."""
    container, notes = sleeper(scratch, make_container)
    script = "echo words; echo more words >&2; echo {} >>order"
    container.bundle.config["hooks"] = {kind: [notes.shell(kind, script.format(kind))] for kind in KINDS}
    container.created()
    started = container.start().succeeded()
    notes.wait_for("startContainer")
    container.stop()
    deleted = container.delete().succeeded()
    assert sorted(notes.order()) == sorted(KINDS)
    for result in (started, deleted):
        assert (result.output, result.errors) == ("", "")
    assert (container.output, container.errors) == ("", "")


@pytest.mark.pyrun_only("runc 1.1.5 leaves descriptors of its own open in createContainer hooks")
def test_descriptors(scratch: str, runtime: Runtime, make_container: MakeContainer, extra_descriptor: int) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = {kind: [notes.shell(kind, f"ls -l /proc/self/fd >{kind}.fd")] for kind in KINDS}
    container.bundle.seal()
    for verb in (["create", "--bundle", container.bundle.path], ["start"], ["delete", "--force"]):
        runtime.call(*verb, container.id, pass_fds=[extra_descriptor]).succeeded()
    for kind in KINDS:
        lines = [line.partition(" -> ") for line in notes.read(f"{kind}.fd").splitlines()]
        found = {number.split()[-1]: target for number, _, target in lines if target}
        # The third is the directory that ls itself has opened; busybox cannot say any more what it was.
        assert set(found) - {"3"} == {"0", "1", "2"}, kind
        assert found.get("3", "/proc/").startswith("/proc/"), kind


@pytest.fixture
def extra_descriptor(scratch: str) -> Iterator[int]:
    """A descriptor that a careless caller leaves open for pyrun."""
    descriptor = os.open(scratch, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_standard_input_is_at_its_end_after_the_state(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    script = "cat >{0}.first; cat >{0}.second"
    container.bundle.config["hooks"] = {kind: [notes.shell(kind, script.format(kind))] for kind in KINDS}
    live(container, notes)
    for kind in KINDS:
        assert json.loads(notes.read(f"{kind}.first"))["id"] == container.id, kind
        assert notes.read(f"{kind}.second") == "", kind


def test_timeout_that_is_long_enough(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = {kind: [notes.tell(kind, timeout=30)] for kind in KINDS}
    live(container, notes)
    assert sorted(notes.order()) == sorted(KINDS)


@pytest.mark.pyrun_only("runc counts in nanoseconds, of which 64 bits hold 292 years")
def test_timeout_of_more_than_a_lifetime(scratch: str, make_container: MakeContainer) -> None:
    container, notes = sleeper(scratch, make_container)
    container.bundle.config["hooks"] = {
        kind: [notes.tell(kind, timeout=seconds) for seconds in (2**31, 2**63 - 1)] for kind in KINDS
    }
    live(container, notes)
    assert sorted(set(notes.order())) == sorted(KINDS)


def test_hook_is_an_ordinary_process(scratch: str, make_container: MakeContainer) -> None:
    """pyrun-init hides itself from tracers; that must not be inherited by what it executes."""
    container, notes = sleeper(scratch, make_container)
    script = "sleep 1000 >/dev/null 2>&1 & echo $! >pid; stat -c %u /proc/self/environ >owner"
    configs.without_namespace(container.bundle.config, "pid")
    container.bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    container.bundle.config["hooks"]["startContainer"] = [notes.shell("startContainer", script)]
    container.started()
    pid = int(notes.read("pid"))
    status = os.stat(f"/proc/{pid}/environ")
    os.kill(pid, signal.SIGKILL)
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (1000, 0o400)
    container.delete("--force").succeeded()
