# SPDX-License-Identifier: Apache-2.0
"""One virtual machine: a process of QEMU, which emulates the processor too, so that no /dev/kvm is needed.

Nothing of it is in a file: archive and console are in memory, and the kernel ends QEMU with the process that started
it, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from vm.machine.boots import Boot
from vm.machine.initrd import initrd
from vm.machine.kernel import Kernel, cached_kernel

QEMU = "qemu-system-x86_64"
MEMORY_MIB = 3072
PARAMETERS = (
    "console=ttyS0",
    "quiet",
    "panic=-1",
    # What protects or watches a kernel costs much in emulation, and protects nothing here.
    "mitigations=off",
    "nokaslr",
    "init_on_alloc=0",
    "norandmaps",
    "nowatchdog",
    "rcupdate.rcu_cpu_stall_suppress=1",
    # Clocks are right in the end, but stand still while the host is busy elsewhere.
    "tsc=reliable",
    "no_timer_check",
    "random.trust_cpu=on",
)
TAIL_LINES = 40


class Machine:
    """A started machine; `reports` is the host's end of what the tests inside have as /dev/vport0p1."""

    def __init__(self, boot: Boot, command: Sequence[str], environment: Mapping[str, str], directory: str) -> None:
        """Boots, and has `command` run in `directory`, the checkout, with this environment.

        Raises RuntimeError when QEMU or the kernel is missing.
        """
        kernel = cached_kernel()
        self._console = os.memfd_create("console")
        fcntl.fcntl(self._console, fcntl.F_SETFL, os.O_APPEND)
        self.reports, port = socket.socketpair()
        archive = _in_memory(initrd(kernel, _settings(kernel, boot, command, environment, directory)))
        try:
            self.process = subprocess.Popen(
                _command(kernel, boot, archive, self._console, port.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=self._console,
                stderr=self._console,
                pass_fds=(archive, self._console, port.fileno()),
                start_new_session=True,
            )
        finally:
            port.close()
            os.close(archive)

    def console_tail(self) -> str:
        """Returns the last lines that the kernel, the tests or QEMU wrote."""
        text = os.pread(self._console, os.fstat(self._console).st_size, 0).decode(errors="replace")
        lines = text.replace("\r", "").splitlines()[-TAIL_LINES:]
        return "\n".join(lines)

    def end(self) -> None:
        """Ends the machine at once."""
        self.process.kill()
        self.process.wait()
        self.reports.close()
        os.close(self._console)


def _settings(
    kernel: Kernel, boot: Boot, command: Sequence[str], environment: Mapping[str, str], directory: str
) -> dict[str, str]:
    variables = [f"{name}={value}" for name, value in environment.items()]
    return {
        "now": str(int(time.time())),
        "modules": kernel.modules,
        "checkout": directory,
        "environment": os.path.realpath(sys.prefix),
        "start": "start-systemd" if boot.systemd else "start",
        "command": shlex.join(["env", "-i", *variables, *command]),
    }


def _in_memory(content: bytes) -> int:
    descriptor = os.memfd_create("archive")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    return descriptor


def _command(kernel: Kernel, boot: Boot, archive: int, console: int, port: int) -> list[str]:
    qemu = shutil.which(QEMU)
    if qemu is None:
        raise RuntimeError(f"no {QEMU}: apt-get install qemu-system-x86")
    return [
        *("setpriv", "--pdeathsig", "KILL", qemu),
        *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off"),
        *("-smp", str(boot.processors), "-m", str(MEMORY_MIB)),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-kernel", kernel.image, "-initrd", f"/proc/self/fd/{archive}"),
        *("-append", " ".join((*PARAMETERS, *boot.parameters))),
        *("-chardev", f"file,id=console,path=/proc/self/fd/{console},append=on", "-serial", "chardev:console"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=reports,fd={port}"),
        *("-device", "virtserialport,chardev=reports,nr=1"),
        *("-fsdev", "local,id=host,path=/,security_model=passthrough,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
    ]
