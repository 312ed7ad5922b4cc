# SPDX-License-Identifier: Apache-2.0
"""What the processes of one command ask of the kernel, as strace(1) sees it.

Every call takes longer with strace attached, so times say how calls compare, not what they cost alone.
"""

from __future__ import annotations

import ast
import glob
import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field

from measure import BenchError

# Calls whose time is another process's work, and those of which it is when they read from a socket or a pipe.
WAITING = {"clock_nanosleep", "epoll_wait", "futex", "nanosleep", "poll", "ppoll", "pselect6"}
WAITING |= {"accept4", "recvfrom", "recvmsg", "rt_sigtimedwait", "wait4", "waitid"}
READING = {"read", "readv"}
CLONING = {"clone", "clone3", "fork", "vfork"}

_CALL = re.compile(r"(?P<begin>\d+\.\d+) (?P<name>\w+)\((?P<rest>.*) <(?P<took>\d+\.\d+)>$")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass
class Process:
    """One process of the command.

    Attributes:
        begin: time of its first call, in seconds.
        copied: name of the program that it was a copy of before it executed another one.
        executed: the argument vectors that it executed, one after the other.
        calls: how often it made each call.
        seconds: time in each call that is its own work.
        waited: seconds in calls that wait for others.
        children: pids of the processes that it made.
    """

    begin: float
    copied: str = ""
    executed: list[list[str]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    waited: float = 0.0
    children: list[str] = field(default_factory=list)

    @property
    def programs(self) -> list[str]:
        """Names of what it executed."""
        return [os.path.basename(arguments[0]) for arguments in self.executed]

    @property
    def label(self) -> str:
        """The programs that it was, one after the other."""
        return " > ".join([*([self.copied] if self.copied else []), *self.programs])


def trace(command: list[str], directory: str) -> list[Process]:
    """Run the command under strace; its processes in the order in which they began.

    Args:
        command: what to run, with a path as its first word.
        directory: where to put the traces; it is made.

    Raises:
        BenchError: strace is missing, or the command failed.
    """
    if shutil.which("strace") is None:
        raise BenchError("the profile needs strace")
    os.mkdir(directory)
    options = ["-ff", "-ttt", "-T", "-y", "-s", "65535", "-e", "abbrev=none"]
    traced = ["strace", *options, "-o", os.path.join(directory, "trace"), *command]
    done = subprocess.run(traced, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)} under strace: {done.stderr.strip()}")
    traces = glob.glob(os.path.join(directory, "trace.*"))
    processes = {path.rpartition(".")[2]: _read_process(path) for path in traces}
    in_order = sorted(processes.values(), key=lambda process: process.begin)
    for process in in_order:
        for child in process.children:
            processes[child].copied = process.programs[-1] if process.executed else process.copied
    return in_order


def _read_process(path: str) -> Process:
    with open(path, encoding="utf-8", errors="replace") as file:
        calls = [match for match in map(_CALL.match, file) if match is not None]
    process = Process(begin=float(calls[0]["begin"]) if calls else float("inf"))
    for call in calls:
        name, took = call["name"], float(call["took"])
        process.calls[name] += 1
        if _waits(call):
            process.waited += took
        else:
            process.seconds[name] = process.seconds.get(name, 0.0) + took
        if name in ("execve", "execveat") and " = 0" in call["rest"]:
            process.executed.append(_argument_vector(call["rest"]))
        elif name in CLONING and (made := re.search(r"= (\d+)$", call["rest"])):
            process.children.append(made[1])
    return process


def _waits(call: re.Match[str]) -> bool:
    from_another = re.match(r"\d+<(socket|pipe):", call["rest"]) is not None
    return call["name"] in WAITING or (call["name"] in READING and from_another)


def _argument_vector(arguments: str) -> list[str]:
    """The strings in the first brackets of a printed execve; strace quotes as C does, which Python reads."""
    words = []
    place = arguments.index("[") + 1
    while match := _STRING.match(arguments, place):
        words.append(os.fsdecode(ast.literal_eval(f"b{match[0]}")))
        place = match.end() + len(", ")
    return words
