# SPDX-License-Identifier: Apache-2.0
"""The OCI process object of an exec: the container's own process as the command line changes it, or a process file."""

from __future__ import annotations

from pyrun.errors import PyrunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrun.container.exec import ExecOptions

    Config = dict[str, Any]

LARGEST_ID = 2147483647  # of users and groups, as for runc's exec

# What --cap adds to; never to "inheritable", which would hand it on to programs that gain capabilities by their file.
GIVEN_SETS = ("bounding", "effective", "permitted")

# What holds for every process of a container if a process file doesn't say otherwise.
INHERITED = (
    "apparmorProfile",
    "capabilities",
    "execCPUAffinity",
    "ioPriority",
    "oomScoreAdj",
    "rlimits",
    "scheduler",
    "selinuxLabel",
)


def process_for(config: Config, options: ExecOptions) -> Config:
    """Return the process object (runtime-spec, config.md, "Process") that exec is to start; ``config`` stays as it is.

    As for runc, a process file stands alone: the other options say nothing about the process then.

    Args:
        config: the container's configuration, checked.
        options: the command line's.

    Raises:
        PyrunError: an option can't be obeyed.
        pyrun_spec.errors.SpecError: the process file can't be read, or is not a valid process object.
    """
    if options.process_file is not None:
        return _from_file(config, options.process_file)
    if not options.args:
        raise PyrunError("process args cannot be empty; name a program, or a process file with --process")
    if not options.args[0]:
        raise PyrunError("the name of the program is empty")
    process = dict(config["process"])
    process["args"] = options.args
    process["terminal"] = options.terminal
    process["env"] = [*(process.get("env") or ()), *_variables(options.env)]
    if options.cwd is not None:
        process["cwd"] = _absolute(options.cwd)
    if options.user is not None or options.additional_gids:
        process["user"] = _user(config, options)
    if options.capabilities:
        process["capabilities"] = _with_capabilities(process.get("capabilities") or {}, options.capabilities)
    if options.no_new_privileges:
        process["noNewPrivileges"] = True
    if options.apparmor is not None:
        process["apparmorProfile"] = options.apparmor
    if options.process_label is not None:
        process["selinuxLabel"] = options.process_label
    return process


def _from_file(config: Config, path: str) -> Config:
    from pyrun_spec.process_file import load_process

    process = load_process(path, config)
    own = config["process"]
    for name in INHERITED:
        if process.get(name) in (None, "") and own.get(name) is not None:
            process[name] = own[name]
    user = process.get("user") or {}
    umask = (own.get("user") or {}).get("umask")
    if user.get("umask") is None and umask is not None:
        process["user"] = {**user, "umask": umask}
    return process


def _variables(entries: list[str]) -> list[str]:
    for entry in entries:
        if entry.find("=") < 1:
            raise PyrunError(f"{_quote(entry)} has not the form NAME=value", source="--env")
    return entries


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise PyrunError(f"{_quote(path)} is not an absolute path", source="--cwd")
    return path


def _user(config: Config, options: ExecOptions) -> Config:
    user: Config = dict(config["process"].get("user") or {})
    if options.user is not None:
        uid, colon, gid = options.user.partition(":")
        numbers = [_id(part) for part in ((uid, gid) if colon else (uid,))]
        if None in numbers:
            words = f"is not UID or UID:GID, numbers from 0 to {LARGEST_ID} (names are not looked up in the container)"
            raise PyrunError(f"{_quote(options.user)} {words}", source="--user")
        user.update(zip(("uid", "gid"), numbers, strict=False))
    groups = list(user.get("additionalGids") or ())
    for text in options.additional_gids:
        group = _id(text)
        if group is None:
            words = f"is not the number of a group, from 0 to {LARGEST_ID}"
            raise PyrunError(f"{_quote(text)} {words}", source="--additional-gids")
        groups.append(group)
    user["additionalGids"] = groups
    _refuse_unmapped(config, user)
    return user


def _id(text: str) -> int | None:
    """Return the number that ASCII digits are, or None for anything else and for one that is too large."""
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(LARGEST_ID)) or int(digits) > LARGEST_ID:
        return None
    return int(digits)


def _refuse_unmapped(config: Config, user: Config) -> None:
    from pyrun_spec.rules import check_user

    def refuse(pointer: str, message: str) -> None:
        option = "--additional-gids" if "/additionalGids/" in pointer else "--user"
        raise PyrunError(f"{message} of the container", source=option)

    check_user({**config, "process": {"user": user}}, refuse)


def _with_capabilities(sets: Config, names: list[str]) -> Config:
    for name in names:
        _check_capability(name)
    given = dict(sets)
    # An ambient capability has to be inheritable (capabilities(7)): without any, runc does not add it here either.
    for kind in (*GIVEN_SETS, "ambient") if sets.get("inheritable") else GIVEN_SETS:
        given[kind] = [*(sets.get(kind) or ()), *names]
    return given


def _check_capability(name: str) -> None:
    from pyrun.plan.process import BITS

    if name in BITS:
        return
    from pyrun_spec.explain import near

    nearest = near(name, BITS)
    meant = f" (did you mean {nearest}?)" if nearest else ""
    raise PyrunError(f"{_quote(name)} is not a capability{meant}", source="--cap")


def _quote(text: str) -> str:
    from pyrun_spec.errors import quote

    return quote(text)
