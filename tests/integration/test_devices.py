# SPDX-License-Identifier: Apache-2.0
"""Device nodes, the standard links of /dev, and the filter that says which devices may be opened."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest

from support import configs
from support.configs import Config
from support.machine import COVERED
from support.runtime import HYBRID, MakeBundle, MakeContainer, Run, Runtime, runtime_under_test

EVERYTHING = {"allow": False, "access": "rwm"}
# A device that is none of the default ones, and that can be opened for reading and for writing without effect.
FUSE = {"path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}


@pytest.fixture
def fuse() -> None:
    """Skips the test where the machine itself, perhaps a container, does not let the device be opened."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"/dev/fuse cannot be opened here ({error}): {COVERED}")


def device_config(script: str, *rules: dict[str, Any], devices: tuple[dict[str, Any], ...] = ()) -> Config:
    """Returns a configuration that may make device nodes, with these rules after "deny all"."""
    config = configs.shell(script)
    config["root"]["readonly"] = False
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]
    config["linux"]["resources"]["devices"] = [EVERYTHING, *rules]
    config["linux"]["devices"] = list(devices)
    return config


def test_default_devices(run: Run) -> None:
    names = "null zero full random urandom tty"
    output = run(configs.shell(f"cd /dev; stat -c '%n %A %u %g %t:%T' {names}"))
    numbers = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
    assert output.splitlines() == [f"{name} crw-rw-rw- 0 0 {numbers[name]}" for name in names.split()]


def test_standard_links(run: Run) -> None:
    output = run(configs.shell("cd /dev; for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done"))
    assert dict(line.split() for line in output.splitlines()) == {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
        "ptmx": "pts/ptmx",
    }


def test_default_devices_work(run: Run) -> None:
    script = (
        "echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; "
        "(echo x >/dev/full) 2>/dev/null || echo full; : <>/dev/ptmx && echo ptmx"
    )
    assert run(configs.shell(script)).split() == ["3", "5", "full", "ptmx"]


def test_configured_devices(run: Run) -> None:
    config = configs.shell("stat -c '%n %A %u %g %t:%T' /dev/mine /dev/deep/er/disk /dev/pipe")
    config["linux"]["devices"] = [
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8},
        {"path": "/dev/deep/er/disk", "type": "b", "major": 259, "minor": 1048575, "fileMode": 0o600},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
    ]
    assert run(config).splitlines() == [
        "/dev/mine crw-r----- 7 8 1:3",
        "/dev/deep/er/disk brw------- 0 0 103:fffff",
        "/dev/pipe prw--w--w- 0 0 0:0",
    ]


def test_device_without_mode_is_for_everybody(run: Run) -> None:
    config = configs.shell("stat -c %a /dev/mine")
    config["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]
    assert run(config) == "666\n"


def test_unbuffered_character_device_is_a_character_device(run: Run) -> None:
    config = configs.shell("stat -c %F /dev/mine")
    config["linux"]["devices"] = [{"path": "/dev/mine", "type": "u", "major": 1, "minor": 3}]
    assert run(config) == "character special file\n"


@pytest.mark.pyrun_only("runc 1.1.5 then forgets to allow /dev/null, and fails")
def test_configured_device_takes_the_place_of_a_default_one(run: Run) -> None:
    config = configs.shell("stat -c '%A %u %t:%T' /dev/null")
    config["linux"]["devices"] = [
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 9}
    ]
    assert run(config) == "crw------- 9 1:3\n"


def test_devices_outside_of_dev(runtime: Runtime, make_bundle: MakeBundle) -> None:
    config = configs.shell("stat -c '%A %t:%T' /etc/device")
    config["linux"]["devices"] = [{"path": "/etc/device", "type": "c", "major": 1, "minor": 3}]
    bundle = make_bundle(config)
    bundle.may_change.add("rootfs/etc/device")
    assert runtime.run("test", bundle).succeeded().output == "crw-rw-rw- 1:3\n"
    status = os.lstat(os.path.join(bundle.rootfs, "etc/device"))
    assert stat.S_ISCHR(status.st_mode)


