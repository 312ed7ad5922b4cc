# SPDX-License-Identifier: Apache-2.0
"""The build hook: a wheel carries the two C programs, so it is for one kind of machine and any Python 3."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramsHook(BuildHookInterface[Any]):
    """Compiles `pyrun` and `pyrun-init` for a wheel.

    An ordinary wheel takes both from a temporary directory. An editable install runs from the source tree, so
    `pyrun-init` is compiled into it.
    """

    PLUGIN_NAME = "programs"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles and tells hatchling what to ship; `version` is ``standard`` or ``editable``."""
        self._temporary = tempfile.TemporaryDirectory(prefix="pyrun-build-")
        compiled = Path(self._temporary.name)
        tool = _compile_tool(Path(self.root))
        in_tree = Path(self.root, "runtime", "pyrun", "bin", "pyrun-init")
        init = in_tree if version == "editable" else compiled / "pyrun-init"
        try:
            tool.compile_program("pyrun", compiled / "pyrun")
            tool.compile_program("pyrun-init", init)
        except tool.CompilationError as error:
            self.app.abort(f"pyrun: {error}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-linux_{tool.machine()}"
        build_data["shared_scripts"][str(compiled / "pyrun")] = "pyrun"
        if version != "editable":
            build_data["force_include"][str(init)] = "pyrun/bin/pyrun-init"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes what was compiled only to be shipped."""
        self._temporary.cleanup()


def _compile_tool(root: Path) -> ModuleType:
    """Loads tools/compile.py, which is no part of a package."""
    specification = importlib.util.spec_from_file_location("pyrun_compile", root / "tools" / "compile.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
