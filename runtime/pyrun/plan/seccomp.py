# SPDX-License-Identifier: Apache-2.0
"""`linux.seccomp` to a classic BPF program, compiled by libseccomp once and then read from a cache.

A profile means what it means to runc (libcontainer/seccomp): the native architecture is always covered,
system calls unknown to libseccomp are passed over, a rule that does what is done anyway is left out, and
conditions on the same argument are alternatives. As with runc, a call newer than every call that the profile
names fails with ENOSYS instead of the default action, so that programs fall back to older calls.

The result depends on nothing but the profile, the machine and libseccomp.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys

from pyrun.errors import PyrunError

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMAT = b"pyrun seccomp filter 1"
"""First line of a cache file. To be raised when the same profile is compiled to something else."""

_CACHED_FILTERS = 64
_INSTRUCTION_BYTES = 8
_MOST_INSTRUCTIONS = 4096  # BPF_MAXINSNS
_LONGEST_HEADER = 8192

_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
}

# Return values of a filter (linux/seccomp.h); those of ERRNO and TRACE carry a number in the lower 16 bits.
_ERRNO, _TRACE, _LOG, _ALLOW = 0x0005_0000, 0x7FF0_0000, 0x7FFC_0000, 0x7FFF_0000
_ACTIONS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x8000_0000,
    "SCMP_ACT_TRAP": 0x0003_0000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_LOG": _LOG,
    "SCMP_ACT_ALLOW": _ALLOW,
}
_LARGEST_DATA = {_ERRNO: 4094, _TRACE: 0xFFFF}  # what libseccomp takes: below MAX_ERRNO; SECCOMP_RET_DATA
_EPERM, _ENOSYS = 1, 38

# enum scmp_compare (seccomp.h).
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

# AUDIT_ARCH_* (linux/audit.h); X32 is libseccomp's own, for the calls of X86_64 with _X32_BIT.
_ARCHITECTURES = {
    "SCMP_ARCH_X86": 0x4000_0003,
    "SCMP_ARCH_X86_64": 0xC000_003E,
    "SCMP_ARCH_X32": 0x4000_003E,
    "SCMP_ARCH_ARM": 0x4000_0028,
    "SCMP_ARCH_AARCH64": 0xC000_00B7,
    "SCMP_ARCH_LOONGARCH64": 0xC000_0102,
    "SCMP_ARCH_M68K": 0x0000_0004,
    "SCMP_ARCH_MIPS": 0x0000_0008,
    "SCMP_ARCH_MIPS64": 0x8000_0008,
    "SCMP_ARCH_MIPS64N32": 0xA000_0008,
    "SCMP_ARCH_MIPSEL": 0x4000_0008,
    "SCMP_ARCH_MIPSEL64": 0xC000_0008,
    "SCMP_ARCH_MIPSEL64N32": 0xE000_0008,
    "SCMP_ARCH_PARISC": 0x0000_000F,
    "SCMP_ARCH_PARISC64": 0x8000_000F,
    "SCMP_ARCH_PPC": 0x0000_0014,
    "SCMP_ARCH_PPC64": 0x8000_0015,
    "SCMP_ARCH_PPC64LE": 0xC000_0015,
    "SCMP_ARCH_RISCV64": 0xC000_00F3,
    "SCMP_ARCH_S390": 0x0000_0016,
    "SCMP_ARCH_S390X": 0x8000_0016,
    "SCMP_ARCH_SH": 0x4000_002A,
    "SCMP_ARCH_SHEB": 0x0000_002A,
}
_X32 = _ARCHITECTURES["SCMP_ARCH_X32"]
_X86_64 = _ARCHITECTURES["SCMP_ARCH_X86_64"]
_X32_BIT = 0x4000_0000

# Opcodes of classic BPF (linux/bpf_common.h), and offsets in struct seccomp_data (linux/seccomp.h).
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_GREATER, _JUMP_IF_NOT_LESS, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_CALL_NUMBER, _ARCHITECTURE = 0, 4

_API_LEVEL = 3
"""All of libseccomp that is used here: the actions LOG and KILL_PROCESS. Unless the level is set, libseccomp
asks the running kernel, which a filter around pyrun itself may answer for."""

_MANY_RULES = 32


def compile_filter(profile: dict[str, Any], cache_directory: str | None) -> tuple[int, bytes]:
    """Compile a seccomp profile, or take what was compiled from it before.

    Args:
        profile: ``linux.seccomp``.
        cache_directory: where compiled filters are kept, made when absent; None keeps nothing. A directory
            that cannot be read or written makes this slower, not fail.

    Returns:
        The flags for seccomp(2) and the program: ``struct sock_filter`` of 8 bytes each.

    Raises:
        PyrunError: the profile is invalid, asks for what is not supported, or libseccomp is missing.
    """
    if cache_directory is None:
        return _compile(profile)
    key = _cache_key(profile)
    path = f"{cache_directory}/{key}.bpf"
    found = _read_cached(path, key)
    if found is None:
        found = _compile(profile)
        _store(cache_directory, path, key, *found)
    return found


# The cache. A file is text of six lines, with all that makes its contents valid, and then the program:
# format, key, checksum of the rest, flags, identity of the libseccomp file, path of the libseccomp file.


def _cache_key(profile: dict[str, Any]) -> str:
    digest = blake2b(_FORMAT + b"\n" + os.uname().machine.encode(), digest_size=16)
    # Version 2 has no references between equal objects, which would differ from run to run.
    digest.update(marshal.dumps(profile, 2))
    return digest.hexdigest()


def _read_cached(path: str, key: str) -> tuple[int, bytes] | None:
    """Return what a file holds if it is ours, whole, for this key, and made by the libseccomp of now."""
    try:
        content = _read_own(path, _LONGEST_HEADER + _MOST_INSTRUCTIONS * _INSTRUCTION_BYTES)
        file_format, file_key, checksum, flags, identity, library, program = content.split(b"\n", 6)
        if (
            file_format == _FORMAT
            and file_key == key.encode()
            and checksum == _checksum(flags, identity, library, program)
            and identity == _identity(library)
        ):
            return int(flags), program
    except (OSError, ValueError):
        pass
    return None


def _read_own(path: str, longest: int) -> bytes:
    """Return the contents of a file that only its owner, who is this process's user, can write."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise PermissionError
        return os.read(descriptor, longest)
    finally:
        os.close(descriptor)


