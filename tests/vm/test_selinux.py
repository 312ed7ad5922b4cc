# SPDX-License-Identifier: Apache-2.0
"""process.selinuxLabel and linux.mountLabel with a real, tiny policy (policy.cil)."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from support import attributes, configs, kernel
from support.configs import Config
from support.runtime import Container, MakeBundle, MakeContainer, Run, Runtime
from support.world import World

pytestmark = pytest.mark.machine("selinux")

POLICY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "policy.cil")
SELINUX = "/sys/fs/selinux"
HOST, LABEL = "system_u:system_r:host_t:s0", "system_u:system_r:box_t:s0:c1,c2"
UNKNOWN = "system_u:system_r:nobody_t:s0"
FILES = "system_u:object_r:box_file_t:s0:c1,c2"
ATTRIBUTE = "/proc/self/attr/current"


@pytest.fixture(scope="module", autouse=True)
def _policy(_virtual_machine: None, tmp_path_factory: pytest.TempPathFactory, world: World) -> None:
    with world.entered():
        kernel.mount("selinuxfs", SELINUX, "selinuxfs")
        _load_policy(str(tmp_path_factory.mktemp("policy")))


def _load_policy(directory: str) -> None:
    """Enforces the policy; there is no way back, and none is needed for what runs as host_t."""
    with open(f"{SELINUX}/policyvers", encoding="ascii") as file:
        version = min(int(file.read()), 33)  # what Debian 12's secilc writes at most
    policy = os.path.join(directory, "policy")
    subprocess.run(["secilc", "-c", str(version), "-o", policy, "-f", os.devnull, POLICY], check=True)
    with open(policy, "rb") as source, open(f"{SELINUX}/load", "wb", buffering=0) as target:
        target.write(source.read())
    with open(f"{SELINUX}/enforce", "w", encoding="ascii") as file:
        file.write("1")


def labelled(config: Config, label: str = LABEL) -> Config:
    config["process"]["selinuxLabel"] = label
    return config


def label_of(pid: int) -> str:
    with open(f"/proc/{pid}/attr/current", encoding="ascii") as file:
        return file.read().rstrip("\n\0")


def shown(output: str) -> str:
    return output.rstrip("\n\0")


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_label(run: Run, user_namespace: bool) -> None:
    config = labelled(configs.default("/bin/cat", ATTRIBUTE))
    if user_namespace:
        configs.with_user_namespace(config)
    assert shown(run(config)) == LABEL


def test_no_label(run: Run) -> None:
    assert shown(run(configs.default("/bin/cat", ATTRIBUTE))) == HOST


def test_label_is_enforced(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Of containers of one image the one with the label may not make a file, but where that has a label for it."""
    script = "echo x >/tmp/file || echo refused"
    unlabelled, refused, allowed = (
        configs.shell(script),
        labelled(configs.shell(script)),
        labelled(configs.shell(script)),
    )
    allowed["linux"]["mountLabel"] = FILES
    for config, expected in ((unlabelled, ""), (refused, "refused\n"), (allowed, "")):
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        assert runtime.run("test", make_bundle(config)).succeeded().output == expected


def test_label_that_the_policy_does_not_have(runtime: Runtime, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(labelled(configs.default(), UNKNOWN))
    bundle.may_change.add("rootfs/dev")
    line = runtime.run("test", bundle).failed("invalid argument")
    if runtime.name == "pyrun":
        assert f'/process/selinuxLabel: set the label "{UNKNOWN}"' in line


def test_hooks(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    """A hook with a path of the runtime's side has the runtime's label."""
    config = labelled(configs.default("/bin/cat", ATTRIBUTE))
    words = ["sh", "-c", f"cat {ATTRIBUTE} >{scratch}/createContainer"]
    config["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": words, "env": [configs.PATH]}]}
    assert shown(runtime.run("test", make_bundle(config)).succeeded().output) == LABEL
    with open(os.path.join(scratch, "createContainer"), encoding="ascii") as file:
        assert shown(file.read()) == HOST


def keyring_of(output: str) -> str:
    return ":".join(shown(line.partition(": ")[2]) for line in output.splitlines() if line.startswith("keyring:"))


