# SPDX-License-Identifier: Apache-2.0
"""Click commands built from the tables: help, and one line for what is wrong with a command line.

Words are read by :func:`pyrun.cli.reader.scan`, so that an option is spelled alike on every path; click
receives them in its own spelling.
"""

from __future__ import annotations

import difflib
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pyrun import __version__
from pyrun.cli.reader import GREATEST_NUMBER, Settings, Unreadable, known_options, scan, takes_the_rest
from pyrun.cli.tables import GLOBAL_OPTIONS, VERBS
from pyrun.errors import PyrunError
from pyrun.seccomp_support import libseccomp_version
from pyrun.state import OCI_VERSION

if TYPE_CHECKING:
    from pyrun.cli.tables import Argument, Option

_ABOUT = (
    "An OCI container runtime. A container is made from a bundle: a directory with a config.json and a root filesystem."
)
_EPILOG = "Global options may also follow the verb: pyrun --help lists them."


def read(words: list[str], settings: Settings) -> tuple[str, dict[str, Any]] | None:
    """Read a command line as :func:`pyrun.cli.reader.read` does, and print the help that it asks for.

    Returns:
        The verb with its options and arguments; None when help or the version was printed.

    Raises:
        PyrunError: the command line is wrong; the message says where and how to mend it.
    """
    try:
        invocation = _Program(settings).main(words, prog_name="pyrun", standalone_mode=False)
    except click.UsageError as error:
        context = error.ctx
        verb = context.info_name if context is not None and context.parent is not None else None
        raise PyrunError(error.format_message(), source=verb) from error
    # An option that ends the reading, such as --help, leaves click's exit status here.
    return invocation if isinstance(invocation, tuple) else None


class _Reading(click.Command):
    """A command that reads its words as Go does before it hands them to click."""

    own_options: tuple[Option, ...] = ()
    stops_at_argument = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Completion parses half a command line, which only click understands.
        words = args if ctx.resilient_parsing else self._in_click_spelling(ctx, args)
        return super().parse_args(ctx, words)

    def _in_click_spelling(self, ctx: click.Context, words: list[str]) -> list[str]:
        known = known_options(self.own_options)
        given: dict[str, Any] = {}
        try:
            arguments = scan(words, known, given, stop=self.stops_at_argument)
        except Unreadable as problem:
            _fail_unreadable(ctx, problem, known)
        if not (given.get("help") or given.get("version")):
            self._check_arguments(ctx, arguments)
        options = [
            word
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and parameter.name in given
            for word in _option_words(parameter, given[parameter.name])
        ]
        return [*options, "--", *arguments]

    def _check_arguments(self, ctx: click.Context, arguments: list[str]) -> None:
        places = [parameter for parameter in self.params if isinstance(parameter, click.Argument)]
        usage = f"(usage: {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))})"
        passes_on = bool(places) and places[-1].nargs < 0
        if len(arguments) > len(places) and not passes_on:
            ctx.fail(f'unexpected argument "{arguments[len(places)]}" {usage}')
        for place, argument in zip(places, arguments, strict=False):
            if not argument and place.nargs > 0:
                ctx.fail(f"{place.human_readable_name.strip('[]')} is an empty string {usage}")
        for place in places[len(arguments) :]:
            if place.required:
                ctx.fail(f"{place.human_readable_name} is missing {usage}")


def _option_words(parameter: click.Option, value: str | bool | int | list[str]) -> list[str]:
    if parameter.is_flag:
        return [parameter.opts[0]] if value else []
    return [f"{parameter.opts[0]}={one}" for one in (value if isinstance(value, list) else [value])]


def _fail_unreadable(ctx: click.Context, unreadable: Unreadable, known: dict[str, Option]) -> NoReturn:
    word, value = unreadable.word, unreadable.value
    if unreadable.problem == "unknown":
        close = _closest(word.lstrip("-"), known)
        hint = f"did you mean --{close}?" if close else f"see {ctx.command_path} --help"
        ctx.fail(f"option {word} is not known ({hint})")
    if unreadable.problem == "missing":
        ctx.fail(f"option {word} needs a value")
    if unreadable.problem == "empty":
        ctx.fail(f"option {word} needs a value that is not empty")
    if unreadable.problem == "boolean":
        ctx.fail(f'option {word}: "{value}" is neither true nor false')
    if unreadable.problem == "number":
        ctx.fail(f'option {word}: "{value}" is not a whole number from 0 to {GREATEST_NUMBER}')
    ctx.fail(f'option {word}: "{value}" is none of {", ".join(unreadable.choices)}')


