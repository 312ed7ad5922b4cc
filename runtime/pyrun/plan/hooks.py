# SPDX-License-Identifier: Apache-2.0
"""hooks in the container's namespaces, and when those in the runtime's have their turn (config.md, "Hooks")."""

from __future__ import annotations

from pyrun.jsontext import encode_compactly
from pyrun.plan.process import environment_of, filter_system_calls
from pyrun.state import CREATED, CREATING, OCI_VERSION, hook_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan


def before_pivot(plan: Plan, config: Config, request: Request) -> None:
    """Add the createContainer hooks, whose turn is when the mounts stand and the host's files are in sight."""
    _run(plan, config, request, "createContainer", CREATING)


def on_start(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    """Add the startContainer hooks; they come from the image, so they may do no more than the program."""
    if config["hooks"].get("startContainer"):
        filter_system_calls(plan, config, request, problems, "keep_seccomp_for_hooks")
    _run(plan, config, request, "startContainer", CREATED)


def _run(plan: Plan, config: Config, request: Request, kind: str, status: str) -> None:
    before_pid, after_pid = _state(config, request, status)
    # The image's environment is nothing for a program of the host: its LD_PRELOAD would be one too (CVE-2025-23266).
    inherited = environment_of(config) if kind == "startContainer" else []
    for number, hook in enumerate(config["hooks"].get(kind) or ()):
        own = hook.get("env")
        plan.add(
            "run_hook",
            f"/hooks/{kind}/{number}",
            hook["path"],
            hook.get("args") or [hook["path"]],
            inherited if own is None else own,
            int(own is None and kind == "startContainer"),
            hook.get("timeout") or 0,
            before_pid,
            after_pid,
        )


def _state(config: Config, request: Request, status: str) -> tuple[str, str]:
    """Return the state as JSON up to the pid, which only pyrun-init knows, and behind it."""
    known = {
        "ociVersion": OCI_VERSION,
        "id": request.container_id,
        "bundle": request.bundle,
        "annotations": config.get("annotations"),
    }
    before, name, after = encode_compactly(hook_state(known, status, 1)).partition('"pid":')
    return before + name, after[1:]
