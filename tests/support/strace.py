# SPDX-License-Identifier: Apache-2.0
"""Tracing the system calls of a runtime, and making one of them fatal or failing, by strace(1)."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass, replace

from support.runtime import Runtime
from support.snapshot import SCRATCH
from support.waiting import PATIENCE

# Calls by which an interpreter manages its own memory and threads: errors of these are not the runtime's affair.
INTERPRETER_CALLS = frozenset(
    """arch_prctl brk exit exit_group futex madvise mmap mprotect mremap munmap rseq rt_sigaction rt_sigprocmask
    rt_sigreturn set_robust_list set_tid_address sigaltstack vfork execve clone clone3 restart_syscall""".split()
)

# Calls that change nothing outside of the process: being killed before one is being killed before the next.
_PURE = INTERPRETER_CALLS - {"exit_group", "clone", "clone3", "vfork", "execve"} | frozenset(
    """access close dup fstat getcwd getdents64 getegid geteuid getgid getpid getppid getrandom gettid getuid ioctl
    lseek lstat newfstatat poll pread64 prlimit64 read readlink stat statfs fstatfs statx uname wait4""".split()
)
_UNFINISHED = "<unfinished ...>"
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_LINE = re.compile(r"(?:(\d+) +)?(\w+)\((.*)")


@dataclass(frozen=True)
class SystemCall:
    """One system call of a trace; it was its process's `occurrence`-th of this name, beginning with 1."""

    name: str
    occurrence: int
    text: str

    def changes_something(self) -> bool:
        """Tells whether the call may change something outside of the process, or waits for another process."""
        if self.name == "openat":
            return "O_CREAT" in self.text or "O_DIRECTORY" in self.text
        return self.name not in _PURE or re.search(r'"(pid |created|started|failed)|SIGCHLD', self.text) is not None

    def failed(self) -> bool:
        """Tells whether the call failed in the trace already."""
        return " = -1 " in self.text

    def __str__(self) -> str:
        return f"{self.name}#{self.occurrence} {self.text[:90]}"


def available() -> bool:
    """Tells whether there is a strace."""
    return shutil.which("strace") is not None


def log_of(case: str) -> str:
    """Returns the file that traces of the test with this directory are written to."""
    return os.path.join(case, SCRATCH, "strace")


def traced(runtime: Runtime, case: str, *inject: str, follow: bool = False) -> Runtime:
    """Returns the same runtime below strace, with injections in the notation of strace's -e inject=.

    With `follow` its children are traced too, and strace ends when the last of them has.
    """
    options = ["-f"] if follow else []
    for injection in inject:
        options += ["-e", f"inject={injection}"]
    copy = Runtime(runtime.path, case, wrapper=("strace", "-qq", "-o", log_of(case), *options))
    copy.root = runtime.root
    copy._calls = runtime._calls + 1
    return copy


def delay(call: str, where: str, seconds: float) -> str:
    """Returns the injection that lets each call of this name wait at "enter" or "exit", longer on a slow machine."""
    return f"{call}:delay_{where}={int(1000000 * PATIENCE * seconds)}"


def read_trace(case: str) -> list[list[SystemCall]]:
    """Returns the system calls of each traced process, in the order of their first calls."""
    calls: dict[str, list[SystemCall]] = {}
    counts: dict[str, Counter[str]] = {}
    with open(log_of(case), encoding="utf-8", errors="replace") as log:
        for line in log:
            if match := _RESUMED.match(line):
                own = calls[match.group(1)]
                own[-1] = replace(own[-1], text=own[-1].text.replace(_UNFINISHED, "") + match.group(2).rstrip())
            elif match := _LINE.match(line):
                process, name, rest = match.group(1) or "", match.group(2), match.group(3)
                counts.setdefault(process, Counter())[name] += 1
                call = SystemCall(name, counts[process][name], f"{name}({rest.rstrip()}")
                calls.setdefault(process, []).append(call)
    return list(calls.values())


def first(calls: list[SystemCall], pattern: str, start: int = 0) -> int:
    """Returns the index of the first call whose text matches `pattern`; raises LookupError if none does."""
    for index in range(start, len(calls)):
        if re.search(pattern, calls[index].text):
            return index
    raise LookupError(f"no call matches {pattern}")
