# SPDX-License-Identifier: Apache-2.0
"""A small reader of well-formed command lines, so that a verb need not load click.

Options are spelled as Go's flag package has them (https://pkg.go.dev/flag), which engines rely on: one or
two dashes, ``--name value`` or ``--name=value``, a switch alone or as ``--name=false``, the last one wins.
As runc does, options may also follow the arguments of a verb; ``--`` ends them.
"""

from __future__ import annotations

import os

from pyrun.cli.tables import GLOBAL_OPTIONS, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.cli.tables import Option

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
        """Absolute path of the directory with one directory for each container, as runc chooses it."""
        if self.root is not None:
            return os.path.abspath(self.root)
        runtime_directory = os.environ.get("XDG_RUNTIME_DIR")
        if runtime_directory and (os.geteuid() != 0 or _is_root_of_a_user_namespace()):
            return os.path.abspath(f"{runtime_directory}/pyrun")
        return "/run/pyrun"


def _is_root_of_a_user_namespace() -> bool:
    if os.environ.get("USER") == "root":
        return False
    with open("/proc/self/uid_map", "rb") as uid_map:
        return uid_map.read().split() != [b"0", b"0", b"4294967295"]


class Unreadable(Exception):
    """A word that the option tables do not allow.

    Attributes:
        problem: "unknown", "missing", "empty", "choice" or "boolean".
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


def scan(words: list[str], known: dict[str, Option], given: dict[str, Any], *, stop: bool) -> list[str]:
    """Read the options among ``words`` into ``given`` and return the words that are no options.

    Args:
        words: the command line, or what follows the verb.
        known: options by name without dashes.
        given: receives the value of each option under its name with underscores, also when scan raises.
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
        name, _, metavar, choices, _, _ = option
        if not metavar:
            given[name.replace("-", "_")] = _boolean(spelling, value) if equals else True
            continue
        if not equals:
            if position == len(words):
                raise Unreadable("missing", spelling)
            value = words[position]
            position += 1
        if not value:
            raise Unreadable("empty", spelling)
        if choices and value not in choices:
            raise Unreadable("choice", spelling, value, choices)
        given[name.replace("-", "_")] = value
    return arguments


def _boolean(spelling: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise Unreadable("boolean", spelling, value)
    return _BOOLEANS[value]


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
    rest = _read_options(words, options, settings, stop=False)
    if rest is None:
        return None
    words, values = rest
    required = sum(argument[2] for argument in arguments)
    if not required <= len(words) <= len(arguments) or "" in words:
        return None
    for index, (name, _, _) in enumerate(arguments):
        values[name] = words[index] if index < len(words) else None
    return verb, values


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
        values[key] = given.pop(key, default)
    settings.take(given)
    if arguments is None or given.get("help") or given.get("version"):
        return None
    return arguments, values
