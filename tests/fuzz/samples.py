# SPDX-License-Identifier: Apache-2.0
"""Configurations of containers that together ask for every operation of pyrun-init.

Each takes the directory of its bundle, whose root filesystem is `rootfs`, and runs `true` unless it says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pyrun.caller import Caller
from pyrun.plan import Problems, Request, labels
from pyrun.plan.create import compile_config
from pyrun.plan.exec import compile_exec
from pyrun.plan.operations import Plan
from support import configs
from support.configs import Config
from support.process import NAMESPACE_FILES

Sample = Callable[[str], Config]

OVERLAY = "org.pyrun.rootfs."


def plain(bundle: str) -> Config:
    """Returns what `runc spec` writes."""
    return configs.default()


def docker(bundle: str) -> Config:
    """Returns what Docker writes, with its seccomp filter."""
    return _engines("docker", bundle)


def ctr(bundle: str) -> Config:
    """Returns what `ctr run` writes."""
    return _engines("ctr", bundle)


def _engines(engine: str, bundle: str) -> Config:
    config = configs.captured(engine, bundle, "test")
    config["process"]["args"] = ["/bin/true"]
    config["linux"]["cgroupsPath"] = "/test"
    return config


def bind_mounts(bundle: str) -> Config:
    """Returns a configuration with bind mounts of directories and files, and with other mounts' options."""
    config = configs.default()
    config["mounts"] += [
        configs.bind(f"{bundle}/rootfs/etc", "/tmp", "ro", "nosuid", "noatime", "rslave"),
        configs.bind(f"{bundle}/rootfs/etc/passwd", "/etc/hosts", "rbind", "noexec", "private"),
        configs.bind("rootfs/usr", "/var"),
        configs.bind("/proc/uptime", "/proc/uptime", "ro"),
        {"destination": "/run", "type": "tmpfs", "options": ["ro", "nosymfollow", "size=64k", "rprivate"]},
    ]
    config["linux"]["rootfsPropagation"] = "rslave"
    return config


def options_of_mounts(bundle: str) -> Config:
    """Returns a configuration with what options can ask for, mounts that change others, and a mount over the root."""
    config = configs.default()
    tmpfs = {"type": "tmpfs", "source": "tmpfs"}
    config["mounts"].insert(0, {**configs.bind(f"{bundle}/rootfs", "/"), "options": ["rbind", "rprivate"]})
    config["mounts"] += [
        {**tmpfs, "destination": "/etc", "options": ["tmpcopyup", "uid=1", "rnoatime"]},
        {**tmpfs, "destination": "/tmp", "options": ["silent", "iversion", "lazytime", "sync", "rro"]},
        {**tmpfs, "destination": "/run", "options": ["shared", "mode=711"]},
        {**tmpfs, "destination": "/run", "options": ["remount", "ro", "nosuid", "size=64k", "private"]},
        {**tmpfs, "destination": "/run", "options": ["remount", "noiversion", "loud"]},
        {**configs.bind("/etc", "/var"), "options": ["rbind", "rro", "rstrictatime", "unbindable"]},
        {"destination": "/var", "type": "none", "options": ["remount", "rbind", "rnoexec", "exec"]},
    ]
    config["linux"].update(maskedPaths=["/var/ssl", "/etc/passwd"], rootfsPropagation="rslave")
    return config


def user_namespace(bundle: str) -> Config:
    """Returns the configuration with bind mounts in a user namespace."""
    config = configs.with_user_namespace(bind_mounts(bundle))
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 2048}]
    # Root in the namespace owns nothing of this procfs's mount, and may not change how the host counts access times.
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] != "/proc/uptime"]
    configs.mount_at(config, "/tmp")["options"].remove("noatime")
    return config


def mapped_mounts(bundle: str, user_namespace: str | None) -> Config:
    """Returns a configuration with mounts whose ids are mapped, and with a cgroup that is its user's.

    `user_namespace` is the path of one to join, "" for a new one, None for none.
    """
    config = configs.default()
    layers = {name: os.path.join(bundle, "layers", name) for name in ("lower", "upper", "work")}
    parameters = [
        f"{key}={path}" for key, path in zip(("lowerdir", "upperdir", "workdir"), layers.values(), strict=True)
    ]
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    more = {"uidMappings": mapping, "gidMappings": mapping}
    config["mounts"] += [
        {**configs.bind(f"{bundle}/rootfs/etc", "/tmp", "idmap", "ro"), **more},
        {"destination": "/var", "type": "tmpfs", "source": "tmpfs", "options": ["idmap", "size=64k"], **more},
        {"destination": "/run", "type": "overlay", "source": "overlay", "options": ["ridmap", *parameters], **more},
    ]
    configs.mount_at(config, "/sys/fs/cgroup")["options"].remove("ro")
    if user_namespace is None:
        return config
    for mount in config["mounts"][-3:-1]:
        del mount["uidMappings"], mount["gidMappings"]
    configs.with_user_namespace(config)
    return configs.with_namespace(config, "user", user_namespace) if user_namespace else config


