# SPDX-License-Identifier: Apache-2.0
"""linux.maskedPaths and linux.readonlyPaths: what is covered when all mounts are in place."""

from __future__ import annotations

import os

import pytest

from support import configs, kernel
from support.configs import Config
from support.runtime import MakeBundle, Run, Runtime


def covering(script: str, **paths: list[str]) -> Config:
    """Returns a configuration with a writable root; `paths` are its maskedPaths and readonlyPaths."""
    config = configs.shell(script)
    config["root"]["readonly"] = False
    config["linux"].update(maskedPaths=[], readonlyPaths=[])
    config["linux"].update(paths)
    return config


def fields_at(output: str, point: str) -> list[str]:
    return [line.split() for line in output.splitlines() if line.split()[4:5] == [point]][-1]


def test_masked_files_are_empty_and_cannot_be_written(run: Run) -> None:
    script = "wc -c </etc/passwd; stat -c %t:%T /etc/passwd; echo x >>/etc/passwd; wc -c </etc/group"
    output = run(covering(script, maskedPaths=["/etc/passwd", "/missing"]))
    size, device, other = output.split()
    assert (size, device) == ("0", "1:3")
    assert int(other) > 0


@pytest.mark.pyrun_only("runc 1.1.5 fails with such a path")
def test_what_is_below_a_file_needs_no_cover(run: Run) -> None:
    paths = ["/etc/passwd/below"]
    assert run(covering("echo done", maskedPaths=paths, readonlyPaths=paths)) == "done\n"


def test_masked_directories_are_empty_and_read_only(run: Run) -> None:
    output = run(covering("ls -A /etc /var; touch /etc/x 2>&1; true", maskedPaths=["/etc", "/var/"]))
    assert output.startswith("/etc:\n\n/var:\n")
    assert "Read-only file system" in output


@pytest.mark.pyrun_only("runc 1.1.5 makes a file system for each")
def test_masked_directories_share_one_file_system(run: Run) -> None:
    paths = ["/etc", "/var", "/usr", "/sys/firmware"]
    output = run(covering("cat /proc/self/mountinfo", maskedPaths=paths))
    masks = [fields_at(output, point) for point in paths]
    assert len({fields[2] for fields in masks}) == 1
    assert all("ro" in fields[5].split(",") and "ro" in fields[-1].split(",") for fields in masks)


def test_read_only_paths(run: Run) -> None:
    script = (
        "for file in /etc/x /etc/passwd /usr/x; do touch $file 2>&1; done; (echo 1 >/proc/sys/vm/swappiness) 2>&1; true"
    )
    output = run(covering(script, readonlyPaths=["/etc", "/missing", "/usr/", "/proc/sys"]))
    assert output.count("ead-only file system") == 4


def test_what_is_mounted_below_a_read_only_path(runtime: Runtime, make_bundle: MakeBundle, scratch: str) -> None:
    os.mkdir(f"{scratch}/source")
    config = covering("touch /var/volume/x 2>&1; true", readonlyPaths=["/var"])
    config["mounts"].append(configs.bind(f"{scratch}/source", "/var/volume"))
    bundle = make_bundle(config)
    os.mkdir(f"{bundle.rootfs}/var/volume")
    result = runtime.run("test", bundle).succeeded()
    assert ("Read-only file system" in result.output) is (runtime.name == "pyrun")


UNBINDABLE = pytest.param("unbindable", marks=pytest.mark.pyrun_only("runc 1.1.5 binds the covered path, and fails"))


@pytest.mark.parametrize("option", ["rprivate", UNBINDABLE])
def test_covers_inside_a_mount_of_the_config(run: Run, scratch: str, option: str) -> None:
    for name in ("secret", "fixed"):
        os.makedirs(f"{scratch}/source/{name}")
    open(f"{scratch}/source/secret/hidden", "w", encoding="ascii").close()
    script = "ls -A /tmp/secret; touch /tmp/fixed/x 2>&1; touch /tmp/free && echo free"
    config = covering(script, maskedPaths=["/tmp/secret"], readonlyPaths=["/tmp/fixed"])
    config["mounts"].append(configs.bind(f"{scratch}/source", "/tmp", option))
    output = run(config)
    assert "hidden" not in output
    assert "Read-only file system" in output and output.endswith("free\n")


@pytest.mark.parametrize("destination", ["/etc/hosts", "/proc/uptime"])
def test_covers_of_files_that_are_mounts_themselves(run: Run, scratch: str, destination: str) -> None:
    """As lxcfs makes them: what is masked or read-only then is the mounted file."""
    with open(f"{scratch}/file", "w", encoding="ascii") as file:
        file.write("mounted\n")
    script = f"cat {destination}; (echo x >>{destination}) 2>&1; true"
    for key, expected in (("maskedPaths", ""), ("readonlyPaths", "mounted\n")):
        config = covering(script, **{key: [destination]})
        config["mounts"].append(configs.bind(f"{scratch}/file", destination))
        output = run(config)
        assert output.startswith(expected) and ("mounted" in output) is bool(expected)
        with open(f"{scratch}/file", encoding="ascii") as file:
            assert file.read() == "mounted\n"


def test_covered_mount_of_the_host_stays_covered_for_its_root_alone(run: Run, scratch: str) -> None:
    """The covers are the container's: the host sees none of them."""
    os.mkdir(f"{scratch}/source")
    kernel.mount("tmpfs", f"{scratch}/source", "tmpfs")
    kernel.mount("", f"{scratch}/source", flags=kernel.MS_SHARED)
    os.mkdir(f"{scratch}/source/secret")
    open(f"{scratch}/source/secret/hidden", "w", encoding="ascii").close()
    config = covering("ls -A /tmp/secret", maskedPaths=["/tmp/secret"])
    config["mounts"].append(configs.bind(f"{scratch}/source", "/tmp", "rslave"))
    assert run(config) == ""
    assert os.listdir(f"{scratch}/source/secret") == ["hidden"]
    kernel.unmount(f"{scratch}/source")


@pytest.mark.parametrize("target", ["/etc", "../etc", "own"])
@pytest.mark.parametrize("kind", ["maskedPaths", "readonlyPaths"])
def test_path_through_a_link_in_a_mount(run: Run, scratch: str, kind: str, target: str) -> None:
    """It means what the program will mean by it, also where the link leads out of the mount."""
    volume = os.path.join(scratch, "volume")
    os.makedirs(f"{volume}/own")
    with open(f"{volume}/own/passwd", "w", encoding="ascii") as file:
        file.write("own\n")
    os.symlink(target, f"{volume}/link")
    script = "cat /var/link/passwd | wc -c; (echo x >/var/link/passwd) 2>&1; cat /var/link/passwd"
    config = covering(script, **{kind: ["/var/link/passwd"]})
    config["mounts"].append(configs.bind(volume, "/var"))
    output = run(config)
    if kind == "maskedPaths":
        assert output == "0\n"
    else:
        assert "Read-only file system" in output and not output.endswith("x\n")