def _closest(word: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: the only longer one, or a close one, rather with the same letters."""
    long = [name for name in names if len(name) > 1]
    longer = [name for name in long if word and name.startswith(word)]
    if len(longer) == 1:
        return longer[0]
    return max(difflib.get_close_matches(word, long), key=lambda name: sorted(name) == sorted(word), default=None)


class _Verb(_Reading):
    """One verb of the tables; invoking it returns what the command line says."""

    def __init__(self, name: str, settings: Settings) -> None:
        summary, description, arguments, self.own_options = VERBS[name]
        self.stops_at_argument = takes_the_rest(arguments)
        super().__init__(
            name,
            params=[
                *[_click_argument(argument) for argument in arguments],
                *[_click_option(option) for option in self.own_options],
                *_inherited_options(self.own_options),
            ],
            help=description,
            short_help=summary,
            epilog=_EPILOG,
            add_help_option=False,
            context_settings={"allow_interspersed_args": not self.stops_at_argument},
        )
        self._keys = [argument[0] for argument in arguments]
        self._keys += [option[0].replace("-", "_") for option in self.own_options]
        self._settings = settings

    def invoke(self, ctx: click.Context) -> tuple[str | None, dict[str, Any]]:
        values = dict(ctx.params)
        own = {key: _listed(values.pop(key)) for key in self._keys}
        self._settings.take(values)
        return self.name, own


class _Help(_Reading):
    """``pyrun help [VERB]``."""

    def __init__(self) -> None:
        super().__init__(
            "help",
            params=[
                click.Argument(["verb"], metavar="[VERB]", required=False),
                *_inherited_options(()),
            ],
            help="Print the help of pyrun, or of VERB.",
            add_help_option=False,
        )

    def invoke(self, ctx: click.Context) -> None:
        program = ctx.parent
        assert program is not None and isinstance(program.command, _Program)
        name = ctx.params["verb"]
        if name is None:
            click.echo(program.get_help())
            return
        verb = program.command.find(program, name)
        click.echo(verb.get_help(click.Context(verb, info_name=name, parent=program)))


class _Program(_Reading, click.Group):
    """``pyrun`` itself: the global options, and the verbs."""

    stops_at_argument = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            "pyrun",
            params=[_click_option(option) for option in GLOBAL_OPTIONS],
            help=_ABOUT,
            epilog='"pyrun VERB --help" says more about a verb.',
            add_help_option=False,
            invoke_without_command=True,
            options_metavar="[GLOBAL OPTIONS]",
            subcommand_metavar="VERB [OPTIONS] [ARGUMENTS]",
        )
        for name in VERBS:
            self.add_command(_Verb(name, settings))
        self.add_command(_Help())
        self._settings = settings

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def find(self, ctx: click.Context, name: str) -> click.Command:
        """The verb of this name; fails with the one that was meant."""
        verb = self.get_command(ctx, name)
        if verb is None:
            close = _closest(name, self.commands)
            hint = f'did you mean "{close}"?' if close else f"see {ctx.command_path} --help"
            ctx.fail(f'unknown verb "{name}" ({hint})')
        return verb

    def _check_arguments(self, ctx: click.Context, arguments: list[str]) -> None:
        """Leave what follows the verb to the verb."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        verb = self.find(ctx, args[0])
        return verb.name, verb, args[1:]

    def invoke(self, ctx: click.Context) -> Any:
        self._settings.take(ctx.params)
        invocation = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return invocation


def _click_argument(argument: Argument) -> click.Argument:
    key, metavar, required, takes_the_rest = argument
    shown = metavar if required else f"[{metavar}]"
    return click.Argument([key], metavar=shown, required=required, nargs=-1 if takes_the_rest else 1)


def _listed(value: Any) -> Any:
    """The value, as a list if it is one of several, which click has in a tuple."""
    return list(value) if isinstance(value, tuple) else value


def _click_option(option: Option) -> click.Option:
    name, letter, metavar, choices, default, text = option
    names = [f"--{name}", *([f"-{letter}"] if letter else [])]
    if metavar:
        parameter = click.Option(
            names,
            metavar=metavar,
            type=click.Choice(choices) if choices else type(default) if isinstance(default, int) else str,
            default=default,
            multiple=default == (),
            show_default=True,
            help=text,
        )
    else:
        parameter = click.Option(names, is_flag=True, default=default, help=text)
    return _ending_the_reading(name, parameter)


def _inherited_options(own: tuple[Option, ...]) -> list[click.Parameter]:
    """The global options that may follow a verb: unset they are None, so that those before it count."""
    hidden_by_own = {option[0] for option in own}
    inherited: list[click.Parameter] = []
    for option in GLOBAL_OPTIONS:
        name, metavar = option[0], option[2]
        if name == "help":
            inherited.append(_click_option(option))
        elif name not in hidden_by_own:
            kind = None if metavar else click.BOOL
            inherited.append(_ending_the_reading(name, click.Option([f"--{name}"], type=kind, hidden=True)))
    return inherited


def _ending_the_reading(name: str, parameter: click.Option) -> click.Option:
    """The option, made to print and end the reading if that is what options of this name do."""
    actions = {"help": _print_help, "version": _print_version}
    if name in actions:
        parameter.is_eager = True
        parameter.expose_value = False
        parameter.callback = actions[name]
    return parameter


def _print_help(ctx: click.Context, parameter: click.Parameter, wanted: bool | None) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(ctx.get_help())
        ctx.exit()


def _print_version(ctx: click.Context, parameter: click.Parameter, wanted: bool | None) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    click.echo(f"pyrun version {__version__}")
    click.echo(f"spec: {OCI_VERSION}")
    click.echo(f"python: {platform.python_version()}")
    libseccomp = libseccomp_version()
    if libseccomp:
        click.echo(f"libseccomp: {libseccomp}")
    ctx.exit()
