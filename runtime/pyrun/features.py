# SPDX-License-Identifier: Apache-2.0
"""The features document: what pyrun knows, by the tables that the planner itself uses.

A list says what pyrun understands in a config.json, whether or not this host has it; the exceptions are
``supportedFlags`` and the version of libseccomp.
"""

from __future__ import annotations

from typing import Any

from pyrun import __version__
from pyrun.plan.memory_policy import FLAGS as MEMORY_FLAGS
from pyrun.plan.memory_policy import MODES as MEMORY_MODES
from pyrun.plan.mount_options import known_options
from pyrun.plan.namespaces import CLONE_FLAGS
from pyrun.plan.process import CAPABILITIES
from pyrun.plan.root import OVERLAY
from pyrun.plan.seccomp_compiler import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS
from pyrun.seccomp_support import libseccomp_version, supported_flags
from pyrun.state import OCI_VERSION
from pyrun_cgroups.systemd.annotations import PREFIX as PROPERTIES
from pyrun_spec.schema import schema_of

_LEAST_OCI_VERSION = "1.0.0"
_ENABLED = {"enabled": True}


def features() -> dict[str, Any]:
    """Return the document that runtime-spec 1.3.0 defines (features.md, features-linux.md), in its and runc's order."""
    return {
        "ociVersionMin": _LEAST_OCI_VERSION,
        "ociVersionMax": OCI_VERSION,
        "hooks": list(schema_of("config")["$defs"]["hooks"]["properties"]),
        "mountOptions": sorted(known_options()),
        "linux": _linux(),
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": [OVERLAY, PROPERTIES],
    }


def _linux() -> dict[str, Any]:
    return {
        "namespaces": sorted(CLONE_FLAGS),
        "capabilities": list(CAPABILITIES),
        "cgroup": {"v1": False, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
        "seccomp": _seccomp(),
        "apparmor": _ENABLED,
        "selinux": _ENABLED,
        "intelRdt": {**_ENABLED, "schemata": True, "monitoring": True},
        "memoryPolicy": {"modes": sorted(MEMORY_MODES), "flags": sorted(MEMORY_FLAGS)},
        "mountExtensions": {"idmap": _ENABLED},
        "netDevices": _ENABLED,
    }


def _seccomp() -> dict[str, Any]:
    return {
        **_ENABLED,
        "actions": sorted(ACTIONS),
        "operators": sorted(OPERATORS),
        "archs": sorted(ARCHITECTURES),
        "knownFlags": sorted(FLAGS),
        "supportedFlags": sorted(supported_flags(FLAGS)),
    }


def _annotations() -> dict[str, str]:
    annotations = {"org.pyrun.version": __version__}
    libseccomp = libseccomp_version()
    return {"io.github.seccomp.libseccomp.version": libseccomp, **annotations} if libseccomp else annotations
