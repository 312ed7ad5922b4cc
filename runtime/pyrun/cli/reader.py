# SPDX-License-Identifier: Apache-2.0
"""A small reader of well-formed command lines, so that a verb need not load click.

Options are spelled as Go's flag package has them (https://pkg.go.dev/flag), which engines rely on: one or
two dashes, ``--name value`` or ``--name=value``, a switch alone or as ``--name=false``, the last one wins.
As runc does, options may also follow the arguments of a verb; ``--`` ends them, and so does the first
argument where the words after it belong to another program.
"""

from __future__ import annotations

import os

from pyrun.cli.tables import GLOBAL_OPTIONS, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.cli.tables import Argument, Option

_BOOLEANS = {
    "1": True,
    "t": True,
    "T": True,
    "true": True,
    "True": True,
    "TRUE": True,
    "0": False,
    "f": False,
    "F": False,
    "false": False,
    "False": False,
    "FALSE": False,
}
GREATEST_NUMBER = 2**31 - 1
_DIGITS = frozenset("0123456789abcdefoxABCDEFOX_")
_OCTAL = ("_", *"01234567")


class Settings:
    """What the global options say; ``root`` is None until the caller fills in the default."""

    __slots__ = ("debug", "log", "log_format", "root", "rootless", "systemd_cgroup")

    def __init__(self) -> None:
        self.debug = False
        self.log: str | None = None
        self.log_format = "text"
        self.root: str | None = None
        self.rootless = "auto"
        self.systemd_cgroup = False

    def take(self, given: dict[str, Any]) -> None:
        """Take over every global option in ``given``; other keys are left alone."""
        for name in self.__slots__:
            if given.get(name) is not None:
                setattr(self, name, given[name])

    def state_root(self) -> str:
        """Absolute path of the directory with one directory for each container, as runc chooses it.

        Raises:
            PyrunError: an ordinary user has no directory for it, or one of somebody else.
        """
        if self.root is not None:
            return os.path.abspath(self.root)
        if os.geteuid() == 0 and not (os.environ.get("XDG_RUNTIME_DIR") and _is_root_of_a_user_namespace()):
            return "/run/pyrun"
        from pyrun.cli.usersroot import users_state_root

        return users_state_root()


def _is_root_of_a_user_namespace() -> bool:
    from pyrun.caller import is_in_initial_user_namespace

    return os.environ.get("USER") != "root" and not is_in_initial_user_namespace()


class Unreadable(Exception):
    """A word that the option tables do not allow.

    Attributes:
        problem: "unknown", "missing", "empty", "choice", "number" or "boolean".
        word: the option as the user wrote it, without a value.
        value: the value that was refused, or "".
        choices: the values that are allowed, when they are few.
    """

    def __init__(self, problem: str, word: str, value: str = "", choices: tuple[str, ...] = ()) -> None:
        super().__init__(problem, word, value)
        self.problem = problem
        self.word = word
        self.value = value
        self.choices = choices


def known_options(own: tuple[Option, ...] = ()) -> dict[str, Option]:
    """The global options and a verb's ``own`` by each of their names; its own ones hide global ones."""
    known: dict[str, Option] = {}
    for option in (*GLOBAL_OPTIONS, *own):
        known[option[0]] = option
        if option[1]:
            known[option[1]] = option
    return known


def takes_the_rest(arguments: tuple[Argument, ...]) -> bool:
    """Whether the last argument takes all words that are left, whatever they look like."""
    return bool(arguments) and arguments[-1][3]


def scan(words: list[str], known: dict[str, Option], given: dict[str, Any], *, stop: bool) -> list[str]:
    """Read the options among ``words`` into ``given`` and return the words that are no options.

    Args:
        words: the command line, or what follows the verb.
        known: options by name without dashes.
        given: receives the value of each option under its name with underscores, also when scan raises; a list
            for one that may be given several times.
        stop: end at the first word that is no option.

    Raises:
        Unreadable: an option is unknown, or its value is missing or not allowed.
    """
    arguments: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            return arguments + words[position:]
        if len(word) < 2 or word[0] != "-":
            arguments.append(word)
            if stop:
                return arguments + words[position:]
            continue
        spelling, equals, value = word.partition("=")
        option = known.get(spelling[2:] if word[1] == "-" else spelling[1:])
        if option is None:
            raise Unreadable("unknown", spelling)
        if not equals and option[2]:
            if position == len(words):
                raise Unreadable("missing", spelling)
            value = words[position]
            position += 1
        _take(option, spelling, value if equals or option[2] else "true", given)
    return arguments


def _take(option: Option, spelling: str, value: str, given: dict[str, Any]) -> None:
    """Check one use of an option and put its value into ``given``."""
    name, _, metavar, choices, default, _ = option
    key = name.replace("-", "_")
    if not metavar:
        given[key] = _boolean(spelling, value)
    elif not value:
        raise Unreadable("empty", spelling)
    elif choices and value not in choices:
        raise Unreadable("choice", spelling, value, choices)
    elif default == ():
        given.setdefault(key, []).append(value)
    else:
        given[key] = _number(spelling, value) if isinstance(default, int) else value


def _boolean(spelling: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise Unreadable("boolean", spelling, value)
    return _BOOLEANS[value]


def _number(spelling: str, value: str) -> int:
    """Read a number as strconv.ParseInt does with base 0, without a sign: 8, 0x8, 0o10, 010, 1_000."""
    try:
        number = int(value, 8 if value[0] == "0" and value[1:2] in _OCTAL else 0) if _DIGITS.issuperset(value) else -1
    except ValueError:
        number = -1
    if not 0 <= number <= GREATEST_NUMBER:
        raise Unreadable("number", spelling, value)
    return number


def read(words: list[str], settings: Settings) -> tuple[str, dict[str, Any]] | None:
    """Read a whole command line.

    Args:
        words: the command line without the program's name.
        settings: receives the global options, also those of a command line that is not understood.

    Returns:
        The verb, and its options and arguments by name with defaults filled in; None when help is asked
        for or the command line is not well formed.
    """
    rest = _read_options(words, (), settings, stop=True)
    if rest is None or not rest[0] or rest[0][0] not in VERBS:
        return None
    (verb, *words), _ = rest
    _, _, arguments, options = VERBS[verb]
    passes_on = takes_the_rest(arguments)
    rest = _read_options(words, options, settings, stop=passes_on)
    if rest is None:
        return None
    words, values = rest
    for name, _, required, takes_rest in arguments:
        if takes_rest:
            values[name], words = words, []
        elif words:
            values[name], *words = words
        else:
            values[name] = None
        if values[name] == "" or (required and not values[name]):
            return None
    return None if words else (verb, values)


def _read_options(
    words: list[str], own: tuple[Option, ...], settings: Settings, *, stop: bool
) -> tuple[list[str], dict[str, Any]] | None:
    """Split words into arguments and the values of a verb's own options; None if that is not possible."""
    given: dict[str, Any] = {}
    try:
        arguments: list[str] | None = scan(words, known_options(own), given, stop=stop)
    except Unreadable:
        arguments = None
    values: dict[str, Any] = {}
    for name, _, _, _, default, _ in own:
        key = name.replace("-", "_")
        values[key] = given.pop(key, [] if default == () else default)
    settings.take(given)
    if arguments is None or given.get("help") or given.get("version"):
        return None
    return arguments, values
