# SPDX-License-Identifier: Apache-2.0
"""The pyrun program: reads the command line, runs the verb, reports how it ended."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys

from pyrun.cli.handlers import HANDLERS
from pyrun.cli.reader import Settings, read
from pyrun.errors import PyrunError, error_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_EXIT_INTERRUPTED = 130  # as a shell reports SIGINT
_EXIT_FAILED = 1
# Of verbs that end with the status of a program, which may be 1 itself.
_EXIT_FAILED_OF = {"exec": 255}


def main() -> NoReturn:
    """Run pyrun on the arguments of this process and end it.

    The process ends without the interpreter's teardown, which costs more than a small verb.
    """
    _fill_standard_descriptors()
    # A caller that ignores it passes that on, and the kernel would reap our children before we can.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    os._exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Run one command line, given without the program's name, and return the exit status.

    Whatever goes wrong is reported in one line; no exception leaves this function.
    """
    settings = Settings()
    failed = _EXIT_FAILED
    try:
        invocation = read(words, settings) or _read_with_click(words, settings)
        if invocation is None:
            return 0
        verb, values = invocation
        _begin_log(verb, values, settings)
        failed = _EXIT_FAILED_OF.get(verb, _EXIT_FAILED)
        return _run_verb(verb, values, settings)
    except SystemExit as ending:  # click ends so when nobody reads its output any more
        return ending.code if isinstance(ending.code, int) else 1
    except KeyboardInterrupt:
        _report("interrupted", settings)
        return _EXIT_INTERRUPTED
    except Exception as error:
        _report(_in_words(error, settings), settings)
        return failed


def _begin_log(verb: str, values: dict[str, Any], settings: Settings) -> None:
    if settings.debug or settings.log is not None or settings.log_format != "text":
        from pyrun.cli import log

        log.configure(settings)
        log.debug(f"{verb} {values}, state in {settings.state_root()}")


def _run_verb(verb: str, values: dict[str, Any], settings: Settings) -> int:
    status = HANDLERS[verb](settings, values)
    if settings.debug:
        from pyrun.cli import log

        log.debug(f"{verb} ends with exit status {status}")
    return status


def _read_with_click(words: list[str], settings: Settings) -> tuple[str, dict[str, Any]] | None:
    from pyrun.cli import commands

    invocation = commands.read(words, settings)
    print(end="", flush=True)
    return invocation


def _fill_standard_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed.

    The next file opened would take its number, and what is printed would end in that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


def _in_words(error: Exception, settings: Settings) -> str:
    if isinstance(error, PyrunError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return place + error_words(error.errno)
    from pyrun_spec.errors import SpecError

    if isinstance(error, SpecError):
        return str(error)
    if settings.debug:
        sys.excepthook(type(error), error, error.__traceback__)
    return f"internal error: {type(error).__name__}: {error} (run with --debug for the traceback)"


def _report(message: str, settings: Settings) -> None:
    from pyrun.cli import log

    try:
        log.configure(settings)
    except (PyrunError, OSError):
        # Standard error is left, and what went wrong before the log was needed matters more.
        pass
    log.error(message)
