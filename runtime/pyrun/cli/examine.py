# SPDX-License-Identifier: Apache-2.0
"""Everything that ``pyrun validate`` has to say about a bundle."""

from __future__ import annotations

from pyrun.cli.log import in_one_line
from pyrun.plan.create import find_problems, request_for
from pyrun_spec.explain import Finding
from pyrun_spec.load import CONFIG, load_config
from pyrun_spec.validate import validate_config


def examine(bundle: str) -> tuple[list[str], bool]:
    """Look for what is wrong with a bundle's config.json, or hardly meant.

    What the specification allows but pyrun cannot do is found by compiling the plan, so only for a config
    without other errors.

    Args:
        bundle: absolute path of the bundle.

    Returns:
        One line for each error or warning, and whether ``pyrun create`` would accept the config.
    """
    findings = validate_config(bundle)
    lines = [_line(finding) for finding in findings]
    if not all(finding.warning for finding in findings):
        return lines, False
    problems = find_problems(load_config(bundle), request_for("ID", bundle))
    return [*lines, *(in_one_line(f"{CONFIG}: {pointer}: {message}") for pointer, message in problems)], not problems


def _line(finding: Finding) -> str:
    words = f"warning: {finding.message}" if finding.warning else finding.message
    return ": ".join(part for part in (CONFIG, finding.pointer, words) if part)
