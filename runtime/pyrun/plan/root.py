# SPDX-License-Identifier: Apache-2.0
"""root, linux.rootfsPropagation and the overlay annotations: what becomes the container's "/", and how."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrun.plan import Config, Problems, Request
    from pyrun.plan.operations import Plan

OVERLAY = "org.pyrun.rootfs."


def path_of(config: Config, request: Request) -> str:
    """Return the absolute path of root.path."""
    return _absolute(config["root"]["path"], request)


def attach(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    """Add the mount of the root: an overlay where annotations ask for one, else a bind of root.path on itself."""
    from pyrun.plan.mount_options import MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, PROPAGATION

    path = path_of(config, request)
    asked = PROPAGATION.get(_propagation(config), MS_SLAVE)
    if asked & MS_SHARED:
        # Bind mounts may ask to reach the host; the root itself must not.
        plan.add("isolate_root", "/linux/rootfsPropagation", path)
    else:
        # A mount of the tree can be the slave of the host that it asks to be, unless all are to be private.
        private = asked & MS_REC and asked & (MS_PRIVATE | MS_UNBINDABLE)
        plan.add("propagate_root", "/linux/rootfsPropagation", (MS_PRIVATE if private else MS_SLAVE) | MS_REC)
    annotations = config.get("annotations") or {}
    lower, upper, work = (annotations.get(OVERLAY + name) for name in ("lowerdir", "upperdir", "workdir"))
    if not (lower or upper or work):
        plan.add("bind_root", "/root/path", path)
        return
    if not lower:
        problems.add(_pointer("lowerdir"), "an overlay needs a lower directory")
    elif bool(upper) != bool(work):
        missing = "workdir" if upper else "upperdir"
        problems.add(_pointer(missing), "an overlay has an upper and a work directory, or neither")
    else:
        lowers = [_absolute(each, request) for each in split_layers(lower)]
        writable = [_absolute(each, request) if each else "" for each in (upper, work)]
        # Without CAP_SYS_ADMIN of the host, overlayfs keeps its marks in the user.overlay. attributes.
        parameters = ["userxattr"] if _has_user_namespace(config) else []
        plan.add("overlay_root", _pointer("lowerdir"), path, lowers, *writable, parameters)


def enter(plan: Plan, config: Config, request: Request) -> None:
    """Add what makes the mounted root "/"."""
    plan.add("move_to_root" if request.no_pivot else "pivot_to_root", "/root/path")


def finish(plan: Plan, config: Config) -> None:
    """Add what waits until everything in the root is in place: that it is read-only."""
    if config["root"].get("readonly"):
        plan.add("readonly_root", "/root/readonly")


def propagate(plan: Plan, config: Config) -> None:
    """Add the propagation of the root and of mounts: nobody pivots to a shared root, or covers what is unbindable."""
    from pyrun.plan import mounts
    from pyrun.plan.mount_options import PROPAGATION

    asked = _propagation(config)
    if asked:
        plan.add("propagate_root", "/linux/rootfsPropagation", PROPAGATION[asked])
    mounts.propagate(plan, config)


def use(plan: Plan, config: Config, request: Request, problems: Problems) -> None:
    """Add the change of root of a container that has no mount namespace, whose mounts would be the host's."""
    remedy = "needs a mount namespace; add one to linux.namespaces"
    if config.get("mounts"):
        problems.add("/mounts", f"a mount {remedy}")
    if config["root"].get("readonly"):
        problems.add("/root/readonly", f"a read-only root {remedy}")
    if _propagation(config):
        problems.add("/linux/rootfsPropagation", f"the root's propagation {remedy}")
    if request.notify_directory is not None:
        problems.add("/linux/namespaces", f"NOTIFY_SOCKET in the environment {remedy}, or unset it")
    change(plan, config, request)


def change(plan: Plan, config: Config, request: Request) -> None:
    """Add the change to the root of a container without a mount namespace."""
    plan.add("use_root", "/root/path", path_of(config, request))
    plan.add("change_root", "/root/path")


def _propagation(config: Config) -> str:
    return (config.get("linux") or {}).get("rootfsPropagation") or ""


def _has_user_namespace(config: Config) -> bool:
    return any(each["type"] == "user" for each in (config.get("linux") or {}).get("namespaces") or ())


def _pointer(name: str) -> str:
    return f"/annotations/{OVERLAY}{name}"


def _absolute(path: str, request: Request) -> str:
    return path if path.startswith("/") else f"{request.bundle}/{path}"


def split_layers(lowers: str) -> list[str]:
    """Split ``lowerdir`` at colons, as overlayfs does; a backslash protects the next character."""
    parts, escaped = [""], False
    for character in lowers:
        if escaped or character not in ":\\":
            parts[-1] += character
            escaped = False
        elif character == ":":
            parts.append("")
        else:
            escaped = True
    return [part for part in parts if part]
