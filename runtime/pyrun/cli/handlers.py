# SPDX-License-Identifier: Apache-2.0
"""What each verb does with its options: call its module, print, return the exit status."""

from __future__ import annotations

# The public module signal wraps these constants in enums, which cost more than the whole verb.
import _signal  # type: ignore[import-not-found]
import os

from pyrun.errors import PyrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrun.cli.reader import Settings
    from pyrun.container.create import CreationOptions

_STATE_KEYS = ("ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner")


def _create(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.create import create

    create(settings.state_root(), values["container_id"], _bundle(values), _creation_options(settings, values))
    return 0


def _run(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.run import run

    return run(
        settings.state_root(),
        values["container_id"],
        _bundle(values),
        _creation_options(settings, values),
        detach=values["detach"],
        keep=values["keep"],
        subreaper=not values["no_subreaper"],
    )


def _exec(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.exec import ExecOptions, execute

    options = ExecOptions(
        args=values["args"],
        process_file=_absolute(values["process"]),
        env=values["env"],
        cwd=values["cwd"],
        user=values["user"],
        additional_gids=values["additional_gids"],
        capabilities=values["cap"],
        no_new_privileges=values["no_new_privs"],
        apparmor=values["apparmor"],
        process_label=values["process_label"],
        terminal=values["tty"],
        detach=values["detach"],
        pid_file=_absolute(values["pid_file"]),
        console_socket=_absolute(values["console_socket"]),
        pidfd_socket=_absolute(values["pidfd_socket"]),
        preserve_descriptors=values["preserve_fds"],
        ignore_paused=values["ignore_paused"],
        cgroup=values["cgroup"],
    )
    return execute(settings.state_root(), values["container_id"], options)


def _start(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.start import start

    start(settings.state_root(), values["container_id"])
    return 0


def _state(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.state import container_state
    from pyrun.jsontext import encode

    state = container_state(settings.state_root(), values["container_id"])
    # runc names the owner in its list only.
    _print([encode(_in_runc_order({**state, "owner": ""}))])
    return 0


def _kill(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.kill import kill

    number = signal_number(values["signal"] or "TERM")
    kill(settings.state_root(), values["container_id"], number, all_processes=values["all"])
    return 0


def _delete(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.delete import delete

    delete(settings.state_root(), values["container_id"], force=values["force"])
    return 0


def _pause(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.pause import pause

    pause(settings.state_root(), values["container_id"])
    return 0


def _resume(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.pause import resume

    resume(settings.state_root(), values["container_id"])
    return 0


def _update(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.update import update
    from pyrun.container.update_request import request_of

    update(settings.state_root(), values["container_id"], request_of(values))
    return 0


def _ps(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.ps import pids_of, table_of

    if values["format"] == "json":
        import json

        # No process at all is null, as Go writes an empty list.
        pids = pids_of(settings.state_root(), values["container_id"])
        _print([json.dumps(pids or None, separators=(",", ":"))])
    else:
        _print(table_of(settings.state_root(), values["container_id"], values["ps_options"]))
    return 0


def _list(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.container.list import list_states

    states = [_in_runc_order(state) for state in list_states(settings.state_root())]
    if values["quiet"]:
        lines = [state["id"] for state in states]
    elif values["format"] == "json":
        import json

        # An empty list is null, as Go writes one: engines compare with runc.
        lines = [json.dumps(states or None, separators=(",", ":"))]
    else:
        lines = _table(states)
    _print(lines)
    return 0


def _events(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.cli.durations import seconds_of

    root, container_id = settings.state_root(), values["container_id"]
    interval = values["interval"] or ("1s" if values["watch"] else "5s")
    seconds = seconds_of(interval, "--interval")
    if values["watch"]:
        from pyrun.watch.show import watch

        return watch(root, container_id, seconds, _print_line)
    if container_id is None:
        usage = "pyrun events [options] CONTAINER-ID; with --watch all are shown"
        raise PyrunError(f"CONTAINER-ID is missing (usage: {usage})", source="events")
    from pyrun.container.events import print_events, print_statistics

    if values["stats"]:
        print_statistics(root, container_id, _print_line)
        return 0
    try:
        print_events(root, container_id, seconds, _print_line)
    except KeyboardInterrupt:  # the usual way to end it
        return 128 + int(_signal.SIGINT)
    return 0


def _spec(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.cli.spec import write_config
    from pyrun_spec.defaults import default_config

    write_config(_bundle(values), default_config(rootless=values["rootless"]))
    return 0


def _features(settings: Settings, values: dict[str, Any]) -> int:
    import json

    from pyrun.features import features

    _print([json.dumps(features(), indent=4)])
    return 0


def _plan(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.plan.create import compile_bundle
    from pyrun.plan.describe import as_json, as_text

    plan = compile_bundle(os.path.abspath(values["bundle"]))
    _print([as_json(plan) if values["json"] else as_text(plan)])
    return 0


def _validate(settings: Settings, values: dict[str, Any]) -> int:
    from pyrun.cli.examine import examine

    lines, valid = examine(os.path.abspath(values["bundle"]))
    _print([*lines, "config.json is valid"] if valid else lines)
    return 0 if valid else 1


HANDLERS: dict[str, Callable[[Settings, dict[str, Any]], int]] = {
    "create": _create,
    "start": _start,
    "state": _state,
    "kill": _kill,
    "delete": _delete,
    "pause": _pause,
    "resume": _resume,
    "exec": _exec,
    "ps": _ps,
    "list": _list,
    "events": _events,
    "run": _run,
    "update": _update,
    "spec": _spec,
    "features": _features,
    "plan": _plan,
    "validate": _validate,
}


def signal_number(signal: str) -> int:
    """Number of a signal given as a number or a name: ``9``, ``KILL``, ``sigkill``, ``RTMIN+1``.

    Raises:
        PyrunError: there is no such signal.
    """
    # Letters of other alphabets may turn into ASCII ones in upper case.
    name = signal.upper().removeprefix("SIG") if signal.isascii() else ""
    if _is_small_number(signal):
        number = int(signal)
    elif name.isalnum():
        number = getattr(_signal, f"SIG{name}", 0)
    else:
        number = _real_time_signal(name)
    if not 1 <= number <= _signal.SIGRTMAX:
        raise PyrunError(f'unknown signal "{signal}"')
    return number


def _real_time_signal(name: str) -> int:
    """Number of ``RTMIN+n`` or ``RTMAX-n`` (signal(7)), 0 if the name is none of them."""
    base, offset = name[:6], name[6:]
    if not _is_small_number(offset) or int(offset) > _signal.SIGRTMAX - _signal.SIGRTMIN:
        return 0
    if base == "RTMIN+":
        return int(_signal.SIGRTMIN) + int(offset)
    return int(_signal.SIGRTMAX) - int(offset) if base == "RTMAX-" else 0


def _is_small_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 2


def _bundle(values: dict[str, Any]) -> str:
    return os.path.abspath(values["bundle"] or ".")


def _creation_options(settings: Settings, values: dict[str, Any]) -> CreationOptions:
    from pyrun.container.create import CreationOptions

    return CreationOptions(
        pid_file=_absolute(values["pid_file"]),
        no_pivot=values["no_pivot"],
        new_keyring=not values["no_new_keyring"],
        console_socket=_absolute(values["console_socket"]),
        pidfd_socket=_absolute(values["pidfd_socket"]),
        preserve_descriptors=values["preserve_fds"],
        terminal=values.get("tty", False),
        rootless=settings.rootless,
        systemd_cgroup=settings.systemd_cgroup,
    )


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def _in_runc_order(state: dict[str, Any]) -> dict[str, Any]:
    """The state with runc's keys in runc's order; annotations are left out when there are none."""
    return {key: state[key] for key in _STATE_KEYS if key != "annotations" or state.get(key)}


def _table(states: list[dict[str, Any]]) -> list[str]:
    """Columns as runc's: three spaces between them, none narrower than twelve characters."""
    rows = [("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")]
    rows += [
        (state["id"], str(state["pid"]), state["status"], state["bundle"], state["created"], state["owner"])
        for state in states
    ]
    widths = [max(12, *[len(cell) + 3 for cell in column]) for column in list(zip(*rows, strict=True))[:-1]]
    return ["".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)]) + row[-1] for row in rows]


def _print_line(line: str) -> None:
    _print([line])


def _print(lines: list[str]) -> None:
    """Write lines to standard output, unbuffered, so that a full disk is noticed here.

    Raises:
        OSError: standard output cannot be written.
    """
    rest = "".join([f"{line}\n" for line in lines]).encode("utf-8", "surrogateescape")
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except OSError as error:
        error.filename = "standard output"
        raise
