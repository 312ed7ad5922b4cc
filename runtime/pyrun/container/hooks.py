# SPDX-License-Identifier: Apache-2.0
"""Hooks in the runtime's namespaces: prestart, createRuntime, poststart, poststop (config.md, "POSIX-platform Hooks").

A hook gets the container's state on standard input, from a file in memory that it need not read; what it writes goes
to another one, of which a failure shows the end. It starts in the bundle, in a session of its own, so that it can be
ended with its children. While it runs its process is recorded in the state directory, for `delete --force`.
"""

from __future__ import annotations

# The public module signal wraps these constants in enums, which cost more than a hook.
import _signal  # type: ignore[import-not-found]
import os
import select
import time

from pyrun.container.hints import hint
from pyrun.container.launch import memory_file
from pyrun.errors import PyrunError, error_words
from pyrun.jsontext import encode_compactly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.state import StateDirectory

    Hook = dict[str, Any]

RECORD = "hook"
OUTPUT_SHOWN = 300  # bytes
SECONDS_BETWEEN_LOOKS = 0.2
# A foreground `run` blocks all signals; these must still end a hook that hangs.
INTERRUPTING = frozenset((_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM))


def run_hooks(hooks: list[Hook], kind: str, state: dict[str, Any], directory: StateDirectory | None = None) -> None:
    """Run hooks one after the other; the first failure is the last hook that is run.

    Args:
        hooks: as config.json has them.
        kind: their property in ``hooks`` of config.json.
        state: what they are told, from :func:`pyrun.state.hook_state`.
        directory: the container's state directory, to record in which process a hook runs.

    Raises:
        PyrunError: a hook can't be executed, ended with another status than 0 or by a signal, or ran out of time.
        OSError: there is no memory or no descriptor to be had.
    """
    for number, hook in enumerate(hooks):
        failure = _run(hook, state, directory)
        if failure is not None:
            raise PyrunError(failure, source="config.json", pointer=f"/hooks/{kind}/{number}")


def run_hooks_and_warn(hooks: list[Hook], kind: str, state: dict[str, Any]) -> None:
    """Run all hooks, whatever becomes of each, and log a warning for each that failed; arguments as of run_hooks."""
    from pyrun.cli import log

    for number, hook in enumerate(hooks):
        try:
            failure = _run(hook, state, None)
        except OSError as error:
            failure = f"hook {hook['path']}: {error_words(error.errno or 0)}"
        if failure is not None:
            log.warning(f"/hooks/{kind}/{number}: {failure}")


def _run(hook: Hook, state: dict[str, Any], directory: StateDirectory | None) -> str | None:
    """Run one hook; return None, or in words how it failed."""
    opened: list[int] = []
    try:
        for content in (encode_compactly(state), ""):
            opened.append(memory_file(content.encode()))
        earlier = _signal.sigpending()
        try:
            pid = _spawn(hook, state["bundle"], *opened)
        except OSError as error:
            return f"hook {hook['path']}: {_reason(error.errno or 0)}"
        ending = _ending(pid, hook.get("timeout"), directory, earlier)
        return None if ending is None else f"hook {hook['path']} {ending}{_words_written(opened[1])}"
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _reason(errno: int) -> str:
    remedy = hint("run_hook", errno)
    return error_words(errno) + (f"; {remedy}" if remedy else "")


def _spawn(hook: Hook, bundle: str, given: int, written: int) -> int:
    words = hook.get("args") or [""]
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, given, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, written, number) for number in (1, 2)]
    actions += [(os.POSIX_SPAWN_CLOSE, number) for number in _inheritable_descriptors()]
    back = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        _enter(bundle)
        return os.posix_spawn(
            hook["path"],
            # Python passes on no first word that is empty.
            [words[0] or hook["path"], *words[1:]],
            _environment(hook),
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=_signal.valid_signals(),
        )
    finally:
        os.fchdir(back)
        os.close(back)


def _enter(bundle: str) -> None:
    try:
        os.chdir(bundle)
    except OSError:
        pass  # when the container is deleted, its bundle may be gone


def _environment(hook: Hook) -> dict[bytes, bytes]:
    """Return the hook's environment, as with runc that of pyrun's caller if it has none."""
    given = hook.get("env")
    entries = _environment_of_caller() if given is None else [entry.encode() for entry in given]
    pairs = [entry.partition(b"=") for entry in entries]
    return {name: value for name, _, value in pairs if name}


def _environment_of_caller() -> list[bytes]:
    """The interpreter may have added LC_CTYPE to its own (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return file.read().split(b"\0")
    except PermissionError:
        return []  # root acts for a container's owner, whom root's environment is none of the business


def _inheritable_descriptors() -> list[int]:
    return [number for number in map(int, os.listdir("/proc/self/fd")) if number > 2 and _is_inheritable(number)]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False  # the one that listed the others


def _ending(pid: int, timeout: int | None, directory: StateDirectory | None, earlier: set[int]) -> str | None:
    """Wait for the hook's own process, not for what it left behind; return None, or in words how it failed."""
    try:
        if directory is not None:
            directory.write_process(pid, RECORD)
        in_time = _wait(pid, timeout, earlier)
    except BaseException:
        _kill(pid)
        raise
    if not in_time:
        _kill(pid)
        return f"ran past its timeout of {timeout} s"
    if directory is not None:
        os.unlink(RECORD, dir_fd=directory.descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        return f"was killed by signal {-code}"
    return f"failed: exit status {code}" if code else None


def _wait(pid: int, timeout: int | None, earlier: set[int]) -> bool:
    """Wait until the process has ended; return False when the time is over.

    Args:
        earlier: the signals that were pending before: those of the same kind can't be told from them.

    Raises:
        KeyboardInterrupt: a signal that would end pyrun has come meanwhile, and is pending because it is blocked.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    pidfd = os.pidfd_open(pid)
    try:
        waiter = select.poll()
        waiter.register(pidfd, select.POLLIN)
        while True:
            left = SECONDS_BETWEEN_LOOKS if deadline is None else deadline - time.monotonic()
            if waiter.poll(max(0, min(left, SECONDS_BETWEEN_LOOKS)) * 1000):
                return True
            if left <= 0:
                return False
            if INTERRUPTING & (_signal.sigpending() - earlier):
                raise KeyboardInterrupt
    finally:
        os.close(pidfd)


def _kill(pid: int) -> None:
    """End the hook and its children, and reap it; until then its number is no other process's."""
    os.killpg(pid, _signal.SIGKILL)
    os.waitpid(pid, 0)


def _words_written(descriptor: int) -> str:
    """Return the end of what the hook has written, in one line, behind a colon; or nothing."""
    size = os.fstat(descriptor).st_size
    skipped = max(0, size - OUTPUT_SHOWN)
    text = os.pread(descriptor, OUTPUT_SHOWN, skipped).decode("utf-8", "replace")
    if skipped:
        text = text.partition("\n")[2] or text
    words = " ".join(text.split())
    return f": {words}" if words else ""
