# SPDX-License-Identifier: Apache-2.0
"""bpf(2) as far as a device program needs it."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

_SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_BPF_PROG_TYPE_CGROUP_DEVICE = 15
_BPF_CGROUP_DEVICE = 6
_BPF_F_ALLOW_MULTI = 2

# More than any kernel's union bpf_attr. Linux 6.17 and later write behind the end of a short one.
_ATTRIBUTE_SIZE = 256

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attribute: bytes) -> int:
    buffer = ctypes.create_string_buffer(attribute, _ATTRIBUTE_SIZE)
    result: int = _libc.syscall(_SYSCALL, command, buffer, _ATTRIBUTE_SIZE)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def load_device_program(instructions: bytes) -> int:
    """Loads a device program and returns its descriptor.

    Raises OSError, with the verifier's last words, when the kernel refuses it.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    log = ctypes.create_string_buffer(1 << 20)

    def attribute(log_level: int) -> bytes:
        return struct.pack(
            "=IIQQIIQ",
            _BPF_PROG_TYPE_CGROUP_DEVICE,
            len(instructions) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            log_level,
            len(log) if log_level else 0,
            ctypes.addressof(log) if log_level else 0,
        )

    try:
        return _bpf(_BPF_PROG_LOAD, attribute(0))
    except OSError:
        try:
            return _bpf(_BPF_PROG_LOAD, attribute(1))
        except OSError as error:
            raise OSError(error.errno, log.value[-500:].decode()) from error


def attach_device_program(program: int, cgroup: str) -> None:
    """Attaches a loaded program to a cgroup; it goes when the cgroup goes."""
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _bpf(_BPF_PROG_ATTACH, struct.pack("=IIII", directory, program, _BPF_CGROUP_DEVICE, _BPF_F_ALLOW_MULTI))
    finally:
        os.close(directory)
