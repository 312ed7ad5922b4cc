# SPDX-License-Identifier: Apache-2.0
"""`linux.seccomp` to a classic BPF program, compiled once and then read from a cache.

A cached filter takes nothing but this file: the compiler is loaded when there is none.

A cache file is text of six lines, with all that makes its contents valid, and then the program: format, key,
checksum of the rest, flags, identity of the libseccomp file, path of the libseccomp file.
"""

from __future__ import annotations

import marshal
import os
import stat

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMAT = b"pyrun seccomp filter 2"
"""First line of a cache file. To be raised when the same profile is compiled to something else."""

_ALLOW, _NOTIFY = "SCMP_ACT_ALLOW", "SCMP_ACT_NOTIFY"
_OF_THE_AGENT = ("listenerPath", "listenerMetadata")
_CACHED_FILTERS = 64
_LONGEST_FILE = 1 << 16  # bytes: BPF_MAXINSNS instructions take half of it


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


def allows(profile: dict[str, Any], names: frozenset[str]) -> bool:
    """Whether a profile lets system calls of these names pass whatever their arguments are."""
    by_default = profile["defaultAction"] == _ALLOW
    allowed = set(names) if by_default else set()
    for rule in profile.get("syscalls") or ():
        if rule["action"] != _ALLOW:
            if not names.isdisjoint(rule["names"]):
                return False
        elif not rule.get("args"):
            allowed.update(rule["names"])
    return names <= allowed


def notifies(profile: dict[str, Any]) -> bool:
    """Whether an agent decides about any system call; else the properties of the listener mean nothing (the spec)."""
    return any(rule["action"] == _NOTIFY for rule in profile.get("syscalls") or ())


def _compile(profile: dict[str, Any]) -> tuple[int, bytes]:
    from pyrun.plan.seccomp_compiler import compile_profile

    return compile_profile(profile)


def _cache_key(profile: dict[str, Any]) -> str:
    digest = blake2b(_FORMAT + b"\n" + os.uname().machine.encode(), digest_size=16)
    # Engines tell the agent something else for each container, with the same filter.
    compiled = {name: value for name, value in profile.items() if name not in _OF_THE_AGENT}
    # Version 2 has no references between equal objects, which would differ from run to run.
    digest.update(marshal.dumps(compiled, 2))
    return digest.hexdigest()


def _read_cached(path: str, key: str) -> tuple[int, bytes] | None:
    """Return what a file holds if it is ours, whole, for this key, and made by the libseccomp of now."""
    try:
        content = _read_own(path, _LONGEST_FILE)
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
