# SPDX-License-Identifier: Apache-2.0
"""process.apparmorProfile with a real profile: under which one a program runs, and what an image can do about it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from support import configs
from support.configs import Config
from support.execs import end_others
from support.runtime import MakeBundle, MakeContainer, Run, Runtime

PROFILE = "pyrun-test"
RULES = f"""profile {PROFILE} flags=(attach_disconnected,mediate_deleted) {{
  file, capability, signal, unix, network, mount, umount, pivot_root, ptrace,
  deny /denied/** w,
}}
"""
ATTRIBUTE = "/proc/self/attr/current"
CONFINED = f"{PROFILE} (enforce)\n"


@pytest.fixture(scope="module", autouse=True)
def _profile() -> Iterator[None]:
    if not os.path.exists("/sys/kernel/security/apparmor/.load"):
        pytest.skip("needs a kernel that is started with AppArmor, as the virtual machine's is by default")
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=RULES, text=True, check=True)
    yield
    subprocess.run(["apparmor_parser", "--remove"], input=RULES, text=True, check=True)


def confined(config: Config, profile: str = PROFILE) -> Config:
    config["process"]["apparmorProfile"] = profile
    return config


def label_of(pid: int) -> str:
    with open(f"/proc/{pid}/attr/current", encoding="ascii") as file:
        return file.read()


def says_what_it_is() -> Config:
    return confined(configs.default("/bin/cat", ATTRIBUTE))


@pytest.mark.parametrize("no_new_privileges", [False, True])
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_profile(run: Run, user_namespace: bool, no_new_privileges: bool) -> None:
    config = says_what_it_is()
    config["process"]["noNewPrivileges"] = no_new_privileges
    if user_namespace:
        configs.with_user_namespace(config)
    assert run(config) == CONFINED


@pytest.mark.pyrun_only("runc 1.1.5 needs procfs in the image")
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_profile_without_a_mount_namespace(make_container: MakeContainer, user_namespace: bool) -> None:
    config = configs.without_namespace(confined(configs.default("/bin/sleep", "1000")), "mount")
    config["mounts"], config["linux"]["maskedPaths"], config["linux"]["readonlyPaths"] = [], [], []
    config["root"]["readonly"] = False
    container = make_container(configs.with_user_namespace(config) if user_namespace else config)
    container.bundle.may_change.add("rootfs/dev")
    plant_decoys(os.path.join(container.bundle.rootfs, "proc"))
    assert label_of(container.started().pid) == CONFINED


def test_profile_is_enforced(runtime: Runtime, make_bundle: MakeBundle) -> None:
    """Of two containers of one image only the one with the profile may not write."""
    script = "echo x >/denied/file || echo refused"
    for config, expected in ((configs.shell(script), ""), (confined(configs.shell(script)), "refused\n")):
        config["root"]["readonly"] = False
        bundle = make_bundle(config)
        os.mkdir(os.path.join(bundle.rootfs, "denied"))
        bundle.seal()
        bundle.may_change.add("rootfs/denied")
        assert runtime.run("test", bundle).succeeded().output == expected


def test_unconfined(run: Run) -> None:
    assert run(confined(configs.default("/bin/cat", ATTRIBUTE), "unconfined")) == "unconfined\n"


def test_no_profile(run: Run) -> None:
    assert run(configs.default("/bin/cat", ATTRIBUTE)) == "unconfined\n"


@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_profile_that_is_not_loaded(runtime: Runtime, make_bundle: MakeBundle, user_namespace: bool) -> None:
    config = confined(configs.default(), "pyrun-missing")
    bundle = make_bundle(configs.with_user_namespace(config) if user_namespace else config)
    bundle.may_change.add("rootfs/dev")
    line = runtime.run("test", bundle).failed("no such file or directory")
    if runtime.name == "pyrun":
        assert '/process/apparmorProfile: set the label "exec pyrun-missing"' in line
        assert "load the profile (apparmor_parser), or leave it out" in line


def test_joined_pid_namespace(runtime: Runtime, make_bundle: MakeBundle, make_container: MakeContainer) -> None:
    """Another process takes the init's place there, and inherits what execve is to apply."""
    other = make_container(configs.default("/bin/sleep", "1000")).started()
    config = configs.with_namespace(says_what_it_is(), "pid", f"/proc/{other.pid}/ns/pid")
    assert runtime.run("joining", make_bundle(config)).succeeded().output == CONFINED


def test_hooks(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    """A hook with a path of the runtime's side is not confined, one of the image's is."""
    config = says_what_it_is()
    config["mounts"].append(configs.bind(scratch, "/tmp"))
    hooks = {"createRuntime": scratch, "createContainer": scratch, "startContainer": "/tmp", "poststart": scratch}
    config["hooks"] = {
        kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat {ATTRIBUTE} >{place}/{kind}"], "env": [configs.PATH]}]
        for kind, place in hooks.items()
    }
    assert runtime.run("test", make_bundle(config)).succeeded().output == CONFINED
    found = {}
    for kind in hooks:
        with open(os.path.join(scratch, kind), encoding="ascii") as file:
            found[kind] = file.read()
    assert found == dict.fromkeys(hooks, "unconfined\n") | {"startContainer": CONFINED}


def plant_decoys(directory: str) -> None:
    """Makes what will be /proc hold files where a runtime would write the label."""
    for process in ("self", "thread-self"):
        for name in ("attr/exec", "attr/apparmor/exec"):
            path = os.path.join(directory, process, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write("decoy\n")
            os.chmod(path, 0o666)


def without_procfs(config: Config) -> Config:
    config["linux"]["maskedPaths"] = config["linux"]["readonlyPaths"] = []
    return configs.without_mounts(config, "/proc")


@pytest.mark.pyrun_only("runc 1.1.5 refuses, or writes to the image's files")
@pytest.mark.parametrize("user_namespace", [False, True], ids=["", "user namespace"])
def test_image_with_files_at_proc(make_container: MakeContainer, user_namespace: bool) -> None:
    """CVE-2019-16884: the label goes to the kernel, whatever stands at /proc, and the files stay as they are."""
    config = without_procfs(confined(configs.default("/bin/sleep", "1000")))
    if user_namespace:
        configs.with_user_namespace(config)
        configs.without_mounts(config, "/sys", "/sys/fs/cgroup")
    container = make_container(config)
    plant_decoys(os.path.join(container.bundle.rootfs, "proc"))
    container.started()
    assert label_of(container.pid) == CONFINED


@pytest.mark.pyrun_only("runc 1.1.5 writes to what lies over it (CVE-2023-28642)")
def test_config_that_covers_the_attributes(make_container: MakeContainer, scratch: str) -> None:
    """CVE-2019-19921, CVE-2023-28642: a volume in the place of procfs."""
    config = without_procfs(confined(configs.default("/bin/sleep", "1000")))
    config["mounts"].append(configs.bind(scratch, "/proc"))
    container = make_container(config)
    plant_decoys(scratch)
    container.started()
    assert label_of(container.pid) == CONFINED


def test_exec(make_container: MakeContainer) -> None:
    """The container's profile, or that of the option."""
    container = make_container(confined(configs.default("/bin/sleep", "1000"))).started()
    assert container.exec("cat", ATTRIBUTE).succeeded().output == CONFINED
    options = ["--apparmor", "unconfined"]
    assert container.exec("cat", ATTRIBUTE, options=options).succeeded().output == "unconfined\n"
    container.exec("true", options=["--apparmor", "pyrun-missing"]).failed(status=255)


def test_exec_into_a_container_without(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    assert container.exec("cat", ATTRIBUTE, options=["--apparmor", PROFILE]).succeeded().output == CONFINED


@pytest.mark.pyrun_only("runc 1.1.5 writes to what lies at /proc")
def test_exec_into_an_image_with_files_at_proc(make_container: MakeContainer, scratch: str) -> None:
    container = make_container(without_procfs(configs.default("/bin/sleep", "1000")))
    plant_decoys(os.path.join(container.bundle.rootfs, "proc"))
    container.started()
    path = os.path.join(scratch, "pid")
    container.exec("sleep", "1000", options=["--detach", "--apparmor", PROFILE, "--pid-file", path]).succeeded()
    with open(path, encoding="ascii") as file:
        pid = int(file.read())
    assert (label_of(pid), label_of(container.pid)) == (CONFINED, "unconfined\n")
    end_others(container)
