# SPDX-License-Identifier: Apache-2.0
"""What resctrl says of a container: its shares of caches and memory bandwidth, and what it uses of them.

Files: Documentation/filesystems/resctrl.rst. Names and order are those of runc's types/events.go.
"""

from __future__ import annotations

import os

from pyrun.plan.resctrl import DEFAULT_CLASS, find_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BANDWIDTH = ("mbm_total_bytes", "mbm_local_bytes")


def read(config: dict[str, Any], container_id: str) -> dict[str, Any]:
    """Return what runc's events have as ``intel_rdt``; nothing for a container without ``linux.intelRdt``.

    Args:
        config: the container's config.
        container_id: its id, which is the name of its groups if the config names no other.
    """
    settings: Any = (config.get("linux") or {}).get("intelRdt")
    # The config lies where the container's owner, who need not be this user, may have changed it.
    mount = find_mount() if isinstance(settings, dict) else None
    if mount is None:
        return {}
    name = settings.get("closID") or container_id
    group = mount if name == DEFAULT_CLASS else f"{mount}/{os.path.basename(str(name))}"
    monitor = f"{group}/mon_groups/{container_id}" if settings.get("enableMonitoring") else group
    return {**_cache(mount, group), **_bandwidth(mount, group), **_monitored(mount, monitor)}


def _cache(mount: str, group: str) -> dict[str, Any]:
    info = f"{mount}/info/L3"
    if not os.path.isdir(info):
        return {}
    found = {
        "l3_cache_info": _known(
            cbm_mask=_text(f"{info}/cbm_mask"),
            min_cbm_bits=_number(f"{info}/min_cbm_bits"),
            num_closids=_number(f"{info}/num_closids"),
        )
    }
    return {**found, **_known(l3_cache_schema_root=_schema(mount, "L3"), l3_cache_schema=_schema(group, "L3"))}


def _bandwidth(mount: str, group: str) -> dict[str, Any]:
    info = f"{mount}/info/MB"
    if not os.path.isdir(info):
        return {}
    names = ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")
    found = {"mem_bw_info": _known(**{name: _number(f"{info}/{name}") for name in names})}
    return {**found, **_known(mem_bw_schema_root=_schema(mount, "MB"), mem_bw_schema=_schema(group, "MB"))}


def _monitored(mount: str, monitor: str) -> dict[str, Any]:
    """What is used, one entry a domain: of memory bandwidth in bytes since ever, of the cache in bytes now."""
    features = _text(f"{mount}/info/L3_MON/mon_features").split()
    try:
        domains = [f"{monitor}/mon_data/{name}" for name in sorted(os.listdir(f"{monitor}/mon_data"))]
    except OSError:
        return {}
    found: dict[str, Any] = {}
    if set(_BANDWIDTH) & set(features):
        found["mbm_stats"] = [{name: _number(f"{domain}/{name}") for name in _BANDWIDTH} for domain in domains]
    if "llc_occupancy" in features:
        found["cmt_stats"] = [{"llc_occupancy": _number(f"{domain}/llc_occupancy")} for domain in domains]
    return found


def _schema(group: str, kind: str) -> str:
    lines = [line.strip() for line in _text(f"{group}/schemata").splitlines()]
    return next((line for line in reversed(lines) if line.startswith(kind)), "")


def _number(path: str) -> int:
    """The number in a file; 0 if there is none, as when the hardware has it "Unavailable" at the moment."""
    text = _text(path)
    return int(text) if text.isascii() and text.isdigit() else 0


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