def _store(directory: str, path: str, key: str, flags: int, program: bytes) -> None:
    """Put a filter into the cache, if that can be done, in the place of the oldest beyond its bound."""
    temporary = f"{path}.{os.getpid()}"
    try:
        library = _loaded_libseccomp()
        body = (b"%d" % flags, _identity(library), library, program)
        content = b"\n".join((_FORMAT, key.encode(), _checksum(*body), *body))
        os.makedirs(directory, 0o700, exist_ok=True)
        _drop_oldest(directory)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        written = os.write(descriptor, content)
        if written == len(content):
            os.rename(temporary, path)
            return
    except OSError:
        pass
    finally:
        os.close(descriptor)
    _unlink(temporary)


def _drop_oldest(directory: str) -> None:
    """Make room for one more file, counting what interrupted writers left."""
    with os.scandir(directory) as entries:
        files = sorted((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries)
    for _, path in files[: max(0, len(files) - _CACHED_FILTERS + 1)]:
        _unlink(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _checksum(*parts: bytes) -> bytes:
    return blake2b(b"\n".join(parts), digest_size=16).hexdigest().encode()


def _identity(library: bytes) -> bytes:
    """Return what an upgrade changes of a library's file; raise OSError if it is gone."""
    status = os.stat(library)
    return b"%d %d %d" % (status.st_ino, status.st_size, status.st_mtime_ns)


def _loaded_libseccomp() -> bytes:
    """Return the path of the libseccomp that this process has loaded, as the kernel shows it."""
    with open("/proc/self/maps", "rb") as maps:
        for line in maps:
            fields = line.rstrip(b"\n").split(None, 5)
            if len(fields) == 6 and b"/libseccomp.so" in fields[5]:
                return fields[5]
    raise FileNotFoundError


# The compiler.


def _compile(profile: dict[str, Any]) -> tuple[int, bytes]:
    flags = _flags(profile)
    default = _action(profile, "defaultAction", "defaultErrnoRet", "")
    for name in ("listenerPath", "listenerMetadata"):
        if profile.get(name):
            raise _error(f"/{name}", "seccomp notification is not supported yet: remove it")
    library = _import_pyseccomp()
    library.set_api(_API_LEVEL)
    filter_ = library.SyscallFilter(default)
    architectures = _add_architectures(library, filter_, profile.get("architectures") or ())
    rules = profile.get("syscalls") or ()
    if sum(len(rule["names"]) for rule in rules) > _MANY_RULES:
        filter_.set_attr(library.Attr.CTL_OPTIMIZE, 2)  # a binary tree of calls
    for index, rule in enumerate(rules):
        _add_rule(library, filter_, default, rule, f"/syscalls/{index}")
    program = _export(filter_)
    if default not in (_ALLOW, _LOG, _ERRNO | _ENOSYS) and default & 0xFFFF_0000 != _TRACE:
        names = {name for rule in rules for name in rule["names"]}
        program = _refuse_newer_calls(_last_calls(library, architectures, names)) + program
    if len(program) > _MOST_INSTRUCTIONS * _INSTRUCTION_BYTES:
        count = len(program) // _INSTRUCTION_BYTES
        raise _error(
            "", f"the filter has {count} instructions, the kernel takes {_MOST_INSTRUCTIONS}: simplify it"
        )
    return flags, program


def _flags(profile: dict[str, Any]) -> int:
    """Return the flags; without a list it is SPEC_ALLOW, as for runc since 1.2 and crun."""
    listed = profile.get("flags")
    if listed is None:
        return _FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    flags = 0
    for index, flag in enumerate(listed):
        if flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
            raise _error(f"/flags/{index}", "seccomp notification is not supported yet: remove its flag")
        if flag not in _FLAGS:
            raise _error(f"/flags/{index}", f'"{flag}" is not a seccomp flag: use one of {", ".join(_FLAGS)}')
        flags |= _FLAGS[flag]
    return flags


def _action(place: dict[str, Any], name: str, errno_name: str, pointer: str) -> int:
    """Return an action of the profile or of a rule with its number."""
    action, number = place[name], place.get(errno_name)
    if action == "SCMP_ACT_NOTIFY":
        raise _error(f"{pointer}/{name}", "seccomp notification is not supported yet: use another action")
    if action not in _ACTIONS:
        raise _error(
            f"{pointer}/{name}", f'"{action}" is not a seccomp action: use one of {", ".join(_ACTIONS)}'
        )
    value = _ACTIONS[action]
    if value not in _LARGEST_DATA:
        if number is not None:
            raise _error(f"{pointer}/{errno_name}", f"{action} has no error number: remove it")
        return value
    if number is None:
        number = _EPERM
    if not 0 <= number <= _LARGEST_DATA[value]:
        raise _error(f"{pointer}/{errno_name}", f"{action} takes numbers from 0 to {_LARGEST_DATA[value]}")
    return value | int(number)


def _import_pyseccomp() -> Any:
    try:
        import pyseccomp
    except ImportError:
        raise _error("", "seccomp filters need pyseccomp: install the Python package pyseccomp") from None
    except (OSError, RuntimeError):
        package = "libseccomp2 (Fedora, SUSE: libseccomp)"
        raise _error("", f"seccomp filters need libseccomp.so.2: install the package {package}") from None
    return pyseccomp


def _add_architectures(library: Any, filter_: Any, names: list[str] | tuple[()]) -> list[int]:
    """Add architectures to the native one, and return all."""
    architectures = [library.system_arch()]
    for index, name in enumerate(names):
        architecture = _ARCHITECTURES.get(name)
        if architecture in architectures:
            continue
        try:
            if architecture is None:
                raise OSError
            filter_.add_arch(architecture)
        except OSError:
            message = f'"{name}" is not an architecture that libseccomp can filter on this machine: remove it'
            raise _error(f"/architectures/{index}", message) from None
        architectures.append(architecture)
    return architectures


def _add_rule(library: Any, filter_: Any, default: int, rule: dict[str, Any], pointer: str) -> None:
    action = _action(rule, "action", "errnoRet", pointer)
    conditions = [
        _condition(library, condition, f"{pointer}/args/{index}")
        for index, condition in enumerate(rule.get("args") or ())
    ]
    if action == default:
        return
    alternatives = [conditions]
    if len({condition["index"] for condition in rule.get("args") or ()}) < len(conditions):
        alternatives = [[condition] for condition in conditions]
    for index, name in enumerate(rule["names"]):
        number = _resolve(library, library.Arch.NATIVE, name)
        if number is None:
            continue
        for alternative in alternatives:
            try:
                filter_.add_rule(action, number, *alternative)
            except OSError as error:
                message = f'libseccomp refuses the rule for "{name}": {error.strerror}'
                raise _error(f"{pointer}/names/{index}", message) from error


def _condition(library: Any, condition: dict[str, Any], pointer: str) -> Any:
    operator = condition["op"]
    if operator not in _OPERATORS:
        choice = ", ".join(_OPERATORS)
        raise _error(f"{pointer}/op", f'"{operator}" is not a seccomp operator: use one of {choice}')
    if not 0 <= condition["index"] <= 5:
        raise _error(f"{pointer}/index", "system calls have arguments 0 to 5")
    return library.Arg(
        condition["index"], _OPERATORS[operator], condition["value"], condition.get("valueTwo") or 0
    )


def _resolve(library: Any, architecture: int, name: str) -> int | None:
    """Return a call's number, negative if only other architectures have it; None if it is unknown."""
    if not name.isascii() or "\0" in name:
        return None  # a C string would end there and name another call
    number: int = library.resolve_syscall(architecture, name)
    return None if number == -1 else number


def _export(filter_: Any) -> bytes:
    with open(os.memfd_create("seccomp"), "w+b", buffering=0) as file:
        filter_.export_bpf(file)
        file.seek(0)
        return file.read()


def _last_calls(library: Any, architectures: list[int], names: set[str]) -> dict[int, int]:
    """Return the largest number that a name stands for on each architecture that has any of the calls."""
    last = {}
    for architecture in architectures:
        numbers = [_resolve(library, architecture, name) or 0 for name in names]
        if max(numbers, default=0) > 0:
            last[architecture] = max(numbers)
    return last


def _refuse_newer_calls(last: dict[int, int]) -> bytes:
    """Return a program to put in front of a filter: calls above the last one of an architecture get ENOSYS.

    X32 shares the kernel's name for the architecture with X86_64; its calls have one more bit.
    """
    program: list[tuple[int, int, int, int]] = []
    for architecture in reversed(last):
        to_filter = len(program) + 1  # from the test before the section's last instruction
        if architecture == _X32:
            continue
        tests = [(_JUMP_IF_GREATER, 0, to_filter, last[architecture])]
        if architecture == _X86_64:
            tests = [
                (_JUMP_IF_NOT_LESS, 1, 0, _X32_BIT),
                (_JUMP_IF_GREATER, 1, to_filter + 1, last[architecture]),
                (_JUMP_IF_GREATER, 0, to_filter, last.get(_X32, 0xFFFF_FFFF)),
            ]
        section = [
            (_LOAD_WORD, 0, 0, _ARCHITECTURE),
            (_JUMP_IF_EQUAL, 0, len(tests) + 2, architecture),
            (_LOAD_WORD, 0, 0, _CALL_NUMBER),
            *tests,
            (_RETURN, 0, 0, _ERRNO | _ENOSYS),
        ]
        program = section + program
    return b"".join(
        code.to_bytes(2, sys.byteorder) + bytes((if_true, if_false)) + value.to_bytes(4, sys.byteorder)
        for code, if_true, if_false, value in program
    )


def _error(pointer: str, message: str) -> PyrunError:
    return PyrunError(message, source="config.json", pointer=f"/linux/seccomp{pointer}")