def overlay(bundle: str) -> Config:
    """Returns a configuration with a writable overlay as root, which lies over the root filesystem itself."""
    return _overlay(bundle, configs.default())


def overlay_in_user_namespace(bundle: str) -> Config:
    """Returns the same in a user namespace."""
    return _overlay(bundle, configs.with_user_namespace(configs.default()))


def _overlay(bundle: str, config: Config) -> Config:
    layers = {name: os.path.join(bundle, "layers", name) for name in ("lower,1", "upper", "work")}
    for path in layers.values():
        os.makedirs(path)
    config["annotations"] = {
        f"{OVERLAY}lowerdir": f"{layers['lower,1']}:{bundle}/rootfs",
        f"{OVERLAY}upperdir": layers["upper"],
        f"{OVERLAY}workdir": layers["work"],
    }
    config["root"]["readonly"] = False
    return config


def ordinary_user(bundle: str) -> Config:
    """Returns a configuration with all that a process can be given."""
    config = configs.default()
    config["root"]["readonly"] = False
    config["hostname"], config["domainname"] = "name", "domain"
    config["process"].update(
        user={"uid": 1000, "gid": 1001, "additionalGids": [5, 6, 7], "umask": 0o27},
        cwd="/tmp",
        env=["PATH=/missing::/bin", "HOME="],
        args=["true"],
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        oomScoreAdj=500,
        noNewPrivileges=False,
    )
    config["process"]["capabilities"]["inheritable"] = ["CAP_KILL"]
    config["linux"]["sysctl"] = {"kernel.msgmax": "4096", "net.ipv4.ip_unprivileged_port_start": "80"}
    config["linux"]["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 1, "gid": 2},
        {"path": "/dev/net/pipe", "type": "p"},
    ]
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    }
    return config


def namespaces_of_the_host(bundle: str) -> Config:
    """Returns a configuration of which most namespaces are the host's, and one is the host's by its path."""
    config = configs.without_namespace(configs.default(), "ipc", "cgroup", "uts", "network")
    del config["hostname"]
    configs.without_mounts(config, "/dev/mqueue")
    configs.with_namespace(config, "network", f"/proc/{os.getpid()}/ns/net")
    config["linux"]["timeOffsets"] = {"monotonic": {"secs": 5, "nanosecs": 6}, "boottime": {"secs": -7}}
    return configs.with_namespace(config, "time")


def class_of_service(bundle: str) -> Config:
    """Returns a configuration with groups of resctrl, which few machines have."""
    config = configs.default()
    config["linux"]["intelRdt"] = {"l3CacheSchema": "L3:0=f", "schemata": ["L2:0=3"], "enableMonitoring": True}
    return config


def no_mount_namespace(bundle: str) -> Config:
    """Returns a configuration without a mount namespace, and thus without mounts."""
    config = configs.without_namespace(configs.default(), "mount")
    for name in ("maskedPaths", "readonlyPaths"):
        config["linux"][name] = []
    config["mounts"] = []
    config["root"]["readonly"] = False
    return config


def shared_root(bundle: str) -> Config:
    """Returns a configuration whose mounts its own children would see in other namespaces."""
    config = configs.default()
    config["linux"]["rootfsPropagation"] = "shared"
    return config


def hooks(bundle: str) -> Config:
    """Returns a configuration with hooks of each kind."""
    config = configs.default()
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    config["hooks"] = {kind: [{"path": "/bin/true"}] for kind in kinds}
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    config["hooks"]["createContainer"].append({"path": "/bin/cat", "args": ["cat"], "env": ["A=b"], "timeout": 5})
    return config


def joined_namespaces(bundle: str, pid: int) -> Config:
    """Returns a configuration that joins namespaces of process `pid`, which are others than the caller's."""
    config = configs.default()
    for kind in ("pid", "ipc", "network", "uts"):
        configs.with_namespace(config, kind, f"/proc/{pid}/ns/{NAMESPACE_FILES[kind]}")
    config["linux"]["sysctl"] = {"net.core.somaxconn": "77"}
    return config


def joined_user_namespace(bundle: str, pid: int) -> Config:
    """Returns a configuration that joins the user namespace of process `pid`, which is another than the caller's."""
    config = configs.with_namespace(user_namespace(bundle), "user", f"/proc/{pid}/ns/user")
    del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
    return config


def terminal(bundle: str) -> Config:
    """Returns a configuration with a terminal of a given size."""
    config = configs.default()
    config["process"].update(terminal=True, consoleSize={"height": 25, "width": 80})
    return config