def test_keyring(runtime: Runtime, make_container: MakeContainer, scratch: str) -> None:
    """The session keyring is the program's, and so is its label; it may use it."""
    program = attributes.compile_program(scratch)
    container = make_container(labelled(configs.shell(f"/{attributes.PATH}; exec sleep 1000")))
    attributes.install(program, container.bundle)
    container.started()
    container.wait_for_output("umask")
    assert keyring_of(container.output) == LABEL
    assert keyring_of(container.exec(f"/{attributes.PATH}").succeeded().output) == LABEL


@pytest.mark.pyrun_only("runc 1.1.5 writes the label to the image's files")
def test_image_with_files_at_proc(make_container: MakeContainer) -> None:
    """CVE-2019-16884: the label goes to the kernel, whatever stands at /proc, and the files stay as they are."""
    config = labelled(configs.default("/bin/sleep", "1000"))
    config["linux"]["maskedPaths"] = config["linux"]["readonlyPaths"] = []
    container = make_container(configs.without_mounts(config, "/proc"))
    for process in ("self", "thread-self"):
        container.bundle.write(f"proc/{process}/attr/exec", "decoy\n", 0o666)
    container.started()
    assert label_of(container.pid) == LABEL


@pytest.fixture
def labelled_sleeper(make_container: MakeContainer) -> Container:
    """A running container with a label whose program sleeps."""
    return make_container(labelled(configs.default("/bin/sleep", "1000"))).started()


def test_exec(labelled_sleeper: Container) -> None:
    """The container's label, or that of the option."""
    assert shown(labelled_sleeper.exec("cat", ATTRIBUTE).succeeded().output) == LABEL
    options = ["--process-label", HOST]
    assert shown(labelled_sleeper.exec("cat", ATTRIBUTE, options=options).succeeded().output) == HOST
    unknown = ["--process-label", UNKNOWN]
    labelled_sleeper.exec("true", options=unknown).failed("invalid argument", status=255)


def with_mount_label(*mounts: dict[str, Any], user_namespace: bool = False) -> Config:
    config = configs.default("/bin/sleep", "1000")
    config["mounts"] += mounts
    config["linux"]["mountLabel"] = FILES
    return configs.with_user_namespace(config) if user_namespace else config


def label_of_file(path: str) -> str:
    return os.getxattr(path, "security.selinux", follow_symlinks=False).rstrip(b"\0").decode()


def labels(container: Container, *paths: str) -> dict[str, str]:
    """Returns what the labels of these files of the container are."""
    return {path: label_of_file(f"/proc/{container.pid}/root{path}") for path in paths}


def parameters_of(container: Container, destination: str) -> list[str]:
    """Returns the file system's parameters that the last line for this mount in mountinfo shows."""
    with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
        lines = [line.split() for line in file if line.split()[4] == destination]
    return lines[-1][-1].replace(FILES, FILES.replace(",", ";")).split(",")


SHOWN = 'context="' + FILES.replace(",", ";") + '"'
TMPFS: dict[str, Any] = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_label_of_mounts(make_container: MakeContainer, user_namespace: bool) -> None:
    """All files of new file systems have it: the runtime's devices, and what programs make."""
    ramfs = {"destination": "/usr", "type": "ramfs", "source": "ramfs"}
    container = make_container(with_mount_label(TMPFS, ramfs, user_namespace=user_namespace)).started()
    container.exec("touch", "/tmp/made", "/dev/shm/made", "/usr/made").succeeded()
    made = ("/tmp", "/tmp/made", "/usr/made", "/dev", "/dev/pts", "/dev/pts/ptmx", "/dev/shm/made", "/dev/mqueue")
    devices = () if user_namespace else ("/dev/null",)
    assert set(labels(container, *made, *devices).values()) == {FILES}
    for destination in ("/tmp", "/usr", "/dev", "/dev/pts", "/dev/shm"):
        assert SHOWN in parameters_of(container, destination)
    assert "seclabel" in parameters_of(container, "/dev/mqueue")


