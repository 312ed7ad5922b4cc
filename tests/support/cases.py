# SPDX-License-Identifier: Apache-2.0
"""Configurations that differ from the default one in one property: what two runtimes are compared by.

A case is named by the property and says what is changed, by JSON pointers: "-" at the end of one appends to a list, a
name in a list is the type of an entry, DROP removes. Words between "@" stand for what the test provides: @TREE@ is a
directory with a file, an empty directory, and a directory `below` that holds a tmpfs with one more file; @net@,
@ipc@, @uts@, @cgroup@, @pid@ are namespaces of another process. A script adds to what the program tells of its
surroundings.
"""

from __future__ import annotations

from typing import Any, NamedTuple

DROP = "@drop@"
BARE = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}


class Case(NamedTuple):
    """One configuration, what its program does beside what every one does, who owns the root filesystem.

    `leaves` is what the runtime may leave in the bundle.
    """

    changes: dict[str, Any]
    script: str = ""
    uid: int = 0
    leaves: str = ""


def bind(*options: str, source: str = "@TREE@", destination: str = "/tmp", **more: Any) -> dict[str, Any]:
    return {"destination": destination, "type": "none", "source": source, "options": list(options), **more}


def tmpfs(*options: str) -> dict[str, Any]:
    return {**BARE, "options": list(options)}


