# SPDX-License-Identifier: Apache-2.0
"""Says fast whether a config.json has the right shape; `explain.py` says what is wrong with one that has not.

Each function but the helpers at the top checks a value against one definition of the schema.
Generated from schemas/config.json by `python -m pyrun_spec.generate`: change the schema, not this file.
None for a member of an object counts as absent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def clean(text: str) -> bool:
    """Whether a string has neither NUL nor half a surrogate pair."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def boolean(value: object) -> bool:
    """Whether `value` is true or false."""
    return value is True or value is False


def texts(value: object) -> bool:
    """Whether `value` is an array of strings, each of them clean."""
    if type(value) is not list:
        return False
    try:
        return clean("".join(value))
    except TypeError:
        return False


def each(value: object, check: Callable[[object], bool]) -> bool:
    """Whether `value` is an array with items that satisfy `check`."""
    if type(value) is not list:
        return False
    for item in value:
        if not check(item):
            return False
    return True


def mapping(value: object, check_name: Callable[[object], bool], check: Callable[[object], bool]) -> bool:
    """Whether `value` is an object with names that satisfy `check_name` and members that satisfy `check`."""
    if type(value) is not dict:
        return False
    for name, item in value.items():
        if item is not None and not (check_name(name) and check(item)):
            return False
    return True


def check_config(value: object) -> bool:
    """Checks a container configuration."""
    return (
        type(value) is dict
        and text(value.get("ociVersion"))
        and root(value.get("root"))
        and ((item := value.get("process")) is None or process(item))
        and ((item := value.get("hostname")) is None or text(item))
        and ((item := value.get("domainname")) is None or text(item))
        and ((item := value.get("mounts")) is None or each(item, mount))
        and ((item := value.get("hooks")) is None or hooks(item))
        and ((item := value.get("annotations")) is None or mapping(item, non_empty_text, text))
        and ((item := value.get("linux")) is None or linux(item))
    )


def text(value: object) -> bool:
    """Checks a string."""
    return type(value) is str and clean(value)


def non_empty_text(value: object) -> bool:
    """Checks a non-empty string."""
    return type(value) is str and value != "" and clean(value)


def absolute_path(value: object) -> bool:
    """Checks an absolute path."""
    return type(value) is str and value.startswith("/") and clean(value)


def int32(value: object) -> bool:
    """Checks a 32-bit integer."""
    return type(value) is int and -2147483648 <= value <= 2147483647


def int64(value: object) -> bool:
    """Checks a 64-bit integer."""
    return type(value) is int and -9223372036854775808 <= value <= 9223372036854775807


def uint16(value: object) -> bool:
    """Checks an integer from 0 to 65535."""
    return type(value) is int and 0 <= value <= 65535


def uint32(value: object) -> bool:
    """Checks an integer from 0 to 4294967295."""
    return type(value) is int and 0 <= value <= 4294967295


def id(value: object) -> bool:
    """Checks an integer from 0 to 4294967294."""
    return type(value) is int and 0 <= value <= 4294967294


def uint64(value: object) -> bool:
    """Checks an integer from 0 to 18446744073709551615."""
    return type(value) is int and 0 <= value <= 18446744073709551615


def root(value: object) -> bool:
    """Checks a root filesystem."""
    return (
        type(value) is dict
        and non_empty_text(value.get("path"))
        and ((item := value.get("readonly")) is None or boolean(item))
    )


def process(value: object) -> bool:
    """Checks a process."""
    return (
        type(value) is dict
        and ((item := value.get("terminal")) is None or boolean(item))
        and ((item := value.get("consoleSize")) is None or console_size(item))
        and ((item := value.get("user")) is None or user(item))
        and ((item := value.get("args")) is None or texts(item))
        and ((item := value.get("env")) is None or texts(item))
        and absolute_path(value.get("cwd"))
        and ((item := value.get("capabilities")) is None or capabilities(item))
        and ((item := value.get("rlimits")) is None or each(item, rlimit))
        and ((item := value.get("noNewPrivileges")) is None or boolean(item))
        and ((item := value.get("apparmorProfile")) is None or text(item))
        and ((item := value.get("selinuxLabel")) is None or text(item))
        and ((item := value.get("oomScoreAdj")) is None or oom_score_adj(item))
        and ((item := value.get("scheduler")) is None or scheduler(item))
        and ((item := value.get("ioPriority")) is None or io_priority(item))
        and ((item := value.get("execCPUAffinity")) is None or exec_cpu_affinity(item))
    )