@pytest.mark.parametrize("wrapper", [(), HYBRID], ids=["pure v2", "hybrid"])
def test_denied_block_device(case: str, make_bundle: MakeBundle, wrapper: tuple[str, ...]) -> None:
    runtime = Runtime(runtime_under_test(), case, wrapper=wrapper)
    script = "mknod /dev/disk b 7 200; (: </dev/disk) || echo denied; mknod /dev/copy c 1 3; (: </dev/copy) && echo ok"
    result = runtime.run("test", make_bundle(device_config(script)))
    assert result.output == "denied\nok\n"
    assert "can't open /dev/disk: Operation not permitted" in result.errors


@pytest.mark.parametrize("wrapper", [(), HYBRID], ids=["pure v2", "hybrid"])
@pytest.mark.parametrize(
    ("access", "may_read", "may_write"),
    [("r", True, False), ("w", False, True), ("rw", True, True), (None, False, False)],
)
def test_access_of_a_rule(
    case: str,
    make_bundle: MakeBundle,
    fuse: None,
    wrapper: tuple[str, ...],
    access: str | None,
    may_read: bool,
    may_write: bool,
) -> None:
    runtime = Runtime(runtime_under_test(), case, wrapper=wrapper)
    script = "(exec 3</dev/mine) 2>/dev/null && echo read; (exec 3>/dev/mine) 2>/dev/null && echo write; true"
    rules = [{"allow": True, "type": "c", "major": 10, "minor": 229, "access": access}] if access else []
    output = runtime.run("test", make_bundle(device_config(script, *rules, devices=(FUSE,)))).succeeded().output
    assert ("read" in output, "write" in output) == (may_read, may_write)


def test_later_rule_takes_away_what_an_earlier_gave(run: Run, fuse: None) -> None:
    rules = [
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"},
    ]
    script = "(exec 3</dev/mine) && echo read; (exec 3>/dev/mine) 2>/dev/null || echo denied"
    assert run(device_config(script, *rules, devices=(FUSE,))) == "read\ndenied\n"


def test_rule_for_a_whole_major(run: Run, fuse: None) -> None:
    rule = {"allow": True, "type": "c", "major": 10, "access": "rw"}
    assert run(device_config("(exec 3<>/dev/mine) && echo opened", rule, devices=(FUSE,))) == "opened\n"


def test_everything_allowed(run: Run, fuse: None) -> None:
    script = "mknod /dev/disk b 7 200 && echo made; (exec 3<>/dev/mine) && echo opened"
    assert run(device_config(script, {"allow": True, "access": "rwm"}, devices=(FUSE,))).split() == ["made", "opened"]


def test_one_device_denied_after_everything_was_allowed(run: Run) -> None:
    """Its node can't even be made, although those of other devices can without being allowed."""
    rules = [
        {"allow": True, "access": "rwm"},
        {"allow": False, "type": "b", "major": 7, "minor": 200, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    ]
    script = (
        "for n in '/dev/disk b 7 200' '/dev/other b 7 201' '/dev/same c 1 3'; do mknod $n 2>/dev/null; echo $?; done"
    )
    assert run(device_config(script, *rules)).split() == ["1", "0", "0"]


def test_default_devices_stay_allowed_after_deny_all(run: Run) -> None:
    config = configs.shell("for d in null zero full random urandom; do (: </dev/$d) && echo $d; done")
    config["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}]
    assert run(config).split() == ["null", "zero", "full", "random", "urandom"]


def test_filter_holds_for_the_hosts_processes_that_enter(make_container: MakeContainer) -> None:
    container = make_container(configs.default("/bin/sleep", "1000")).started()
    script = f"echo $$ >/sys/fs/cgroup/{container.id}/cgroup.procs && (: >/dev/kmsg)"
    status = os.spawnvp(os.P_WAIT, "sh", ["sh", "-c", script + " 2>/dev/null"])
    assert status != 0