def scheduled(bundle: str) -> Config:
    """Returns a configuration of a process that is scheduled otherwise, and with a capability that nobody knows."""
    config = configs.default()
    config["process"].update(
        scheduler={"policy": "SCHED_BATCH", "nice": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 5},
        execCPUAffinity={"initial": "0", "final": "0-63"},
    )
    config["process"]["capabilities"]["bounding"].append("CAP_OF_LATER_KERNELS")
    config["linux"]["memoryPolicy"] = {"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    config["linux"]["personality"] = {"domain": "LINUX32"}
    return config


def cgroup_files(bundle: str) -> Config:
    """Returns a configuration with values for files that every cgroup has, below a cgroup of its own."""
    config = configs.default()
    config["linux"]["cgroupsPath"] = "/above/own"
    config["linux"]["resources"]["unified"] = {"cgroup.max.depth": "5", "cgroup.max.descendants": "9\n7"}
    return config


def limits(bundle: str) -> Config:
    """Returns a configuration with limits of several controllers."""
    config = configs.default()
    config["linux"]["resources"].update(
        memory={"limit": 1 << 30, "swap": -1},
        blockIO={"weight": 100},
        unified={"io.max": "8:0 rbps=1\n8:16 wbps=max", "memory.high": "max"},
    )
    return config


def one_process(bundle: str) -> Config:
    """Returns a configuration with room for one process."""
    config = configs.default()
    config["linux"]["resources"]["pids"] = {"limit": 1}
    return config


SAMPLES: dict[str, Sample] = {
    sample.__name__: sample
    for sample in (
        plain,
        docker,
        ctr,
        bind_mounts,
        options_of_mounts,
        user_namespace,
        overlay,
        overlay_in_user_namespace,
        ordinary_user,
        namespaces_of_the_host,
        no_mount_namespace,
        shared_root,
        cgroup_files,
        hooks,
        scheduled,
    )
}


def sample_plans(directory: str) -> dict[str, Plan]:
    """Returns a plan for each sample, for an imagined host; they hold every operation between them.

    What a sample puts into its bundle is made below `directory`.
    """
    plans = {}
    for name, sample in SAMPLES.items():
        bundle = os.path.join(directory, name)
        os.mkdir(bundle)
        plans[name] = _plan_of(sample(bundle))
    plans["options_of_mounts"].add("label_mount", "/linux/mountLabel", "/dev/mqueue", "u:r:t:s0:c1,c2")
    plans["limits"] = _plan_of(limits("/bundle"), cgroup_controllers=["io", "memory"])
    plans["scope"] = _plan_of(one_process("/bundle"), cgroup_controllers=["pids"], scope="/system.slice/a-b.scope")
    plans["no_pivot"] = _plan_of(configs.default(), no_pivot=True)
    for joining in (joined_namespaces, joined_user_namespace):
        plans[joining.__name__] = _plan_of(joining("/bundle", 1))
    for user in (None, "", "/proc/1/ns/user"):
        plans[f"mapped_mounts_{user}"] = _plan_of(mapped_mounts("/bundle", user))
    plans["service"] = _plan_of(
        user_namespace("/bundle"), listen_descriptors=2, listen_names="a:b", notify_directory="/state/notify"
    )
    caller = Caller(2000, 2000, is_host_root=False, uid_mapper="/bin/newuidmap", gid_mapper="/bin/newgidmap")
    plans["rootless"] = _plan_of(user_namespace("/bundle"), caller=caller, cgroup_denied=True)
    plans["terminal"] = _plan_of(terminal("/bundle"))
    plans["class_of_service"] = _plan_of(class_of_service("/bundle"), resctrl_mount="/sys/fs/resctrl")
    plans["exec"] = _plan_of_exec(terminal("/bundle"))
    plans["exec_by_scope"] = _plan_of_exec(terminal("/bundle"), by_scope=True)
    plans["exec_scheduled"] = _plan_of_exec(scheduled("/bundle"))
    plans["exec_without_mount_namespace"] = _plan_of_exec(no_mount_namespace("/bundle"))
    return plans


def _plan_of_exec(config: Config, by_scope: bool = False) -> Plan:
    request = Request("test", "/bundle", cgroup_mount="/sys/fs/cgroup")
    plan = compile_exec(config, request, Problems(), cgroup="/test", replaceable=True, by_scope=by_scope)
    plan.add("set_label", "/process/apparmorProfile", labels.APPARMOR_FILES, "exec strict")
    return plan


def _plan_of(config: Config, **asked: Any) -> Plan:
    return compile_config(config, Request("test", "/bundle", cgroup_mount="/sys/fs/cgroup", **asked))
