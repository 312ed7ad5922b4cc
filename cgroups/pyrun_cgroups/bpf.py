# SPDX-License-Identifier: Apache-2.0
"""The device filter of a cgroup in the kernel: loaded, attached in place of another, listed (bpf(2)).

`devices.device_filter` makes the program. A program lives as long as it is attached or a descriptor of it is open.
A cgroup may have several; a request has to pass all of them, and those of the cgroups above.

It takes CAP_BPF or CAP_SYS_ADMIN in the host's user namespace, and CAP_NET_ADMIN for what attaches.
"""

from __future__ import annotations

import ctypes
import errno
import os

from pyrun_cgroups import system_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
"""Number of the call, by what uname(2) says of the machine."""

# Commands, types and flags of linux/bpf.h.
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 5, 8, 9, 13, 15, 16
_PROG_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6
_ALLOW_MULTI, _REPLACE = 2, 4

_ATTRIBUTE_SIZE = 256
"""Bytes, more than any kernel's ``union bpf_attr`` has. What follows the fields in use is zero, as the kernel asks;
kernels 6.17 to 7.1 write behind the end of a shorter one."""

_INFORMATION_SIZE = 512
_MOST_PROGRAMS = 64
"""BPF_CGROUP_MAX_PROGS: as many can be attached to one cgroup."""

_OF_THE_VERIFIER = (errno.EACCES, errno.EINVAL)
_LOG_SIZE = 1 << 20
_SHOWN_OF_THE_LOG = 500


