# SPDX-License-Identifier: Apache-2.0
"""The log that engines read: one line an entry, as text or JSON, in the form of runc's logrus.

Errors and warnings are logged, and with ``--debug`` what is done; a verb calls :func:`debug` for that.
"""

from __future__ import annotations

import errno
import os
import time

from pyrun.errors import PyrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.cli.reader import Settings

_STANDARD_ERROR = 2
_SECONDS_FOR_A_FIFO_READER = 5.0

_settings: Settings | None = None
_descriptor = _STANDARD_ERROR
_as_json = False
_debugging = False


def configure(settings: Settings) -> None:
    """Direct the log to where the global options say; with the same ones again, nothing is done.

    Raises:
        OSError, PyrunError: the log file cannot be opened; the log goes to standard error then.
    """
    global _settings, _descriptor, _as_json, _debugging
    if settings is _settings:
        return
    _settings = settings
    _as_json = settings.log_format == "json"
    _debugging = settings.debug
    _descriptor = _STANDARD_ERROR
    if settings.log is not None:
        _descriptor = _open(settings.log)


def debug(message: str) -> None:
    """Log what is done, when ``--debug`` asks for it."""
    if _debugging:
        _write("debug", message)


def warning(message: str) -> None:
    """Log what was not done as asked, though it is no error: for engines and with ``--debug``."""
    if _debugging or _descriptor != _STANDARD_ERROR:
        _write("warning", message)


def error(message: str) -> None:
    """Report the error that ends this invocation: to a person on standard error, to an engine in the log.

    Without a log file both are standard error: one line then, for the engine if it asked for JSON.
    """
    if _descriptor != _STANDARD_ERROR or _as_json:
        _write("error", message)
    if _descriptor != _STANDARD_ERROR or not _as_json:
        _write_for_a_person(message)


def _open(path: str) -> int:
    """Open a log file to append to it.

    A fifo is opened without blocking, so that one that nobody reads cannot hang an engine: its reader has
    a few seconds to arrive, and lines that it does not take are dropped.
    """
    deadline = time.monotonic() + _SECONDS_FOR_A_FIFO_READER
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o644)
        except OSError as error:
            if error.errno != errno.ENXIO:
                error.filename = f"log file {path}"
                raise
        if time.monotonic() > deadline:
            raise PyrunError(f"log file {path}: no process reads from it")
        time.sleep(0.01)


def _write(level: str, message: str) -> None:
    message = _without_surrogates(message)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if _as_json:
        from pyrun.jsontext import quote

        line = f'{{"level":{quote(level)},"msg":{quote(message)},"time":"{now}"}}'
    else:
        words = in_one_line(message.replace("\\", "\\\\").replace('"', '\\"'))
        line = f'time="{now}" level={level} msg="{words}"'
    _write_line(_descriptor, line)


def _write_for_a_person(message: str) -> None:
    _write_line(_STANDARD_ERROR, f"pyrun: {in_one_line(message)}")


def in_one_line(text: str) -> str:
    """Return the text with escapes for what would break the line or drive a terminal."""
    text = _without_surrogates(text)
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() else ascii(c)[1:-1] for c in text])


def _without_surrogates(text: str) -> str:
    """The text with escapes for surrogates, as a file name that is not UTF-8 has them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _write_line(descriptor: int, line: str) -> None:
    """Write a line in one call, so that lines of several processes do not mix.

    Standard error and the log are the last resort: when they cannot be written, nobody is left to tell.
    """
    try:
        os.write(descriptor, line.encode() + b"\n")
    except OSError:
        pass