def test_mount_label_is_not_for_the_rest(make_container: MakeContainer, scratch: str) -> None:
    """Not for the image and binds, whose files are others' too, nor for what the kernel labels itself."""
    paths = ("/", "/bin/busybox", "/tmp", "/proc", "/proc/1/status", "/sys", "/sys/fs/cgroup")
    bind = configs.bind(scratch, "/tmp")
    found = labels(make_container(with_mount_label(bind)).started(), *paths)
    plain = configs.default("/bin/sleep", "1000")
    plain["mounts"].append(bind)
    assert found == labels(make_container(plain).started(), *paths)
    assert found["/tmp"] == label_of_file(scratch) and FILES not in found.values()


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_mount_label_of_masked_paths(make_container: MakeContainer, user_namespace: bool) -> None:
    config = with_mount_label(user_namespace=user_namespace)
    config["linux"]["maskedPaths"] = ["/sys/firmware", "/proc/fs", "/usr"]
    container = make_container(config).started()
    assert set(labels(container, "/sys/firmware", "/proc/fs", "/usr").values()) == {FILES}
    assert SHOWN in parameters_of(container, "/proc/fs")


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_mount_label_of_an_overlay(make_container: MakeContainer, scratch: str, user_namespace: bool) -> None:
    """The overlay's files have it, and its layers keep what they have."""
    options = []
    for layer in ("lower", "upper", "work"):
        os.mkdir(os.path.join(scratch, layer))
        os.chmod(os.path.join(scratch, layer), 0o777)
        options.append(f"{layer}dir={scratch}/{layer}")
    with open(os.path.join(scratch, "lower", "file"), "w", encoding="ascii"):
        before = label_of_file(os.path.join(scratch, "lower", "file"))
    overlay = {"destination": "/tmp", "type": "overlay", "source": "overlay", "options": options}
    container = make_container(with_mount_label(overlay, user_namespace=user_namespace)).started()
    container.exec("touch", "/tmp/made").succeeded()
    assert set(labels(container, "/tmp", "/tmp/file", "/tmp/made").values()) == {FILES}
    assert label_of_file(os.path.join(scratch, "lower", "file")) == before != FILES


@pytest.mark.parametrize("options", [["silent"], ["tmpcopyup"], ["ro"], ["silent", "ro"]], ids=" ".join)
def test_mount_label_with_options(make_container: MakeContainer, options: list[str]) -> None:
    """Whichever way the kernel is asked for the file system; mount(2) takes the commas of a label in quotes only."""
    container = make_container(with_mount_label({**TMPFS, "destination": "/etc", "options": options}))
    container.started()
    assert set(labels(container, "/etc").values()) == {FILES}
    assert SHOWN in parameters_of(container, "/etc")
    if "tmpcopyup" in options:
        assert set(labels(container, "/etc/passwd").values()) == {FILES}


OTHER_FILES = "system_u:object_r:box_file_t:s0:c3"
OWN = {
    "/tmp": ([f'context="{FILES}"'], FILES),
    "/etc": ([f"context={OTHER_FILES}"], OTHER_FILES),
    "/usr": ([f'context="{OTHER_FILES}"', "silent"], OTHER_FILES),
}


def with_own_labels() -> Config:
    config = configs.default("/bin/sleep", "1000")
    config["mounts"] += [{**TMPFS, "destination": path, "options": options} for path, (options, _) in OWN.items()]
    return config


def test_label_of_one_mount(make_container: MakeContainer) -> None:
    """In quotes, as mount(2) takes it, or without."""
    container = make_container(with_own_labels()).started()
    assert labels(container, *OWN) == {path: label for path, (_, label) in OWN.items()}


@pytest.mark.pyrun_only("runc 1.1.5 gives the kernel both")
def test_label_of_one_mount_counts_more(make_container: MakeContainer) -> None:
    config = with_own_labels()
    config["linux"]["mountLabel"] = "system_u:object_r:box_file_t:s0"
    container = make_container(config).started()
    assert labels(container, *OWN) == {path: label for path, (_, label) in OWN.items()}


def test_mount_label_stays_when_the_file_system_is_changed(make_container: MakeContainer) -> None:
    again = {"destination": "/tmp", "type": "none", "options": ["remount", "size=64k"]}
    container = make_container(with_mount_label(TMPFS, again)).started()
    assert {"size=64k", SHOWN} <= set(parameters_of(container, "/tmp"))


@pytest.mark.parametrize("label", [UNKNOWN, "system_u:object_r:box_file_t:s0:c9", "no label"])
def test_mount_label_that_the_policy_does_not_have(runtime: Runtime, make_bundle: MakeBundle, label: str) -> None:
    config = configs.default()
    config["linux"]["mountLabel"] = label
    bundle = make_bundle(config)
    if runtime.name == "runc":
        bundle.may_change.add("rootfs/dev")
        runtime.run("test", bundle).failed("invalid argument")
    else:
        words = f'/linux/mountLabel: the SELinux policy of this host does not allow the label "{label}"'
        runtime.run("test", bundle).failed(words)