def load_device_filter(program: bytes) -> int:
    """Load a program into the kernel and return its descriptor.

    Args:
        program: what `devices.device_filter` returned.

    Raises:
        OSError: the kernel refuses; with the verifier's last words where it has any.
    """
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    # prog_type, insn_cnt, insns, license, log_level, log_size, log_buf
    attribute = _u32(_PROG_TYPE_CGROUP_DEVICE, len(program) // 8) + _u64(_address(code), _address(licence))
    try:
        return _bpf(_PROG_LOAD, attribute)
    except OSError as refused:
        if refused.errno not in _OF_THE_VERIFIER:
            raise
        log = ctypes.create_string_buffer(_LOG_SIZE)
        try:
            return _bpf(_PROG_LOAD, attribute + _u32(1, _LOG_SIZE) + _u64(_address(log)))
        except OSError as error:
            words = log.value[-_SHOWN_OF_THE_LOG:].decode("utf-8", "replace").split("\n")
            said = " ".join(line for line in words if line)
            error.strerror = f"{error.strerror}: {said}" if said else error.strerror
            raise


def attach_device_filter(path: str, program: bytes, replaced: bytes | None = None) -> None:
    """Attach a program to a cgroup in place of the one that is there: at no moment is there none, or both.

    Args:
        path: the cgroup.
        program: what `devices.device_filter` returned.
        replaced: the program to be replaced, where others may be attached too.

    Raises:
        OSError: as of `Replacement`.
    """
    replacement = Replacement(path, program, replaced)
    try:
        replacement.make()
    finally:
        replacement.close()


class Replacement:
    """A device filter that is to take the place of another one, and can be taken back."""

    def __init__(self, path: str, program: bytes, replaced: bytes | None = None) -> None:
        """Load the program and find the one that it replaces; nothing changes yet.

        Args:
            path: the cgroup.
            program: what `devices.device_filter` returned.
            replaced: the program to be replaced, where others may be attached too; without it, or if it is not
                there, the only one that is.

        Raises:
            OSError: no cgroup; the kernel refuses the program; or EBUSY: several programs are attached, none of
                them `replaced`, and which of them to replace can't be known.
        """
        self._cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._new = self._old = -1
        self._made = False
        try:
            self._new = load_device_filter(program)
            self._old = _find(self._cgroup, replaced)
        except OSError as error:
            self.close()
            error.filename = path
            raise

    def make(self) -> None:
        """Put the new program in place.

        Raises:
            OSError: the kernel refuses.
        """
        _attach(self._cgroup, self._new, self._old)
        self._made = True

    def undo(self) -> None:
        """Put the old program back, or none if there was none.

        Raises:
            OSError: the kernel refuses.
        """
        if not self._made:
            return
        if self._old >= 0:
            _attach(self._cgroup, self._old, self._new)
        else:
            _bpf(_PROG_DETACH, _u32(self._cgroup, self._new, _CGROUP_DEVICE, 0))
        self._made = False

    def close(self) -> None:
        """Give back what is open."""
        for descriptor in (self._cgroup, self._new, self._old):
            if descriptor >= 0:
                os.close(descriptor)
        self._cgroup = self._new = self._old = -1


def attached_device_filters(path: str) -> list[int]:
    """Return the kernel's ids of the device programs that are attached to a cgroup itself.

    Raises:
        OSError: no cgroup, or the kernel refuses.
    """
    cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _attached(cgroup)
    finally:
        os.close(cgroup)


def _attach(cgroup: int, program: int, replaced: int) -> None:
    # target_fd, attach_bpf_fd, attach_type, attach_flags, replace_bpf_fd
    if replaced < 0:
        _bpf(_PROG_ATTACH, _u32(cgroup, program, _CGROUP_DEVICE, _ALLOW_MULTI))
    else:
        _bpf(_PROG_ATTACH, _u32(cgroup, program, _CGROUP_DEVICE, _ALLOW_MULTI | _REPLACE, replaced))


def _attached(cgroup: int) -> list[int]:
    ids = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    # target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
    attribute = _u32(cgroup, _CGROUP_DEVICE, 0, 0) + _u64(ctypes.addressof(ids)) + _u32(_MOST_PROGRAMS)
    buffer = _buffer(attribute)
    _bpf_in(_PROG_QUERY, buffer)
    count = ctypes.c_uint32.from_buffer(buffer, 24).value
    return list(ids[:count])


def _find(cgroup: int, wanted: bytes | None) -> int:
    """Return a descriptor of the attached program that is to be replaced, -1 where none is attached."""
    programs: list[int] = []
    try:
        for identity in _attached(cgroup):
            programs.append(_bpf(_PROG_GET_FD_BY_ID, _u32(identity)))
        found = _same(programs, wanted) if wanted is not None else None
        if found is None:
            if len(programs) > 1:
                raise OSError(errno.EBUSY, f"{len(programs)} device programs are attached, of others too")
            found = programs[0] if programs else -1
    except BaseException:
        _close(programs)
        raise
    _close([each for each in programs if each != found])
    return found


def _same(programs: Sequence[int], wanted: bytes) -> int | None:
    """Return the one of some programs that was made of the same instructions, as the kernel's digest of them says."""
    model = load_device_filter(wanted)
    try:
        digest = _digest(model)
    finally:
        os.close(model)
    return next((each for each in programs if _digest(each) == digest), None)


def _digest(program: int) -> bytes:
    """Return ``bpf_prog_info.tag``: 8 bytes at offset 8, the same for the same instructions."""
    information = ctypes.create_string_buffer(_INFORMATION_SIZE)
    # bpf_fd, info_len, info
    _bpf(_OBJ_GET_INFO_BY_FD, _u32(program, _INFORMATION_SIZE) + _u64(ctypes.addressof(information)))
    return information.raw[8:16]


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _bpf(command: int, attribute: bytes) -> int:
    return _bpf_in(command, _buffer(attribute))


def _bpf_in(command: int, attribute: ctypes.Array[ctypes.c_char]) -> int:
    number = _BPF.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) has no known number on {os.uname().machine}")
    return system_calls.call(number, command, ctypes.addressof(attribute), _ATTRIBUTE_SIZE)


def _buffer(attribute: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(attribute, _ATTRIBUTE_SIZE)


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def _u32(*values: int) -> bytes:
    return bytes((ctypes.c_uint32 * len(values))(*values))


def _u64(*values: int) -> bytes:
    return bytes((ctypes.c_uint64 * len(values))(*values))