def console_size(value: object) -> bool:
    """Checks a terminal size."""
    return type(value) is dict and uint64(value.get("height")) and uint64(value.get("width"))


def user(value: object) -> bool:
    """Checks a user."""
    return (
        type(value) is dict
        and ((item := value.get("uid")) is None or id(item))
        and ((item := value.get("gid")) is None or id(item))
        and ((item := value.get("umask")) is None or umask(item))
        and ((item := value.get("additionalGids")) is None or each(item, id))
    )


def umask(value: object) -> bool:
    """Checks an integer from 0 to 511 (octal 0777)."""
    return type(value) is int and 0 <= value <= 511


def capabilities(value: object) -> bool:
    """Checks sets of capabilities."""
    return (
        type(value) is dict
        and ((item := value.get("bounding")) is None or capability_set(item))
        and ((item := value.get("effective")) is None or capability_set(item))
        and ((item := value.get("inheritable")) is None or capability_set(item))
        and ((item := value.get("permitted")) is None or capability_set(item))
        and ((item := value.get("ambient")) is None or capability_set(item))
    )


def capability_set(value: object) -> bool:
    """Checks a list of capabilities."""
    return each(value, capability)


def capability(value: object) -> bool:
    """Checks a capability."""
    return (
        type(value) is str
        and value.startswith("CAP_")
        and len(value) > 4
        and value[4:].strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
    )


def rlimit(value: object) -> bool:
    """Checks a resource limit."""
    return (
        type(value) is dict
        and rlimit_type(value.get("type"))
        and uint64(value.get("soft"))
        and uint64(value.get("hard"))
    )


def rlimit_type(value: object) -> bool:
    """Checks a resource of setrlimit(2)."""
    return type(value) is str and value in {
        "RLIMIT_AS",
        "RLIMIT_CORE",
        "RLIMIT_CPU",
        "RLIMIT_DATA",
        "RLIMIT_FSIZE",
        "RLIMIT_LOCKS",
        "RLIMIT_MEMLOCK",
        "RLIMIT_MSGQUEUE",
        "RLIMIT_NICE",
        "RLIMIT_NOFILE",
        "RLIMIT_NPROC",
        "RLIMIT_RSS",
        "RLIMIT_RTPRIO",
        "RLIMIT_RTTIME",
        "RLIMIT_SIGPENDING",
        "RLIMIT_STACK",
    }


def oom_score_adj(value: object) -> bool:
    """Checks an integer from -1000 to 1000."""
    return type(value) is int and -1000 <= value <= 1000


def scheduler(value: object) -> bool:
    """Checks scheduling attributes."""
    return (
        type(value) is dict
        and scheduler_policy(value.get("policy"))
        and ((item := value.get("nice")) is None or int32(item))
        and ((item := value.get("priority")) is None or int32(item))
        and ((item := value.get("flags")) is None or each(item, scheduler_flag))
        and ((item := value.get("runtime")) is None or uint64(item))
        and ((item := value.get("deadline")) is None or uint64(item))
        and ((item := value.get("period")) is None or uint64(item))
    )


def scheduler_policy(value: object) -> bool:
    """Checks a scheduling policy."""
    return type(value) is str and value in {
        "SCHED_OTHER",
        "SCHED_FIFO",
        "SCHED_RR",
        "SCHED_BATCH",
        "SCHED_ISO",
        "SCHED_IDLE",
        "SCHED_DEADLINE",
    }