def filtered(*rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    profile = {"defaultAction": default, "syscalls": list(rules), **more}
    return {"/mounts/-": BARE, "/linux/seccomp": {"architectures": ["SCMP_ARCH_X86_64"], **profile}}


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": f"SCMP_ACT_{action}", **more}


def hook(kind: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """A hook that writes to a file of @TREE@, which the program reads."""
    entry = {"path": "/bin/sh", "args": ["sh", "-c", *arguments], **more}
    return {f"/hooks/{kind}": [entry], "/mounts/-": bind("bind")}


LOOK = "ls -n /tmp | cut -c1-40; cat /tmp/file; ls /tmp/below; for f in file below; do [ -w /tmp/$f ]; echo $?; done"
MODES = "touch /tmp/f; for m in 0 1 2 3 4 5 6 7 10 12; do chmod $m /tmp/f && echo $m; done"
MAKE = "mkdir /tmp/made; echo $?"
STATE = 'cat >$0/told; echo $PWD "$@" >>$0/told; env | sort >>$0/told'
# The pid of a state is any, and the bundles and containers of two runtimes are two.
TOLD = r"""sed 's/.*"status":"\([a-z]*\)".*/\1/' /tmp/told"""

CAPABILITY_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def capabilities(*names: str, sets: tuple[str, ...] = CAPABILITY_SETS) -> dict[str, Any]:
    return {"/process/capabilities": {each: [f"CAP_{name}" for name in names] for each in sets}}


def conditions(operator: str, value: int, two: int | None = None) -> dict[str, Any]:
    """A filter that refuses chmod for some modes."""
    condition = {"index": 1, "value": value, "op": f"SCMP_CMP_{operator}"}
    if two is not None:
        condition["valueTwo"] = two
    return filtered(rule("ERRNO", "chmod", args=[condition]))


OF_THE_FILE = {
    "/ociVersion: 1.0.0": Case({"/ociVersion": "1.0.0"}),
    "/ociVersion: 1.0.2-dev": Case({"/ociVersion": "1.0.2-dev"}),
    "/hostname: as long as can be": Case({"/hostname": "h" * 63}),
    "/hostname: absent": Case({"/hostname": DROP}, "hostname"),
    "/annotations": Case({"/annotations": {"org.example.key": "value", "other": ""}}),
    "/unknown: ignored": Case(
        {"/unknown": {"a": [1]}, "/process/unknown": 1, "/linux/unknown": [], "/root/unknown": ""}
    ),
    "/vm: ignored": Case(
        {
            "/vm": {
                "hypervisor": {"path": "/none", "parameters": ["a"]},
                "kernel": {"path": "/none", "parameters": ["b"], "initrd": "/none"},
                "image": {"path": "/none", "format": "raw"},
                "hwConfig": {"deviceTree": "/none", "vcpus": 1, "memory": 4096, "dtdevs": ["c"], "irqs": [39]},
            }
        }
    ),
    "/process/commandLine, /process/user/username: ignored": Case(
        {"/process/commandLine": "cmd /c exit", "/process/user/username": "nobody"}
    ),
    "/windows, /solaris, /zos, /freebsd: ignored": Case(
        {"/windows": {"layerFolders": []}, "/solaris": {"milestone": "x"}, "/zos": {}, "/freebsd": {}}
    ),
    "/linux/resources: members that are null": Case(
        {"/linux/resources/memory": None, "/linux/resources/cpu": None, "/hooks": None, "/process/rlimits": None}
    ),
}

OF_THE_ROOT = {
    "/root/readonly: false": Case({"/root/readonly": False}, "touch /tmp/x && rm /tmp/x; echo $?"),
    "/root/readonly: absent": Case({"/root/readonly": DROP}),
    "/root/path: absolute": Case({"/root/path": "@ROOTFS@"}),
    "/root/path: with dots": Case({"/root/path": "./rootfs/../rootfs/"}),
}

OF_THE_PROCESS = {
    "/process/args: found by PATH": Case({"/process/args/0": "sh"}),
    "/process/args: relative to cwd": Case({"/process/args/0": "bin/sh"}),
    "/process/args: empty ones": Case({"/process/args/-": ""}, 'echo "$0" $#'),
    "/process/env: names twice, empty values": Case({"/process/env": ["A=1", "B=", "A=2", "PATH=/bin", "B=x=y", "A="]}),
    "/process/env: HOME given": Case({"/process/env/-": "HOME=/nowhere"}, "cd; pwd"),
    "/process/env: HOME of a user": Case({"/process/user": {"uid": 1000, "gid": 1000}}, "echo ~"),
    "/process/env: HOME of nobody known": Case({"/process/user": {"uid": 4711, "gid": 4711}}, "echo ~"),
    "/process/cwd": Case({"/process/cwd": "/usr"}),
    "/process/cwd: not there": Case({"/process/cwd": "/tmp/a/b", "/mounts/-": BARE}, "ls -ldn /tmp/a /tmp/a/b"),
    "/process/cwd: of a user": Case({"/process/cwd": "/root", "/process/user": {"uid": 1000, "gid": 1000}}),
    "/process/user/uid": Case({"/process/user": {"uid": 7, "gid": 0}}),
    "/process/user/gid": Case({"/process/user": {"uid": 0, "gid": 8}}),
    "/process/user/additionalGids": Case({"/process/user": {"uid": 1, "gid": 2, "additionalGids": [3, 4]}}),
    "/process/user/umask: 0": Case({"/process/user/umask": 0, "/mounts/-": BARE}, ">/tmp/f; stat -c %A /tmp/f"),
    "/process/user/umask: 0777": Case({"/process/user/umask": 0o777, "/mounts/-": BARE}, ">/tmp/f; stat -c %A /tmp/f"),
    "/process/user/umask: absent": Case({"/mounts/-": BARE}, ">/tmp/f; stat -c %A /tmp/f"),
    "/process/user: absent": Case({"/process/user": DROP}),
    "/process/capabilities/bounding": Case(capabilities("KILL", "CHOWN", sets=("bounding",))),
    "/process/capabilities/effective": Case(capabilities("KILL", "CHOWN", sets=("bounding", "effective", "permitted"))),
    "/process/capabilities/permitted": Case(capabilities("KILL", "CHOWN", sets=("bounding", "permitted"))),
    "/process/capabilities/inheritable": Case(capabilities("KILL", sets=("bounding", "permitted", "inheritable"))),
    "/process/capabilities/ambient": Case({**capabilities("KILL"), "/process/user": {"uid": 9, "gid": 9}}),
    "/process/capabilities: of another user": Case(
        {**capabilities("KILL", sets=CAPABILITY_SETS[:-1]), "/process/user": {"uid": 9, "gid": 9}}
    ),
    "/process/capabilities: all sets empty": Case(capabilities()),
    "/process/capabilities: no_new_privs off": Case({**capabilities("MKNOD"), "/process/noNewPrivileges": False}),
    "/process/rlimits: every kind": Case(
        {
            "/process/rlimits": [
                {"type": f"RLIMIT_{name}", "soft": soft, "hard": hard}
                for name, soft, hard in (
                    *(("AS", 1 << 32, 1 << 33), ("CORE", 0, 4096), ("CPU", 1000, 2000), ("DATA", 1 << 30, 1 << 30)),
                    *(("FSIZE", 1 << 20, 1 << 21), ("LOCKS", 10, 20), ("MEMLOCK", 4096, 8192)),
                    *(("MSGQUEUE", 4096, 8192), ("NICE", 0, 0), ("NOFILE", 64, 128), ("NPROC", 100, 200)),
                    *(("RSS", 1 << 30, 1 << 31), ("RTPRIO", 0, 0), ("RTTIME", 1 << 20, 1 << 21)),
                    *(("SIGPENDING", 50, 60), ("STACK", 1 << 20, 1 << 23)),
                )
            ]
        }
    ),
    "/process/rlimits: none": Case({"/process/rlimits": []}, "ulimit -n >/dev/null"),
    "/process/noNewPrivileges: false": Case({"/process/noNewPrivileges": False}),
    "/process/noNewPrivileges: absent": Case({"/process/noNewPrivileges": DROP}),
    "/process/oomScoreAdj: 500": Case({"/process/oomScoreAdj": 500}),
    "/process/oomScoreAdj: 1000": Case({"/process/oomScoreAdj": 1000}),
    "/process/apparmorProfile: empty": Case({"/process/apparmorProfile": "", "/process/selinuxLabel": ""}),
}

ATTRIBUTES = "ro nosuid nodev noexec nodiratime noatime strictatime relatime".split()
SUPERBLOCK = "sync async dirsync lazytime nolazytime mand nomand rw silent loud".split()
RECURSIVE = """rro rrw rnosuid rsuid rnodev rdev rnoexec rexec rnodiratime rdiratime rnoatime rstrictatime
    rnosymfollow rsymfollow""".split()
PROPAGATION = "private rprivate slave rslave shared rshared unbindable runbindable".split()


def of_each(words: list[str], mount: dict[str, Any]) -> dict[str, Any]:
    """A mount for each option, below a tmpfs and by the option's name."""
    before = mount.get("options", [])
    each = {f"/mounts/-{word}": {**mount, "destination": f"/tmp/{word}", "options": [*before, word]} for word in words}
    return {"/mounts/-": BARE, **each}


OF_MOUNTS = {
    "/mounts/*/options: attributes": Case(of_each(ATTRIBUTES, BARE)),
    "/mounts/*/options: attributes of a bind": Case(of_each(ATTRIBUTES, bind("bind"))),
    "/mounts/*/options: of a superblock": Case(of_each(SUPERBLOCK, BARE)),
    "/mounts/*/options: recursive attributes": Case(of_each(RECURSIVE, bind("rbind"))),
    "/mounts/*/options: propagation": Case(of_each(PROPAGATION, bind("rbind"))),
    "/mounts/*/options: nosuid,suid,ro,rw": Case({"/mounts/-": tmpfs("nosuid", "suid", "ro", "rw", "nodev", "dev")}),
    "/mounts/*/options: bind": Case({"/mounts/-": bind("bind")}, LOOK),
    "/mounts/*/options: rbind": Case({"/mounts/-": bind("rbind")}, LOOK),
    "/mounts/*/options: bind,ro": Case({"/mounts/-": bind("bind", "ro")}, LOOK),
    "/mounts/*/options: rbind,ro": Case({"/mounts/-": bind("rbind", "ro")}, LOOK),
    "/mounts/*/options: bind with attributes": Case(
        {"/mounts/-": bind("bind", "nosuid", "nodev", "noexec", "noatime")}
    ),
    "/mounts/*/options: tmpcopyup": Case(
        {"/mounts/-": {**tmpfs("tmpcopyup", "mode=750"), "destination": "/etc"}}, "ls -ln /etc; cat /etc/passwd"
    ),
    "/mounts/*/options: remount": Case(
        {"/mounts/-": tmpfs("size=1m"), "/mounts/-second": bind("remount", "ro", "nosuid", source="none")}
    ),
    "/mounts/*/options: of a tmpfs": Case(
        {"/mounts/-": tmpfs("size=64k", "mode=1711", "uid=5", "gid=6")}, "ls -ldn /tmp"
    ),
    "/mounts/*/options: of procfs": Case({"/mounts/0/options": ["hidepid=2", "nosuid"]}),
    "/mounts/*/options: none": Case({"/mounts/3": {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"}}),
    "/mounts/*/source: a file": Case({"/mounts/-": bind("bind", source="@TREE@/file", destination="/etc/hosts")}),
    "/mounts/*/source: any word": Case({"/mounts/-": {**BARE, "source": "a word"}}),
    "/mounts/*/destination: made below another mount": Case(
        {"/mounts/-": BARE, "/mounts/-second": bind("bind", destination="/tmp/a/b/c")}, "ls -ln /tmp/a /tmp/a/b"
    ),
    "/mounts/*/destination: a file made below another mount": Case(
        {"/mounts/-": BARE, "/mounts/-second": bind("bind", source="@TREE@/file", destination="/tmp/a/f")},
        "ls -ln /tmp/a",
    ),
    "/mounts/*/destination: with dots and slashes": Case({"/mounts/-": {**BARE, "destination": "//usr/../tmp/./"}}),
    "/mounts/*/destination: twice": Case({"/mounts/-": tmpfs("size=1m"), "/mounts/-second": tmpfs("size=2m", "ro")}),
    "/mounts/*/type: absent for a bind": Case({"/mounts/-": {**bind("bind"), "type": DROP}}, LOOK),
    "/mounts/*/type: any word for a bind": Case({"/mounts/-": {**bind("bind"), "type": "anything"}}, LOOK),
    "/mounts/*/type: overlay": Case(
        {
            "/mounts/-": {
                "destination": "/tmp",
                "type": "overlay",
                "source": "overlay",
                "options": ["lowerdir=@TREE@/below:@TREE@/empty"],
            }
        },
        "ls /tmp",
    ),
    "/mounts: few": Case(
        {"/mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}]}, leaves="rootfs/dev"
    ),
}

OF_HOOKS = {
    **{
        f"/hooks/{kind}": Case(hook(kind, STATE, "@TREE@", "more", env=["A=1", "B= "], timeout=10), TOLD)
        for kind in ("prestart", "createRuntime", "createContainer")
    },
    "/hooks/startContainer": Case(hook("startContainer", STATE, "/tmp", "more", env=["PATH=/bin", "A=1"]), TOLD),
    "/hooks/createRuntime/*/env: absent": Case(
        hook("createRuntime", "set | grep -v -E 'PPID|BASH|PS|OPT|IFS|PWD|_=|PATH' >$0/told", "@TREE@"),
        "cat /tmp/told",
    ),
    "/hooks: several in order": Case(
        {
            **hook("createContainer", "echo $0 >>@TREE@/told", "third"),
            "/hooks/prestart": [
                {"path": "/bin/sh", "args": ["sh", "-c", "echo $0 >>@TREE@/told", each]} for each in ("first", "second")
            ],
        },
        "cat /tmp/told",
    ),
}

OF_NAMESPACES = {
    **{
        f"/linux/namespaces/*/type: {kind} of the host": Case({f"/linux/namespaces/{kind}": DROP})
        for kind in ("pid", "network", "ipc", "cgroup")
    },
    "/linux/namespaces/*/type: uts of the host": Case({"/linux/namespaces/uts": DROP, "/hostname": DROP}),
    **{
        f"/linux/namespaces/*/path: {kind}": Case({f"/linux/namespaces/{kind}": {"type": kind, "path": path}})
        for kind, path in (("network", "@net@"), ("ipc", "@ipc@"), ("cgroup", "@cgroup@"), ("pid", "@pid@"))
    },
    "/linux/namespaces/*/path: uts": Case(
        {"/linux/namespaces/uts": {"type": "uts", "path": "@uts@"}, "/hostname": DROP}
    ),
}


def mapped(*ranges: tuple[int, int, int], **more: Any) -> dict[str, Any]:
    mappings = [{"containerID": inside, "hostID": outside, "size": size} for inside, outside, size in ranges]
    return {
        "/linux/namespaces/-": {"type": "user"},
        "/linux/uidMappings": mappings,
        "/linux/gidMappings": mappings,
        "/root/readonly": False,
        **more,
    }


OF_USER_NAMESPACES = {
    "/linux/uidMappings: one range": Case(mapped((0, 100000, 65536)), uid=100000),
    "/linux/uidMappings: several ranges": Case(
        mapped((0, 100000, 10), (10, 200000, 20), (1000, 300000, 1)), "cat /proc/self/uid_map", uid=100000
    ),
    "/linux/uidMappings: another user": Case(
        {**mapped((0, 100000, 65536)), "/process/user": {"uid": 5, "gid": 6, "additionalGids": [7]}}, uid=100000
    ),
    "/linux/uidMappings: with a bind": Case(
        {**mapped((0, 100000, 65536)), "/mounts/-": bind("rbind")}, LOOK, uid=100000
    ),
    "/linux/uidMappings: with parameters": Case(
        {**mapped((0, 100000, 65536)), "/linux/sysctl": {"net.ipv4.ip_default_ttl": "33"}},
        "cat /proc/sys/net/ipv4/ip_default_ttl",
        uid=100000,
    ),
    "/linux/uidMappings: with a tmpfs": Case(
        {**mapped((0, 100000, 65536)), "/mounts/-": tmpfs("uid=5", "gid=6", "mode=700")}, "ls -ldn /tmp", uid=100000
    ),
}


def device(path: str, kind: str, major: int = 1, minor: int = 3, **more: Any) -> dict[str, Any]:
    return {"/linux/devices": [{"path": path, "type": kind, "major": major, "minor": minor, **more}]}


def rules(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"/linux/resources/devices": list(listed)}


OF_DEVICES = {
    "/linux/devices/*/type: c": Case(device("/dev/x", "c", 1, 3), "ls -ln /dev/x; echo >/dev/x; echo $?"),
    "/linux/devices/*/type: u": Case(device("/dev/x", "u", 1, 5), "ls -ln /dev/x"),
    "/linux/devices/*/type: b": Case(device("/dev/x", "b", 7, 0), "ls -ln /dev/x; head -c1 /dev/x"),
    "/linux/devices/*/type: p": Case({"/linux/devices": [{"path": "/dev/x", "type": "p"}]}, "ls -ln /dev/x"),
    "/linux/devices/*/path: in directories": Case(device("/dev/a/b/x", "c"), "ls -ln /dev/a /dev/a/b"),
    "/linux/devices/*/fileMode": Case(device("/dev/x", "c", fileMode=0o640), "ls -ln /dev/x"),
    "/linux/devices/*/uid": Case(device("/dev/x", "c", uid=5, gid=6, fileMode=0o600), "ls -ln /dev/x"),
    "/linux/devices/*/path: a default one": Case(
        {**device("/dev/null", "c", fileMode=0o600, uid=3), **rules({"allow": True, "access": "rwm"})},
        "ls -ln /dev/null",
    ),
    "/linux/resources/devices: all": Case(rules({"allow": True, "access": "rwm"}), "head -c1 /dev/kmsg | wc -c"),
    "/linux/resources/devices: none": Case(
        rules({"allow": False, "access": "rwm"}), "mknod /dev/x c 1 11; head -c1 /dev/x"
    ),
    "/linux/resources/devices: one": Case(
        {
            **rules(
                {"allow": False, "access": "rwm"}, {"allow": True, "type": "b", "major": 7, "minor": 0, "access": "r"}
            ),
            **device("/dev/x", "b", 7, 0),
        },
        "head -c1 /dev/x; echo x >/dev/x; mknod /dev/y b 7 1",
    ),
    "/linux/resources/devices: the last that matches": Case(
        {
            **capabilities("MKNOD"),
            **rules(
                {"allow": True, "access": "rwm"},
                {"allow": False, "type": "c", "major": 1, "minor": 7, "access": "w"},
                {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "rw"},
                {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "w"},
            ),
        },
        "for n in 3 7 11; do mknod /dev/n$n c 1 $n; (echo >/dev/n$n); (head -c0 </dev/n$n) && echo $n; done",
    ),
}

OF_LINUX = {
    "/linux/cgroupsPath: absolute": Case({"/linux/cgroupsPath": "/differential"}, "cat /proc/self/cgroup"),
    "/linux/cgroupsPath: without a namespace": Case(
        {"/linux/cgroupsPath": "/differential", "/linux/namespaces/cgroup": DROP}, "cat /proc/self/cgroup"
    ),
    "/linux/sysctl: of the network": Case(
        {"/linux/sysctl": {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "1"}},
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/lo/forwarding",
    ),
    "/linux/sysctl: of System V IPC": Case(
        {
            "/linux/sysctl": {f"kernel.{name}": "100" for name in ("msgmni", "shmmni", "msgmnb")}
            | {"kernel.sem": "1 2 3 4"}
        },
        "cd /proc/sys/kernel; cat msgmni shmmni msgmnb sem",
    ),
    "/linux/sysctl: of message queues": Case(
        {"/linux/sysctl": {"fs.mqueue.msg_max": "20"}}, "cat /proc/sys/fs/mqueue/msg_max"
    ),
    "/linux/maskedPaths": Case(
        {"/linux/maskedPaths": ["/etc/passwd", "/usr", "/not/there"]}, "cat /etc/passwd; ls -la /usr; mount | grep usr"
    ),
    "/linux/readonlyPaths": Case(
        {"/linux/readonlyPaths": ["/tmp", "/etc/hosts", "/not/there"], "/root/readonly": False},
        "touch /tmp/x /etc/hosts; echo $?",
    ),
    **{
        f"/linux/rootfsPropagation: {word}": Case({"/linux/rootfsPropagation": word})
        for word in ("private", "rprivate", "slave", "rslave", "unbindable")
    },
    "/linux/personality": Case({"/linux/personality": {"domain": "LINUX"}}),
}

OF_SECCOMP = {
    "/linux/seccomp/syscalls/*/action: ERRNO": Case(filtered(rule("ERRNO", "mkdir")), MAKE),
    "/linux/seccomp/syscalls/*/errnoRet": Case(filtered(rule("ERRNO", "mkdir", errnoRet=28)), MAKE),
    "/linux/seccomp/syscalls/*/action: KILL": Case(filtered(rule("KILL", "mkdir")), f"sh -c '{MAKE}'; echo $?"),
    "/linux/seccomp/syscalls/*/action: KILL_PROCESS": Case(
        filtered(rule("KILL_PROCESS", "mkdir")), f"sh -c '{MAKE}'; echo $?"
    ),
    "/linux/seccomp/syscalls/*/action: KILL_THREAD": Case(
        filtered(rule("KILL_THREAD", "mkdir")), f"sh -c '{MAKE}'; echo $?"
    ),
    "/linux/seccomp/syscalls/*/action: TRAP": Case(filtered(rule("TRAP", "mkdir")), f"sh -c '{MAKE}'; echo $?"),
    "/linux/seccomp/syscalls/*/action: LOG": Case(filtered(rule("LOG", "mkdir")), MAKE),
    "/linux/seccomp/syscalls/*/action: TRACE": Case(filtered(rule("TRACE", "mkdir")), MAKE),
    "/linux/seccomp/syscalls/*/action: ALLOW": Case(filtered(rule("ERRNO", "mkdir"), rule("ALLOW", "chmod")), MAKE),
    "/linux/seccomp/syscalls/*/names: several, and one unknown": Case(
        filtered(rule("ERRNO", "chmod", "mkdir", "no_such_call")), f"{MAKE}; {MODES}"
    ),
    "/linux/seccomp/defaultAction: LOG": Case(filtered(rule("ERRNO", "mkdir"), default="SCMP_ACT_LOG"), MAKE),
    "/linux/seccomp/defaultErrnoRet": Case(
        filtered(rule("ERRNO", "mkdir"), default="SCMP_ACT_ALLOW", architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
        MAKE,
    ),
    **{
        f"/linux/seccomp/syscalls/*/args/*/op: {operator}": Case(conditions(operator, 3), MODES)
        for operator in ("NE", "LT", "LE", "EQ", "GE", "GT")
    },
    "/linux/seccomp/syscalls/*/args/*/op: MASKED_EQ": Case(conditions("MASKED_EQ", 6, 2), MODES),
    "/linux/seccomp/syscalls/*/args: two": Case(
        filtered(
            rule(
                "ERRNO",
                "chmod",
                args=[{"index": 1, "value": low, "op": f"SCMP_CMP_{word}"} for word, low in (("GT", 2), ("LT", 6))],
            )
        ),
        MODES,
    ),
    "/linux/seccomp/architectures: none": Case(filtered(rule("ERRNO", "mkdir"), architectures=[]), MAKE),
    "/linux/seccomp: with another user": Case(
        {**filtered(rule("ERRNO", "mkdir")), "/process/noNewPrivileges": False, "/process/user": {"uid": 9, "gid": 9}},
        MAKE,
    ),
}

CASES: dict[str, Case] = {
    **OF_THE_FILE,
    **OF_THE_ROOT,
    **OF_THE_PROCESS,
    **OF_MOUNTS,
    **OF_HOOKS,
    **OF_NAMESPACES,
    **OF_USER_NAMESPACES,
    **OF_DEVICES,
    **OF_LINUX,
    **OF_SECCOMP,
}

# Configurations that can't be obeyed.
REFUSED: dict[str, dict[str, Any]] = {
    "/ociVersion: none": {"/ociVersion": DROP},
    "/root/path: not there": {"/root/path": "nowhere"},
    "/hostname: without a uts namespace": {"/linux/namespaces/uts": DROP},
    "/process: none": {"/process": DROP},
    "/process/args: none": {"/process/args": []},
    "/process/args: a program that is not there": {"/process/args/0": "nothing"},
    "/process/args: a file that can't be executed": {"/process/args/0": "/etc/passwd"},
    "/process/args: a directory": {"/process/args/0": "/etc"},
    "/process/cwd: relative": {"/process/cwd": "tmp"},
    "/process/cwd: a file": {"/process/cwd": "/etc/passwd"},
    "/process/rlimits: unknown": {"/process/rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]},
    "/process/rlimits: twice": {"/process/rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2},
    "/process/rlimits: soft above hard": {"/process/rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]},
    "/process/apparmorProfile: without AppArmor": {"/process/apparmorProfile": "docker-default"},
    "/process/selinuxLabel: without SELinux": {"/process/selinuxLabel": "system_u:system_r:container_t:s0"},
    "/mounts/*/source: not there": {"/mounts/-": bind("bind", source="/not/there")},
    "/mounts/*/type: bind, without the option": {"/mounts/-": {**BARE, "type": "bind", "source": "@TREE@"}},
    "/mounts/*/type: unknown": {"/mounts/-": {**BARE, "type": "no-such-filesystem"}},
    "/mounts/*/options: unknown to the filesystem": {"/mounts/-": tmpfs("no-such-option")},
    "/linux/namespaces/*/type: unknown": {"/linux/namespaces/-": {"type": "none"}},
    "/linux/namespaces/*/type: twice": {"/linux/namespaces/-": {"type": "pid"}},
    "/linux/namespaces/*/path: not there": {"/linux/namespaces/ipc": {"type": "ipc", "path": "/no"}},
    "/linux/uidMappings: without a user namespace": {
        "/linux/uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]
    },
    "/linux/uidMappings: none": {"/linux/namespaces/-": {"type": "user"}},
    "/linux/sysctl: of the whole host": {"/linux/sysctl": {"kernel.pid_max": "1000"}},
    "/linux/sysctl: of a namespace that is not there": {
        "/linux/namespaces/network": DROP,
        "/linux/sysctl": {"net.ipv4.ip_forward": "1"},
    },
    "/linux/sysctl: the host name": {"/linux/sysctl": {"kernel.hostname": "x"}},
    "/linux/devices/*/type: unknown": {"/linux/devices": [{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]},
    "/linux/rootfsPropagation: unknown": {"/linux/rootfsPropagation": "sideways"},
    "/linux/seccomp/defaultAction: unknown": {"/linux/seccomp": {"defaultAction": "SCMP_ACT_MAYBE"}},
    "/linux/seccomp/syscalls/*/args/*/op: unknown": conditions("MAYBE", 1),
    "/linux/seccomp/architectures: unknown": {
        "/linux/seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X"],
            "syscalls": [rule("ERRNO", "mkdir")],
        }
    },
    "/hooks/createRuntime/*/path: not there": {"/hooks/createRuntime": [{"path": "/not/there"}]},
    "/hooks/createRuntime: one that fails": hook("createRuntime", "exit 7"),
    "/hooks/createContainer: one that fails": hook("createContainer", "exit 7"),
    "/hooks/createRuntime/*/timeout": hook("createRuntime", "exec sleep 30", timeout=1),
}
