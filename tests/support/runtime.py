# SPDX-License-Identifier: Apache-2.0
"""Running the runtime under test, and the containers that it makes.

The environment variable PYRUN selects the runtime; without it, it is `pyrun` beside the running interpreter. With
PYRUN=runc the same tests run against runc, which shows whether a test asks for what runc does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, Self

from support.bundle import Bundle
from support.snapshot import SCRATCH
from support.waiting import PATIENCE, wait_for_exit, wait_until

SECONDS = 30

# What the fixtures of the same names are.
MakeBundle = Callable[..., Bundle]
MakeContainer = Callable[..., "Container"]
Run = Callable[..., str]

# The machine's cgroup hierarchies as systemd's hybrid mode lays them out: v2 alone without controllers below
# /sys/fs/cgroup/unified, and version 1 beside it as far as the kernel has it.
HYBRID = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    "umount -n -R /sys/fs/cgroup && mount -n -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup && "
    "for kind in cpu cpuacct cpuset memory devices freezer blkio pids name=systemd; do "
    "d=/sys/fs/cgroup/${kind#name=} && mkdir $d && "
    "{ mount -n -t cgroup -o $kind cgroup $d 2>/dev/null || rmdir $d; }; done && "
    'mkdir /sys/fs/cgroup/unified && mount -n -t cgroup2 cgroup2 /sys/fs/cgroup/unified && exec "$@"',
    "sh",
)


@cache
def runtime_under_test() -> str:
    """Returns the path of the runtime that PYRUN names; raises FileNotFoundError if there is none."""
    name = os.environ.get("PYRUN") or os.path.join(os.path.dirname(sys.executable), "pyrun")
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"no runtime to test: {name} is missing")
    return os.path.abspath(path)


@dataclass(frozen=True)
class Result:
    """How a command of a runtime ended."""

    status: int
    output: str
    errors: str
    talkative: bool = False

    @property
    def error_line(self) -> str:
        """The only line on standard error; raises AssertionError when there is none or more.

        runc is `talkative`: warnings and its stages' own errors come first, so the last line is taken.
        """
        lines = self.errors.splitlines()
        assert lines if self.talkative else len(lines) == 1, f"not one line of error: {self.errors!r}"
        return lines[-1]

    def succeeded(self) -> Result:
        """Returns this result if the command exited with 0; raises AssertionError otherwise."""
        assert self.status == 0, f"exit status {self.status}: {self.errors}"
        return self

    def failed(self, *words: str, status: int = 1) -> str:
        """Returns the line of error if the command failed with `status` and the line has all `words`."""
        assert self.status == status, f"exit status {self.status}: {self.output!r} {self.errors!r}"
        for word in words:
            assert word in self.error_line, self.error_line
        return self.error_line


class Runtime:
    """A runtime with a state root of its own.

    Without a `root` its default is used. `wrapper` is a command that executes its arguments: it comes before the
    runtime on the command line.
    """

    def __init__(self, path: str, case: str, *, wrapper: Sequence[str] = ()) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.root: str | None = os.path.join(case, "root")
        self._scratch = os.path.join(case, SCRATCH)
        self.wrapper = tuple(wrapper)
        self.environment = {
            "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TMPDIR": case,
        }
        self._calls = 0
        self.containers: list[Container] = []

    def command(self, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """Returns the whole command line for a verb and its arguments, with global options before the verb."""
        root = [] if self.root is None else ["--root", self.root]
        return [*self.wrapper, self.path, *root, *options, *arguments]

    def start(
        self,
        *arguments: str,
        options: Sequence[str] = (),
        stdin: int | BinaryIO = subprocess.DEVNULL,
        directory: str | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Call:
        """Starts the runtime and does not wait for it."""
        self._calls += 1
        prefix = os.path.join(self._scratch, f"call{self._calls}-{self.name}")
        return Call(self.command(*arguments, options=options), prefix, self.environment, stdin, directory, pass_fds)

    def call(
        self,
        *arguments: str,
        options: Sequence[str] = (),
        stdin: int | BinaryIO = subprocess.DEVNULL,
        directory: str | None = None,
        pass_fds: Sequence[int] = (),
        seconds: float = SECONDS,
    ) -> Result:
        """Runs the runtime; raises TimeoutExpired when it takes too long."""
        started = self.start(*arguments, options=options, stdin=stdin, directory=directory, pass_fds=pass_fds)
        return started.wait(seconds)

    def container(self, container_id: str, bundle: Bundle) -> Container:
        """Returns a container that has not been created yet."""
        made = Container(self, container_id, bundle)
        self.containers.append(made)
        return made

    def run(self, container_id: str, bundle: Bundle, *options: str, **keywords: Any) -> Result:
        """Runs `bundle` in the foreground."""
        bundle.seal()
        return self.call("run", *options, "--bundle", bundle.path, container_id, **keywords)


class Call:
    """A runtime that has been started; what it and its container write goes to files."""

    def __init__(
        self,
        command: Sequence[str],
        prefix: str,
        environment: dict[str, str],
        stdin: int | BinaryIO,
        directory: str | None,
        pass_fds: Sequence[int],
    ) -> None:
        self._talkative = prefix.endswith("-runc")
        self._output = prefix + ".out"
        self._errors = prefix + ".err"
        with open(self._output, "wb") as output, open(self._errors, "wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=errors,
                env=environment,
                cwd=directory,
                pass_fds=pass_fds,
            )

    @property
    def output(self) -> str:
        """What has been written to standard output so far."""
        with open(self._output, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    @property
    def errors(self) -> str:
        """What has been written to standard error so far."""
        with open(self._errors, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    def wait_for_output(self, text: str) -> None:
        """Waits until `text` has been written to standard output."""
        wait_until(lambda: text in self.output, f"{text!r} is in the output: {self.output!r} {self.errors!r}")

    def wait(self, seconds: float = SECONDS) -> Result:
        """Waits for the end of the runtime itself; kills it and raises TimeoutExpired when it takes too long."""
        try:
            self.process.wait(PATIENCE * seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return Result(self.process.returncode, self.output, self.errors, self._talkative)


class Container:
    """A container of a runtime, by its id and bundle."""

    def __init__(self, runtime: Runtime, container_id: str, bundle: Bundle) -> None:
        self.runtime = runtime
        self.id = container_id
        self.bundle = bundle
        self.creation: Call | None = None

    def create(self, *options: str, **keywords: Any) -> Result:
        """Creates the container; its program will write to `output` and `errors`."""
        self.bundle.seal()
        self.creation = self.runtime.start("create", *options, "--bundle", self.bundle.path, self.id, **keywords)
        return self.creation.wait()

    def start(self) -> Result:
        """Starts the created container's program."""
        return self.runtime.call("start", self.id)

    def created(self, *options: str, **keywords: Any) -> Self:
        """Creates the container, which must succeed, and returns it."""
        self.create(*options, **keywords).succeeded()
        return self

    def started(self, *options: str, **keywords: Any) -> Self:
        """Creates and starts the container, which must succeed, and returns it."""
        self.created(*options, **keywords)
        self.start().succeeded()
        return self

    @property
    def output(self) -> str:
        """What the program has written to standard output so far."""
        assert self.creation is not None
        return self.creation.output

    @property
    def errors(self) -> str:
        """What the program has written to standard error so far."""
        assert self.creation is not None
        return self.creation.errors

    def state(self) -> dict[str, Any]:
        """Returns what the verb `state` prints, which must succeed."""
        document = json.loads(self.runtime.call("state", self.id).succeeded().output)
        assert isinstance(document, dict)
        return document

    @property
    def status(self) -> str:
        """The status that the verb `state` prints."""
        return str(self.state()["status"])

    @property
    def pid(self) -> int:
        """The pid that the verb `state` prints."""
        return int(self.state()["pid"])

    def start_exec(self, *words: str, options: Sequence[str] = (), **keywords: Any) -> Call:
        """Starts the verb `exec` for a program and its arguments, and does not wait for it."""
        return self.runtime.start("exec", *options, self.id, *words, **keywords)

    def exec(self, *words: str, options: Sequence[str] = (), seconds: float = SECONDS, **keywords: Any) -> Result:
        """Executes a program and its arguments in the container, and waits for the verb `exec` to end.

        `options` are of the verb; keywords are those of `Runtime.start`.
        """
        return self.start_exec(*words, options=options, **keywords).wait(seconds)

    def kill(self, *arguments: str) -> Result:
        """Sends a signal with the verb `kill`."""
        return self.runtime.call("kill", self.id, *arguments)

    def delete(self, *options: str) -> Result:
        """Deletes the container."""
        return self.runtime.call("delete", *options, self.id)

    def exists(self) -> bool:
        """Tells whether the runtime keeps state of this container."""
        return os.path.lexists(os.path.join(self.runtime.root or f"/run/{self.runtime.name}", self.id))

    def stop(self) -> None:
        """Kills the program by the runtime and waits for its end, so that the container can be deleted."""
        pid = self.pid
        self.kill(str(int(signal.SIGKILL))).succeeded()
        wait_for_exit(pid)

    def wait_for_end(self) -> None:
        """Waits until the program of a started container has ended."""
        pid = self.pid
        if pid:
            wait_for_exit(pid)

    def wait_for_output(self, text: str) -> None:
        """Waits until the program has written `text` to standard output."""
        assert self.creation is not None
        self.creation.wait_for_output(text)