def scheduler_flag(value: object) -> bool:
    """Checks a scheduling flag."""
    return type(value) is str and value in {
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
    }


def io_priority(value: object) -> bool:
    """Checks an I/O priority."""
    return (
        type(value) is dict
        and io_priority_class(value.get("class"))
        and ((item := value.get("priority")) is None or io_priority_level(item))
    )


def io_priority_class(value: object) -> bool:
    """Checks an I/O scheduling class."""
    return type(value) is str and value in {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"}


def io_priority_level(value: object) -> bool:
    """Checks an integer from 0 to 7."""
    return type(value) is int and 0 <= value <= 7


def exec_cpu_affinity(value: object) -> bool:
    """Checks processors for exec."""
    return (
        type(value) is dict
        and ((item := value.get("initial")) is None or cpu_list(item))
        and ((item := value.get("final")) is None or cpu_list(item))
    )


def cpu_list(value: object) -> bool:
    """Checks a list of processors."""
    return type(value) is str and value.strip("0123456789, -") == ""


def mount(value: object) -> bool:
    """Checks a mount."""
    return (
        type(value) is dict
        and non_empty_text(value.get("destination"))
        and ((item := value.get("type")) is None or text(item))
        and ((item := value.get("source")) is None or text(item))
        and ((item := value.get("options")) is None or texts(item))
        and ((item := value.get("uidMappings")) is None or each(item, id_mapping))
        and ((item := value.get("gidMappings")) is None or each(item, id_mapping))
    )


def id_mapping(value: object) -> bool:
    """Checks a range of mapped IDs."""
    return (
        type(value) is dict
        and uint32(value.get("containerID"))
        and uint32(value.get("hostID"))
        and uint32(value.get("size"))
    )


def hooks(value: object) -> bool:
    """Checks hooks."""
    return (
        type(value) is dict
        and ((item := value.get("prestart")) is None or each(item, hook))
        and ((item := value.get("createRuntime")) is None or each(item, hook))
        and ((item := value.get("createContainer")) is None or each(item, hook))
        and ((item := value.get("startContainer")) is None or each(item, hook))
        and ((item := value.get("poststart")) is None or each(item, hook))
        and ((item := value.get("poststop")) is None or each(item, hook))
    )


def hook(value: object) -> bool:
    """Checks a hook."""
    return (
        type(value) is dict
        and absolute_path(value.get("path"))
        and ((item := value.get("args")) is None or texts(item))
        and ((item := value.get("env")) is None or texts(item))
        and ((item := value.get("timeout")) is None or timeout(item))
    )


def timeout(value: object) -> bool:
    """Checks a number of seconds, at least 1."""
    return type(value) is int and 1 <= value <= 9223372036854775807


def linux(value: object) -> bool:
    """Checks a configuration for Linux."""
    return (
        type(value) is dict
        and ((item := value.get("namespaces")) is None or each(item, namespace))
        and ((item := value.get("uidMappings")) is None or each(item, id_mapping))
        and ((item := value.get("gidMappings")) is None or each(item, id_mapping))
        and ((item := value.get("timeOffsets")) is None or time_offsets(item))
        and ((item := value.get("devices")) is None or each(item, device))
        and ((item := value.get("netDevices")) is None or mapping(item, text, net_device))
        and ((item := value.get("cgroupsPath")) is None or text(item))
        and ((item := value.get("resources")) is None or resources(item))
        and ((item := value.get("intelRdt")) is None or intel_rdt(item))
        and ((item := value.get("memoryPolicy")) is None or memory_policy(item))
        and ((item := value.get("sysctl")) is None or mapping(item, text, text))
        and ((item := value.get("seccomp")) is None or seccomp(item))
        and ((item := value.get("rootfsPropagation")) is None or propagation(item))
        and ((item := value.get("maskedPaths")) is None or each(item, absolute_path))
        and ((item := value.get("readonlyPaths")) is None or each(item, absolute_path))
        and ((item := value.get("mountLabel")) is None or text(item))
        and ((item := value.get("personality")) is None or personality(item))
    )


def namespace(value: object) -> bool:
    """Checks a namespace."""
    return (
        type(value) is dict
        and namespace_type(value.get("type"))
        and ((item := value.get("path")) is None or absolute_path(item))
    )


def namespace_type(value: object) -> bool:
    """Checks a type of namespace."""
    return type(value) is str and value in {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}


def time_offsets(value: object) -> bool:
    """Checks offsets of clocks."""
    return (
        type(value) is dict
        and ((item := value.get("monotonic")) is None or time_offset(item))
        and ((item := value.get("boottime")) is None or time_offset(item))
    )


def time_offset(value: object) -> bool:
    """Checks an offset of a clock."""
    return (
        type(value) is dict
        and ((item := value.get("secs")) is None or int64(item))
        and ((item := value.get("nanosecs")) is None or nanoseconds(item))
    )


def nanoseconds(value: object) -> bool:
    """Checks an integer from 0 to 999999999."""
    return type(value) is int and 0 <= value <= 999999999


def device(value: object) -> bool:
    """Checks a device."""
    return (
        type(value) is dict
        and device_type(value.get("type"))
        and absolute_path(value.get("path"))
        and ((item := value.get("major")) is None or int64(item))
        and ((item := value.get("minor")) is None or int64(item))
        and ((item := value.get("fileMode")) is None or uint32(item))
        and ((item := value.get("uid")) is None or id(item))
        and ((item := value.get("gid")) is None or id(item))
    )


def device_type(value: object) -> bool:
    """Checks a type of device."""
    return type(value) is str and value in {"c", "b", "u", "p"}


def net_device(value: object) -> bool:
    """Checks a network device."""
    return type(value) is dict and ((item := value.get("name")) is None or text(item))


def intel_rdt(value: object) -> bool:
    """Checks settings for Intel RDT."""
    return (
        type(value) is dict
        and ((item := value.get("closID")) is None or text(item))
        and ((item := value.get("schemata")) is None or texts(item))
        and ((item := value.get("l3CacheSchema")) is None or text(item))
        and ((item := value.get("memBwSchema")) is None or memory_bandwidth_schema(item))
        and ((item := value.get("enableMonitoring")) is None or boolean(item))
    )


def memory_bandwidth_schema(value: object) -> bool:
    """Checks a memory bandwidth schema."""
    return type(value) is str and value.startswith("MB:") and "\n" not in value and clean(value)


def memory_policy(value: object) -> bool:
    """Checks a memory policy."""
    return (
        type(value) is dict
        and memory_policy_mode(value.get("mode"))
        and ((item := value.get("nodes")) is None or text(item))
        and ((item := value.get("flags")) is None or each(item, memory_policy_flag))
    )


def memory_policy_mode(value: object) -> bool:
    """Checks a mode of set_mempolicy(2)."""
    return type(value) is str and value in {
        "MPOL_DEFAULT",
        "MPOL_BIND",
        "MPOL_INTERLEAVE",
        "MPOL_WEIGHTED_INTERLEAVE",
        "MPOL_PREFERRED",
        "MPOL_PREFERRED_MANY",
        "MPOL_LOCAL",
    }


def memory_policy_flag(value: object) -> bool:
    """Checks a flag of set_mempolicy(2)."""
    return type(value) is str and value in {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}


def propagation(value: object) -> bool:
    """Checks a mount propagation."""
    return type(value) is str and value in {
        "private",
        "rprivate",
        "shared",
        "rshared",
        "slave",
        "rslave",
        "unbindable",
        "runbindable",
    }


def personality(value: object) -> bool:
    """Checks a personality."""
    return (
        type(value) is dict
        and personality_domain(value.get("domain"))
        and ((item := value.get("flags")) is None or texts(item))
    )


def personality_domain(value: object) -> bool:
    """Checks an execution domain."""
    return type(value) is str and value in {"LINUX", "LINUX32"}


def resources(value: object) -> bool:
    """Checks resource limits."""
    return (
        type(value) is dict
        and ((item := value.get("devices")) is None or each(item, device_rule))
        and ((item := value.get("memory")) is None or memory(item))
        and ((item := value.get("cpu")) is None or cpu(item))
        and ((item := value.get("pids")) is None or pids(item))
        and ((item := value.get("blockIO")) is None or block_io(item))
        and ((item := value.get("hugepageLimits")) is None or each(item, hugepage_limit))
        and ((item := value.get("network")) is None or network(item))
        and ((item := value.get("rdma")) is None or mapping(item, text, rdma))
        and ((item := value.get("unified")) is None or mapping(item, cgroup_file, text))
    )


def device_rule(value: object) -> bool:
    """Checks a device rule."""
    return (
        type(value) is dict
        and boolean(value.get("allow"))
        and ((item := value.get("type")) is None or device_rule_type(item))
        and ((item := value.get("major")) is None or int64(item))
        and ((item := value.get("minor")) is None or int64(item))
        and ((item := value.get("access")) is None or device_access(item))
    )


def device_rule_type(value: object) -> bool:
    """Checks a type of device rule."""
    return type(value) is str and value in {"a", "c", "b"}


def device_access(value: object) -> bool:
    """Checks an access to a device."""
    return type(value) is str and value.strip("rwm") == ""


def memory(value: object) -> bool:
    """Checks memory limits."""
    return (
        type(value) is dict
        and ((item := value.get("limit")) is None or int64(item))
        and ((item := value.get("reservation")) is None or int64(item))
        and ((item := value.get("swap")) is None or int64(item))
        and ((item := value.get("kernel")) is None or int64(item))
        and ((item := value.get("kernelTCP")) is None or int64(item))
        and ((item := value.get("swappiness")) is None or uint64(item))
        and ((item := value.get("disableOOMKiller")) is None or boolean(item))
        and ((item := value.get("useHierarchy")) is None or boolean(item))
        and ((item := value.get("checkBeforeUpdate")) is None or boolean(item))
    )


def cpu(value: object) -> bool:
    """Checks processor limits."""
    return (
        type(value) is dict
        and ((item := value.get("shares")) is None or uint64(item))
        and ((item := value.get("quota")) is None or int64(item))
        and ((item := value.get("burst")) is None or uint64(item))
        and ((item := value.get("period")) is None or uint64(item))
        and ((item := value.get("realtimeRuntime")) is None or int64(item))
        and ((item := value.get("realtimePeriod")) is None or uint64(item))
        and ((item := value.get("cpus")) is None or text(item))
        and ((item := value.get("mems")) is None or text(item))
        and ((item := value.get("idle")) is None or int64(item))
    )


def pids(value: object) -> bool:
    """Checks a limit of processes."""
    return type(value) is dict and int64(value.get("limit"))


def block_io(value: object) -> bool:
    """Checks limits of block I/O."""
    return (
        type(value) is dict
        and ((item := value.get("weight")) is None or uint16(item))
        and ((item := value.get("leafWeight")) is None or uint16(item))
        and ((item := value.get("weightDevice")) is None or each(item, weight_device))
        and ((item := value.get("throttleReadBpsDevice")) is None or each(item, throttle_device))
        and ((item := value.get("throttleWriteBpsDevice")) is None or each(item, throttle_device))
        and ((item := value.get("throttleReadIOPSDevice")) is None or each(item, throttle_device))
        and ((item := value.get("throttleWriteIOPSDevice")) is None or each(item, throttle_device))
    )


def weight_device(value: object) -> bool:
    """Checks a weight of a device."""
    return (
        type(value) is dict
        and int64(value.get("major"))
        and int64(value.get("minor"))
        and ((item := value.get("weight")) is None or uint16(item))
        and ((item := value.get("leafWeight")) is None or uint16(item))
    )


def throttle_device(value: object) -> bool:
    """Checks a limit of a device."""
    return type(value) is dict and int64(value.get("major")) and int64(value.get("minor")) and uint64(value.get("rate"))


def hugepage_limit(value: object) -> bool:
    """Checks a limit of huge pages."""
    return type(value) is dict and page_size(value.get("pageSize")) and uint64(value.get("limit"))


def page_size(value: object) -> bool:
    """Checks a page size."""
    return (
        type(value) is str
        and value.isascii()
        and value[:-2].isdecimal()
        and value[0] != "0"
        and value[-2:] in {"KB", "MB", "GB"}
    )


def network(value: object) -> bool:
    """Checks settings of net_cls and net_prio."""
    return (
        type(value) is dict
        and ((item := value.get("classID")) is None or uint32(item))
        and ((item := value.get("priorities")) is None or each(item, interface_priority))
    )


def interface_priority(value: object) -> bool:
    """Checks a priority of an interface."""
    return type(value) is dict and text(value.get("name")) and uint32(value.get("priority"))


def rdma(value: object) -> bool:
    """Checks limits of an RDMA device."""
    return (
        type(value) is dict
        and ((item := value.get("hcaHandles")) is None or uint32(item))
        and ((item := value.get("hcaObjects")) is None or uint32(item))
    )


def cgroup_file(value: object) -> bool:
    """Checks a file of a cgroup."""
    return type(value) is str and value != "" and "/" not in value and clean(value)


def seccomp(value: object) -> bool:
    """Checks a seccomp profile."""
    return (
        type(value) is dict
        and seccomp_action(value.get("defaultAction"))
        and ((item := value.get("defaultErrnoRet")) is None or uint32(item))
        and ((item := value.get("architectures")) is None or each(item, seccomp_architecture))
        and ((item := value.get("flags")) is None or each(item, seccomp_flag))
        and ((item := value.get("listenerPath")) is None or text(item))
        and ((item := value.get("listenerMetadata")) is None or text(item))
        and ((item := value.get("syscalls")) is None or each(item, syscall))
    )


def seccomp_action(value: object) -> bool:
    """Checks a seccomp action."""
    return type(value) is str and value in {
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
    }


def seccomp_architecture(value: object) -> bool:
    """Checks a seccomp architecture."""
    return type(value) is str and value in {
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_X32",
        "SCMP_ARCH_ARM",
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_LOONGARCH64",
        "SCMP_ARCH_M68K",
        "SCMP_ARCH_MIPS",
        "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32",
        "SCMP_ARCH_MIPSEL",
        "SCMP_ARCH_MIPSEL64",
        "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_PPC",
        "SCMP_ARCH_PPC64",
        "SCMP_ARCH_PPC64LE",
        "SCMP_ARCH_S390",
        "SCMP_ARCH_S390X",
        "SCMP_ARCH_SH",
        "SCMP_ARCH_SHEB",
        "SCMP_ARCH_PARISC",
        "SCMP_ARCH_PARISC64",
        "SCMP_ARCH_RISCV64",
    }


def seccomp_flag(value: object) -> bool:
    """Checks a seccomp flag."""
    return type(value) is str and value in {
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }


def syscall(value: object) -> bool:
    """Checks a seccomp rule."""
    return (
        type(value) is dict
        and syscall_names(value.get("names"))
        and seccomp_action(value.get("action"))
        and ((item := value.get("errnoRet")) is None or uint32(item))
        and ((item := value.get("args")) is None or each(item, syscall_argument))
    )


def syscall_names(value: object) -> bool:
    """Checks a list of system calls."""
    return value != [] and texts(value)


def syscall_argument(value: object) -> bool:
    """Checks a condition on an argument."""
    return (
        type(value) is dict
        and argument_index(value.get("index"))
        and uint64(value.get("value"))
        and ((item := value.get("valueTwo")) is None or uint64(item))
        and seccomp_operator(value.get("op"))
    )


def argument_index(value: object) -> bool:
    """Checks an integer from 0 to 5."""
    return type(value) is int and 0 <= value <= 5


def seccomp_operator(value: object) -> bool:
    """Checks a seccomp comparison."""
    return type(value) is str and value in {
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    }
